#include "tiny_model.h"

#include "embed/gguf_write.h"
#include "support.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const tiny_han[] = {"什", "么", "是", "快", "取",
                                "请", "解", "释", "？", NULL};

tiny_options tiny_defaults(void)
{
    return (tiny_options){.layers = 2,
                          .hidden = 64,
                          .heads = 4,
                          .inner = 128,
                          .positions = 40,
                          .types = 2,
                          .weights = LC_TENSOR_F32,
                          .pooling = 1,
                          .seed = 1};
}

/* ---- Numbers ---------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state) /* xorshift, Marsaglia 2003 */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static float random_float(uint32_t *state, float low, float high)
{
    return low + (float)(next_random(state) >> 8) / 16777216.0f * (high - low);
}

static int is_packed(lc_tensor_type type)
{
    return lc_tensor_layout_of(type)->count > 1 && type != LC_TENSOR_Q8_0;
}

/* Rows of random blocks: any nibbles, scales of a size that suits weights. */
static void *random_blocks(uint32_t *state, lc_tensor_type type, size_t bytes)
{
    size_t block = lc_tensor_layout_of(type)->bytes;
    uint8_t *data = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(next_random(state) >> 13);
    for (size_t at = 0; at < bytes; at += block) {
        uint16_t d = lc_float_to_half(random_float(state, 0.002f, 0.02f));
        uint16_t m = lc_float_to_half(random_float(state, -0.2f, 0));
        memcpy(data + at, &d, sizeof d);
        if (type == LC_TENSOR_Q4_1 || type == LC_TENSOR_Q5_1)
            memcpy(data + at + 2, &m, sizeof m);
    }
    return data;
}

/* ---- Writing ---------------------------------------------------------------------- */

/* One model being written. */
typedef struct making {
    const tiny_options *options;
    lc_gguf_writer writer;
    uint32_t random;
    void *held[256]; /* freed after writing */
    size_t held_count;
} making;

static int is(const char *name, const char *wanted)
{
    return wanted && strcmp(name, wanted) == 0;
}

/* A tensor of `rows` x `width` random numbers from low to high. */
static void put_tensor(making *tiny, const char *name, lc_tensor_type type,
                       uint64_t width, uint64_t rows, float low, float high)
{
    const tiny_options *options = tiny->options;
    lc_gguf_source source = {name,          LC_TENSOR_F32, type, rows > 1 ? 2 : 1,
                             {width, rows}, NULL};
    char *kept = tiny->held[tiny->held_count++] = strdup(name);
    source.name = kept;
    if (is(name, options->without))
        return;
    if (is(name, options->misshaped)) {
        source.n_dims = 2;
        source.dims[1]++;
    }
    if (is_packed(type)) {
        size_t bytes = lc_tensor_row_bytes(type, width) * source.dims[1];
        source.from = type;
        source.data = random_blocks(&tiny->random, type, bytes);
    } else {
        float *numbers = malloc(width * source.dims[1] * sizeof *numbers);
        for (size_t i = 0; i < width * source.dims[1]; i++)
            numbers[i] = random_float(&tiny->random, low, high);
        if (is(name, options->not_finite))
            numbers[width - 1] = NAN;
        source.data = numbers;
    }
    tiny->held[tiny->held_count++] = (void *)source.data;
    lc_gguf_put_tensor(&tiny->writer, &source);
}

static void put_vector(making *tiny, const char *name, uint64_t width, float low,
                       float high)
{
    put_tensor(tiny, name, LC_TENSOR_F32, width, 1, low, high);
}

/* "<name>.weight" and "<name>.bias" */
static void put_linear(making *tiny, const char *name, uint64_t inputs, uint64_t outputs)
{
    float size = 1.7f / sqrtf((float)inputs);
    put_tensor(tiny, test_format("%s.weight", name), tiny->options->weights, inputs,
               outputs, -size, size);
    put_vector(tiny, test_format("%s.bias", name), outputs, -0.2f, 0.2f);
}

static void put_norm(making *tiny, const char *name)
{
    put_vector(tiny, test_format("%s.weight", name), tiny->options->hidden, 0.5f, 1.5f);
    put_vector(tiny, test_format("%s.bias", name), tiny->options->hidden, -0.3f, 0.3f);
}

