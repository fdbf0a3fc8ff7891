/*
 * Making an encoder from a GGUF file: the shape from its keys, the tables left where they
 * are, the matrices noted for conversion into one block in the order of their use.
 *
 * Every tensor of the file must be one that the graph uses: a model with a part that is
 * not understood here would give vectors that look right and are not.
 */
#include "base/error.h"
#include "base/memory.h"
#include "embed/encoder_inside.h"
#include "embed/gguf_pages.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_WIDTH   65536 /* of any row: sums of codes stay below 2^31 */
#define MAX_LAYERS  512
#define MAX_TOKENS  65536
#define PREFIX_SIZE 48 /* of a tensor's name without .weight */
#define HUGE_PAGE   ((size_t)2 << 20)

/* One model being loaded. */
typedef struct loader {
    const lc_gguf *gguf;
    lc_encoder *encoder;
    llmcache_error *err;
    unsigned char *used; /* for each tensor of the file */
    lc_weight_job *jobs;
    size_t job_count;
    float *next_vector; /* free part of encoder->vectors */
} loader;

/* ---- Keys ------------------------------------------------------------------------- */

static int out_of_range(loader *load, const char *key, uint32_t value)
{
    return lc_fail(load->err, LLMCACHE_UNSUPPORTED,
                   "model key %s: %u is outside what is supported", key, (unsigned)value);
}

/* A size that must be there, from 1 to most. */
static int read_size(loader *load, const char *key, uint32_t most, size_t *size)
{
    uint32_t value = 0;
    int rc = lc_gguf_u32(load->gguf, key, LC_GGUF_NEEDED, &value, load->err);
    if (rc)
        return rc;
    if (value == 0 || value > most)
        return out_of_range(load, key, value);
    *size = value;
    return 0;
}

static int check_kind(loader *load)
{
    lc_span architecture = {"", 0};
    int causal = 0, rc;
    rc = lc_gguf_text(load->gguf, "general.architecture", LC_GGUF_NEEDED, &architecture,
                      load->err);
    if (rc)
        return rc;
    if (!lc_span_is(architecture, "bert"))
        return lc_fail(load->err, LLMCACHE_UNSUPPORTED,
                       "model key general.architecture: %.*s is not supported, only bert",
                       (int)(architecture.size < 32 ? architecture.size : 32),
                       architecture.data);
    rc = lc_gguf_bool(load->gguf, "bert.attention.causal", LC_GGUF_MAYBE, &causal,
                      load->err);
    if (!rc && causal)
        rc = lc_fail(load->err, LLMCACHE_UNSUPPORTED,
                     "model key bert.attention.causal: only models that look both ways");
    return rc;
}

static int read_pooling(loader *load)
{
    lc_encoder *encoder = load->encoder;
    uint32_t first = 0;
    int rc;
    encoder->pooling = POOL_MEAN;
    rc = lc_gguf_u32(load->gguf, "bert.pooling_type", LC_GGUF_MAYBE, &encoder->pooling,
                     load->err);
    if (rc)
        return rc;
    if (encoder->pooling != POOL_MEAN && encoder->pooling != POOL_CLS &&
        encoder->pooling != POOL_RANK)
        return out_of_range(load, "bert.pooling_type", encoder->pooling);
    rc =
        lc_gguf_u32(load->gguf, "bert.position_offset", LC_GGUF_MAYBE, &first, load->err);
    encoder->first_position = first;
    return rc;
}

static int read_shape(loader *load)
{
    lc_encoder *encoder = load->encoder;
    int rc = check_kind(load);
    if (!rc)
        rc = read_size(load, "bert.block_count", MAX_LAYERS, &encoder->layer_count);
    if (!rc)
        rc = read_size(load, "bert.context_length", MAX_TOKENS, &encoder->max_tokens);
    if (!rc)
        rc = read_size(load, "bert.embedding_length", MAX_WIDTH, &encoder->hidden);
    if (!rc)
        rc = read_size(load, "bert.feed_forward_length", MAX_WIDTH, &encoder->inner);
    if (!rc)
        rc = read_size(load, "bert.attention.head_count", MAX_WIDTH, &encoder->heads);
    if (!rc)
        rc = lc_gguf_f32(load->gguf, "bert.attention.layer_norm_epsilon", LC_GGUF_NEEDED,
                         &encoder->epsilon, load->err);
    if (rc)
        return rc;
    if (encoder->hidden % encoder->heads)
        return out_of_range(load, "bert.attention.head_count", (uint32_t)encoder->heads);
    if (!(encoder->epsilon >= 0 && encoder->epsilon < 1))
        return lc_fail(
            load->err, LLMCACHE_CORRUPT,
            "model key bert.attention.layer_norm_epsilon: not between 0 and 1");
    encoder->head_size = encoder->hidden / encoder->heads;
    return read_pooling(load);
}

