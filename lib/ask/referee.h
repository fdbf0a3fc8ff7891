/*
 * The referee: asks a small language model, or a cross-encoder in this process, what rules and scores cannot
 * tell: would one answer serve both questions, do two answers say the same. It answers with one word or not
 * at all; a referee that is late, out of budget, broken or unclear never says "same".
 *
 * The questions reach it as JSON strings and are called data in its instruction, but a language model can be
 * talked round: its word may add hits only among candidates that no rule speaks against.
 *
 * Any number of threads may use one. It keeps nothing but counters and this minute's budget; verdicts are kept by
 * whoever asked.
 */
#ifndef LC_ASK_REFEREE_H
#define LC_ASK_REFEREE_H

#include "ask/count.h"
#include "ask/prices.h"
#include "provider/provider.h"

typedef struct lc_referee lc_referee;

/* Everything is borrowed until lc_referee_free, the text of `uri` only for the call. */
typedef struct lc_referee_options {
    const char *uri; /* openai:<model>, anthropic:<model>, local:<cross-encoder> */
    const lc_provider *openai, *anthropic;
    const lc_prices *prices;
    const char *models_folder;
    double cutoff;       /* of a cross-encoder: from this score on it is the same */
    int64_t timeout_ms;  /* of one call */
    int64_t per_minute;  /* calls at most; 0: as many as asked for */
} lc_referee_options;

/* LLMCACHE_SETTING for a uri that is none of these; a cross-encoder that is not there fails as
 * lc_ranker_open does. */
int lc_referee_new(const lc_referee_options *options, lc_referee **referee, llmcache_error *err);
void lc_referee_free(lc_referee *referee); /* accepts NULL */

typedef enum lc_ruling {
    LC_RULING_NONE, /* it did not say: see `why` */
    LC_RULING_SAME,
    LC_RULING_OTHER
} lc_ruling;

/* What one ruling took. */
typedef struct lc_referee_bill {
    const char *why; /* static word when there is no ruling: "budget", "timeout", "network", "status", "unclear",
                        "memory", "unsuited"; "" otherwise */
    int64_t us;
    int64_t input_tokens, output_tokens;
    int64_t cost_nano; /* by the price table, 0 when unknown */
} lc_referee_bill;

/* Both questions, as they were asked. `headers` (may be none) are the caller's, of whom only the credential is
 * used, and only by the service it was meant for: `anthropic` says which. */
typedef struct lc_referee_caller {
    const llmcache_header *headers;
    size_t header_count;
    int anthropic;
} lc_referee_caller;

lc_ruling lc_referee_questions(lc_referee *referee, const lc_referee_caller *caller, const char *first,
                               const char *second, lc_referee_bill *bill);

/* Two answers to one question: would a reader of either learn the same? */
lc_ruling lc_referee_answers(lc_referee *referee, const lc_referee_caller *caller, const char *question,
                             const char *first, const char *second, lc_referee_bill *bill);

/* "openai:gpt-4o-mini": for people and for what is kept with a verdict. Lives as long as the referee. */
const char *lc_referee_name(const lc_referee *referee);

/* What it has cost so far. */
typedef struct lc_referee_counts {
    lc_count same, other, none;
    lc_count input_tokens, output_tokens, cost_nano;
    lc_histogram latency;
    lc_word_counts unclear; /* why there was no ruling */
} lc_referee_counts;

const lc_referee_counts *lc_referee_count(const lc_referee *referee);

/* ---- Pure parts, for their tests ----------------------------------------------------------------- */

/* What a reply's text says. Strict: one word, yes or no, nothing else but white space and a full stop. */
lc_ruling lc_ruling_read(const char *text);

#endif
