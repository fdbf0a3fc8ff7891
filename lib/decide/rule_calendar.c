/* Different days, months, seasons or feasts: each question names one that the other
 * lacks. */
#include "decide/marks.h"

static const lc_mark marks[] = {
#include "decide/calendar.def"
};

int lc_rule_calendar(const lc_case *c, char *detail)
{
    return lc_marks_differ(marks, sizeof marks / sizeof marks[0], c, detail);
}