/* ---- Tensors ---------------------------------------------------------------------- */

/*
 * A tensor of rows of `width` numbers, `rows` of them (0: any number). NULL with *err
 * filled when it is missing or of another shape.
 */
static const lc_gguf_tensor *take_tensor(loader *load, const char *name, size_t width,
                                         size_t rows)
{
    const lc_gguf_tensor *tensor = lc_gguf_tensor_of(load->gguf, name);
    if (!tensor) {
        lc_fail(load->err, LLMCACHE_CORRUPT, "model tensor %s is missing", name);
        return NULL;
    }
    load->used[tensor - lc_gguf_tensor_at(load->gguf, 0)] = 1;
    if (tensor->dims[0] != width || (rows && tensor->dims[1] != rows) ||
        tensor->dims[1] == 0 || tensor->dims[1] > UINT32_MAX || tensor->dims[2] != 1 ||
        tensor->dims[3] != 1) {
        lc_fail(load->err, LLMCACHE_CORRUPT,
                "model tensor %s is %llu x %llu, not %zu x %zu", name,
                (unsigned long long)tensor->dims[0], (unsigned long long)tensor->dims[1],
                width, rows);
        return NULL;
    }
    return tensor;
}

static int take_table(loader *load, const char *name, lc_table *table)
{
    const lc_gguf_tensor *tensor = take_tensor(load, name, load->encoder->hidden, 0);
    if (!tensor)
        return LLMCACHE_CORRUPT;
    table->data = tensor->data;
    table->type = tensor->type;
    table->row_bytes = lc_tensor_row_bytes(tensor->type, tensor->dims[0]);
    table->rows = tensor->dims[1];
    return 0;
}

static int take_tables(loader *load)
{
    lc_encoder *encoder = load->encoder;
    int rc = take_table(load, "token_embd.weight", &encoder->words);
    if (!rc)
        rc = take_table(load, "position_embd.weight", &encoder->positions);
    if (!rc && lc_gguf_tensor_of(load->gguf, "token_types.weight"))
        rc = take_table(load, "token_types.weight", &encoder->types);
    if (rc)
        return rc;
    lc_gguf_expect_scattered(load->gguf,
                             lc_gguf_tensor_of(load->gguf, "token_embd.weight"));
    if (encoder->first_position >= encoder->positions.rows)
        return out_of_range(load, "bert.position_offset",
                            (uint32_t)encoder->first_position);
    if (encoder->max_tokens > encoder->positions.rows - encoder->first_position)
        encoder->max_tokens = encoder->positions.rows - encoder->first_position;
    return 0;
}

/* A tensor of `hidden` numbers, as floats. */
static int take_vector(loader *load, const char *name, const float **vector)
{
    size_t count = load->encoder->hidden;
    const lc_gguf_tensor *tensor = take_tensor(load, name, count, 1);
    if (!tensor)
        return LLMCACHE_CORRUPT;
    float *to = load->next_vector;
    lc_tensor_to_float(tensor->type, tensor->data, count, to);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(to[i]))
            return lc_fail(load->err, LLMCACHE_CORRUPT,
                           "model tensor %s holds what is not a number", name);
    load->next_vector += count;
    *vector = to;
    return 0;
}

/* "<prefix>.weight" and "<prefix>.bias" */
static int take_norm(loader *load, const char *prefix, lc_norm *norm)
{
    char name[LC_GGUF_NAME_SIZE];
    snprintf(name, sizeof name, "%s.weight", prefix);
    int rc = take_vector(load, name, &norm->gain);
    if (rc)
        return rc;
    snprintf(name, sizeof name, "%s.bias", prefix);
    return take_vector(load, name, &norm->bias);
}

/* Notes the conversion of "<prefix>.weight" and "<prefix>.bias" into outputs of the
 * matrix. */
static int take_weight(loader *load, const char *prefix, lc_matrix *matrix,
                       size_t first_output, size_t outputs, float factor)
{
    char name[LC_GGUF_NAME_SIZE];
    lc_weight_job job = {matrix, first_output, NULL, NULL, factor};
    snprintf(name, sizeof name, "%s.weight", prefix);
    job.weight = take_tensor(load, name, matrix->inputs, outputs);
    if (!job.weight)
        return LLMCACHE_CORRUPT;
    snprintf(name, sizeof name, "%s.bias", prefix);
    job.bias = take_tensor(load, name, outputs, 1);
    if (!job.bias)
        return LLMCACHE_CORRUPT;
    load->jobs[load->job_count++] = job;
    return 0;
}

/* ---- Layers ----------------------------------------------------------------------- */

