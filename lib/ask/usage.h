/*
 * Tokens, cost and time by model, for the metrics that the OpenTelemetry conventions for generative AI name
 * gen_ai.client.token.usage and gen_ai.client.operation.duration. The table is bounded: models past its end are
 * counted together as "other", so that callers cannot fill memory with names.
 */
#ifndef LC_ASK_USAGE_H
#define LC_ASK_USAGE_H

#include "ask/count.h"
#include "base/buffer.h"

#define LC_USAGE_MODELS 32
#define LC_TOKEN_BUCKETS 14
#define LC_SECOND_BUCKETS 14

typedef struct lc_model_usage {
    char model[64];        /* written before `used` is set */
    char operation[24];    /* gen_ai.operation.name */
    char provider[24];     /* gen_ai.provider.name */
    atomic_int used;
    lc_count tokens[2][LC_TOKEN_BUCKETS + 1]; /* input, output */
    lc_count token_sum[2];
    lc_count seconds[LC_SECOND_BUCKETS + 1];
    lc_count microseconds;
} lc_model_usage;

typedef struct lc_usage {
    lc_model_usage models[LC_USAGE_MODELS]; /* the last one is "other" */
    atomic_flag adding;
} lc_usage;

/* One call to the model that gave an answer. */
void lc_usage_add(lc_usage *usage, const char *model, const char *operation, const char *provider,
                  int64_t input_tokens, int64_t output_tokens, int64_t us);
void lc_usage_write(const lc_usage *usage, lc_buffer *out);

#endif
