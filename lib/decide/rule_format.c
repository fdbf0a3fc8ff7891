/*
 * The answer is asked for in another form, length or for another reader: one question
 * asks for something (as a table, briefly, for beginners) that the other does not.
 */
#include "decide/marks.h"

static const lc_mark marks[] = {
#include "decide/formats.def"
};

int lc_rule_format(const lc_case *c, char *detail)
{
    lc_sightings in_a, in_b;
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->a, &in_a);
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->b, &in_b);
    const lc_sighting *left = lc_sighting_alone(&in_a, &in_b);
    const lc_sighting *right = lc_sighting_alone(&in_b, &in_a);
    if (!left && !right)
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}
