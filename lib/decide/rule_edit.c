/*
 * Two questions alike but for one place are an edit of each other, and an edit mostly
 * changes the answer, however near the vectors are: the longer the question, the less one
 * word moves them. So such a place has to pass by itself: the pieces that one side has
 * and the other lacks must be met well by the other side's states (the leftover of the
 * score), better than the score alone would ask. Part of the second look: where there are
 * no states it does not speak.
 */
#include "decide/case.h"

/* Least leftover, inclusive. */
static const struct {
    double replaced, added;
} least[LC_LANGUAGE_COUNT] = {
    [LC_ENGLISH] = {0.90, 0.90},
    [LC_CHINESE] = {0.92, 0.905},
};

int lc_rule_edit(const lc_case *c, char *detail)
{
    const lc_edit *edit = &c->edit;
    int is_replaced = edit->kind == LC_EDIT_REPLACED;
    if (!c->verdict->scored || (!is_replaced && edit->kind != LC_EDIT_ADDED))
        return 0;
    double bar = is_replaced ? least[c->verdict->language].replaced
                             : least[c->verdict->language].added;
    double leftover = c->verdict->features[LC_FEATURE_LEFTOVER];
    lc_detail_value(detail, lc_run_slice(&c->a, &c->a_gist, edit->x),
                    lc_run_slice(&c->b, &c->b_gist, edit->y), leftover, bar);
    return !(leftover >= bar);
}
