/*
 * A text is cut into runs of ASCII letters and digits with the marks that hold dates, times and ids
 * together; a run with a digit in it is looked at as a whole. Month names, weekdays and the units of
 * Chinese dates are added by tables. One pass, no memory.
 */
#include "protocol/spots.h"

#include <string.h>
#include <strings.h>

#define COUNT(table) (sizeof table / sizeof *table)

const char *lc_spot_word(int kind)
{
    switch (kind) {
    case LC_SPOT_DATE:
        return "date";
    case LC_SPOT_TIME:
        return "time";
    case LC_SPOT_UUID:
        return "uuid";
    case LC_SPOT_RANDOM:
        return "random";
    case LC_SPOT_NUMBER:
        return "number";
    default:
        return "text";
    }
}

/* ---- Letters and digits ------------------------------------------------------------ */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static int is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static int is_word(char c)
{
    return is_digit(c) || is_letter(c);
}

/* The end of the run that begins at `at`: marks belong to it between letters and digits only. */
static size_t run_end(const char *text, size_t size, size_t at)
{
    while (at < size && (is_word(text[at]) || (at + 1 < size && strchr("-_:./+", text[at]) &&
                                               text[at] && is_word(text[at + 1]))))
        at++;
    return at;
}

/* Digits from `at`; how many. */
static size_t digits(const char *text, size_t size, size_t at)
{
    size_t end = at;
    while (end < size && is_digit(text[end]))
        end++;
    return end - at;
}

/* ---- Words around dates -------------------------------------------------------------- */

static const char *const months[] = {"january", "february", "march",     "april",   "may",
                                     "june",    "july",     "august",    "september", "october",
                                     "november", "december"};
static const char *const weekdays[] = {"monday", "tuesday",  "wednesday", "thursday",
                                       "friday", "saturday", "sunday"};

static int is_month(const char *word, size_t size)
{
    for (size_t i = 0; i < COUNT(months); i++)
        if ((size == 3 || size == strlen(months[i])) && strncasecmp(word, months[i], size) == 0)
            return 1;
    return size == 4 && strncasecmp(word, "sept", 4) == 0;
}

static int is_weekday(const char *word, size_t size)
{
    for (size_t i = 0; i < COUNT(weekdays); i++)
        if (size == strlen(weekdays[i]) && strncasecmp(word, weekdays[i], size) == 0)
            return 1;
    return 0;
}

static size_t letters(const char *text, size_t size, size_t at)
{
    size_t end = at;
    while (end < size && is_letter(text[end]))
        end++;
    return end - at;
}

/* ", 2026" or " 2026" behind a day and month. */
static size_t past_year(const char *text, size_t size, size_t at)
{
    size_t year = at + (at < size && text[at] == ',');
    if (year < size && text[year] == ' ' && digits(text, size, year + 1) == 4)
        return year + 5;
    return at;
}

/* "November 25th, 2026" at `at`, whose first `word` letters are a month. 0: not one. */
static size_t month_first(const char *text, size_t size, size_t at, size_t word)
{
    size_t day = at + word;
    day += day < size && text[day] == '.';
    if (day >= size || text[day] != ' ')
        return 0;
    size_t count = digits(text, size, ++day);
    if (count == 4)
        return day + 4;
    if (count < 1 || count > 2)
        return 0;
    size_t end = day + count;
    if (letters(text, size, end) == 2)
        end += 2;
    return past_year(text, size, end);
}

/* "25 November 2026" at `at`. 0: not one. */
static size_t day_first(const char *text, size_t size, size_t at)
{
    size_t count = digits(text, size, at), end = at + count;
    if (count < 1 || count > 2)
        return 0;
    if (letters(text, size, end) == 2)
        end += 2;
    if (end >= size || text[end] != ' ')
        return 0;
    size_t word = letters(text, size, end + 1);
    return is_month(text + end + 1, word) ? past_year(text, size, end + 1 + word) : 0;
}

/* ---- Chinese dates --------------------------------------------------------------------- */

