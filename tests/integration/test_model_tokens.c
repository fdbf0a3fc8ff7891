/*
 * The known models' tokenizers, where the models are on this machine: ids of independent
 * implementations (model_tokens.json, made by compare_tokenizers.py; shared data beside
 * the repository), and what the library says of their pieces.
 */
#include "embed/fold_han.h"
#include "embed/model_folder.h"
#include "embed/tokenizer.h"
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IDS = 1024 };

typedef struct opened_model {
    lc_gguf *gguf;
    lc_tokenizer *tokenizer;
    lc_token_scratch *scratch;
} opened_model;

/* Skips the test when the model is not here. */
static opened_model open_model(const char *name)
{
    opened_model model;
    lc_model_file file = {0};
    llmcache_error err;
    if (lc_model_find(getenv("LLMCACHE_MODELS_FOLDER"), name, 0, &file, &err))
        cr_skip("%s", err.message);
    cr_assert_eq(lc_gguf_open(file.path, &model.gguf, &err), 0, "%s", err.message);
    cr_assert_eq(lc_tokenizer_new(model.gguf, &model.tokenizer, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_token_scratch_new(model.tokenizer, MAX_IDS, &model.scratch, &err), 0);
    lc_model_file_done(&file);
    return model;
}

static void close_model(opened_model *model)
{
    lc_token_scratch_free(model->scratch);
    lc_tokenizer_free(model->tokenizer);
    lc_gguf_close(model->gguf);
}

static void check_ids(const opened_model *model, const char *text, json_t *expected,
                      size_t max_ids)
{
    uint32_t ids[MAX_IDS];
    size_t count;
    lc_token_info info;
    lc_tokenizer_encode(model->tokenizer, model->scratch, text, strlen(text), ids,
                        max_ids, &count, &info);
    cr_assert_eq(count, json_array_size(expected), "%s: %zu ids", text, count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(ids[i], json_integer_value(json_array_get(expected, i)),
                     "%s: id %zu", text, i);
    cr_assert(!info.cut || count == max_ids);
}

static void check_rows(const char *name)
{
    opened_model model = open_model(name);
    const char *path = test_source_path("tests/integration/model_tokens.json");
    json_t *rows = json_object_get(test_json(test_read_file(path, NULL)), name), *row;
    size_t i;
    cr_assert_gt(json_array_size(rows), 100);
    json_array_foreach(rows, i, row)
        check_ids(&model, json_string_value(json_array_get(row, 0)),
                  json_array_get(row, 1), MAX_IDS);
    close_model(&model);
}

Test(model_tokens, multilingual_e5_small)
{
    check_rows("multilingual-e5-small");
}

Test(model_tokens, all_minilm_l6_v2)
{
    check_rows("all-MiniLM-L6-v2");
}

/* Texts of one entry of the shared reference, with its prefix, cut at its limit. */
static void check_shared(const char *name, const char *entry)
{
    const char *path = test_shared_data("encoder_reference.json");
    if (!path)
        cr_skip("shared/data/encoder_reference.json is not beside the repository");
    opened_model model = open_model(name);
    json_t *root = test_json(test_read_file(path, NULL));
    json_t *facts = json_object_get(json_object_get(root, "models"), entry), *row;
    const char *prefix = json_string_value(json_object_get(facts, "prefix"));
    size_t i, limit = (size_t)json_integer_value(json_object_get(facts, "max_tokens"));
    cr_assert_gt(json_array_size(json_object_get(facts, "rows")), 5, "%s", entry);
    json_array_foreach(json_object_get(facts, "rows"), i, row) check_ids(
        &model,
        test_format("%s%s", prefix, json_string_value(json_object_get(row, "text"))),
        json_object_get(row, "ids"), limit);
    close_model(&model);
}

Test(model_tokens, shared_reference_e5)
{
    check_shared("multilingual-e5-small", "multilingual-e5-small (Q4_0)");
    check_shared("multilingual-e5-small", "multilingual-e5-small (Q4_0), no prefix");
}

Test(model_tokens, shared_reference_minilm)
{
    check_shared("all-MiniLM-L6-v2", "all-MiniLM-L6-v2");
}

/* What cannot be judged is seen: MiniLM has no words for most Chinese, e5 has. */
Test(model_tokens, unknown_tokens_are_counted)
{
    static const char text[] = "請解釋快取";
    uint32_t ids[MAX_IDS];
    size_t count;
    lc_token_info minilm_info, e5_info;
    opened_model minilm = open_model("all-MiniLM-L6-v2"),
                 e5 = open_model("multilingual-e5-small");
    lc_tokenizer_encode(minilm.tokenizer, minilm.scratch, text, strlen(text), ids,
                        MAX_IDS, &count, &minilm_info);
    lc_tokenizer_encode(e5.tokenizer, e5.scratch, text, strlen(text), ids, MAX_IDS,
                        &count, &e5_info);
    cr_assert_gt(minilm_info.unknown, 0);
    cr_assert_eq(e5_info.unknown, 0);
    close_model(&minilm);
    close_model(&e5);
}

/* Folding for the encoder's eye never makes a known character unknown. */
Test(model_tokens, folding_keeps_what_is_known)
{
    opened_model e5 = open_model("multilingual-e5-small");
    unsigned folded = 0, kept = 0;
    for (uint32_t cp = 0x4e00; cp <= 0x9fff; cp++) {
        uint32_t to = lc_fold_han_cp(cp);
        const char text[] = {(char)(0xe0 | cp >> 12), (char)(0x80 | (cp >> 6 & 63)),
                             (char)(0x80 | (cp & 63))};
        char out[LC_FOLD_HAN_ROOM(3)];
        size_t size = lc_fold_han(e5.tokenizer, text, 3, out);
        int changed = size != 3 || memcmp(text, out, 3);
        cr_assert(!changed || lc_tokenizer_knows(e5.tokenizer, to));
        folded += (unsigned)changed;
        kept += to != cp && !changed;
    }
    cr_assert(folded > 1500 && kept > 100, "%u folded, %u kept", folded, kept);
    close_model(&e5);
}
