/*
 * Finding numbers. One cursor walks the terms; at each it tries Chinese numerals, English
 * number words, a Roman numeral and last the digits inside the term. What has been read
 * as part of a number is not read again.
 */
#include "decide/numbers.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <llmcache/llmcache.h>
#include <stdio.h>
#include <string.h>

#define HASH_START 0xcbf29ce484222325u
#define HASH_PRIME 0x100000001b3u

enum kind { DIGIT, UNIT, SECTION, VALUE, TIMES, ORDINAL };

struct numeral {
    uint32_t cp;
    double value;
    enum kind kind;
};

static const struct numeral numerals[] = {
#define LC_NUMERAL(cp, value, kind) {cp, value, kind},
#include "decide/numerals_zh.def"
#undef LC_NUMERAL
};

struct number_word {
    const char *word;
    double value;
    enum kind kind;
};

static const struct number_word number_words[] = {
#define LC_NUMBER_WORD(word, value, kind) {word, value, kind},
#include "decide/number_words.def"
#undef LC_NUMBER_WORD
};

/* A number being read. */
struct found {
    size_t end; /* byte behind it */
    uint64_t key;
    double value;
    int literal; /* its key stands for its digits, not for value */
    lc_weight weight;
};

static const struct numeral *numeral_at(const lc_reading *reading, size_t at,
                                        size_t *length)
{
    uint32_t cp = lc_utf8_decode(reading->text + at, reading->size - at, length);
    for (size_t i = 0; cp >= 0x3000 && i < sizeof numerals / sizeof numerals[0]; i++)
        if (numerals[i].cp == cp)
            return &numerals[i];
    return NULL;
}

static const struct number_word *word_at(const lc_reading *reading, size_t term)
{
    if (term >= reading->term_count || reading->terms[term].size < 3)
        return NULL;
    for (size_t i = 0; i < sizeof number_words / sizeof number_words[0]; i++)
        if (lc_term_is(reading, term, number_words[i].word))
            return &number_words[i];
    return NULL;
}

static void add_char(struct found *found, char c)
{
    found->key = (found->key ^ (unsigned char)c) * HASH_PRIME;
}

/* The key of a computed value: that of its plain decimal digits. */
static uint64_t key_of(double value)
{
    char text[32];
    struct found found = {.key = HASH_START};
    snprintf(text, sizeof text, "%.15g", value);
    for (const char *c = text; *c; c++)
        add_char(&found, *c);
    return found.key;
}

static int is_digit(const lc_reading *reading, size_t at)
{
    return at < reading->size && reading->text[at] >= '0' && reading->text[at] <= '9';
}

static size_t digits_from(const lc_reading *reading, size_t at)
{
    size_t count = 0;
    while (is_digit(reading, at + count))
        count++;
    return count;
}

/* 12,345.6 and 3.10.2 and 9:15; leading zeros and the commas of thousands do not count,
 * nor does
 * ":00". */
static void read_digits(const lc_reading *reading, size_t at, struct found *found)
{
    const char *text = reading->text;
    double scale = 0;
    *found = (struct found){.key = HASH_START, .weight = LC_FIRM};
    while (text[at] == '0' && is_digit(reading, at + 1))
        at++;
    for (;;) {
        for (; is_digit(reading, at); at++) {
            add_char(found, text[at]);
            found->value = scale > 0 ? found->value + (text[at] - '0') * scale
                                     : found->value * 10 + (text[at] - '0');
            scale /= 10;
        }
        size_t more = digits_from(reading, at + 1);
        if (text[at] == ',' && more == 3 && !found->literal && found->value > 0) {
            at++;
        } else if (text[at] == ':' && more == 2) {
            found->literal = 1;
            if (text[at + 1] == '0' && text[at + 2] == '0')
                at += 3;
            else
                add_char(found, text[at++]);
        } else if (text[at] == '.' && more == 2 && text[at + 1] == '0' &&
                   text[at + 2] == '0' && text[at + 3] != '.') {
            at += 3; /* 20.00 */
        } else if (text[at] == '.' && more > 0) {
            found->literal |= scale > 0;
            scale = 0.1;
            add_char(found, text[at++]);
        } else {
            break;
        }
    }
    found->end = at;
}