static const struct unit {
    const char *sign; /* of three bytes */
    lc_spot_kind kind;
} units[] = {{"年", LC_SPOT_DATE}, {"月", LC_SPOT_DATE}, {"日", LC_SPOT_DATE}, {"號", LC_SPOT_DATE},
             {"号", LC_SPOT_DATE}, {"時", LC_SPOT_TIME}, {"时", LC_SPOT_TIME}, {"點", LC_SPOT_TIME},
             {"点", LC_SPOT_TIME}, {"分", LC_SPOT_TIME}, {"秒", LC_SPOT_TIME}};

static lc_spot_kind unit_at(const char *text, size_t size, size_t at)
{
    for (size_t i = 0; at + 3 <= size && i < COUNT(units); i++)
        if (memcmp(text + at, units[i].sign, 3) == 0)
            return units[i].kind;
    return LC_SPOT_NONE;
}

/* 2026年11月25日17時18分 at `at`; a time wins over a date. */
static lc_spot_kind chinese_date(const char *text, size_t size, size_t at, size_t *to)
{
    lc_spot_kind found = LC_SPOT_NONE;
    for (size_t end = at;;) {
        size_t count = digits(text, size, end);
        lc_spot_kind kind = count ? unit_at(text, size, end + count) : LC_SPOT_NONE;
        if (!kind)
            return found;
        found = found == LC_SPOT_TIME ? found : kind;
        *to = end += count + 3;
        end += end < size && text[end] == ' ';
    }
}

/* Words of one sign row each: 星期三, 週三, 下午. */
static lc_spot_kind chinese_word(const char *text, size_t size, size_t at, size_t *to)
{
    static const char *const weeks[] = {"星期", "週", "周", "禮拜", "礼拜"};
    static const char *const halves[] = {"上午", "下午", "早上", "晚上", "中午", "凌晨"};
    static const char days[] = "一二三四五六日天";
    for (size_t i = 0; i < COUNT(weeks); i++) {
        size_t length = strlen(weeks[i]);
        if (at + length + 3 > size || memcmp(text + at, weeks[i], length) != 0)
            continue;
        for (const char *day = days; *day; day += 3)
            if (memcmp(text + at + length, day, 3) == 0) {
                *to = at + length + 3;
                return LC_SPOT_DATE;
            }
    }
    for (size_t i = 0; i < COUNT(halves); i++)
        if (at + 6 <= size && memcmp(text + at, halves[i], 6) == 0) {
            *to = at + 6;
            return LC_SPOT_TIME;
        }
    return LC_SPOT_NONE;
}

/* ---- Runs with a digit ------------------------------------------------------------------- */

/* Does the run look so? 9: a digit, h: a hexadecimal one, other characters: themselves. */
static int looks(const char *run, size_t size, const char *form)
{
    if (strlen(form) != size)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (form[i] == '9' ? !is_digit(run[i]) : form[i] == 'h' ? !is_hex(run[i]) : run[i] != form[i])
            return 0;
    return 1;
}

static const struct form {
    const char *form;
    lc_spot_kind kind;
} forms[] = {{"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", LC_SPOT_UUID},
             {"9999-99-99", LC_SPOT_DATE}, {"9999/99/99", LC_SPOT_DATE}, {"9999/9/99", LC_SPOT_DATE},
             {"9999/99/9", LC_SPOT_DATE}, {"9999/9/9", LC_SPOT_DATE}, {"99/99/9999", LC_SPOT_DATE},
             {"9/99/9999", LC_SPOT_DATE}, {"99/9/9999", LC_SPOT_DATE}, {"9/9/9999", LC_SPOT_DATE},
             {"99/99/99", LC_SPOT_DATE}, {"99.99.9999", LC_SPOT_DATE}, {"9.99.9999", LC_SPOT_DATE},
             {"9999.99.99", LC_SPOT_DATE}, {"99-99-9999", LC_SPOT_DATE}};

static lc_spot_kind only_digits(const char *run, size_t size)
{
    int century = size >= 4 && (memcmp(run, "19", 2) == 0 || memcmp(run, "20", 2) == 0);
    if ((size == 10 || size == 13 || size == 16) && run[0] == '1' && run[1] >= '5')
        return LC_SPOT_TIME; /* seconds, milliseconds or microseconds since 1970 */
    if (size == 14 && century)
        return LC_SPOT_TIME;
    if (size == 8 && century && run[4] <= '1')
        return LC_SPOT_DATE;
    return LC_SPOT_NUMBER;
}

