/* Different places: each question names one that the other lacks. */
#include "decide/marks.h"

static const lc_mark marks[] = {
#define LC_MARK(phrase, value) {phrase, value},
#include "decide/places.def"
#undef LC_MARK
};

int lc_rule_place(const lc_case *c, char *detail)
{
    return lc_marks_differ(marks, sizeof marks / sizeof marks[0], c, detail);
}
