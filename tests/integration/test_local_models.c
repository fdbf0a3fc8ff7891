/*
 * The encoder with real models, against what others computed with them:
 * tests/data/encoder_reference.json, and the shared reference where it is. Skipped, with
 * a line, where the models folder (LLMCACHE_MODELS_FOLDER, or the default one) has no
 * such model: llmcache-cli model pull gets it.
 */
#include "embed/encoder.h"
#include "embed/local_embedder.h"
#include "embed/model_folder.h"
#include "embed/tokenizer.h"
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 512 /* tokens and numbers */

typedef struct opened {
    lc_gguf *gguf;
    lc_tokenizer *tokenizer;
    lc_token_scratch *tokens;
    lc_encoder *exact, *small; /* float, int8 */
    lc_scratch *scratch;
    lc_encoder_facts facts;
} opened;

static const char *folder(void)
{
    const char *named = getenv("LLMCACHE_MODELS_FOLDER");
    return named ? named : "";
}

/* Path of a model, alive until the test ends; skips the test when it is not there. */
static const char *path_of(const char *name)
{
    lc_model_file file;
    llmcache_error err;
    if (lc_model_find(folder(), name, 0, &file, &err))
        cr_skip_test("%s", err.message);
    const char *path = test_keep(file.path, strlen(file.path));
    lc_model_file_done(&file);
    return path;
}