static void put_tensors(making *tiny)
{
    const tiny_options *options = tiny->options;
    uint32_t hidden = options->hidden;
    put_tensor(tiny, "token_embd.weight", options->weights, hidden, TINY_WORDS, -1, 1);
    put_tensor(tiny, "position_embd.weight", LC_TENSOR_F32, hidden, options->positions,
               -0.3f, 0.3f);
    if (options->types)
        put_tensor(tiny, "token_types.weight", LC_TENSOR_F32, hidden, options->types,
                   -0.5f, 0.5f);
    put_norm(tiny, "token_embd_norm");
    for (uint32_t i = 0; i < options->layers; i++) {
        put_linear(tiny, test_format("blk.%u.attn_q", i), hidden, hidden);
        put_linear(tiny, test_format("blk.%u.attn_k", i), hidden, hidden);
        put_linear(tiny, test_format("blk.%u.attn_v", i), hidden, hidden);
        put_linear(tiny, test_format("blk.%u.attn_output", i), hidden, hidden);
        put_norm(tiny, test_format("blk.%u.attn_output_norm", i));
        put_linear(tiny, test_format("blk.%u.ffn_up", i), hidden, options->inner);
        put_linear(tiny, test_format("blk.%u.ffn_down", i), options->inner, hidden);
        put_norm(tiny, test_format("blk.%u.layer_output_norm", i));
    }
    if (options->has_pooler)
        put_linear(tiny, "cls", hidden, hidden);
    if (options->pooling == 4)
        put_linear(tiny, "cls.output", hidden, 1);
    if (options->extra)
        put_vector(tiny, options->extra, hidden, 0, 1);
}

static void put_number(making *tiny, const char *key, uint32_t value)
{
    if (is(key, tiny->options->key))
        value = (uint32_t)tiny->options->number;
    if (!is(key, tiny->options->without))
        lc_gguf_put_u32(&tiny->writer, key, value);
}

static void put_keys(making *tiny)
{
    const tiny_options *options = tiny->options;
    const char *kind = "general.architecture",
               *epsilon = "bert.attention.layer_norm_epsilon";
    const char *causal = "bert.attention.causal";
    if (!is(kind, options->without))
        lc_gguf_put_text(&tiny->writer, kind,
                         is(kind, options->key) ? options->text : "bert");
    put_number(tiny, "bert.block_count", options->layers);
    put_number(tiny, "bert.context_length", options->positions);
    put_number(tiny, "bert.embedding_length", options->hidden);
    put_number(tiny, "bert.feed_forward_length", options->inner);
    put_number(tiny, "bert.attention.head_count", options->heads);
    put_number(tiny, "bert.pooling_type", options->pooling);
    if (options->first_position)
        put_number(tiny, "bert.position_offset", options->first_position);
    if (!is(epsilon, options->without))
        lc_gguf_put_f32(&tiny->writer, epsilon,
                        is(epsilon, options->key) ? (float)options->number : 1e-12f);
    lc_gguf_put_bool(&tiny->writer, causal,
                     is(causal, options->key) && options->number > 0);
}

static const char *word_of(uint32_t id)
{
    static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
    uint32_t han = 0;
    while (tiny_han[han])
        han++;
    if (id < 4)
        return specials[id];
    if (id < 4 + 26)
        return test_format("\u2581%c", (char)('a' + id - 4));
    if (id < 4 + 52)
        return test_format("%c", (char)('a' + id - 30));
    if (id < 4 + 52 + han)
        return test_format("\u2581%s", tiny_han[id - 56]);
    return test_format("[unused%u]", (unsigned)id);
}

static void put_tokenizer(making *tiny)
{
    lc_gguf_put_text(&tiny->writer, "tokenizer.ggml.model", "bert");
    lc_gguf_put_array(&tiny->writer, "tokenizer.ggml.tokens", LC_GGUF_TEXT, TINY_WORDS);
    for (uint32_t id = 0; id < TINY_WORDS; id++) {
        const char *word = word_of(id);
        lc_gguf_add_text(&tiny->writer, (lc_span){word, strlen(word)});
    }
    lc_gguf_put_array(&tiny->writer, "tokenizer.ggml.token_type", LC_GGUF_I32,
                      TINY_WORDS);
    for (uint32_t id = 0; id < TINY_WORDS; id++)
        lc_gguf_add_i32(&tiny->writer, id == 1                           ? 2
                                       : id < 4 || word_of(id)[0] == '[' ? 3
                                                                         : 1);
    put_number(tiny, "tokenizer.ggml.padding_token_id", 0);
    put_number(tiny, "tokenizer.ggml.unknown_token_id", 1);
    put_number(tiny, "tokenizer.ggml.cls_token_id", 2);
    put_number(tiny, "tokenizer.ggml.seperator_token_id", 3);
}

