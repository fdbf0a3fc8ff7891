/*
 * The same words in other places: who chases whom, what is first and what second. Two
 * parts stand in each other's place while the rest keeps its order. Members of a list,
 * relations that hold both ways and the passive are no exchange (edit.c); a part that
 * moved by itself ("in Python, how ...") is none either.
 */
#include "decide/case.h"

int lc_rule_exchange(const lc_case *c, char *detail)
{
    if (c->edit.kind != LC_EDIT_EXCHANGED)
        return 0;
    lc_detail(detail, lc_run_slice(&c->a, &c->a_gist, c->edit.x),
              lc_run_slice(&c->b, &c->b_gist, c->edit.y));
    return 1;
}
