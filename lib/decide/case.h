/*
 * One case before the rules: both questions as read, and what the call brought. Inside
 * lib/decide only. A rule is a function of the case: 1 is a veto, 0 none, negative want
 * of memory; it may write a detail of at most LC_DETAIL_SIZE - 1 bytes by lc_detail.
 */
#ifndef LC_DECIDE_CASE_H
#define LC_DECIDE_CASE_H

#include "decide/antonyms.h"
#include "decide/decide.h"
#include "decide/edit.h"
#include "decide/numbers.h"
#include "decide/reading.h"

#define LC_SWAPS_MAX 16

typedef struct lc_case {
    const lc_side *question, *candidate;
    double similarity;
    const lc_policy *policy;
    lc_verdict *verdict;
    lc_reading a, b; /* of question and candidate */
    lc_numbers a_numbers, b_numbers;
    size_t a_negations, b_negations; /* how many */
    size_t a_negation,
        b_negation;    /* terms of the first ones; term_count when there are none */
    int odd_negations; /* those of both add up to an odd number */
    lc_swap swaps[LC_SWAPS_MAX]; /* opposites exchanged */
    size_t swap_count;
    lc_gist a_gist, b_gist;
    lc_edit edit; /* how the one gist becomes the other */
} lc_case;

typedef int lc_rule_function(const lc_case *c, char *detail);

#define LC_RULE(name, word, function, help) lc_rule_function function;
#include "decide/rules.def"
#undef LC_RULE

/* "left / right", each cut at a character's end to fit; "-" stands for none. */
void lc_detail(char *detail, lc_slice left, lc_slice right);
/* The same with a value and the least it should be: "left / right: 0.871 < 0.900". */
void lc_detail_value(char *detail, lc_slice left, lc_slice right, double value,
                     double least);

#endif