/* The matrices of one layer: tensor names, and where they go. */
static int take_layer_weights(loader *load, size_t number)
{
    lc_encoder *encoder = load->encoder;
    lc_layer *layer = &encoder->layers[number];
    size_t hidden = encoder->hidden, inner = encoder->inner;
    float scale = 1 / sqrtf((float)encoder->head_size);
    const struct {
        const char *part;
        lc_matrix *matrix;
        size_t first, outputs;
        float factor;
    } weights[] = {
        {"attn_q", &layer->qkv, 0, hidden, scale},
        {"attn_k", &layer->qkv, hidden, hidden, 1},
        {"attn_v", &layer->qkv, 2 * hidden, hidden, 1},
        {"attn_output", &layer->mix, 0, hidden, 1},
        {"ffn_up", &layer->up, 0, inner, 1},
        {"ffn_down", &layer->down, 0, hidden, 1},
    };
    char prefix[PREFIX_SIZE];
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        snprintf(prefix, sizeof prefix, "blk.%u.%s", (unsigned)number, weights[i].part);
        int rc = take_weight(load, prefix, weights[i].matrix, weights[i].first,
                             weights[i].outputs, weights[i].factor);
        if (rc)
            return rc;
    }
    return 0;
}

static int take_layer_norms(loader *load, size_t number)
{
    lc_layer *layer = &load->encoder->layers[number];
    char prefix[PREFIX_SIZE];
    snprintf(prefix, sizeof prefix, "blk.%u.attn_output_norm", (unsigned)number);
    int rc = take_norm(load, prefix, &layer->attention_norm);
    if (rc)
        return rc;
    snprintf(prefix, sizeof prefix, "blk.%u.layer_output_norm", (unsigned)number);
    return take_norm(load, prefix, &layer->output_norm);
}

/* `cls` (a pooler with tanh, where there is one) and `cls.output`, as llama.cpp names
 * them. */
static int take_head(loader *load)
{
    lc_encoder *encoder = load->encoder;
    int rc = 0;
    if (encoder->pooling == POOL_RANK && !encoder->classifier.inputs)
        return lc_fail(load->err, LLMCACHE_CORRUPT,
                       "model tensor cls.output.weight is missing");
    if (encoder->pooler.inputs)
        rc = take_weight(load, "cls", &encoder->pooler, 0, encoder->hidden, 1);
    if (!rc && encoder->classifier.inputs)
        rc = take_weight(load, "cls.output", &encoder->classifier, 0,
                         encoder->classifier.outputs, 1);
    return rc;
}

static int refuse_unknown(loader *load)
{
    for (size_t i = 0; i < lc_gguf_tensor_count(load->gguf); i++)
        if (!load->used[i])
            return lc_fail(load->err, LLMCACHE_UNSUPPORTED,
                           "model tensor %s is not part of a BERT encoder",
                           lc_gguf_tensor_at(load->gguf, i)->name);
    return 0;
}

/* ---- Memory ----------------------------------------------------------------------- */

static void *take_bytes(char **at, size_t bytes)
{
    void *taken = *at;
    *at += bytes;
    return taken;
}

/* Calls shape or place for every matrix, in the order of use. */
typedef struct matrix_walk {
    lc_matrix_room total;    /* shaping: summed up */
    char *weights, *numbers; /* placing: what is left */
} matrix_walk;

static void shape_one(lc_encoder *encoder, matrix_walk *walk, lc_matrix *matrix,
                      size_t inputs, size_t outputs)
{
    lc_matrix_room room =
        lc_matrix_shape(matrix, encoder->kernels, encoder->precision, inputs, outputs);
    if (walk->weights)
        lc_matrix_place(matrix, take_bytes(&walk->weights, room.weights),
                        take_bytes(&walk->numbers, room.numbers));
    walk->total.weights += room.weights;
    walk->total.numbers += room.numbers;
}

/* The classification head's shape is in its tensors only. */
static void shape_head(loader *load, matrix_walk *walk)
{
    lc_encoder *encoder = load->encoder;
    const lc_gguf_tensor *output = lc_gguf_tensor_of(load->gguf, "cls.output.weight");
    if (lc_gguf_tensor_of(load->gguf, "cls.weight"))
        shape_one(encoder, walk, &encoder->pooler, encoder->hidden, encoder->hidden);
    if (output)
        shape_one(encoder, walk, &encoder->classifier, encoder->hidden,
                  output->dims[1] < MAX_WIDTH ? output->dims[1] : 1);
}

