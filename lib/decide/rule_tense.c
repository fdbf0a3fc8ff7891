/*
 * Another time or stage: one question asks what is, the other what used to be or is
 * becoming, or what did happen and what does or will; and the rest is the same.
 */
#include "decide/marks.h"
#include "decide/overlap.h"

static const lc_mark marks[] = {
#include "decide/tenses.def"
};

enum time { ANY_TIME, PAST, PRESENT, FUTURE };

/* By the auxiliary that a yes-or-no question begins with. */
static enum time time_of(const lc_reading *reading)
{
    static const char *const past[] = {"did", "was", "were"};
    static const char *const future[] = {"will"};
    static const char *const present[] = {"do", "does"};
    return lc_term_in(reading, 0, past, 3)      ? PAST
           : lc_term_in(reading, 0, future, 1)  ? FUTURE
           : lc_term_in(reading, 0, present, 2) ? PRESENT
                                                : ANY_TIME;
}

static int times_differ(const lc_case *c)
{
    enum time a = time_of(&c->a), b = time_of(&c->b);
    return a && b && a != b && (a == PAST || b == PAST);
}

int lc_rule_tense(const lc_case *c, char *detail)
{
    lc_sightings in_a, in_b;
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->a, &in_a);
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->b, &in_b);
    const lc_sighting *left = lc_sighting_alone(&in_a, &in_b);
    const lc_sighting *right = lc_sighting_alone(&in_b, &in_a);
    if (!left && !right && times_differ(c)) {
        int same, code = lc_overlap_same(c, &same);
        if (code || !same)
            return code;
        lc_detail(detail, lc_term_slice(&c->a, 0), lc_term_slice(&c->b, 0));
        return 1;
    }
    if ((!left && !right) || !lc_overlap_within(c))
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}
