/* Walks the terms once: a phrase of the list covers its terms, what is left is an item of
 * its own. */
#include "decide/gist.h"

#include "base/han.h"
#include "base/utf8.h"
#include "decide/marks.h"

#include <string.h>

static const lc_mark wordings[] = {
#include "decide/wordings.def"
};

/* FNV-1a: an accident of 32 bits only makes two words alike. "our" is "or": colour,
 * favourite. */
static uint32_t key_of(const char *text, size_t size)
{
    uint32_t key = 2166136261u;
    for (size_t i = 0; i < size; i++)
        if (i == 0 || i + 1 == size || memcmp(text + i - 1, "our", 3) != 0)
            key = (key ^ (unsigned char)text[i]) * 16777619u;
    return key;
}

static int ends(const char *word, size_t size, const char *ending)
{
    size_t length = strlen(ending);
    return size > length && memcmp(word + size - length, ending, length) == 0;
}

/* The part of an English word that its plain endings leave alone: card of cards, organi
 * of organise and organizing, compan of companies. */
static size_t stem_size(const char *word, size_t size)
{
    static const char *const endings[] = {"'s", "ing", "ed", "es", "s", "e", "ly"};
    size_t stem = size;
    if ((unsigned char)word[0] >= 0x80)
        return size;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (ends(word, stem, endings[i]) && stem >= strlen(endings[i]) + 3) {
            stem -= strlen(endings[i]);
            break;
        }
    if (stem > 4 && (ends(word, stem, "is") || ends(word, stem, "iz")))
        stem--;
    else if (stem > 3 && word[stem - 1] == word[stem - 2])
        stem--; /* stopping, stopped */
    else if (stem > 2 && (word[stem - 1] == 'y' || word[stem - 1] == 'i'))
        stem--; /* company, companies */
    return stem;
}

/* Both scripts' forms of a character are one. */
static uint32_t term_key(const lc_reading *reading, const lc_term *term)
{
    const char *word = reading->text + term->at;
    char simple[4];
    size_t length;
    if (term->kind == LC_TERM_WORD)
        return key_of(word, stem_size(word, term->size));
    uint32_t cp = lc_fold_han_cp(lc_utf8_decode(word, term->size, &length));
    return key_of(simple, lc_utf8_encode(cp, simple));
}

static void add(lc_gist *gist, const lc_reading *reading, uint32_t key, size_t term,
                size_t next)
{
    if (gist->count == LC_ITEMS_MAX) {
        gist->whole = 0;
        return;
    }
    const lc_term *first = &reading->terms[term], *last = &reading->terms[next - 1];
    gist->items[gist->count++] = (lc_item){.key = key,
                                           .at = first->at,
                                           .size = last->at + last->size - first->at,
                                           .term = (uint32_t)term,
                                           .next = (uint32_t)next};
}

/* The first term that begins at or behind byte `end`. */
static size_t term_behind(const lc_reading *reading, size_t term, size_t end)
{
    while (term < reading->term_count && reading->terms[term].at < end)
        term++;
    return term;
}

/* Does a number cover the term? `number` is moved on, as the terms are. */
static int is_number(const lc_numbers *numbers, size_t *number, const lc_term *term)
{
    while (*number < numbers->count && numbers->list[*number].at +
                                               numbers->list[*number].size <=
                                           term->at)
        ++*number;
    return *number < numbers->count &&
           numbers->list[*number].at < term->at + term->size;
}

void lc_gist_find(const lc_reading *reading, const lc_numbers *numbers, lc_gist *gist)
{
    size_t number = 0;
    gist->count = 0;
    gist->whole = 1;
    for (size_t i = 0; i < reading->term_count && gist->whole;) {
        const lc_term *term = &reading->terms[i];
        const lc_mark *mark = lc_mark_at(wordings, sizeof wordings / sizeof wordings[0],
                                         reading, term->at);
        if (mark) {
            size_t next = term_behind(reading, i, term->at + mark->size);
            if (mark->value[0])
                add(gist, reading, key_of(mark->value, strlen(mark->value)), i, next);
            i = next;
            continue;
        }
        if (!is_number(numbers, &number, term)) {
            add(gist, reading, term_key(reading, term), i, i + 1);
        }
        i++;
    }
}
