/*
 * Another time or stage: one question asks what is, the other what used to be or is
 * becoming, and the rest is the same.
 */
#include "decide/marks.h"
#include "decide/overlap.h"

static const lc_mark marks[] = {
#include "decide/tenses.def"
};

int lc_rule_tense(const lc_case *c, char *detail)
{
    lc_sightings in_a, in_b;
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->a, &in_a);
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->b, &in_b);
    const lc_sighting *left = lc_sighting_alone(&in_a, &in_b);
    const lc_sighting *right = lc_sighting_alone(&in_b, &in_a);
    if ((!left && !right) || !lc_overlap_within(c))
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}
