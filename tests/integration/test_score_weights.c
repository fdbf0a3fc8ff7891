/* Settings of the score: thresholds per language, and the file with its numbers. */
#include "ask/score_weights.h"
#include "base/memory.h"
#include "base/settings.h"
#include "test_cache.h"

#include <criterion/criterion.h>
#include <llmcache/tune.h>
#include <stdlib.h>
#include <string.h>

TestSuite(score_weights, .timeout = 60);

static const char *written(const char *text)
{
    const char *path = test_format("%s/weights.json", test_folder());
    test_write_text(path, text);
    return path;
}

/* The shipped numbers as a file, with one member exchanged. */
static const char *file_with(const char *member, const char *value)
{
    lc_weights weights = {.made = "2026-11-25", .space = "local:x"};
    lc_weights_row *row = &weights.rows[LC_CHINESE];
    lc_buffer text;
    row->present = row->has_threshold = 1;
    row->threshold = 1.25;
    row->labels = 700;
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        row->numbers[i] = lc_feature_weight((lc_feature)i);
    row->numbers[LC_FEATURE_COUNT] = -30;
    lc_buffer_init(&text, 0);
    cr_assert_eq(lc_score_weights_write(&weights, &text), 0);
    char *at = member ? strstr(text.data, member) : NULL;
    cr_assert(!member || at);
    const char *all = at ? test_format("%.*s%s%s", (int)(at - text.data), text.data, value, at + strlen(member))
                         : test_format("%s", text.data);
    lc_buffer_done(&text);
    return written(all);
}

Test(score_weights, are_read_as_they_were_written)
{
    lc_weights *weights;
    llmcache_error err;
    cr_assert_eq(lc_score_weights_read(file_with(NULL, NULL), "local:x", &weights, &err), 0, "%s", err.message);
    cr_expect_str_eq(weights->made, "2026-11-25");
    cr_expect_eq(weights->rows[LC_ENGLISH].present, 0);
    const lc_weights_row *row = &weights->rows[LC_CHINESE];
    cr_expect(row->present && row->has_threshold);
    cr_expect_eq(row->threshold, 1.25);
    cr_expect_eq(row->labels, 700);
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        cr_expect_float_eq(row->numbers[i], lc_feature_weight((lc_feature)i), 1e-9);
    cr_expect_eq(row->numbers[LC_FEATURE_COUNT], -30);
    lc_free(weights);
    cr_expect_eq(lc_score_weights_read("", NULL, &weights, &err), 0);
    cr_expect_null(weights);
}

Test(score_weights, what_is_damaged_is_refused)
{
    static const struct {
        const char *member, *value, *said;
    } rows[] = {{"\"score_weights\":1", "\"score_weights\":2", "no file of score weights"},
                {"2026-11-25", "yesterday", "not dated"},
                {"\"zh\"", "\"fr\"", "languages"},
                {"\"cos\"", "\"sin\"", "other features"},
                {"{\"cos\"", "{\"more\":1,\"cos\"", "other features"},
                {"\"cos\":24.568", "\"cos\":-1", "bounds"},
                {"\"number\":-2.5", "\"number\":-9", "bounds"},
                {"\"bias\":-30", "\"bias\":\"x\"", "bias"},
                {"\"bias\":-30", "\"bias\":-3e9", "bias"},
                {"\"labels\":700,", "", "labels"},
                {"\"threshold\":1.25", "\"threshold\":\"low\"", "threshold"},
                {"local:x", "local:y", "another encoder"},
                {"}}}}", "", "not JSON"}};
    llmcache_error err;
    lc_weights *weights = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = file_with(rows[i].member, rows[i].value);
        cr_expect_eq(lc_score_weights_read(path, "local:x", &weights, &err), LLMCACHE_SETTING, "%s",
                     rows[i].value);
        cr_expect_not_null(strstr(err.message, rows[i].said), "%s: %s", rows[i].value, err.message);
        cr_expect_not_null(strstr(err.message, "weights.json"), "%s", err.message);
    }
    llmcache_options *options = test_cache_options(NULL, (const char *const[]){"score-weights", "/nowhere", NULL});
    llmcache *cache;
    cr_expect_eq(llmcache_open(options, &cache, &err), LLMCACHE_SETTING);
    cr_expect_not_null(strstr(err.message, "score-weights"), "%s", err.message);
    llmcache_options_free(options);
}

