/*
 * May it be, must it be, should it be: of two yes-or-no questions alike but for that, one
 * may have yes for an answer and the other no. Elsewhere ("what can I do", "what should I
 * do") the word is a matter of taste.
 */
#include "decide/marks.h"
#include "decide/overlap.h"
#include "decide/question_type.h"

static const lc_mark marks[] = {
#include "decide/modals.def"
};

int lc_rule_modal(const lc_case *c, char *detail)
{
    int same = 0, leads;
    if (lc_question_asked(&c->a, &leads) != LC_ASKS_YES ||
        lc_question_asked(&c->b, &leads) != LC_ASKS_YES ||
        !lc_marks_differ(marks, sizeof marks / sizeof marks[0], c, detail))
        return 0;
    if (c->edit.kind == LC_EDIT_NONE)
        return 1; /* nothing else differs */
    int code = lc_overlap_same(c, &same);
    if (!same)
        detail[0] = '\0';
    return code ? code : same;
}
