/* lib/embed/encoder: small models of every shape against double precision, damage,
 * threads. */
#include "tiny_model.h"

#include "base/memory.h"
#include "embed/encoder.h"
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#define MOST 512 /* numbers of a state, tokens of a text */

/* An opened model with what runs it. */
typedef struct opened {
    lc_gguf *gguf;
    lc_encoder *encoder;
    lc_scratch *scratch;
} opened;

static opened open_path(const char *path, lc_precision precision, const char *kernels)
{
    opened model;
    llmcache_error err;
    lc_encoder_options options = {kernels, precision, 0};
    cr_assert_eq(lc_gguf_open(path, &model.gguf, &err), 0, "%s", err.message);
    cr_assert_eq(lc_encoder_new(model.gguf, &options, &model.encoder, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_scratch_new(&model.scratch, &err), 0);
    return model;
}

static opened open_model(const tiny_options *options, lc_precision precision)
{
    return open_path(tiny_model(options), precision, NULL);
}

static void close_model(opened *model)
{
    lc_scratch_free(model->scratch);
    lc_encoder_free(model->encoder);
    lc_gguf_close(model->gguf);
}

static lc_tokens text_of(uint32_t *ids, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = (seed = seed * 1103515245 + 12345) >> 8 & 31;
    return (lc_tokens){ids, count, 0};
}

static double cosine(const float *a, const double *b, size_t count)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < count; i++) {
        ab += a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

/* Runs texts of several lengths; in float every number is near the exact one, in int8 the
 * vector is. */
static void compare(const tiny_options *options, lc_precision precision, const char *what)
{
    static const size_t counts[] = {1, 2, 7, 16, 33};
    opened model = open_model(options, precision);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint32_t ids[MOST];
        float vector[MOST], states[40 * MOST];
        double exact[MOST], exact_states[40 * MOST], worst = 0;
        lc_tokens text = text_of(ids, counts[i], options->seed + (uint32_t)i);
        llmcache_error err;
        cr_assert_eq(
            lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, states, &err),
            0, "%s: %s", what, err.message);
        tiny_answer(model.gguf, ids, counts[i], 0, exact_states, exact);
        for (size_t k = 0; k < counts[i] * options->hidden; k++)
            worst = fmax(worst, fabs(states[k] - exact_states[k]));
        for (size_t k = 0; k < options->hidden; k++)
            worst = fmax(worst, fabs(vector[k] - exact[k]));
        if (precision == LC_FLOAT)
            cr_expect_lt(worst, 3e-5, "%s, %zu tokens: off by %g", what, counts[i],
                         worst);
        else
            cr_expect_gt(cosine(vector, exact, options->hidden), 0.997,
                         "%s, %zu tokens: cosine %g", what, counts[i],
                         cosine(vector, exact, options->hidden));
    }
    close_model(&model);
}

Test(encoder, every_tensor_type_gives_the_exact_answer)
{
    static const lc_tensor_type types[] = {LC_TENSOR_F32,  LC_TENSOR_F16,  LC_TENSOR_Q8_0,
                                           LC_TENSOR_Q4_0, LC_TENSOR_Q4_1, LC_TENSOR_Q5_0,
                                           LC_TENSOR_Q5_1};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tiny_options options = tiny_defaults();
        options.weights = types[i];
        compare(&options, LC_FLOAT, lc_tensor_layout_of(types[i])->name);
        compare(&options, LC_INT8, lc_tensor_layout_of(types[i])->name);
    }
}

