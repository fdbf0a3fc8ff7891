/* Different places: each question names one that the other lacks. */
#include "decide/marks.h"

static const lc_mark marks[] = {
#include "decide/places.def"
};

int lc_rule_place(const lc_case *c, char *detail)
{
    return lc_marks_differ(marks, sizeof marks / sizeof marks[0], c, detail);
}