/* 10k. */
static void read_thousands(const lc_reading *reading, struct found *found)
{
    const char *text = reading->text + found->end;
    int ends = !(text[0] && ((text[1] >= 'a' && text[1] <= 'z') ||
                             is_digit(reading, found->end + 1)));
    if (text[0] != 'k' || !ends || found->literal)
        return;
    found->value *= 1000;
    found->key = key_of(found->value);
    found->end++;
}

/*
 * Chinese numerals from `at`, with `found` holding the digits before them if any.
 * 二〇二四 is read by its places, 三千五 as 3500, 一萬五 as 15000. A bare 百, 千, 萬, 億
 * (百度, 千萬) is no number. 0 if none is there.
 */
static int read_chinese(const lc_reading *reading, size_t at, struct found *found)
{
    double total = 0, section = 0, current = found->value, last_unit = 1;
    int has_current = found->end > 0, begun = has_current, zero = 0, signs = 0,
        ones = !begun;
    size_t length;
    const struct numeral *numeral;
    for (;; at += length, signs++) {
        struct found digits;
        if (signs > 0 && !has_current && is_digit(reading, at)) {
            read_digits(reading, at, &digits);
            length = digits.end - at;
            current = digits.value;
            has_current = 1;
            continue;
        }
        if (!(numeral = numeral_at(reading, at, &length)))
            break;
        if (numeral->kind == DIGIT) {
            zero = numeral->value == 0 && !has_current;
            current = has_current ? current * 10 + numeral->value : numeral->value;
            ones &= numeral->value <= 1;
            has_current = 1;
        } else if (numeral->kind == UNIT) {
            if (!has_current && !begun && numeral->value > 10)
                return 0;
            section += (has_current ? current : 1) * numeral->value;
            has_current = 0, current = 0, last_unit = numeral->value;
        } else {
            if (!begun)
                return 0;
            total = numeral->value > total ? (total + section + current) * numeral->value
                                           : total + (section + current) * numeral->value;
            section = 0, has_current = 0, current = 0, last_unit = numeral->value;
        }
        begun = 1;
        ones &= numeral->kind == DIGIT;
    }
    if (signs == 0)
        return 0;
    if (has_current && last_unit >= 100 && !zero && current < 10 &&
        !is_digit(reading, at - 1))
        current *= last_unit / 10;
    found->value = total + section + current;
    found->end = at;
    found->literal = 0;
    found->key = key_of(found->value);
    if (found->weight != LC_FIRM)
        found->weight = ones ? LC_WEAK : LC_PLAIN;
    return 1;
}

static int follows(const lc_reading *reading, size_t at, const char *bytes)
{
    return strncmp(reading->text + at, bytes, strlen(bytes)) == 0;
}

/* 唯一, 統一, 一般, 一起: characters beside which 一 counts nothing. */
static int is_no_count(const lc_reading *reading, size_t at, size_t end)
{
    static const char *const before[] = {"唯", "任", "統", "统", "之",
                                         "萬", "万", "單", "单", "不"};
    static const char *const behind[] = {"樣", "样", "般", "起", "定", "直", "下", "些",
                                         "切", "旦", "邊", "边", "致", "律", "向", "再",
                                         "共", "旁", "生", "方", "同", "併", "並", "味"};
    for (size_t i = 0; at >= 3 && i < sizeof before / sizeof before[0]; i++)
        if (follows(reading, at - 3, before[i]))
            return 1;
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++)
        if (follows(reading, end, behind[i]))
            return 1;
    return 0;
}

