/*
 * Another person by a pronoun: between the same words one question has "her" and the
 * other a name, or he and she stand exchanged.
 */
#include "decide/case.h"

#define PRONOUNS_MAX 32 /* a text with more is a story */

static const char *const pronouns[] = {"he",  "her",     "hers", "herself",
                                       "him", "himself", "his",  "she"};

static int is_pronoun(const lc_reading *reading, size_t i)
{
    return lc_term_in(reading, i, pronouns, sizeof pronouns / sizeof pronouns[0]);
}

/* Do a pronoun of `a` and a pronoun or name of `b` stand between the same two words? */
static int find(const lc_reading *a, const lc_reading *b, size_t *at, size_t *with)
{
    size_t pronouns_seen = 0;
    for (size_t i = 0; i < a->term_count && pronouns_seen < PRONOUNS_MAX; i++) {
        if (!is_pronoun(a, i))
            continue;
        pronouns_seen++;
        for (size_t j = 0; j < b->term_count; j++) {
            int person = is_pronoun(b, j) || (b->terms[j].capital && !b->terms[j].opens);
            if (!person || lc_term_same(a, i, b, j) ||
                !lc_border_same(a, i - 1, b, j - 1) ||
                !lc_border_same(a, i + 1, b, j + 1))
                continue;
            *at = i, *with = j;
            return 1;
        }
    }
    return 0;
}

int lc_rule_person(const lc_case *c, char *detail)
{
    size_t i, j;
    if (!find(&c->a, &c->b, &i, &j) && !find(&c->b, &c->a, &j, &i))
        return 0;
    lc_detail(detail, lc_term_slice(&c->a, i), lc_term_slice(&c->b, j));
    return 1;
}