Test(encoder, every_shape_gives_the_exact_answer)
{
    static const uint32_t shapes[][4] = {
        /* hidden, heads, inner, layers */
        {64, 1, 64, 1}, {96, 8, 160, 3},   {40, 4, 72, 2},  {30, 3, 50, 2},
        {7, 1, 3, 1},   {384, 12, 512, 1}, {128, 2, 100, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        tiny_options options = tiny_defaults();
        options.hidden = shapes[i][0];
        options.heads = shapes[i][1];
        options.inner = shapes[i][2];
        options.layers = shapes[i][3];
        options.seed = (uint32_t)i + 2;
        compare(&options, LC_FLOAT, test_format("shape %zu", i));
        if (options.hidden >= 30)
            compare(&options, LC_INT8, test_format("shape %zu", i));
    }
}

Test(encoder, poolings_token_types_and_positions_follow_the_file)
{
    for (uint32_t turn = 0; turn < 6; turn++) {
        tiny_options options = tiny_defaults();
        options.pooling = turn % 2 ? 2 : 1;
        options.types = turn / 2;
        options.first_position = turn > 3 ? 2 : 0;
        options.seed = turn + 20;
        compare(&options, LC_FLOAT, test_format("turn %u", (unsigned)turn));
    }
}

Test(encoder, facts_are_those_of_the_file)
{
    tiny_options options = tiny_defaults();
    options.first_position = 2;
    opened model = open_model(&options, LC_INT8);
    lc_encoder_facts facts;
    lc_encoder_facts_of(model.encoder, &facts);
    cr_assert_eq(facts.dimension, 64);
    cr_assert_eq(facts.max_tokens, 38);
    cr_assert_eq(facts.words, TINY_WORDS);
    cr_assert_eq(facts.layers, 2);
    cr_assert_eq(facts.ranks, 0);
    cr_assert_eq(facts.precision, LC_INT8);
    cr_assert_str_eq(facts.kernels, lc_kernels_best()->name);
    close_model(&model);
}

/* Texts of many lengths in one call, in another order, and each alone: the same bits. */
static void check_company(lc_precision precision)
{
    enum { TEXTS = 23 };
    tiny_options options = tiny_defaults();
    opened model = open_model(&options, precision);
    static uint32_t ids[TEXTS][40];
    static float vectors[TEXTS][64], backward[TEXTS][64], states[TEXTS * 40 * 64],
        alone[40 * 64];
    lc_tokens texts[TEXTS], reversed[TEXTS];
    llmcache_error err;
    float *at = states, one[64];
    for (size_t i = 0; i < TEXTS; i++) {
        texts[i] = text_of(ids[i], 1 + (i * 17) % 40, (uint32_t)i);
        reversed[TEXTS - 1 - i] = texts[i];
    }
    cr_assert_eq(lc_encoder_run(model.encoder, model.scratch, texts, TEXTS, vectors[0],
                                states, &err),
                 0);
    cr_assert_eq(lc_encoder_run(model.encoder, model.scratch, reversed, TEXTS,
                                backward[0], NULL, &err),
                 0);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t bytes = texts[i].count * 64 * sizeof(float);
        cr_assert_eq(
            lc_encoder_run(model.encoder, model.scratch, &texts[i], 1, one, alone, &err),
            0);
        cr_expect_eq(memcmp(one, vectors[i], sizeof one), 0, "text %zu", i);
        cr_expect_eq(memcmp(one, backward[TEXTS - 1 - i], sizeof one), 0, "text %zu", i);
        cr_expect_eq(memcmp(alone, at, bytes), 0, "states of text %zu", i);
        at += texts[i].count * 64;
    }
    close_model(&model);
}

Test(encoder, a_text_does_not_depend_on_its_company)
{
    check_company(LC_INT8);
    check_company(LC_FLOAT);
}

Test(encoder, all_variants_of_the_kernels_agree)
{
    tiny_options options = tiny_defaults();
    const char *path = tiny_model(&options);
    const lc_kernels *kernels;
    uint32_t ids[40];
    lc_tokens text = text_of(ids, 21, 5);
    float first[64], vector[64];
    for (size_t i = 0; (kernels = lc_kernels_at(i)); i++) {
        llmcache_error err;
        opened model = open_path(path, LC_INT8, kernels->name);
        cr_assert_eq(lc_encoder_run(model.encoder, model.scratch, &text, 1,
                                    i ? vector : first, NULL, &err),
                     0);
        double same = 0;
        for (size_t k = 0; k < 64; k++)
            same += (double)first[k] * (i ? vector : first)[k];
        cr_expect_gt(same, 0.9999, "%s: %g", kernels->name, same);
        close_model(&model);
    }
}

/* ---- Ranking ---------------------------------------------------------------------- */

