/* What encoder_load.c and encoder_convert.c (making) and encoder_run.c (running) share.
 */
#ifndef LC_EMBED_ENCODER_INSIDE_H
#define LC_EMBED_ENCODER_INSIDE_H

#include "embed/encoder.h"

/* Values of bert.pooling_type that are supported. */
enum { POOL_MEAN = 1, POOL_CLS = 2, POOL_RANK = 4 };

typedef struct lc_norm {
    const float *gain;
    const float *bias;
} lc_norm;

typedef struct lc_layer {
    lc_matrix
        qkv; /* queries (scaled by 1/sqrt(head size)), keys, values, one after another */
    lc_matrix mix; /* what attention gathered -> hidden */
    lc_norm attention_norm;
    lc_matrix up, down;
    lc_norm output_norm;
} lc_layer;

/* A table whose rows are converted when they are looked up; it stays in the file. */
typedef struct lc_table {
    const char *data;
    lc_tensor_type type;
    size_t row_bytes;
    size_t rows;
} lc_table;

struct lc_encoder {
    const lc_kernels *kernels;
    lc_precision precision;
    size_t hidden, inner, heads, head_size, layer_count, max_tokens;
    uint32_t pooling;
    size_t first_position; /* row of the position table that the first token gets */
    float epsilon;
    lc_table words, positions, types; /* types.rows is 0 where the model has none */
    lc_norm embedding_norm;
    lc_layer *layers;
    lc_matrix pooler,
        classifier; /* of models that rank; pooler.inputs is 0 where there is none */
    float *vectors; /* gains and biases of all norms */
    void *weights, *numbers; /* of all matrices */
};

/* One tensor to be converted into (a part of) a placed matrix. */
typedef struct lc_weight_job {
    lc_matrix *matrix;
    size_t first_output;
    const lc_gguf_tensor *weight, *bias;
    float factor; /* what weights and bias are multiplied with */
} lc_weight_job;

/* `threads` 0: two, if there are two CPUs. */
int lc_convert_weights(const lc_gguf *gguf, const lc_weight_job *jobs, size_t job_count,
                       unsigned threads, llmcache_error *err);

#endif
