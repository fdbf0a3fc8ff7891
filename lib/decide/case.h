/*
 * One case before the rules: both questions as read, and what the call brought. Inside lib/decide only.
 * A rule is a function of the case: 1 is a veto, 0 none, negative want of memory; it may write a
 * detail of at most LC_DETAIL_SIZE - 1 bytes by lc_detail.
 */
#ifndef LC_DECIDE_CASE_H
#define LC_DECIDE_CASE_H

#include "decide/decide.h"
#include "decide/numbers.h"
#include "decide/reading.h"

typedef struct lc_case {
    const lc_side *question, *candidate;
    double similarity;
    const lc_policy *policy;
    lc_verdict *verdict;
    lc_reading a, b; /* of question and candidate */
    lc_numbers a_numbers, b_numbers;
} lc_case;

typedef int lc_rule_function(const lc_case *c, char *detail);

#define LC_RULE(name, word, function, help) lc_rule_function function;
#include "decide/rules.def"
#undef LC_RULE

/* "left / right", cut at a character's end to fit. */
void lc_detail(char *detail, const char *left, size_t left_size, const char *right,
               size_t right_size);

#endif