Test(encoder, pairs_are_scored_by_the_head)
{
    for (int turn = 0; turn < 4; turn++) {
        tiny_options options = tiny_defaults();
        options.pooling = 4;
        options.has_pooler = turn % 2;
        options.types = turn / 2 ? 2 : 1;
        options.seed = 40 + (uint32_t)turn;
        opened model = open_model(&options, LC_FLOAT);
        uint32_t ids[2][40];
        float scores[2];
        double exact[64], states[40 * 64];
        lc_encoder_facts facts;
        llmcache_error err;
        lc_tokens pairs[2] = {text_of(ids[0], 12, 1), text_of(ids[1], 31, 2)};
        pairs[0].second = 5;
        pairs[1].second = 30;
        lc_encoder_facts_of(model.encoder, &facts);
        cr_assert(facts.ranks);
        cr_assert_eq(
            lc_encoder_score(model.encoder, model.scratch, pairs, 2, scores, &err), 0);
        for (size_t i = 0; i < 2; i++) {
            tiny_answer(model.gguf, ids[i], pairs[i].count, pairs[i].second, states,
                        exact);
            cr_expect_lt(fabs(scores[i] - exact[0]), 2e-5, "turn %d: %g, not %g", turn,
                         scores[i], exact[0]);
        }
        close_model(&model);
    }
}

Test(encoder, the_second_part_of_a_pair_has_a_type_of_its_own)
{
    tiny_options options = tiny_defaults();
    options.pooling = 4;
    opened model = open_model(&options, LC_INT8);
    uint32_t ids[40];
    float scores[3];
    llmcache_error err;
    lc_tokens pair = text_of(ids, 12, 1), pairs[3] = {pair, pair, pair};
    pairs[1].second = 5;
    pairs[2].second = 6;
    cr_assert_eq(lc_encoder_score(model.encoder, model.scratch, pairs, 3, scores, &err),
                 0);
    cr_assert_neq(scores[0], scores[1]);
    cr_assert_neq(scores[1], scores[2]);
    close_model(&model);
}

Test(encoder, only_models_that_rank_score)
{
    tiny_options options = tiny_defaults();
    opened model = open_model(&options, LC_INT8);
    uint32_t ids[40];
    float score = 7;
    llmcache_error err;
    lc_tokens pair = text_of(ids, 12, 1);
    cr_assert_eq(lc_encoder_score(model.encoder, model.scratch, &pair, 1, &score, &err),
                 LLMCACHE_UNSUPPORTED);
    cr_assert_eq(score, 7);
    close_model(&model);
}

/* ---- What is refused -------------------------------------------------------------- */

static void refuse(const tiny_options *options, int code, const char *word)
{
    lc_gguf *gguf;
    lc_encoder *encoder = NULL;
    llmcache_error err;
    cr_assert_eq(lc_gguf_open(tiny_model(options), &gguf, &err), 0, "%s", err.message);
    int rc = lc_encoder_new(gguf, NULL, &encoder, &err);
    cr_expect_eq(rc, code, "%s: %d", word, rc);
    if (rc)
        cr_expect_not_null(strstr(err.message, word), "%s: %s", word, err.message);
    cr_expect_null(encoder);
    lc_encoder_free(encoder);
    lc_gguf_close(gguf);
}

Test(encoder, a_missing_part_is_named)
{
    static const char *const parts[] = {"bert.block_count",
                                        "bert.context_length",
                                        "bert.embedding_length",
                                        "bert.feed_forward_length",
                                        "bert.attention.head_count",
                                        "bert.attention.layer_norm_epsilon",
                                        "general.architecture",
                                        "token_embd.weight",
                                        "position_embd.weight",
                                        "token_embd_norm.bias",
                                        "blk.0.attn_q.weight",
                                        "blk.1.attn_v.bias",
                                        "blk.1.ffn_down.weight",
                                        "blk.0.attn_output_norm.weight",
                                        "blk.1.layer_output_norm.bias"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        tiny_options options = tiny_defaults();
        options.without = parts[i];
        refuse(&options, LLMCACHE_CORRUPT, parts[i]);
    }
    tiny_options options = tiny_defaults();
    options.pooling = 4;
    options.without = "cls.output.weight";
    refuse(&options, LLMCACHE_CORRUPT, "cls.output.weight");
}

