/* Making a reading: the folded code points are written back as lower-case UTF-8 while
 * terms are cut. */
#include "decide/reading.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "decide/folding.h"

#include <llmcache/llmcache.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

int lc_is_han(uint32_t cp)
{
    return cp >= 0x3400 && cp <= 0x9fff;
}

static int is_word(int32_t cp)
{
    if (cp < 0x80)
        return (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z') ||
               (cp >= 'A' && cp <= 'Z');
    utf8proc_category_t category = utf8proc_category(cp);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

static int is_upper(int32_t cp)
{
    return cp < 0x80 ? cp >= 'A' && cp <= 'Z'
                     : utf8proc_category(cp) == UTF8PROC_CATEGORY_LU;
}

static int is_lower(int32_t cp)
{
    return cp < 0x80 ? cp >= 'a' && cp <= 'z'
                     : utf8proc_category(cp) == UTF8PROC_CATEGORY_LL;
}

static int32_t to_lower(int32_t cp)
{
    return cp < 0x80 ? (is_upper(cp) ? cp + 32 : cp) : utf8proc_tolower(cp);
}

/* A Latin letter without its accent: who types "café" and who types "cafe" mean one. */
static int32_t bare(int32_t cp)
{
    int32_t parts[4];
    int boundary = 0;
    if (cp < 0xc0 || (cp > 0x24f && (cp < 0x1e00 || cp > 0x1eff)))
        return cp;
    return utf8proc_decompose_char(cp, parts, 4, UTF8PROC_DECOMPOSE, &boundary) > 0
               ? parts[0]
               : cp;
}

/* An apostrophe between two letters belongs to the word. */
static int is_inner(const int32_t *cps, size_t count, size_t i)
{
    return (cps[i] == '\'' || cps[i] == 0x2019) && i + 1 < count && is_word(cps[i + 1]) &&
           !lc_is_han((uint32_t)cps[i + 1]);
}

static int ends_sentence(int32_t cp)
{
    return cp == '.' || cp == '!' || cp == '?' || cp == ':' || cp == ';' || cp == 0x3002;
}

/* Appends one code point in lower case. `text` has room for it. */
static void put(lc_reading *reading, int32_t cp)
{
    char bytes[4];
    size_t size = lc_utf8_encode((uint32_t)bare(to_lower(cp)), bytes);
    memcpy(reading->text + reading->size, bytes, size);
    reading->size += size;
}

/* Writes the term that begins at cps[i]; returns where it ends. */
static size_t cut_term(lc_reading *reading, const int32_t *cps, size_t count, size_t i)
{
    lc_term *term = &reading->terms[reading->term_count++];
    int lowers = 0, uppers = 0;
    size_t start = i;
    *term = (lc_term){.at = (uint32_t)reading->size,
                      .capital = (unsigned char)is_upper(cps[i])};
    if (lc_is_han((uint32_t)cps[i])) {
        term->kind = LC_TERM_HAN;
        reading->han_count++;
        put(reading, cps[i++]);
    } else {
        while (i < count && ((is_word(cps[i]) && !lc_is_han((uint32_t)cps[i])) ||
                             (i > start && is_inner(cps, count, i)))) {
            lowers += is_lower(cps[i]);
            uppers += is_upper(cps[i]);
            put(reading, cps[i] == 0x2019 ? '\'' : cps[i]);
            i++;
        }
    }
    term->size = (uint32_t)reading->size - term->at;
    term->upper = uppers > 0 && lowers == 0;
    return i;
}

static void cut(lc_reading *reading, const int32_t *cps, size_t count)
{
    int opens = 1;
    for (size_t i = 0; i < count;) {
        if (is_word(cps[i])) {
            i = cut_term(reading, cps, count, i);
            reading->terms[reading->term_count - 1].opens = (unsigned char)opens;
            opens = 0;
            continue;
        }
        if (ends_sentence(cps[i]) &&
            (i + 1 == count || cps[i + 1] == ' ' || cps[i] == 0x3002))
            opens = 1;
        put(reading, cps[i++]);
    }
    reading->text[reading->size] = '\0';
}

static int compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_bytes(const void *left, const void *right, void *of)
{
    const lc_reading *reading = of;
    const lc_term *a = &reading->terms[*(const uint32_t *)left];
    const lc_term *b = &reading->terms[*(const uint32_t *)right];
    return compare(reading->text + a->at, a->size, reading->text + b->at, b->size);
}

int lc_reading_init(lc_reading *reading, const char *text, size_t size)
{
    size_t count;
    int code = LLMCACHE_MEMORY;
    *reading = (lc_reading){0};
    int32_t *cps = lc_fold_points(text, size, &count);
    if (!cps)
        return code;
    reading->text = lc_alloc_array(count + 1, 4);
    reading->terms = lc_alloc_array(count + 1, sizeof *reading->terms);
    if (!reading->text || !reading->terms)
        goto out;
    cut(reading, cps, count);
    reading->sorted = lc_alloc_array(reading->term_count + 1, sizeof *reading->sorted);
    if (!reading->sorted)
        goto out;
    for (uint32_t i = 0; i < reading->term_count; i++)
        reading->sorted[i] = i;
    qsort_r(reading->sorted, reading->term_count, sizeof *reading->sorted, by_bytes,
            reading);
    code = 0;
out:
    lc_free(cps);
    if (code)
        lc_reading_done(reading);
    return code;
}

void lc_reading_done(lc_reading *reading)
{
    lc_free(reading->text);
    lc_free(reading->terms);
    lc_free(reading->sorted);
    *reading = (lc_reading){0};
}

int lc_reading_has(const lc_reading *reading, const char *term, size_t size)
{
    size_t low = 0, high = reading->term_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const lc_term *at = &reading->terms[reading->sorted[middle]];
        int order = compare(reading->text + at->at, at->size, term, size);
        if (order == 0)
            return 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

int lc_reading_shares(const lc_reading *reading, const lc_reading *other, size_t position)
{
    const lc_term *term = &other->terms[position];
    return lc_reading_has(reading, other->text + term->at, term->size);
}

int lc_reading_contains(const lc_reading *reading, const char *bytes, size_t size)
{
    return memmem(reading->text, reading->size, bytes, size) != NULL;
}

lc_slice lc_term_slice(const lc_reading *reading, size_t position)
{
    if (position >= reading->term_count)
        return (lc_slice){NULL, 0};
    const lc_term *term = &reading->terms[position];
    return (lc_slice){reading->text + term->at, term->size};
}

int lc_term_same(const lc_reading *a, size_t i, const lc_reading *b, size_t j)
{
    lc_slice x = lc_term_slice(a, i), y = lc_term_slice(b, j);
    return x.text && y.text && x.size == y.size && memcmp(x.text, y.text, x.size) == 0;
}

int lc_border_same(const lc_reading *a, size_t i, const lc_reading *b, size_t j)
{
    return lc_term_same(a, i, b, j) || (i >= a->term_count && j >= b->term_count);
}

int lc_term_is(const lc_reading *reading, size_t position, const char *word)
{
    if (position >= reading->term_count)
        return 0;
    const lc_term *term = &reading->terms[position];
    return reading->text[term->at] == word[0] && strlen(word) == term->size &&
           memcmp(reading->text + term->at, word, term->size) == 0;
}

int lc_term_in(const lc_reading *reading, size_t position, const char *const *words,
               size_t count)
{
    if (position >= reading->term_count)
        return 0;
    const lc_term *term = &reading->terms[position];
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(words[middle], strlen(words[middle]),
                            reading->text + term->at, term->size);
        if (order == 0)
            return 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}
