/* The verdict: hears the rules in the order of rules.def; the first veto stops the
 * answer. */
#include "decide/decide.h"

#include "decide/case.h"
#include "decide/negation.h"
#include "decide/score.h"

#include <llmcache/llmcache.h>
#include <stdio.h>
#include <string.h>

/* Chosen on labelled pairs: docs/decisions.md. */
#define DEFAULT_THRESHOLD     0.97
#define DEFAULT_FLOOR         0.92
#define DEFAULT_SCORE_ENGLISH 1.3
#define DEFAULT_SCORE_CHINESE 1.5

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

const char *lc_language_code(lc_language language)
{
    return language == LC_CHINESE ? "zh" : "en";
}

void lc_policy_init(lc_policy *policy)
{
    *policy =
        (lc_policy){.threshold = DEFAULT_THRESHOLD,
                    .use_score = 1,
                    .floor = DEFAULT_FLOOR,
                    .score_threshold = {DEFAULT_SCORE_ENGLISH, DEFAULT_SCORE_CHINESE}};
}

static size_t cut(const char *text, size_t size, size_t room)
{
    if (size <= room)
        return size;
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
        room--;
    return room;
}

static void put_both(char *detail, lc_slice left, lc_slice right, size_t half)
{
    const lc_slice none = {"-", 1};
    left = left.text ? left : none;
    right = right.text ? right : none;
    snprintf(detail, LC_DETAIL_SIZE, "%.*s / %.*s", (int)cut(left.text, left.size, half),
             left.text, (int)cut(right.text, right.size, half), right.text);
}

void lc_detail(char *detail, lc_slice left, lc_slice right)
{
    put_both(detail, left, right, (LC_DETAIL_SIZE - 4) / 2);
}

void lc_detail_value(char *detail, lc_slice left, lc_slice right, double value,
                     double least)
{
    put_both(detail, left, right, 20);
    size_t used = strlen(detail);
    snprintf(detail + used, LC_DETAIL_SIZE - used, ": %.3f %s %.3f", value,
             value >= least ? ">=" : "<", least);
}

int lc_rule_observed(const lc_case *c, char *detail)
{
    if (c->policy->wrong_before)
        snprintf(detail, LC_DETAIL_SIZE, "%s", c->policy->wrong_before);
    return c->policy->wrong_before != NULL;
}

int lc_rule_unread(const lc_case *c, char *detail)
{
    int truncated = c->question->truncated || c->candidate->truncated ||
                    c->question->size > LC_TEXT_MAX || c->candidate->size > LC_TEXT_MAX;
    if (!truncated && !c->question->unknown && !c->candidate->unknown)
        return 0;
    snprintf(detail, LC_DETAIL_SIZE, "%s",
             truncated ? "longer than what is read" : "unknown signs");
    return 1;
}

static int can_score(const lc_case *c)
{
    return c->policy->use_score && !c->policy->threshold_is_users &&
           c->question->states && c->candidate->states &&
           c->question->dim == c->candidate->dim;
}

/* NaN is not near. */
int lc_rule_similarity(const lc_case *c, char *detail)
{
    double least = can_score(c) ? c->policy->floor : c->policy->threshold;
    snprintf(detail, LC_DETAIL_SIZE, "%.4f / %.4f", c->similarity, least);
    return !(c->similarity >= least);
}

int lc_rule_score(const lc_case *c, char *detail)
{
    lc_verdict *verdict = c->verdict;
    if (!can_score(c))
        return 0;
    int code = lc_features_find(c, verdict->features);
    if (code)
        return code;
    verdict->scored = 1;
    verdict->score = lc_score(verdict->features, c->policy->weights[verdict->language]);
    verdict->score_threshold = c->policy->score_threshold[verdict->language];
    snprintf(detail, LC_DETAIL_SIZE, "%.3f / %.3f", verdict->score,
             verdict->score_threshold);
    return !(verdict->score >= verdict->score_threshold);
}

/* Texts past the limit are not read at all: their veto needs no reading. */
static int read_side(const lc_side *side, lc_reading *reading, lc_numbers *numbers)
{
    int code =
        lc_reading_init(reading, side->text, side->size > LC_TEXT_MAX ? 0 : side->size);
    return code ? code : lc_numbers_find(reading, numbers);
}

/* What several rules ask for. */
static void note_polarity(lc_case *c)
{
    c->a_negations = lc_negations_count(&c->a, &c->a_negation);
    c->b_negations = lc_negations_count(&c->b, &c->b_negation);
    c->odd_negations = (c->a_negations + c->b_negations) % 2 != 0;
    c->swap_count = lc_swaps_find(&c->a, &c->b, c->swaps, LC_SWAPS_MAX);
}

static void close_case(lc_case *c)
{
    lc_reading_done(&c->a);
    lc_reading_done(&c->b);
    lc_numbers_done(&c->a_numbers);
    lc_numbers_done(&c->b_numbers);
}

/* What the rules behind the similarity's need. */
static int open_case(lc_case *c)
{
    int code = read_side(c->question, &c->a, &c->a_numbers);
    if (!code)
        code = read_side(c->candidate, &c->b, &c->b_numbers);
    if (code)
        return code;
    c->verdict->language = c->a.han_count || c->b.han_count ? LC_CHINESE : LC_ENGLISH;
    note_polarity(c);
    lc_gist_find(&c->a, &c->a_numbers, &c->a_gist);
    lc_gist_find(&c->b, &c->b_numbers, &c->b_gist);
    lc_edit_find(&c->a, &c->a_gist, &c->b, &c->b_gist, &c->edit);
    return 0;
}

static int hear(lc_case *c)
{
    lc_verdict *verdict = c->verdict;
    int code = 0;
    for (int rule = 0; rule < LC_RULE_COUNT && !code; rule++) {
        if (!verdict->serve && !c->policy->explain)
            break;
        if (rule == LC_RULE_SIMILARITY + 1)
            code = open_case(c);
        if (code || (c->policy->rules_off >> rule & 1))
            continue;
        int veto = rules[rule].function(c, verdict->words[rule].detail);
        if (veto < 0)
            code = veto;
        verdict->words[rule].outcome = veto ? LC_VETO : LC_PASS;
        if (veto && verdict->serve) {
            verdict->serve = 0;
            verdict->why = rules[rule].word;
        }
    }
    return code;
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
    int code = hear(&c);
    if (code) {
        verdict->serve = 0;
        verdict->why = "memory";
    }
    close_case(&c);
    return code;
}