Test(encoder, a_part_of_another_shape_is_named)
{
    static const char *const parts[] = {"token_embd_norm.weight", "blk.0.attn_k.weight",
                                        "blk.0.attn_k.bias", "blk.1.ffn_up.weight",
                                        "blk.1.layer_output_norm.bias"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        tiny_options options = tiny_defaults();
        options.misshaped = parts[i];
        refuse(&options, LLMCACHE_CORRUPT, parts[i]);
    }
}

Test(encoder, numbers_that_are_none_are_found)
{
    static const char *const parts[] = {"token_embd_norm.weight", "blk.0.attn_k.weight",
                                        "blk.1.ffn_down.bias",
                                        "blk.1.layer_output_norm.bias"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        tiny_options options = tiny_defaults();
        options.not_finite = parts[i];
        refuse(&options, LLMCACHE_CORRUPT, parts[i]);
    }
}

Test(encoder, a_model_of_another_kind_is_refused)
{
    static const struct {
        const char *key, *text;
        double number;
        int code;
    } rows[] = {
        {"general.architecture", "llama", 0, LLMCACHE_UNSUPPORTED},
        {"bert.attention.causal", NULL, 1, LLMCACHE_UNSUPPORTED},
        {"bert.pooling_type", NULL, 3, LLMCACHE_UNSUPPORTED},
        {"bert.pooling_type", NULL, 0, LLMCACHE_UNSUPPORTED},
        {"bert.attention.head_count", NULL, 5, LLMCACHE_UNSUPPORTED},
        {"bert.attention.head_count", NULL, 0, LLMCACHE_UNSUPPORTED},
        {"bert.block_count", NULL, 0, LLMCACHE_UNSUPPORTED},
        {"bert.block_count", NULL, 4000000000.0, LLMCACHE_UNSUPPORTED},
        {"bert.embedding_length", NULL, 4000000000.0, LLMCACHE_UNSUPPORTED},
        {"bert.attention.layer_norm_epsilon", NULL, -1, LLMCACHE_CORRUPT},
        {"bert.attention.layer_norm_epsilon", NULL, NAN, LLMCACHE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tiny_options options = tiny_defaults();
        options.key = rows[i].key;
        options.text = rows[i].text;
        options.number = rows[i].number;
        refuse(&options, rows[i].code, rows[i].key);
    }
    tiny_options options = tiny_defaults();
    options.extra = "blk.0.ffn_gate.weight";
    refuse(&options, LLMCACHE_UNSUPPORTED, "blk.0.ffn_gate.weight");
    options.extra = NULL;
    options.first_position = 40;
    refuse(&options, LLMCACHE_UNSUPPORTED, "bert.position_offset");
}

/* More layers or wider rows than the file has tensors for: found before memory is asked
 * for. */
Test(encoder, a_lying_header_costs_nothing)
{
    tiny_options options = tiny_defaults();
    options.key = "bert.block_count";
    options.number = 512;
    refuse(&options, LLMCACHE_CORRUPT, "blk.2.");
    options.key = "bert.feed_forward_length";
    options.number = 65536;
    refuse(&options, LLMCACHE_CORRUPT, "ffn_up");
}

Test(encoder, texts_the_model_cannot_take_are_refused)
{
    tiny_options options = tiny_defaults();
    opened model = open_model(&options, LC_INT8);
    uint32_t ids[41];
    float vector[64];
    llmcache_error err;
    lc_tokens text = text_of(ids, 41, 1);
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, NULL, &err),
        LLMCACHE_INVALID);
    text.count = 0;
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, NULL, &err),
        LLMCACHE_INVALID);
    text.count = 40;
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, NULL, &err), 0);
    ids[39] = TINY_WORDS;
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, NULL, &err),
        LLMCACHE_INVALID);
    cr_assert_eq(lc_encoder_run(model.encoder, model.scratch, NULL, 0, NULL, NULL, &err),
                 0);
    close_model(&model);
}

