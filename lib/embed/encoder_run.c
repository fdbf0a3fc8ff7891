/*
 * Running an encoder. Several texts go through as one block of rows, a few dozen at a
 * time, so that the weights stream past once for all of them; each row is computed by
 * itself (matrix.h) and each text attends to itself only, so that its result does not
 * depend on the block it was in.
 */
#include "base/error.h"
#include "base/memory.h"
#include "embed/encoder_inside.h"

#include <math.h>
#include <string.h>

#define BLOCK_ROWS                                                       \
    64 /* texts are run together up to so many tokens; longer ones alone \
        */
#define INNER_ROWS \
    64 /* rows of the feed-forward net at once: they should stay in the cache */
#define QUERY_ROWS 32 /* rows of one head's attention at once */

/* One block under way: everything lies in the scratch. */
typedef struct block {
    const lc_encoder *encoder;
    size_t rows, longest;
    float *x;        /* rows x hidden: the states */
    float *qkv;      /* rows x stride of qkv */
    float *gathered; /* rows x hidden: what attention brought */
    float *y;        /* rows x widest stride of a matrix that gives hidden numbers */
    float *inner;    /* INNER_ROWS x stride of up */
    float *keys;     /* one head: head_size x longest, transposed */
    float *values;   /* one head: longest x padded head size */
    float *scores;   /* QUERY_ROWS x padded longest */
    float *found;    /* QUERY_ROWS x padded head size */
    void *codes;     /* activations, quantised */
    lc_code_range *ranges;
} block;

struct lc_scratch {
    void *memory;
    size_t size;
};