const char *tiny_model(const tiny_options *options)
{
    making tiny = {.options = options, .random = options->seed};
    const char *path = test_format("%s/tiny.gguf", test_folder());
    llmcache_error err;
    int file = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0)
        test_give_up("cannot write %s", path);
    lc_gguf_writer_init(&tiny.writer);
    put_keys(&tiny);
    put_tokenizer(&tiny);
    put_tensors(&tiny);
    if (lc_gguf_write(&tiny.writer, file, &err))
        test_give_up("tiny model: %s", err.message);
    close(file);
    lc_gguf_writer_done(&tiny.writer);
    for (size_t i = 0; i < tiny.held_count; i++)
        free(tiny.held[i]);
    return path;
}

/* ---- Answering -------------------------------------------------------------------- */

static uint32_t key_of(const lc_gguf *gguf, const char *key, uint32_t fallback)
{
    uint32_t value = fallback;
    lc_gguf_u32(gguf, key, LC_GGUF_MAYBE, &value, NULL);
    return value;
}

#define WIDEST 1024

/* One row of a tensor. */
typedef struct row {
    float at[WIDEST];
} row;

static row row_of(const lc_gguf *gguf, const char *name, size_t number)
{
    const lc_gguf_tensor *tensor = lc_gguf_tensor_of(gguf, name);
    row numbers;
    if (!tensor || tensor->dims[0] > WIDEST)
        test_give_up("tiny model: no %s", name);
    size_t bytes = lc_tensor_row_bytes(tensor->type, tensor->dims[0]);
    lc_tensor_to_float(tensor->type, (const char *)tensor->data + number * bytes,
                       tensor->dims[0], numbers.at);
    return numbers;
}

static void linear(const lc_gguf *gguf, const char *name, const double *x, size_t inputs,
                   size_t outputs, double *y)
{
    const row bias = row_of(gguf, test_format("%s.bias", name), 0);
    const char *weight = test_format("%s.weight", name);
    for (size_t o = 0; o < outputs; o++) {
        const row weights = row_of(gguf, weight, o);
        y[o] = bias.at[o];
        for (size_t k = 0; k < inputs; k++)
            y[o] += weights.at[k] * x[k];
    }
}

static void add_norm(const lc_gguf *gguf, const char *name, double *x, const double *y,
                     size_t hidden)
{
    const row gain = row_of(gguf, test_format("%s.weight", name), 0);
    const row bias = row_of(gguf, test_format("%s.bias", name), 0);
    float epsilon = 0;
    double mean = 0, square = 0;
    lc_gguf_f32(gguf, "bert.attention.layer_norm_epsilon", LC_GGUF_NEEDED, &epsilon,
                NULL);
    for (size_t k = 0; k < hidden; k++)
        mean += (x[k] += y[k]) / (double)hidden;
    for (size_t k = 0; k < hidden; k++)
        square += (x[k] - mean) * (x[k] - mean) / (double)hidden;
    for (size_t k = 0; k < hidden; k++)
        x[k] = (x[k] - mean) / sqrt(square + epsilon) * gain.at[k] + bias.at[k];
}

/* One head of one token over all tokens. q, k, v: count x hidden. */
static void attend(const double *q, const double *k, const double *v, size_t count,
                   size_t hidden, size_t size, double *out)
{
    double *part = calloc(count, sizeof *part), total = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < size; d++)
            part[i] += q[d] * k[i * hidden + d];
        total += part[i] = exp(part[i] / sqrt((double)size));
    }
    memset(out, 0, size * sizeof *out);
    for (size_t i = 0; i < count; i++)
        for (size_t d = 0; d < size; d++)
            out[d] += part[i] / total * v[i * hidden + d];
    free(part);
}

