/*
 * Different names: each question has a capitalised word, not the first of its sentence,
 * that the other lacks in any case, in full and as an acronym. Texts in title case or capitals say nothing by a
 * capital.
 */
#include "decide/case.h"

#include <string.h>

#define LONGEST_ACRONYM 5
#define NAMES_MAX       32 /* of a side, looked at */

static const char *const not_names[] = {
    "a",     "am",   "an",    "and",    "are",  "as",     "at",   "be",   "but",
    "by",    "can",  "could", "did",    "do",   "does",   "for",  "from", "had",
    "has",   "have", "he",    "how",    "i",    "i'd",    "i'll", "i'm",  "i've",
    "if",    "in",   "is",    "it",     "its",  "my",     "no",   "not",  "of",
    "ok",    "on",   "or",    "please", "she",  "should", "so",   "that", "the",
    "they",  "this", "to",    "was",    "we",   "were",   "what", "when", "where",
    "which", "who",  "why",   "will",   "with", "would",  "yes",  "you",
};

static int is_function_word(const lc_reading *reading, size_t i)
{
    return lc_term_in(reading, i, not_names, sizeof not_names / sizeof not_names[0]);
}

static int is_name(const lc_reading *reading, size_t i)
{
    const lc_term *term = &reading->terms[i];
    return term->kind == LC_TERM_WORD && term->capital && !term->opens &&
           term->size > 1 && !is_function_word(reading, i);
}

/* Function words have capitals too, or there are capitals only. */
static int is_title(const lc_reading *reading)
{
    size_t functions = 0, upper = 0;
    for (size_t i = 0; i < reading->term_count; i++) {
        const lc_term *term = &reading->terms[i];
        upper += term->upper;
        functions += term->capital && !term->opens && term->size > 1 && !term->upper &&
                     is_function_word(reading, i);
    }
    return functions > 1 ||
           (reading->term_count > 2 && upper * 4 > reading->term_count * 3);
}

/* ATM, ATMs, ATM's; Load, Loading. */
static int is_form_of(const lc_reading *a, size_t i, const lc_reading *b, size_t j)
{
    const lc_term *x = &a->terms[i], *y = &b->terms[j];
    size_t size = x->size < y->size ? x->size : y->size;
    const char *rest =
        x->size > y->size ? a->text + x->at + size : b->text + y->at + size;
    size_t rest_size = x->size + y->size - 2 * size;
    return memcmp(a->text + x->at, b->text + y->at, size) == 0 &&
           (rest_size <= 2 || (rest_size == 3 && memcmp(rest, "ing", 3) == 0));
}

/* Do the letters of acronym i begin the words from j on: US, United States? */
static int stands_for(const lc_reading *reading, size_t i, const lc_reading *other,
                      size_t j)
{
    const lc_term *acronym = &reading->terms[i];
    if (!acronym->upper || acronym->size > LONGEST_ACRONYM ||
        j + acronym->size > other->term_count)
        return 0;
    for (size_t k = 0; k < acronym->size; k++)
        if (reading->text[acronym->at + k] != other->text[other->terms[j + k].at])
            return 0;
    return 1;
}

/* Is it the acronym of words of the other text, or among the words of one there? */
static int is_abbreviated(const lc_reading *reading, size_t i, const lc_reading *other)
{
    for (size_t j = 0; j < other->term_count; j++) {
        if (stands_for(reading, i, other, j))
            return 1;
        for (size_t k = 0; k < other->terms[j].size && k <= i && k < LONGEST_ACRONYM; k++)
            if (stands_for(other, j, reading, i - k))
                return 1;
    }
    return 0;
}

/* The other text has another word for it: US, America. */
static int is_reworded(const lc_gist *gist, size_t i, const lc_gist *other)
{
    for (size_t k = 0; k < gist->count; k++)
        for (size_t j = 0;
             gist->items[k].term <= i && i < gist->items[k].next && j < other->count; j++)
            if (gist->items[k].key == other->items[j].key)
                return 1;
    return 0;
}

/* A text with its gist. */
struct side {
    const lc_reading *reading;
    const lc_gist *gist;
};

static int is_alone(const struct side *side, size_t i, const struct side *others)
{
    const lc_reading *reading = side->reading, *other = others->reading;
    if (is_abbreviated(reading, i, other) || is_reworded(side->gist, i, others->gist))
        return 0;
    for (size_t j = 0; j < other->term_count; j++)
        if (is_form_of(reading, i, other, j))
            return 0;
    return 1;
}

/* Between the same words: on one side in English; on both in Chinese, which writes
 * foreign names now in Latin and now in Han letters. */
static int in_one_place(const lc_reading *a, size_t i, const lc_reading *b, size_t j)
{
    int before = lc_border_same(a, i - 1, b, j - 1),
        behind = lc_border_same(a, i + 1, b, j + 1);
    return a->han_count > 0 || b->han_count > 0 ? before && behind : before || behind;
}

/* The names of one side that the other lacks. */
struct names {
    size_t terms[NAMES_MAX];
    size_t count;
};

static void find_names(const struct side *side, const struct side *others,
                       struct names *names)
{
    size_t seen = 0;
    names->count = 0;
    for (size_t i = 0; i < side->reading->term_count && seen < NAMES_MAX; i++) {
        if (!is_name(side->reading, i) ||
            lc_reading_shares(others->reading, side->reading, i))
            continue;
        seen++;
        if (is_alone(side, i, others))
            names->terms[names->count++] = i;
    }
}

int lc_rule_name(const lc_case *c, char *detail)
{
    const lc_reading *a = &c->a, *b = &c->b;
    const struct side left = {a, &c->a_gist}, right = {b, &c->b_gist};
    struct names in_a, in_b;
    if (is_title(a) || is_title(b))
        return 0;
    find_names(&left, &right, &in_a);
    find_names(&right, &left, &in_b);
    for (size_t i = 0; i < in_a.count; i++)
        for (size_t j = 0; j < in_b.count; j++) {
            if (!in_one_place(a, in_a.terms[i], b, in_b.terms[j]))
                continue;
            lc_detail(detail, lc_term_slice(a, in_a.terms[i]),
                      lc_term_slice(b, in_b.terms[j]));
            return 1;
        }
    return 0;
}