Test(score_weights, the_settings_defaults_are_the_shipped_thresholds)
{
    lc_policy policy;
    lc_settings settings;
    lc_policy_init(&policy);
    cr_assert_eq(lc_settings_init(&settings, NULL), 0);
    cr_expect_eq(settings.score_threshold_en, policy.score_threshold[LC_ENGLISH]);
    cr_expect_eq(settings.score_threshold_zh, policy.score_threshold[LC_CHINESE]);
    lc_settings_done(&settings);
}

/* ---- In force, where the encoder's model is ------------------------------------------------------- */

static llmcache_judgement last;

static int note(void *user, const llmcache_judgement *judgement)
{
    last = *judgement;
    return 0;
}

static void judge(llmcache *cache, const char *a, const char *b)
{
    llmcache_error err;
    llmcache_pair pair = {.struct_size = sizeof pair, .a = a, .b = b, .label = -1};
    int code = llmcache_judge(cache, &pair, 1, note, NULL, &err);
    if (code)
        cr_skip_test("%s", err.message);
}

#define LOCAL "provider", "demo:", "demo-latency-ms", "0", "embedder", "local:"

Test(score_weights, a_threshold_is_of_its_language_only)
{
    llmcache *cache = test_cache(NULL, LOCAL, "score-threshold-zh", "3");
    judge(cache, "什麼是快取？", "請解釋快取是什麼");
    cr_expect_eq(last.served, 0);
    cr_expect_str_eq(last.why, "score");
    cr_expect_eq(last.score_threshold, 3);
    judge(cache, "How can I reset my password?", "How do I reset my password?");
    cr_expect_eq(last.served, 1);
    cr_expect_eq(last.score_threshold, 1.3);
    llmcache_close(cache);
}

static const json_t *explained_candidate(llmcache *cache)
{
    char *text;
    llmcache_answer_free(test_ask(cache, "什麼是快取？", NULL));
    cr_assert_eq(llmcache_explain(cache, "請解釋快取是什麼", NULL, &text, NULL), 0);
    const json_t *root = test_json(text);
    llmcache_free(text);
    return json_array_get(json_object_get(json_object_get(root, "semantic"), "candidates"), 0);
}

static const char *of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(absent)";
}

Test(score_weights, a_file_decides_and_explain_says_so)
{
    const char *path = file_with("\"space\":\"local:x\"", "\"space\":\"\"");
    llmcache *cache = test_cache(NULL, LOCAL, "score-weights", path);
    judge(cache, "什麼是快取？", "請解釋快取是什麼");
    cr_expect_eq(last.score_threshold, 1.25);
    double score = last.score;
    const json_t *candidate = explained_candidate(cache);
    cr_expect_str_eq(of(candidate, "score_threshold_from"), "score-weights");
    cr_expect_str_eq(of(candidate, "score_numbers_from"), "score-weights of 2026-11-25");
    llmcache_close(cache);
    cache = test_cache(NULL, LOCAL, "score-weights", path, "score-threshold-zh", "2");
    judge(cache, "什麼是快取？", "請解釋快取是什麼");
    cr_expect_eq(last.score_threshold, 2, "what was set wins");
    cr_expect_str_eq(of(explained_candidate(cache), "score_threshold_from"), "setting");
    llmcache_close(cache);
    cache = test_cache(NULL, LOCAL, NULL);
    judge(cache, "什麼是快取？", "請解釋快取是什麼");
    cr_expect_float_eq(score - last.score, -30 + 34.442, 1e-3, "by the bias");
    cr_expect_str_eq(of(explained_candidate(cache), "score_numbers_from"), "default");
    llmcache_close(cache);
}