/* 第一, 一月, 一號 are ones that count; 十分 is "very" and 零售 is no number. */
static int read_lone_numeral(const lc_reading *reading, size_t at, struct found *found)
{
    static const char *const counted[] = {"月", "號",   "号",   "點",   "点",  "樓",
                                          "楼", "年級", "年级", "世紀", "世纪"};
    if ((follows(reading, at, "十分") && !follows(reading, at, "十分鐘") &&
         !follows(reading, at, "十分钟")) ||
        !read_chinese(reading, at, found))
        return 0;
    if (found->weight != LC_WEAK)
        return 1;
    if (found->value == 0)
        return 0;
    if (at >= 3 && follows(reading, at - 3, "第"))
        found->weight = LC_PLAIN;
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
        if (follows(reading, found->end, counted[i]))
            found->weight = LC_PLAIN;
    return found->weight == LC_PLAIN || !is_no_count(reading, at, found->end);
}

static int joined(const lc_reading *reading, size_t end, size_t term)
{
    return term < reading->term_count && reading->terms[term].at == end + 1 &&
           (reading->text[end] == ' ' || reading->text[end] == '-');
}

/* "in a second", "per second": the unit of time; "a second card" is a rank. */
static int is_unit_of_time(const lc_reading *reading, size_t term)
{
    static const char *const before[] = {"each", "every", "one", "per", "split"};
    static const char *const behind[] = {"after", "ago",    "and", "at",   "before",
                                         "for",   "in",     "is",  "of",   "on",
                                         "or",    "please", "to",  "while"};
    if (!lc_term_is(reading, term, "second") || term == 0)
        return 0;
    return lc_term_in(reading, term - 1, before, sizeof before / sizeof before[0]) ||
           (lc_term_is(reading, term - 1, "a") &&
            (term + 1 == reading->term_count ||
             lc_term_in(reading, term + 1, behind, sizeof behind / sizeof behind[0])));
}

/* Number words from `term`, behind the digits `found` holds if any. 0 if none is there.
 */
static int read_english(const lc_reading *reading, size_t term, struct found *found)
{
    double total = 0, part = found->value;
    int has_part = found->end > 0, count = 0;
    const struct number_word *word;
    for (; (word = word_at(reading, term)); term++, count++) {
        if ((count > 0 || found->end > 0) && !joined(reading, found->end, term))
            break;
        if (is_unit_of_time(reading, term) ||
            (count == 0 && has_part && word->kind != TIMES))
            break;
        if (word->kind == TIMES) {
            part = (has_part ? part : 1) * word->value;
            if (word->value > 100)
                total += part, part = 0;
            has_part = part > 0;
        } else {
            int fits =
                !has_part || (part >= 100 && word->value < 100) ||
                (part >= 20 && part < 100 && (long)part % 10 == 0 && word->value < 10);
            if (!fits)
                break;
            part += word->value;
            has_part = 1;
        }
        found->end = reading->terms[term].at + reading->terms[term].size;
        if (word->kind == ORDINAL) {
            count++;
            break;
        }
        if (part >= 100 && lc_term_is(reading, term + 1, "and") &&
            word_at(reading, term + 2)) {
            term++;
            found->end = reading->terms[term].at + reading->terms[term].size;
        }
    }
    if (count == 0)
        return 0;
    found->value = total + part;
    found->literal = 0;
    found->key = key_of(found->value);
    if (found->weight != LC_FIRM)
        found->weight =
            count == 1 && lc_term_is(reading, term - 1, "one") ? LC_WEAK : LC_PLAIN;
    return 1;
}

/* II to XXXIX in capitals, or I, V, X behind a capitalised word (World War I). */
static int read_roman(const lc_reading *reading, size_t at, struct found *found)
{
    const lc_term *term = &reading->terms[at];
    int value = 0;
    if (!term->upper || term->size > 7)
        return 0;
    if (term->size == 1 &&
        (at == 0 || !reading->terms[at - 1].capital || reading->terms[at - 1].opens))
        return 0;
    for (uint32_t i = 0, last = 0; i < term->size; i++) {
        char c = reading->text[term->at + term->size - 1 - i];
        uint32_t worth = c == 'i' ? 1 : c == 'v' ? 5 : c == 'x' ? 10 : 0;
        if (worth == 0)
            return 0;
        value += worth < last ? -(int)worth : (int)worth;
        last = worth > last ? worth : last;
    }
    *found = (struct found){.value = value,
                            .end = term->at + term->size,
                            .key = key_of(value),
                            .weight = LC_PLAIN};
    return 1;
}