static size_t pad(size_t count)
{
    return (count + LC_LANE_PAD - 1) / LC_LANE_PAD * LC_LANE_PAD;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- Scratch ---------------------------------------------------------------------- */

int lc_scratch_new(lc_scratch **scratch, llmcache_error *err)
{
    lc_scratch *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    *scratch = made;
    return 0;
}

void lc_scratch_free(lc_scratch *scratch)
{
    if (scratch)
        lc_free(scratch->memory);
    lc_free(scratch);
}

/* The next `bytes` of the memory, on a line of their own; counts only where there is no
 * memory. */
static void *carve(char *memory, size_t *used, size_t bytes)
{
    char *at = memory ? memory + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

static float *carve_floats(char *memory, size_t *used, size_t rows, size_t width)
{
    return carve(memory, used, rows * width * sizeof(float));
}

/* Lays the run's parts out in memory; returns the bytes they take. Sizes are bounded by
 * the model's shape, which was checked at load. */
static size_t lay_out(block *run, char *memory)
{
    const lc_encoder *encoder = run->encoder;
    const lc_layer *layer = &encoder->layers[0];
    size_t used = 0, rows = run->rows, longest = pad(run->longest);
    size_t inner_rows = rows < INNER_ROWS ? rows : INNER_ROWS;
    size_t head = pad(encoder->head_size);
    size_t width = larger(lc_matrix_stride(&layer->mix), lc_matrix_stride(&layer->down));
    width = larger(width, lc_matrix_stride(&encoder->classifier));
    size_t codes = larger(lc_matrix_code_bytes(&layer->qkv, rows),
                          lc_matrix_code_bytes(&layer->down, inner_rows));
    run->x = carve_floats(memory, &used, rows, encoder->hidden);
    run->qkv = carve_floats(memory, &used, rows, lc_matrix_stride(&layer->qkv));
    run->gathered = carve_floats(memory, &used, rows, encoder->hidden);
    run->y = carve_floats(memory, &used, rows, width);
    run->inner = carve_floats(memory, &used, inner_rows, lc_matrix_stride(&layer->up));
    run->keys = carve_floats(memory, &used, encoder->head_size, longest);
    run->values = carve_floats(memory, &used, longest, head);
    run->scores = carve_floats(memory, &used, QUERY_ROWS, longest);
    run->found = carve_floats(memory, &used, QUERY_ROWS, head);
    run->codes = carve(memory, &used, codes);
    run->ranges = carve(memory, &used, rows * sizeof *run->ranges);
    return used;
}

static int prepare(block *run, lc_scratch *scratch, llmcache_error *err)
{
    size_t size = lay_out(run, NULL);
    if (size > scratch->size) {
        void *memory = lc_alloc_aligned(64, size);
        if (!memory)
            return lc_fail_memory(err);
        lc_free(scratch->memory);
        scratch->memory = memory;
        scratch->size = size;
    }
    lay_out(run, scratch->memory);
    return 0;
}

/* ---- The graph -------------------------------------------------------------------- */

static void look_up(const lc_table *table, size_t row, size_t width, float *out)
{
    lc_tensor_to_float(table->type, table->data + row * table->row_bytes, width, out);
}

static void embed_tokens(const block *run, const lc_tokens *text, float *x)
{
    const lc_encoder *encoder = run->encoder;
    const lc_kernels *kernels = encoder->kernels;
    float *other = run->y;
    for (size_t i = 0; i < text->count; i++, x += encoder->hidden) {
        size_t type = text->second && i >= text->second && encoder->types.rows > 1;
        look_up(&encoder->words, text->ids[i], encoder->hidden, x);
        if (encoder->types.rows) {
            look_up(&encoder->types, type, encoder->hidden, other);
            kernels->add(x, other, encoder->hidden);
        }
        look_up(&encoder->positions, encoder->first_position + i, encoder->hidden, other);
        kernels->add_norm(x, other, encoder->hidden, encoder->embedding_norm.gain,
                          encoder->embedding_norm.bias, encoder->epsilon);
    }
}

/* One head's keys, transposed, and its values, both padded: what multiply_float wants. */
static void gather_head(const block *run, float *qkv, size_t head, size_t count)
{
    const lc_encoder *encoder = run->encoder;
    size_t size = encoder->head_size, width = pad(size), padded = pad(count);
    size_t stride = lc_matrix_stride(&encoder->layers[0].qkv);
    float *keys = qkv + encoder->hidden + head * size, *values = keys + encoder->hidden;
    lc_rows from = {keys, stride}, to = {run->keys, padded};
    encoder->kernels->transpose(from, to, count, size);
    for (size_t d = 0; d < size && count < padded; d++)
        memset(run->keys + d * padded + count, 0, (padded - count) * sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        float *value = run->values + i * width;
        memcpy(value, values + i * stride, size * sizeof *value);
        memset(value + size, 0, (width - size) * sizeof *value);
    }
}

/* softmax(q k / sqrt(head size)) v for one head of one text; the division is in the
 * weights. */
static void attend_head(const block *run, float *qkv, size_t head, size_t count,
                        float *gathered)
{
    const lc_encoder *encoder = run->encoder;
    const lc_kernels *kernels = encoder->kernels;
    size_t size = encoder->head_size, width = pad(size), padded = pad(count);
    size_t stride = lc_matrix_stride(&encoder->layers[0].qkv);
    lc_rows keys = {run->keys, padded}, values = {run->values, width};
    lc_rows scores = {run->scores, padded}, found = {run->found, width};
    gather_head(run, qkv, head, count);
    for (size_t first = 0; first < count; first += QUERY_ROWS) {
        size_t rows = count - first < QUERY_ROWS ? count - first : QUERY_ROWS;
        lc_rows queries = {qkv + first * stride + head * size, stride};
        kernels->multiply_float(queries, keys, scores, rows, size, padded);
        for (size_t i = 0; i < rows; i++)
            kernels->softmax(run->scores + i * padded, count);
        kernels->multiply_float(scores, values, found, rows, count, width);
        for (size_t i = 0; i < rows; i++)
            memcpy(gathered + (first + i) * encoder->hidden + head * size,
                   run->found + i * width, size * sizeof *gathered);
    }
}

static void self_attention(const block *run, const lc_layer *layer,
                           const lc_tokens *texts, size_t count)
{
    const lc_encoder *encoder = run->encoder;
    size_t stride = lc_matrix_stride(&layer->qkv), row = 0;
    lc_matrix_apply(&layer->qkv, (lc_rows){run->x, encoder->hidden}, run->rows,
                    run->codes, run->ranges, run->qkv);
    for (size_t i = 0; i < count; row += texts[i++].count)
        for (size_t head = 0; head < encoder->heads; head++)
            attend_head(run, run->qkv + row * stride, head, texts[i].count,
                        run->gathered + row * encoder->hidden);
    lc_matrix_apply(&layer->mix, (lc_rows){run->gathered, encoder->hidden}, run->rows,
                    run->codes, run->ranges, run->y);
}

/* x = norm(x + y), row by row. */
static void add_norm(const block *run, const lc_matrix *matrix, const lc_norm *norm,
                     float *x, const float *y, size_t rows)
{
    const lc_encoder *encoder = run->encoder;
    for (size_t i = 0; i < rows; i++)
        encoder->kernels->add_norm(x + i * encoder->hidden,
                                   y + i * lc_matrix_stride(matrix), encoder->hidden,
                                   norm->gain, norm->bias, encoder->epsilon);
}

static void feed_forward(const block *run, const lc_layer *layer)
{
    const lc_encoder *encoder = run->encoder;
    size_t stride = lc_matrix_stride(&layer->up);
    for (size_t first = 0, rows; first < run->rows; first += rows) {
        float *x = run->x + first * encoder->hidden;
        rows = run->rows - first < INNER_ROWS ? run->rows - first : INNER_ROWS;
        lc_matrix_apply(&layer->up, (lc_rows){x, encoder->hidden}, rows, run->codes,
                        run->ranges, run->inner);
        for (size_t i = 0; i < rows; i++)
            encoder->kernels->gelu(run->inner + i * stride, encoder->inner);
        lc_matrix_apply(&layer->down, (lc_rows){run->inner, stride}, rows, run->codes,
                        run->ranges, run->y);
        add_norm(run, &layer->down, &layer->output_norm, x, run->y, rows);
    }
}

/* The last layer's states of all texts, in run->x. */
static void run_layers(const block *run, const lc_tokens *texts, size_t count)
{
    const lc_encoder *encoder = run->encoder;
    float *x = run->x;
    for (size_t i = 0; i < count; x += texts[i++].count * encoder->hidden)
        embed_tokens(run, &texts[i], x);
    for (size_t i = 0; i < encoder->layer_count; i++) {
        const lc_layer *layer = &encoder->layers[i];
        self_attention(run, layer, texts, count);
        add_norm(run, &layer->mix, &layer->attention_norm, run->x, run->y, run->rows);
        feed_forward(run, layer);
    }
}

/* ---- Results ---------------------------------------------------------------------- */

/* The mean of the rows, or the first. */
static void pool(const lc_encoder *encoder, const float *x, size_t rows, float *vector)
{
    memcpy(vector, x, encoder->hidden * sizeof *vector);
    if (encoder->pooling != POOL_MEAN)
        return;
    for (size_t i = 1; i < rows; i++)
        encoder->kernels->add(vector, x + i * encoder->hidden, encoder->hidden);
    for (size_t k = 0; k < encoder->hidden; k++)
        vector[k] /= (float)rows;
}

static int to_unit_length(const lc_encoder *encoder, float *vector, llmcache_error *err)
{
    float length = sqrtf(encoder->kernels->dot(vector, vector, encoder->hidden));
    if (!isfinite(length) || length <= 0)
        return lc_fail(err, LLMCACHE_EMBEDDER, "the model's result has no direction");
    for (size_t k = 0; k < encoder->hidden; k++)
        vector[k] /= length;
    return 0;
}

/* The classification head over the first token's state. */
static void score(const block *run, const float *x, float *result)
{
    const lc_encoder *encoder = run->encoder;
    lc_rows state = {(float *)x, encoder->hidden};
    if (encoder->pooler.inputs) {
        lc_matrix_apply(&encoder->pooler, state, 1, run->codes, run->ranges, run->y);
        for (size_t k = 0; k < encoder->hidden; k++)
            run->gathered[k] = tanhf(run->y[k]);
        state.data = run->gathered;
    }
    lc_matrix_apply(&encoder->classifier, state, 1, run->codes, run->ranges, run->y);
    *result = run->y[0];
}

/* ---- Blocks of texts -------------------------------------------------------------- */

static int check_texts(const lc_encoder *encoder, const lc_tokens *texts, size_t count,
                       llmcache_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (texts[i].count == 0 || texts[i].count > encoder->max_tokens)
            return lc_fail(err, LLMCACHE_INVALID, "%zu tokens: the model takes 1 to %zu",
                           texts[i].count, encoder->max_tokens);
        for (size_t k = 0; k < texts[i].count; k++)
            if (texts[i].ids[k] >= encoder->words.rows)
                return lc_fail(err, LLMCACHE_INVALID, "token %u: the model has %zu",
                               (unsigned)texts[i].ids[k], encoder->words.rows);
    }
    return 0;
}

/* Makes a block of the first texts (at least one) that fit, and runs it; *taken is how
 * many. */
static int run_block(block *run, lc_scratch *scratch, const lc_tokens *texts,
                     size_t count, size_t *taken, llmcache_error *err)
{
    run->rows = run->longest = 0;
    for (*taken = 0; *taken < count; ++*taken) {
        size_t more = texts[*taken].count;
        if (*taken && run->rows + more > BLOCK_ROWS)
            break;
        run->rows += more;
        run->longest = larger(run->longest, more);
    }
    int rc = prepare(run, scratch, err);
    if (rc)
        return rc;
    run_layers(run, texts, *taken);
    return 0;
}

int lc_encoder_run(const lc_encoder *encoder, lc_scratch *scratch, const lc_tokens *texts,
                   size_t count, float *vectors, float *states, llmcache_error *err)
{
    block run = {.encoder = encoder};
    int rc = check_texts(encoder, texts, count, err);
    for (size_t first = 0, taken; !rc && first < count; first += taken) {
        rc = run_block(&run, scratch, texts + first, count - first, &taken, err);
        const float *x = run.x;
        for (size_t i = first; !rc && i < first + taken; i++) {
            pool(encoder, x, texts[i].count, vectors + i * encoder->hidden);
            rc = to_unit_length(encoder, vectors + i * encoder->hidden, err);
            x += texts[i].count * encoder->hidden;
        }
        if (!rc && states) {
            memcpy(states, run.x, run.rows * encoder->hidden * sizeof *states);
            states += run.rows * encoder->hidden;
        }
    }
    return rc;
}

int lc_encoder_score(const lc_encoder *encoder, lc_scratch *scratch,
                     const lc_tokens *pairs, size_t count, float *scores,
                     llmcache_error *err)
{
    block run = {.encoder = encoder};
    if (encoder->pooling != POOL_RANK)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "the model has no classification head");
    int rc = check_texts(encoder, pairs, count, err);
    for (size_t first = 0, taken; !rc && first < count; first += taken) {
        rc = run_block(&run, scratch, pairs + first, count - first, &taken, err);
        const float *x = run.x;
        for (size_t i = first; !rc && i < first + taken; i++) {
            score(&run, x, &scores[i]);
            if (!isfinite(scores[i]))
                rc =
                    lc_fail(err, LLMCACHE_EMBEDDER, "the model's result is not a number");
            x += pairs[i].count * encoder->hidden;
        }
    }
    return rc;
}