static void shape_matrices(loader *load, matrix_walk *walk)
{
    lc_encoder *encoder = load->encoder;
    size_t hidden = encoder->hidden, inner = encoder->inner;
    for (size_t i = 0; i < encoder->layer_count; i++) {
        lc_layer *layer = &encoder->layers[i];
        shape_one(encoder, walk, &layer->qkv, hidden, 3 * hidden);
        shape_one(encoder, walk, &layer->mix, hidden, hidden);
        shape_one(encoder, walk, &layer->up, hidden, inner);
        shape_one(encoder, walk, &layer->down, inner, hidden);
    }
    shape_head(load, walk);
}

/*
 * Called when every tensor was found in the file, so that a lying header cannot ask for
 * much more memory than the file has bytes. Every text streams through these tens of
 * megabytes: large pages save most of the TLB misses.
 */
static int place_matrices(loader *load, matrix_walk walk)
{
    lc_encoder *encoder = load->encoder;
    size_t bytes = (walk.total.weights + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    encoder->weights = lc_alloc_aligned(HUGE_PAGE, bytes);
    encoder->numbers = lc_alloc_aligned(64, walk.total.numbers);
    if (!encoder->weights || !encoder->numbers)
        return lc_fail_memory(load->err);
    (void)madvise(encoder->weights, bytes, MADV_HUGEPAGE);
    walk.weights = encoder->weights;
    walk.numbers = encoder->numbers;
    shape_matrices(load, &walk);
    return 0;
}

/* Room for the parts that do not hold matrices. */
static int make_room(loader *load)
{
    lc_encoder *encoder = load->encoder;
    size_t norms = 1 + 2 * encoder->layer_count;
    encoder->layers = lc_zalloc_array(encoder->layer_count, sizeof *encoder->layers);
    encoder->vectors =
        lc_alloc_array(2 * norms * encoder->hidden, sizeof *encoder->vectors);
    load->used = lc_zalloc(lc_gguf_tensor_count(load->gguf));
    load->jobs = lc_alloc_array(6 * encoder->layer_count + 2, sizeof *load->jobs);
    load->next_vector = encoder->vectors;
    if (!encoder->layers || !encoder->vectors || !load->used || !load->jobs)
        return lc_fail_memory(load->err);
    return 0;
}

/* ---- The whole -------------------------------------------------------------------- */

static int load_model(loader *load, unsigned threads)
{
    lc_encoder *encoder = load->encoder;
    matrix_walk walk = {{0, 0}, NULL, NULL};
    int rc = read_shape(load);
    if (!rc)
        rc = make_room(load);
    if (rc)
        return rc;
    shape_matrices(load, &walk);
    rc = take_tables(load);
    if (!rc)
        rc = take_norm(load, "token_embd_norm", &encoder->embedding_norm);
    for (size_t i = 0; !rc && i < encoder->layer_count; i++) {
        rc = take_layer_weights(load, i);
        if (!rc)
            rc = take_layer_norms(load, i);
    }
    if (!rc)
        rc = take_head(load);
    if (!rc)
        rc = refuse_unknown(load);
    if (!rc)
        rc = place_matrices(load, walk);
    if (rc)
        return rc;
    return lc_convert_weights(load->gguf, load->jobs, load->job_count, threads,
                              load->err);
}

int lc_encoder_new(const lc_gguf *gguf, const lc_encoder_options *options,
                   lc_encoder **encoder, llmcache_error *err)
{
    lc_encoder_options defaults = {NULL, LC_INT8, 0};
    loader load = {.gguf = gguf, .err = err};
    if (!options)
        options = &defaults;
    const lc_kernels *kernels = lc_kernels_named(options->kernels);
    if (!kernels)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "kernels %s: not on this CPU",
                       options->kernels);
    load.encoder = lc_zalloc(sizeof *load.encoder);
    if (!load.encoder)
        return lc_fail_memory(err);
    load.encoder->kernels = kernels;
    load.encoder->precision = options->precision;
    int rc = load_model(&load, options->threads);
    lc_free(load.used);
    lc_free(load.jobs);
    if (rc)
        lc_encoder_free(load.encoder);
    else
        *encoder = load.encoder;
    return rc;
}

void lc_encoder_free(lc_encoder *encoder)
{
    if (!encoder)
        return;
    lc_free(encoder->layers);
    lc_free(encoder->vectors);
    lc_free(encoder->weights);
    lc_free(encoder->numbers);
    lc_free(encoder);
}

void lc_encoder_facts_of(const lc_encoder *encoder, lc_encoder_facts *facts)
{
    *facts = (lc_encoder_facts){
        .kernels = encoder->kernels->name,
        .precision = encoder->precision,
        .dimension = encoder->hidden,
        .max_tokens = encoder->max_tokens,
        .words = encoder->words.rows,
        .layers = encoder->layer_count,
        .ranks = encoder->pooling == POOL_RANK,
    };
}