static void run_layer(const lc_gguf *gguf, uint32_t number, size_t count, double *x)
{
    size_t hidden = key_of(gguf, "bert.embedding_length", 0);
    size_t inner = key_of(gguf, "bert.feed_forward_length", 0);
    size_t size = hidden / key_of(gguf, "bert.attention.head_count", 1);
    double *q = calloc(count * hidden, sizeof *q), *k = calloc(count * hidden, sizeof *k);
    double *v = calloc(count * hidden, sizeof *v), *y = calloc(hidden, sizeof *y);
    double *up = calloc(inner, sizeof *up), *got = calloc(hidden, sizeof *got);
    for (size_t i = 0; i < count * hidden; i += hidden) {
        linear(gguf, test_format("blk.%u.attn_q", number), x + i, hidden, hidden, q + i);
        linear(gguf, test_format("blk.%u.attn_k", number), x + i, hidden, hidden, k + i);
        linear(gguf, test_format("blk.%u.attn_v", number), x + i, hidden, hidden, v + i);
    }
    for (size_t i = 0; i < count * hidden; i += hidden) {
        for (size_t d = 0; d < hidden; d += size)
            attend(q + i + d, k + d, v + d, count, hidden, size, got + d);
        linear(gguf, test_format("blk.%u.attn_output", number), got, hidden, hidden, y);
        add_norm(gguf, test_format("blk.%u.attn_output_norm", number), x + i, y, hidden);
        linear(gguf, test_format("blk.%u.ffn_up", number), x + i, hidden, inner, up);
        for (size_t j = 0; j < inner; j++)
            up[j] *= 0.5 * erfc(-up[j] * M_SQRT1_2);
        linear(gguf, test_format("blk.%u.ffn_down", number), up, inner, hidden, y);
        add_norm(gguf, test_format("blk.%u.layer_output_norm", number), x + i, y, hidden);
    }
    free(q);
    free(k);
    free(v);
    free(y);
    free(up);
    free(got);
}

static void pool(const lc_gguf *gguf, const double *x, size_t count, size_t hidden,
                 double *vector)
{
    uint32_t pooling = key_of(gguf, "bert.pooling_type", 1);
    double length = 0, *state = calloc(hidden, sizeof *state);
    memcpy(vector, x, hidden * sizeof *vector);
    if (pooling == 4) {
        memcpy(state, x, hidden * sizeof *state);
        if (lc_gguf_tensor_of(gguf, "cls.weight"))
            linear(gguf, "cls", x, hidden, hidden, state);
        for (size_t k = 0; k < hidden && lc_gguf_tensor_of(gguf, "cls.weight"); k++)
            state[k] = tanh(state[k]);
        linear(gguf, "cls.output", state, hidden, 1, vector);
        free(state);
        return;
    }
    for (size_t i = 1; pooling == 1 && i < count; i++)
        for (size_t k = 0; k < hidden; k++)
            vector[k] += x[i * hidden + k];
    for (size_t k = 0; k < hidden; k++)
        length += vector[k] * vector[k];
    for (size_t k = 0; k < hidden; k++)
        vector[k] /= sqrt(length);
    free(state);
}

void tiny_answer(const lc_gguf *gguf, const uint32_t *ids, size_t count, size_t second,
                 double *states, double *vector)
{
    size_t hidden = key_of(gguf, "bert.embedding_length", 0);
    uint32_t first = key_of(gguf, "bert.position_offset", 0);
    const lc_gguf_tensor *types = lc_gguf_tensor_of(gguf, "token_types.weight");
    double *y = calloc(hidden, sizeof *y);
    for (size_t i = 0; i < count; i++) {
        double *x = states + i * hidden;
        const row word = row_of(gguf, "token_embd.weight", ids[i]);
        const row position = row_of(gguf, "position_embd.weight", first + i);
        size_t type = second && i >= second && types && types->dims[1] > 1;
        const row kind = types ? row_of(gguf, "token_types.weight", type) : (row){{0}};
        for (size_t k = 0; k < hidden; k++) {
            x[k] = word.at[k];
            y[k] = position.at[k] + kind.at[k];
        }
        add_norm(gguf, "token_embd_norm", x, y, hidden);
    }
    for (uint32_t i = 0; i < key_of(gguf, "bert.block_count", 0); i++)
        run_layer(gguf, i, count, states);
    pool(gguf, states, count, hidden, vector);
    free(y);
}
