/*
 * Who does it to whom: "Did Ann call Bob" and "Was Ann called by Bob" begin with the same
 * person, but in the passive that is who it was done to. Where the one text is passive
 * and the other is not, the same first word means exchanged roles, if who does it is
 * named in the other text too.
 */
#include "decide/case.h"

#define TERMS_MAX 16 /* longer texts have more than one verb */

static const char *const articles[] = {"a",    "an",  "his",   "her",  "my",  "our",
                                       "that", "the", "their", "this", "your"};
static const char *const auxiliaries[] = {
    "are", "can", "could", "did",  "do",     "does", "had",  "has",  "have",
    "is",  "may", "might", "must", "should", "was",  "were", "will", "would"};
static const char *const copulas[] = {"are", "be", "been", "being", "is", "was", "were"};

static const char *const no_nouns[] = {"how",   "i",     "it",  "that", "there",
                                       "they",  "this",  "we",  "what", "when",
                                       "where", "which", "who", "why",  "you"};

#define IN(reading, at, list) \
    lc_term_in(reading, at, list, sizeof(list) / sizeof(list)[0])

static size_t skip_articles(const lc_reading *reading, size_t at)
{
    while (IN(reading, at, articles))
        at++;
    return at;
}

/* The first noun: behind the auxiliary a yes-no question begins with. */
static size_t subject_of(const lc_reading *reading)
{
    return skip_articles(reading, IN(reading, 0, auxiliaries) ? 1 : 0);
}

/* Who does it in a passive text: the term behind "by"; term_count if it is not passive.
 */
static size_t agent_of(const lc_reading *reading)
{
    int copula = 0;
    for (size_t i = 0; i < reading->term_count; i++) {
        copula |= IN(reading, i, copulas);
        if (copula && i > 1 && lc_term_is(reading, i, "by"))
            return skip_articles(reading, i + 1);
    }
    return reading->term_count;
}

static int exchanged(const lc_reading *passive, const lc_reading *active)
{
    size_t agent = agent_of(passive), subject = subject_of(active);
    if (passive->term_count > TERMS_MAX || agent >= passive->term_count ||
        agent_of(active) < active->term_count)
        return 0;
    return !IN(active, subject, no_nouns) &&
           lc_term_same(passive, subject_of(passive), active, subject) &&
           !lc_term_same(passive, agent, active, subject) &&
           lc_reading_shares(active, passive, agent);
}

int lc_rule_role(const lc_case *c, char *detail)
{
    int left = exchanged(&c->a, &c->b);
    if (!left && !exchanged(&c->b, &c->a))
        return 0;
    static const lc_slice by = {"by", 2}, none = {NULL, 0};
    lc_detail(detail, left ? by : none, left ? none : by);
    return 1;
}
