/*
 * They ask for different things: one for a person, the other for a place. A time and a
 * quantity are not held apart (when, how long), nor is anything from a plain what, how or
 * yes-no question: true pairs vary these too often.
 */
#include "decide/case.h"
#include "decide/question_type.h"

#include <string.h>

static const char *name_of(lc_question_type type)
{
    static const char *const names[] = {
        [LC_ASKS_UNKNOWN] = "?",   [LC_ASKS_WHY] = "why",   [LC_ASKS_WHEN] = "when",
        [LC_ASKS_WHERE] = "where", [LC_ASKS_WHO] = "who",   [LC_ASKS_NUMBER] = "how many",
        [LC_ASKS_HOW] = "how",     [LC_ASKS_WHAT] = "what", [LC_ASKS_YES] = "whether",
    };
    return names[type];
}

static int is_narrow(lc_question_type type)
{
    return type >= LC_ASKS_WHY && type <= LC_ASKS_NUMBER;
}

static int is_measure(lc_question_type type)
{
    return type == LC_ASKS_WHEN || type == LC_ASKS_NUMBER;
}

int lc_rule_asks(const lc_case *c, char *detail)
{
    int a_leads, b_leads;
    lc_question_type a = lc_question_type_of(&c->a, &a_leads);
    lc_question_type b = lc_question_type_of(&c->b, &b_leads);
    if (a == b || !a_leads || !b_leads || !is_narrow(a) || !is_narrow(b) ||
        (is_measure(a) && is_measure(b)))
        return 0;
    const char *left = name_of(a), *right = name_of(b);
    lc_detail(detail, (lc_slice){left, strlen(left)}, (lc_slice){right, strlen(right)});
    return 1;
}