Test(encoder, a_word_that_is_no_number_gives_an_error)
{
    tiny_options options = tiny_defaults();
    options.not_finite = "token_embd.weight"; /* word 0 */
    opened model = open_model(&options, LC_INT8);
    uint32_t ids[] = {5, 0, 6};
    float vector[64];
    llmcache_error err;
    lc_tokens text = {ids, 3, 0};
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, NULL, &err),
        LLMCACHE_EMBEDDER);
    ids[1] = 7;
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, NULL, &err), 0);
    close_model(&model);
}

Test(encoder, kernels_that_are_not_there_are_refused)
{
    tiny_options options = tiny_defaults();
    lc_encoder_options how = {"abacus", LC_INT8, 0};
    lc_gguf *gguf;
    lc_encoder *encoder;
    llmcache_error err;
    cr_assert_eq(lc_gguf_open(tiny_model(&options), &gguf, &err), 0);
    cr_assert_eq(lc_encoder_new(gguf, &how, &encoder, &err), LLMCACHE_UNSUPPORTED);
    lc_gguf_close(gguf);
}

/* ---- Memory and threads ----------------------------------------------------------- */

Test(encoder, every_failed_allocation_is_reported)
{
    tiny_options options = tiny_defaults();
    lc_encoder_options how = {NULL, LC_INT8, 1};
    lc_gguf *gguf;
    llmcache_error err;
    int rc, failures = 0;
    cr_assert_eq(lc_gguf_open(tiny_model(&options), &gguf, &err), 0);
    do {
        uint32_t ids[9];
        lc_tokens text = text_of(ids, 9, 3);
        lc_encoder *encoder = NULL;
        lc_scratch *scratch = NULL;
        float vector[64];
        lc_memory_fail_at((uint64_t)failures + 1);
        rc = lc_encoder_new(gguf, &how, &encoder, &err);
        if (!rc)
            rc = lc_scratch_new(&scratch, &err);
        if (!rc)
            rc = lc_encoder_run(encoder, scratch, &text, 1, vector, NULL, &err);
        if (rc)
            cr_expect_eq(rc, LLMCACHE_MEMORY, "allocation %d: %d", failures + 1, rc);
        cr_expect_eq(rc != 0, lc_memory_failed(), "allocation %d", failures + 1);
        lc_scratch_free(scratch);
        lc_encoder_free(encoder);
        failures++;
    } while (rc);
    lc_memory_fail_at(0);
    cr_assert_gt(failures, 8);
    lc_gguf_close(gguf);
}

Test(encoder, nothing_is_allocated_once_a_text_as_long_was_seen)
{
    tiny_options options = tiny_defaults();
    opened model = open_model(&options, LC_INT8);
    uint32_t ids[40];
    float vector[64], states[40 * 64];
    llmcache_error err;
    lc_tokens text = text_of(ids, 40, 3);
    cr_assert_eq(
        lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, states, &err), 0);
    lc_memory_fail_at(1);
    for (text.count = 1; text.count <= 40; text.count++)
        cr_expect_eq(
            lc_encoder_run(model.encoder, model.scratch, &text, 1, vector, states, &err),
            0);
    cr_assert_not(lc_memory_failed());
    lc_memory_fail_at(0);
    close_model(&model);
}

typedef struct worker {
    const opened *model;
    pthread_t thread;
    float vectors[20][64];
    int rc;
} worker;

static void *work(void *user)
{
    worker *self = user;
    lc_scratch *scratch;
    llmcache_error err;
    self->rc = lc_scratch_new(&scratch, &err);
    for (uint32_t i = 0; !self->rc && i < 20; i++) {
        uint32_t ids[40];
        lc_tokens text = text_of(ids, 1 + i * 2, i);
        self->rc = lc_encoder_run(self->model->encoder, scratch, &text, 1,
                                  self->vectors[i], NULL, &err);
    }
    lc_scratch_free(scratch);
    return NULL;
}

Test(encoder, threads_share_one_encoder)
{
    enum { THREADS = 4 };
    tiny_options options = tiny_defaults();
    opened model = open_model(&options, LC_INT8);
    static worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i].model = &model;
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_expect_eq(workers[i].rc, 0);
        cr_expect_eq(
            memcmp(workers[i].vectors, workers[0].vectors, sizeof workers[0].vectors), 0);
    }
    close_model(&model);
}