/* 17:18, 5:18:48.123, and what begins with a date and goes on with T or a clock. */
static int is_clock(const char *run, size_t size)
{
    size_t hours = digits(run, size, 0);
    if (size > 11 && looks(run, 10, "9999-99-99") && ((run[10] | 0x20) == 't' || run[10] == '_'))
        return 1;
    return hours >= 1 && hours <= 2 && size >= hours + 3 && run[hours] == ':' &&
           digits(run, size, hours + 1) == 2;
}

/* Long, of letters and digits that take turns: what no person writes. */
static int is_random(const char *run, size_t size)
{
    size_t turns = 0, figures = 0, hex = 0, signs = 0;
    char before = 0;
    for (size_t i = 0; i < size; i++) {
        if (!is_word(run[i]))
            continue;
        char kind = is_digit(run[i]) ? '9' : 'a';
        turns += before && kind != before;
        before = kind;
        figures += kind == '9';
        hex += is_hex(run[i]) != 0;
        signs++;
    }
    return signs >= 10 && figures >= 2 && (turns >= 3 || (hex == signs && turns));
}

static lc_spot_kind kind_of_run(const char *run, size_t size)
{
    size_t figures = digits(run, size, 0);
    for (size_t i = 0; i < COUNT(forms); i++)
        if (looks(run, size, forms[i].form))
            return forms[i].kind;
    if (figures == size)
        return only_digits(run, size);
    if (is_clock(run, size))
        return LC_SPOT_TIME;
    if (is_random(run, size))
        return LC_SPOT_RANDOM;
    for (size_t i = figures; i < size; i++)
        if (!is_digit(run[i]) && run[i] != '.')
            return LC_SPOT_NONE;
    return LC_SPOT_NUMBER;
}

/* " PM" behind a clock. */
static size_t past_half(const char *text, size_t size, size_t at)
{
    size_t word = at + (at < size && text[at] == ' ');
    if (letters(text, size, word) == 2 && (text[word + 1] | 0x20) == 'm' &&
        strchr("ap", text[word] | 0x20))
        return word + 2;
    return at;
}

static lc_spot_kind spot_at(const char *text, size_t size, size_t at, size_t *to)
{
    char c = text[at];
    lc_spot_kind kind = LC_SPOT_NONE;
    size_t end;
    if (is_digit(c)) {
        if ((kind = chinese_date(text, size, at, to)))
            return kind;
        if ((*to = day_first(text, size, at)))
            return LC_SPOT_DATE;
    } else {
        size_t word = letters(text, size, at);
        if (is_month(text + at, word) && (end = month_first(text, size, at, word))) {
            *to = end;
            return LC_SPOT_DATE;
        }
    }
    *to = run_end(text, size, at);
    if (is_weekday(text + at, *to - at))
        return LC_SPOT_DATE;
    for (size_t i = at; i < *to; i++)
        if (is_digit(text[i])) {
            kind = kind_of_run(text + at, *to - at);
            break;
        }
    if (kind == LC_SPOT_TIME)
        *to = past_half(text, size, *to);
    return kind;
}

lc_spot_kind lc_spot_next(const char *text, size_t size, size_t at, size_t *from, size_t *to)
{
    while (at < size) {
        size_t end = at + 1;
        lc_spot_kind kind = LC_SPOT_NONE;
        if (is_word(text[at]))
            kind = spot_at(text, size, at, &end);
        else if ((unsigned char)text[at] >= 0xe4)
            kind = chinese_word(text, size, at, &end);
        if (kind) {
            *from = at;
            *to = end;
            return kind;
        }
        at = end;
    }
    return LC_SPOT_NONE;
}

/* ---- Digests --------------------------------------------------------------------------- */

uint64_t lc_mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 1099511628211u;
    return hash;
}

uint64_t lc_mix_masked(uint64_t hash, const char *text, size_t size)
{
    size_t at = 0, from, to;
    lc_spot_kind kind;
    while ((kind = lc_spot_next(text, size, at, &from, &to))) {
        const char mask[] = {0, (char)kind};
        hash = lc_mix(lc_mix(hash, text + at, from - at), mask, sizeof mask);
        at = to;
    }
    return lc_mix(hash, text + at, size - at);
}
