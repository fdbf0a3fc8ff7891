/* The verdict: hears the rules in the order of rules.def and stops at the first veto. */
#include "decide/decide.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *word, *help;
} rules[LC_RULE_COUNT] = {
#define LC_RULE(name, word, help) {word, help},
#include "decide/rules.def"
#undef LC_RULE
};

const char *lc_rule_word(lc_rule rule)
{
    return rules[rule].word;
}

const char *lc_rule_help(lc_rule rule)
{
    return rules[rule].help;
}

lc_rule lc_rule_find(const char *word)
{
    int rule = 0;
    while (rule < LC_RULE_COUNT && strcmp(rules[rule].word, word) != 0)
        rule++;
    return (lc_rule)rule;
}

void lc_policy_init(lc_policy *policy)
{
    *policy = (lc_policy){.threshold = 0.97};
}

static int unread(const lc_side *question, const lc_side *candidate, char *detail)
{
    int truncated = question->truncated || candidate->truncated;
    int unknown = question->unknown || candidate->unknown;
    if (!truncated && !unknown)
        return 0;
    snprintf(detail, LC_DETAIL_SIZE, "%s", truncated ? "longer than it reads" : "unknown signs");
    return 1;
}

/* NaN is not near. */
static int too_far(double similarity, const lc_policy *policy, char *detail)
{
    snprintf(detail, LC_DETAIL_SIZE, "%.4f / %.4f", similarity, policy->threshold);
    return !(similarity >= policy->threshold);
}

static void speak(lc_verdict *verdict, lc_rule rule, int veto)
{
    verdict->words[rule].outcome = veto ? LC_VETO : LC_PASS;
    if (veto && verdict->serve) {
        verdict->serve = 0;
        verdict->why = lc_rule_word(rule);
    }
}

int lc_decide(const lc_side *question, const lc_side *candidate, double similarity,
              const lc_policy *policy, lc_verdict *verdict)
{
    *verdict = (lc_verdict){.serve = 1, .why = "", .similarity = similarity};
    for (int rule = 0; rule < LC_RULE_COUNT; rule++) {
        char *detail = verdict->words[rule].detail;
        if ((policy->rules_off >> rule & 1) || (!verdict->serve && !policy->explain))
            continue;
        if (rule == LC_RULE_UNREAD)
            speak(verdict, rule, unread(question, candidate, detail));
        else
            speak(verdict, rule, too_far(similarity, policy, detail));
    }
    return 0;
}