static int keep(const lc_reading *reading, lc_numbers *numbers, size_t term, size_t at,
                const struct found *found)
{
    if (numbers->count == numbers->room) {
        size_t room = numbers->room ? numbers->room * 2 : 8;
        lc_number *list = lc_realloc_array(numbers->list, room, sizeof *list);
        if (!list)
            return LLMCACHE_MEMORY;
        numbers->list = list;
        numbers->room = room;
    }
    size_t next = term;
    while (next < reading->term_count && reading->terms[next].at < found->end)
        next++;
    numbers->list[numbers->count++] = (lc_number){.key = found->key,
                                                  .at = (uint32_t)at,
                                                  .size = (uint32_t)(found->end - at),
                                                  .term = (uint32_t)term,
                                                  .next = (uint32_t)next,
                                                  .weight = found->weight};
    return 0;
}

/* The first number at or behind byte `from` that begins in this term. 0 if there is none.
 */
static int read_number(const lc_reading *reading, size_t term, size_t from, size_t *at,
                       struct found *found)
{
    const lc_term *here = &reading->terms[term];
    *found = (struct found){0};
    *at = here->at;
    if (here->kind == LC_TERM_HAN)
        return read_lone_numeral(reading, here->at, found);
    if (from <= here->at &&
        (read_english(reading, term, found) || read_roman(reading, term, found)))
        return 1;
    for (size_t i = from > here->at ? from : here->at; i < here->at + here->size; i++) {
        if (!is_digit(reading, i))
            continue;
        *at = i;
        read_digits(reading, i, found);
        read_thousands(reading, found);
        if (!found->literal && !read_chinese(reading, found->end, found)) {
            size_t next = term;
            while (next < reading->term_count && reading->terms[next].at < found->end)
                next++;
            read_english(reading, next, found);
        }
        return 1;
    }
    return 0;
}

int lc_numbers_find(const lc_reading *reading, lc_numbers *numbers)
{
    size_t from = 0, at;
    struct found found;
    *numbers = (lc_numbers){0};
    for (size_t term = 0; term < reading->term_count; term++) {
        const lc_term *here = &reading->terms[term];
        while (from < here->at + here->size &&
               (from <= here->at || here->kind == LC_TERM_WORD) &&
               read_number(reading, term, from, &at, &found)) {
            if (keep(reading, numbers, term, at, &found)) {
                lc_numbers_done(numbers);
                return LLMCACHE_MEMORY;
            }
            from = found.end;
        }
    }
    return 0;
}

void lc_numbers_done(lc_numbers *numbers)
{
    lc_free(numbers->list);
    *numbers = (lc_numbers){0};
}

/* Is this number among them? A lone one stands for a digit, not for a rank. */
static int has(const lc_numbers *numbers, const lc_number *number)
{
    for (size_t i = 0; i < numbers->count; i++)
        if (numbers->list[i].key == number->key &&
            (numbers->list[i].weight > LC_WEAK || number->weight != LC_PLAIN))
            return 1;
    return 0;
}

const lc_number *lc_numbers_alone(const lc_numbers *these, const lc_numbers *those,
                                  lc_weight weight)
{
    for (size_t i = 0; i < these->count; i++)
        if (these->list[i].weight >= weight && !has(those, &these->list[i]))
            return &these->list[i];
    return NULL;
}

/* How often this value is named. */
static size_t times(const lc_numbers *numbers, uint64_t key)
{
    size_t count = 0;
    for (size_t i = 0; i < numbers->count; i++)
        count += numbers->list[i].key == key;
    return count;
}

const lc_number *lc_numbers_more(const lc_numbers *these, const lc_numbers *those)
{
    for (size_t i = 0; i < these->count; i++)
        if (times(these, these->list[i].key) > times(those, these->list[i].key))
            return &these->list[i];
    return NULL;
}
