/*
 * May the answer to one question be given to another? A pure function: two texts, how
 * near their vectors are, what the encoder saw of them, and a policy go in; a verdict
 * with every rule's word comes out. No I/O, no clock, no locks, nothing kept between
 * calls: any thread, any time.
 *
 * The order of a decision: what the encoder could not read is refused; then the
 * similarity's threshold; then the vetoes, each of which names one thing that two
 * questions with one answer do not differ in (a number, a negation, a direction, ...);
 * then, where the encoder hands out token states, a logistic score of ten numbers ("a
 * second look"). docs/decisions.md has each rule's cost and benefit.
 */
#ifndef LC_DECIDE_DECIDE_H
#define LC_DECIDE_DECIDE_H

#include <stddef.h>
#include <stdint.h>

#define LC_DETAIL_SIZE 64

/* Every rule, in the order they speak: LC_RULE(NAME, "word", function, "what a veto of it
 * means"). */
typedef enum lc_rule {
#define LC_RULE(name, word, function, help) LC_RULE_##name,
#include "decide/rules.def"
#undef LC_RULE
    LC_RULE_COUNT
} lc_rule;

/* What the score is made of: LC_FEATURE(NAME, "name", weight, "meaning"). */
typedef enum lc_feature {
#define LC_FEATURE(name, text, weight, meaning) LC_FEATURE_##name,
#include "decide/features.def"
#undef LC_FEATURE
    LC_FEATURE_COUNT
} lc_feature;

/* One of the two questions. Borrowed for the length of the call. */
typedef struct lc_side {
    const char *text; /* UTF-8; what is not valid counts as U+FFFD */
    size_t size;
    int truncated; /* the encoder saw only its beginning */
    int unknown;   /* the encoder met something it has no piece for */
    /* What the encoder made of it, prefix and special tokens left out; states NULL:
     * nothing. */
    const uint32_t *ids; /* of the pieces */
    const unsigned char
        *is_word; /* 1: the piece has a letter, a digit or a Han character */
    const float
        *states; /* a row of dim numbers a piece, last layer, each of unit length */
    size_t piece_count; /* the first LC_PIECES_MAX are looked at */
    size_t dim;
} lc_side;

#define LC_PIECES_MAX 64   /* what the score was fitted on */
#define LC_TEXT_MAX   8192 /* bytes; longer questions are not matched by meaning */

typedef enum lc_language { LC_ENGLISH, LC_CHINESE, LC_LANGUAGE_COUNT } lc_language;
const char *lc_language_code(lc_language language); /* "en", "zh" */

typedef struct lc_policy {
    double threshold; /* least cosine similarity, inclusive, where the score does not
                         decide */
    int threshold_is_users; /* someone chose it: it decides (with the vetoes), not the
                               score */
    int use_score;          /* where both sides have token states */
    double floor; /* least cosine similarity where the score decides, inclusive */
    double score_threshold[LC_LANGUAGE_COUNT]; /* least score, inclusive */
    const double *weights[LC_LANGUAGE_COUNT]; /* LC_FEATURE_COUNT, then the bias; NULL for
                                                 the shipped ones */
    const char *wrong_before; /* who judged this very pair wrong before; NULL: nobody */
    uint32_t rules_off; /* bit (1 << LC_RULE_x): that rule does not speak */
    int explain; /* hear every rule; otherwise the first that stops ends the decision */
} lc_policy;

/* The defaults for the local encoder; for one without token states, set use_score to 0
 * and threshold to what suits it. */
void lc_policy_init(lc_policy *policy);

typedef enum lc_outcome {
    LC_SILENT, /* not heard: switched off, not applicable, or another had stopped it
                  already */
    LC_PASS,
    LC_VETO
} lc_outcome;

/* One rule's word. `detail` is one line made from the questions' own text: for people who
 * may see the questions, never for logs or errors. */
typedef struct lc_word {
    lc_outcome outcome;
    char detail[LC_DETAIL_SIZE]; /* "30 / 35"; "" where there is nothing to add; valid
                                    UTF-8 */
} lc_word;

typedef struct lc_verdict {
    int serve;
    const char
        *why; /* the word of the first rule that stopped it, static; "" when served */
    double similarity;
    lc_language language;
    int scored;   /* the three below hold values */
    double score; /* of the second look: log odds, but for the bias */
    double score_threshold;
    double features[LC_FEATURE_COUNT];
    lc_word words[LC_RULE_COUNT];
} lc_verdict;

/* Judges one candidate. 0, or LLMCACHE_MEMORY; *verdict is filled either way (then not to
 * be served). */
int lc_decide(const lc_side *question, const lc_side *candidate, double similarity,
              const lc_policy *policy, lc_verdict *verdict);

/* A feature's name ("leftover") and shipped weight. */
const char *lc_feature_name(lc_feature feature);
double lc_feature_weight(lc_feature feature);

/* A rule's word ("number") and what its veto means, in one sentence; static. */
const char *lc_rule_word(lc_rule rule);
const char *lc_rule_help(lc_rule rule);
/* The rule with this word, or LC_RULE_COUNT. */
lc_rule lc_rule_find(const char *word);

/*
 * Is this a question about now (today's weather, the latest release)? 1 or 0, or
 * LLMCACHE_MEMORY. Its answer should be kept for a short time; it is never shared by
 * meaning. `word` (may be NULL) gets what gave it away.
 */
int lc_volatile(const char *text, size_t size, char word[LC_DETAIL_SIZE]);

#endif
