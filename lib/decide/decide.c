/* The verdict: hears the rules in the order of rules.def; the first veto stops the answer. */
#include "decide/decide.h"

#include "base/utf8.h"
#include "decide/case.h"

#include <llmcache/llmcache.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word, *help;
    lc_rule_function *function;
} rules[LC_RULE_COUNT] = {
#define LC_RULE(name, word, function, help) {word, help, function},
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

static size_t cut(const char *text, size_t size, size_t room)
{
    if (size <= room)
        return size;
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
        room--;
    return room;
}

void lc_detail(char *detail, const char *left, size_t left_size, const char *right,
               size_t right_size)
{
    size_t half = (LC_DETAIL_SIZE - 4) / 2;
    snprintf(detail, LC_DETAIL_SIZE, "%.*s / %.*s", (int)cut(left, left_size, half), left,
             (int)cut(right, right_size, half), right);
}

int lc_rule_unread(const lc_case *c, char *detail)
{
    int truncated = c->question->truncated || c->candidate->truncated ||
                    c->question->size > LC_TEXT_MAX || c->candidate->size > LC_TEXT_MAX;
    if (!truncated && !c->question->unknown && !c->candidate->unknown)
        return 0;
    snprintf(detail, LC_DETAIL_SIZE, "%s", truncated ? "longer than what is read" : "unknown signs");
    return 1;
}

/* NaN is not near. */
int lc_rule_similarity(const lc_case *c, char *detail)
{
    snprintf(detail, LC_DETAIL_SIZE, "%.4f / %.4f", c->similarity, c->policy->threshold);
    return !(c->similarity >= c->policy->threshold);
}

/* Texts past the limit are not read at all: their veto needs no reading. */
static int read_side(const lc_side *side, lc_reading *reading, lc_numbers *numbers)
{
    int code = lc_reading_init(reading, side->text, side->size > LC_TEXT_MAX ? 0 : side->size);
    return code ? code : lc_numbers_find(reading, numbers);
}

static void close_case(lc_case *c)
{
    lc_reading_done(&c->a);
    lc_reading_done(&c->b);
    lc_numbers_done(&c->a_numbers);
    lc_numbers_done(&c->b_numbers);
}

static int hear(const lc_case *c)
{
    lc_verdict *verdict = c->verdict;
    for (int rule = 0; rule < LC_RULE_COUNT; rule++) {
        if ((c->policy->rules_off >> rule & 1) || (!verdict->serve && !c->policy->explain))
            continue;
        int veto = rules[rule].function(c, verdict->words[rule].detail);
        if (veto < 0)
            return veto;
        verdict->words[rule].outcome = veto ? LC_VETO : LC_PASS;
        if (veto && verdict->serve) {
            verdict->serve = 0;
            verdict->why = rules[rule].word;
        }
    }
    return 0;
}

int lc_decide(const lc_side *question, const lc_side *candidate, double similarity,
              const lc_policy *policy, lc_verdict *verdict)
{
    lc_case c = {.question = question,
                 .candidate = candidate,
                 .similarity = similarity,
                 .policy = policy,
                 .verdict = verdict};
    *verdict = (lc_verdict){.serve = 1, .why = "", .similarity = similarity};
    int code = read_side(question, &c.a, &c.a_numbers);
    if (!code)
        code = read_side(candidate, &c.b, &c.b_numbers);
    if (!code) {
        int han = c.a.han_count > 0 || c.b.han_count > 0;
        verdict->language = han ? LC_CHINESE : LC_ENGLISH;
        code = hear(&c);
    }
    if (code) {
        verdict->serve = 0;
        verdict->why = "memory";
    }
    close_case(&c);
    return code;
}