static opened open_model(const char *name)
{
    const char *path = path_of(name);
    lc_encoder_options exact = {.precision = LC_FLOAT}, small = {.precision = LC_INT8};
    llmcache_error err;
    opened model;
    cr_assert_eq(lc_gguf_open(path, &model.gguf, &err), 0, "%s", err.message);
    cr_assert_eq(lc_tokenizer_new(model.gguf, &model.tokenizer, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_token_scratch_new(model.tokenizer, MOST, &model.tokens, &err), 0);
    cr_assert_eq(lc_encoder_new(model.gguf, &exact, &model.exact, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_encoder_new(model.gguf, &small, &model.small, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_scratch_new(&model.scratch, &err), 0);
    lc_encoder_facts_of(model.exact, &model.facts);
    return model;
}

static void close_model(opened *model)
{
    lc_scratch_free(model->scratch);
    lc_encoder_free(model->exact);
    lc_encoder_free(model->small);
    lc_token_scratch_free(model->tokens);
    lc_tokenizer_free(model->tokenizer);
    lc_gguf_close(model->gguf);
}

static double cosine(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* What a reference row must come out as. */
typedef struct allowed {
    double number;     /* of each number of the float vector */
    double int8_least; /* cosine of int8 to float */
} allowed;

/* Runs one row; its float vector is left in `vector`. */
static void check_row(opened *model, const json_t *row, const char *prefix,
                      const char *numbers, const allowed *tolerance, float *vector)
{
    const char *text =
        test_format("%s%s", prefix, json_string_value(json_object_get(row, "text")));
    const json_t *want_ids = json_object_get(row, "ids"),
                 *want = json_object_get(row, numbers);
    uint32_t ids[MOST];
    float small[MOST];
    lc_tokens tokens = {ids, 0, 0};
    llmcache_error err;
    lc_tokenizer_encode(model->tokenizer, model->tokens, text, strlen(text), ids,
                        model->facts.max_tokens, &tokens.count, NULL);
    cr_assert_gt(json_array_size(want), 7);
    cr_expect_eq(tokens.count, json_array_size(want_ids), "%.40s: %zu tokens", text,
                 tokens.count);
    for (size_t i = 0; i < tokens.count && i < json_array_size(want_ids); i++)
        cr_expect_eq(ids[i], json_integer_value(json_array_get(want_ids, i)),
                     "%.40s: token %zu", text, i);
    cr_assert_eq(
        lc_encoder_run(model->exact, model->scratch, &tokens, 1, vector, NULL, &err), 0);
    cr_assert_eq(
        lc_encoder_run(model->small, model->scratch, &tokens, 1, small, NULL, &err), 0);
    for (size_t i = 0; i < json_array_size(want); i++)
        cr_expect_lt(fabs(vector[i] - json_real_value(json_array_get(want, i))),
                     tolerance->number, "%.40s: number %zu is %g", text, i, vector[i]);
    double near = cosine(vector, small, 384);
    cr_expect_gt(near, tolerance->int8_least, "%.40s: int8 to float %g", text, near);
}

/* ---- The project's own reference -------------------------------------------------- */

static void check_own(const char *name, const allowed *tolerance)
{
    json_t *file = test_json(
        test_read_file(test_source_path("tests/data/encoder_reference.json"), NULL));
    const json_t *models = json_object_get(file, "models");
    opened model = open_model(name);
    size_t checked = 0;
    for (size_t m = 0; m < json_array_size(models); m++) {
        const json_t *entry = json_array_get(models, m),
                     *rows = json_object_get(entry, "rows");
        float first[MOST], vector[MOST];
        if (strcmp(json_string_value(json_object_get(entry, "name")), name))
            continue;
        for (size_t i = 0; i < json_array_size(rows); i++, checked++) {
            const json_t *row = json_array_get(rows, i);
            check_row(&model, row, "", "vector", tolerance, i ? vector : first);
            double want = json_real_value(json_object_get(row, "cosine_to_first"));
            double got = cosine(first, i ? vector : first, 384);
            cr_expect_lt(fabs(want - got), tolerance->number,
                         "row %zu: cosine %g, not %g", i, got, want);
        }
    }
    cr_expect_eq(checked, 12);
    close_model(&model);
}

Test(local_models, e5_is_what_onnxruntime_makes_of_it)
{
    check_own("multilingual-e5-small", &(allowed){2e-5, 0.999});
}

Test(local_models, minilm_is_what_onnxruntime_makes_of_it)
{
    check_own("all-MiniLM-L6-v2", &(allowed){2e-5, 0.99});
}

/* ---- The shared reference --------------------------------------------------------- */

static void check_shared(const char *name, const char *key, const allowed *tolerance,
                         double cosine_tolerance)
{
    const char *path = test_shared_data("encoder_reference.json");
    if (!path)
        cr_skip_test("../shared/data/encoder_reference.json is not here");
    json_t *file = test_json(test_read_file(path, NULL));
    const json_t *entry = json_object_get(json_object_get(file, "models"), key);
    const json_t *rows = json_object_get(entry, "rows");
    const json_t *cosines = json_object_get(entry, "cosine_row1_to_all");
    const char *prefix = json_string_value(json_object_get(entry, "prefix"));
    static float vectors[16][MOST];
    opened model = open_model(name);
    cr_assert_gt(json_array_size(rows), 5);
    for (size_t i = 0; i < json_array_size(rows); i++)
        check_row(&model, json_array_get(rows, i), prefix, "embedding8", tolerance,
                  vectors[i]);
    for (size_t i = 0; i < json_array_size(rows); i++)
        cr_expect_lt(fabs(cosine(vectors[1], vectors[i], 384) -
                          json_real_value(json_array_get(cosines, i))),
                     cosine_tolerance);
    close_model(&model);
}

Test(local_models, e5_equals_the_shared_reference)
{
    check_shared("multilingual-e5-small", "multilingual-e5-small (Q4_0), no prefix",
                 &(allowed){2e-4, 0.999}, 2e-4);
}

Test(local_models, e5_equals_the_shared_reference_with_its_prefix)
{
    check_shared("multilingual-e5-small", "multilingual-e5-small (Q4_0)",
                 &(allowed){2e-4, 0.999}, 2e-4);
}

/* The reference is of the float weights; the model here may be stored as Q8_0. */
Test(local_models, minilm_is_near_the_shared_reference)
{
    check_shared("all-MiniLM-L6-v2", "all-MiniLM-L6-v2", &(allowed){5e-3, 0.99}, 5e-3);
}

/* ---- What it is for --------------------------------------------------------------- */

static double similarity(lc_embedder *embedder, const char *a, const char *b)
{
    const char *texts[2] = {a, b};
    float vectors[2 * MOST];
    llmcache_error err;
    cr_assert_eq(embedder->ops.embed(embedder->self, texts, 2, vectors, 10000, &err), 0,
                 "%s", err.message);
    return cosine(vectors, vectors + 384, 384);
}

Test(local_models, the_same_question_in_other_words_is_near_and_another_is_not)
{
    lc_embedder_options options = {.models_folder = folder()};
    lc_embedder embedder;
    llmcache_error err;
    path_of("multilingual-e5-small");
    cr_assert_eq(lc_embedder_open("local:", &options, &embedder, &err), 0);
    double threshold = embedder.ops.threshold(embedder.self);
    double reworded = similarity(&embedder, "什麼是快取？", "請解釋快取是什麼");
    double another = similarity(&embedder, "什麼是快取？", "快取怎麼清除？");
    double look_alike = similarity(&embedder, "什麼是快取？", "什麼是快閃記憶體？");
    cr_expect_geq(reworded, threshold, "%g", reworded);
    cr_expect_lt(another, threshold, "%g", another);
    cr_expect_lt(look_alike, 0.92, "%g", look_alike);
    cr_expect_gt(similarity(&embedder, "什麼是快取？", "什么是快取？"), 0.9999);
    lc_embedder_close(&embedder);
}
