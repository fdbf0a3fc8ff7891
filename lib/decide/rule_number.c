/*
 * Different numbers: each question names one that the other lacks, or one names a number
 * in digits that the other, alike but for that, lacks, or each names one more often, or the same thing is
 * counted as one here and as more there. Other numbers on one side only are left to the
 * score, because paraphrases drop and add them (第一 and 首).
 */
#include "decide/overlap.h"

#include <string.h>

#define ABOUT_LEAST 2 /* items: of one, any other question may be */

/* Do the words behind both numbers begin alike (room, rooms)? Han characters: are they
 * the same? */
static int counts_the_same(const lc_reading *a, const lc_number *x, const lc_reading *b,
                           const lc_number *y)
{
    if (x->next >= a->term_count || y->next >= b->term_count)
        return 0;
    const lc_term *left = &a->terms[x->next], *right = &b->terms[y->next];
    size_t size = left->size < right->size ? left->size : right->size;
    return size >= 3 && left->size - size + right->size - size <= 2 &&
           memcmp(a->text + left->at, b->text + right->at, size) == 0;
}

/* A lone one of b that counts what `number` counts in a. */
static const lc_number *article(const lc_reading *a, const lc_number *number,
                                const lc_reading *b, const lc_numbers *numbers)
{
    for (size_t i = 0; number && i < numbers->count; i++)
        if (numbers->list[i].weight == LC_WEAK &&
            counts_the_same(a, number, b, &numbers->list[i]))
            return &numbers->list[i];
    return NULL;
}

static lc_slice slice_of(const lc_reading *reading, const lc_number *number)
{
    if (!number)
        return (lc_slice){NULL, 0};
    return (lc_slice){reading->text + number->at, number->size};
}

/* As many numbers on both sides, and one stands for another: whichever else is there. */
static int is_exchanged(const lc_case *c, const lc_number **left, const lc_number **right)
{
    *left = *right = NULL;
    if (c->a_numbers.count == c->b_numbers.count) {
        *left = lc_numbers_more(&c->a_numbers, &c->b_numbers);
        *right = lc_numbers_more(&c->b_numbers, &c->a_numbers);
    }
    return *left && *right && ((*left)->weight > LC_WEAK || (*right)->weight > LC_WEAK);
}

static int is_alone(const lc_case *c, lc_weight weight, const lc_number **left,
                    const lc_number **right)
{
    *left = lc_numbers_alone(&c->a_numbers, &c->b_numbers, weight);
    *right = lc_numbers_alone(&c->b_numbers, &c->a_numbers, weight);
    if (weight == LC_FIRM)
        return *left || *right;
    if (!*left && *right)
        *left = article(&c->b, *right, &c->a, &c->a_numbers);
    else if (*left && !*right)
        *right = article(&c->a, *left, &c->b, &c->b_numbers);
    return *left && *right;
}

/* Is the one about all that the other is about, and maybe more? */
static int is_about_all(const lc_gist *more, const lc_gist *less)
{
    size_t found = 0;
    for (size_t i = 0; i < less->count; i++)
        for (size_t k = 0; k < more->count; k++)
            if (more->items[k].key == less->items[i].key) {
                found++;
                break;
            }
    return more->whole && less->whole && less->count >= ABOUT_LEAST && found == less->count;
}

/* Is the number all, or nearly all, by which one question says more? Where the rest
 * differs as well, a number may be part of a story ("2 weeks ago I ordered ..."). */
static int is_added(const lc_case *c, int to_b)
{
    return c->edit.kind != LC_EDIT_OTHER || lc_overlap_within(c) ||
           (to_b ? is_about_all(&c->b_gist, &c->a_gist) : is_about_all(&c->a_gist, &c->b_gist));
}

int lc_rule_number(const lc_case *c, char *detail)
{
    const lc_number *left, *right;
    if (!is_exchanged(c, &left, &right) && !is_alone(c, LC_PLAIN, &left, &right) &&
        !(is_alone(c, LC_FIRM, &left, &right) && ((left && right) || is_added(c, right != NULL))))
        return 0;
    lc_detail(detail, slice_of(&c->a, left), slice_of(&c->b, right));
    return 1;
}
