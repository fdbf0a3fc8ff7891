/*
 * They ask for different things: one for a person, the other for a place. A time and a
 * quantity are not held apart (when, how long), nor is anything from a plain what, how or
 * yes-no question: true pairs vary these too often.
 */
#include "decide/overlap.h"
#include "decide/question_type.h"

#include <string.h>

#define STORY_TERMS 12

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

/* Where nothing but light words differs (case.h), the question word is all there is: a
 * reason is no way, a person no thing. A place or a quantity is still asked for by what
 * and how. */
static int differ_alone(lc_question_type a, lc_question_type b)
{
    static const lc_question_type pairs[][2] = {
        {LC_ASKS_WHY, LC_ASKS_HOW},  {LC_ASKS_WHY, LC_ASKS_YES},  {LC_ASKS_WHEN, LC_ASKS_HOW},
        {LC_ASKS_WHEN, LC_ASKS_YES}, {LC_ASKS_WHO, LC_ASKS_HOW},  {LC_ASKS_WHO, LC_ASKS_WHAT},
        {LC_ASKS_WHO, LC_ASKS_YES},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if ((a == pairs[i][0] && b == pairs[i][1]) || (b == pairs[i][0] && a == pairs[i][1]))
            return 1;
    return 0;
}

/* Two stories ask for several things. */
static int is_long(const lc_case *c)
{
    return c->a.term_count > STORY_TERMS && c->b.term_count > STORY_TERMS;
}

int lc_rule_asks(const lc_case *c, char *detail)
{
    int a_leads, b_leads;
    lc_question_type a = lc_question_asked(&c->a, &a_leads);
    lc_question_type b = lc_question_asked(&c->b, &b_leads);
    if (a == b || !a_leads || !b_leads)
        return 0;
    int alone = c->edit.kind == LC_EDIT_NONE && differ_alone(a, b) &&
                (a != LC_ASKS_HOW || b != LC_ASKS_WHY || lc_asks_for_a_way(&c->a)) &&
                (b != LC_ASKS_HOW || a != LC_ASKS_WHY || lc_asks_for_a_way(&c->b));
    if (!alone && (!is_narrow(a) || !is_narrow(b) || (is_measure(a) && is_measure(b)) ||
                   (is_long(c) && !lc_overlap_within(c))))
        return 0;
    const char *left = name_of(a), *right = name_of(b);
    lc_detail(detail, (lc_slice){left, strlen(left)}, (lc_slice){right, strlen(right)});
    return 1;
}
