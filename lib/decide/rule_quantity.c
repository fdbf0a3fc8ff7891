/* All of them or some: each question names a quantity that the other lacks, and the rest
 * is the same. */
#include "decide/marks.h"
#include "decide/overlap.h"

static const lc_mark marks[] = {
#include "decide/quantities.def"
};

int lc_rule_quantity(const lc_case *c, char *detail)
{
    int same = 0;
    if (!lc_marks_differ(marks, sizeof marks / sizeof marks[0], c, detail))
        return 0;
    if (c->edit.kind != LC_EDIT_OTHER)
        return 1; /* little else differs */
    int code = lc_overlap_same(c, &same);
    if (!same)
        detail[0] = '\0';
    return code ? code : same;
}
