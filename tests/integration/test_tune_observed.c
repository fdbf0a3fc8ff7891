/*
 * Tuning by what the store has observed, with invented observations: their features are drawn, and their labels follow
 * a score that is known. Where the score decides, the local encoder has to be here.
 */
#include "report_reader.h"
#include "test_cache.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <llmcache/tune.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *folder;

static void set_up(void)
{
    folder = test_folder();
}

TestSuite(tune_observed, .init = set_up, .timeout = 200);

enum { FEATURES = 9, MANY = 1600 };

static const char *const names[FEATURES] = {"cos", "leftover", "number", "negation", "negation-alike",
                                            "antonym", "name", "question", "direction"};
static uint64_t state = 1;

static double uniform(void)
{
    return test_uniform(&state);
}

static const char *store(void)
{
    return test_format("sqlite:%s/cache.db", folder);
}

static const char *beside(const char *name)
{
    return test_format("%s/%s", folder, name);
}

/* ---- A cache that scores ------------------------------------------------------------------------ */

static llmcache *local(const char *weights)
{
    llmcache_error err;
    llmcache *cache = test_cache(NULL, "provider", "demo:", "embedder", "local:", "embed-timeout-ms", "60000",
                                 "store", store(), "observation-text", "no", "score-weights", weights);
    if (test_try_embedder(cache, &err))
        cr_skip_test("%s", err.message);
    return cache;
}

static const char *weights_file(const char *name, double cos, double leftover, double bias, double threshold)
{
    const char *path = beside(name);
    test_write_text(path, test_format("{ \"score_weights\":1, \"made\":\"2026-01-01\",\"languages\":{\"en\":{"
                                      "\"labels\":1,\"threshold\":%g,\"bias\":%g,\"weights\":{\"cos\":%g,"
                                      "\"leftover\":%g,\"number\":0,\"negation\":0,\"negation-alike\":0,"
                                      "\"antonym\":0,\"name\":0,\"question\":0,\"direction\":0}}}}\n",
                                      threshold, bias, cos, leftover));
    return path;
}

/* Numbers that look at nothing but the cosine, of which little depends below. */
static const char *poor(const char *name)
{
    return weights_file(name, 20, 0, -19, 0.8);
}

/* ---- Inventing ---------------------------------------------------------------------------------- */

typedef enum truth { BY_SCORE, BY_COIN } truth;

static int is_right(const double features[], truth how)
{
    double score = -34.442 + 24.568 * features[0] + 13.607 * features[1];
    return uniform() < (how == BY_COIN ? 0.5 : 1 / (1 + exp(-3 * (score - 1.2))));
}

static void invent(llmcache *cache, const char *word, size_t count, int observer, truth how)
{
    for (size_t i = 0; i < count; i++) {
        llmcache_error err = {.message = ""};
        llmcache_observation o = {.struct_size = sizeof o, .space = "default", .observer = observer,
                                  .asked = test_format("%s asked %zu", word, i),
                                  .candidate = test_format("%s kept %zu", word, i), .scored = 1,
                                  .feature_count = FEATURES, .feature_names = names, .language = "en"};
        o.features[0] = o.similarity = 0.93 + 0.05 * uniform();
        o.features[1] = 0.8 + 0.2 * uniform();
        o.score = 1;
        o.verdict = is_right(o.features, how) ? LLMCACHE_RIGHT : LLMCACHE_WRONG;
        cr_assert_eq(llmcache_observe(cache, &o, &err), 0, "%s", err.message);
    }
}

/* ---- The library's call ------------------------------------------------------------------------- */

static json_t *tuned(llmcache *cache, const char *space, llmcache_tune_options options)
{
    llmcache_error err;
    char *text;
    llmcache_filter filter = {.struct_size = sizeof filter, .space = space};
    options.struct_size = sizeof options;
    options.refit = 1;
    cr_assert_eq(llmcache_tune_observations(cache, &filter, &options, &text, &err), 0, "%s", err.message);
    json_t *report = test_json(text);
    llmcache_free(text);
    return report;
}

static const char *state_of(const json_t *report)
{
    const json_t *refit = json_object_get(test_tune_part(report, "en"), "refit");
    return json_string_value(json_object_get(refit, "state"));
}

Test(tune_observed, a_refit_by_features_is_better_than_bad_numbers)
{
    llmcache *cache = local(poor("poor.json"));
    invent(cache, "judge", MANY, LLMCACHE_BY_JUDGE, BY_SCORE);
    invent(cache, "person", 100, LLMCACHE_BY_FEEDBACK, BY_SCORE);
    json_t *report = tuned(cache, NULL, (llmcache_tune_options){.max_wrong = 0.1});
    const json_t *observed = json_object_get(report, "observed"), *refit;
    cr_expect_eq(test_tune_number(observed, "judged", NULL), MANY + 100);
    cr_expect_eq(test_tune_number(observed, "by_features", NULL), MANY + 100);
    cr_expect_eq(test_tune_number(test_tune_part(report, "en"), "counting", NULL), MANY + 100);
    cr_assert_str_eq(state_of(report), "better");
    refit = json_object_get(test_tune_part(report, "en"), "refit");
    cr_expect_gt(test_tune_number(refit, "gain_low", NULL), 0);
    cr_expect_eq(test_tune_number(refit, "sources", NULL), 2, "an intercept for each kind of observer");
    cr_expect_gt(test_tune_number(refit, "after", "leftover"), 5);
    cr_expect_gt(json_number_value(json_object_get(
                     json_object_get(json_object_get(refit, "taken"), "hits"), "count")), 0);
    cr_expect(json_equal(report, tuned(cache, NULL, (llmcache_tune_options){.max_wrong = 0.1})));
    llmcache_close(cache);
}

Test(tune_observed, words_are_picked_by_source_namespace_and_language)
{
    llmcache *cache = local("");
    invent(cache, "judge", 60, LLMCACHE_BY_JUDGE, BY_SCORE);
    invent(cache, "judge", 10, LLMCACHE_BY_FEEDBACK, BY_SCORE); /* of the same pairs */
    json_t *report = tuned(cache, NULL, (llmcache_tune_options){.min_labels = 1});
    cr_expect_eq(test_tune_number(report, "labelled", NULL), 60);
    cr_expect_eq(test_tune_number(json_object_get(report, "observed"), "outvoted", NULL), 10);
    report = tuned(cache, NULL, (llmcache_tune_options){.observers = 1u << LLMCACHE_BY_JUDGE});
    cr_expect_eq(test_tune_number(report, "labelled", NULL), 50);
    report = tuned(cache, "another", (llmcache_tune_options){.min_labels = 1});
    cr_expect_eq(test_tune_number(report, "labelled", NULL), 0);
    report = tuned(cache, NULL, (llmcache_tune_options){.language = "zh"});
    cr_expect_eq(test_tune_number(report, "labelled", NULL), 0);
    llmcache_tune_options options = {.struct_size = sizeof options, .language = "de"};
    char *text;
    cr_expect_eq(llmcache_tune_observations(cache, NULL, &options, &text, NULL), LLMCACHE_INVALID);
    cr_expect_eq(llmcache_tune_observations(cache, NULL, NULL, NULL, NULL), LLMCACHE_INVALID);
    llmcache_close(cache);
}

/* ---- With texts ---------------------------------------------------------------------------------- */

static void observe_text(llmcache *cache, const char *asked, const char *candidate, int verdict)
{
    llmcache_error err;
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = asked, .candidate = candidate,
                              .verdict = verdict, .observer = LLMCACHE_BY_FEEDBACK};
    cr_assert_eq(llmcache_observe(cache, &o, &err), 0, "%s", err.message);
}

/* Where the cosine decides: the mock embeds, and nothing was seen before. */
Test(tune_observed, texts_are_judged_anew_and_wrong_ones_count)
{
    test_mock mock;
    mock_start(&mock);
    llmcache *cache = test_cache(&mock, "embed-timeout-ms", "60000");
    for (int i = 0; i < 40; i++)
        observe_text(cache, test_format("how do i clean the %c%c door of my house", 'a' + i / 20, 'a' + i % 20),
                     test_format("how can i clean the %c%c door of my house", 'a' + i / 20, 'a' + i % 20),
                     i % 4 ? LLMCACHE_RIGHT : LLMCACHE_WRONG);
    observe_text(cache, " ", "how do i clean it", LLMCACHE_WRONG);
    json_t *report = tuned(cache, NULL, (llmcache_tune_options){.min_labels = 10});
    const json_t *observed = json_object_get(report, "observed"), *part = test_tune_part(report, "all");
    cr_expect_eq(test_tune_number(observed, "by_text", NULL), 40);
    cr_expect_eq(test_tune_number(observed, "unreadable", NULL), 1, "what cannot be asked ends nothing");
    cr_expect_eq(test_tune_number(report, "labelled", NULL), 40);
    cr_expect_eq(test_tune_number(report, "stopped", NULL), 0, "that somebody said so is no rule's word here");
    cr_expect_eq(test_tune_number(part, "counting", NULL), 40);
    cr_expect_eq(test_tune_number(part, "labels_missing", NULL), 0);
    llmcache_close(cache);
}

/* ---- The command --------------------------------------------------------------------------------- */

static test_run_result run(const char *weights, const char *const more[])
{
    const char *argv[24] = {test_build_path("cli/llmcache-cli"), "tune"};
    const char *const environment[] = {test_format("LLMCACHE_STORE=%s", store()), "LLMCACHE_EMBEDDER=local:",
                                       "LLMCACHE_PROVIDER=demo:", "LLMCACHE_EMBED_TIMEOUT_MS=60000",
                                       test_format("LLMCACHE_SCORE_WEIGHTS=%s", weights), NULL};
    for (int i = 0; more[i]; i++)
        argv[2 + i] = more[i];
    return test_run(argv, environment, "");
}

#define tune(weights, ...) run(weights, (const char *const[]){__VA_ARGS__, NULL})

static void fill(size_t count, truth how)
{
    llmcache *cache = local("");
    invent(cache, "judge", count, LLMCACHE_BY_JUDGE, how);
    llmcache_close(cache);
}

Test(tune_observed, apply_and_undo)
{
    fill(MANY, BY_SCORE);
    const char *path = poor("score-weights.json"), *before = test_read_file(path, NULL);
    const char *previous = beside("score-weights.json.previous");
    test_run_result told = tune(path, "--from-observations", "--max-wrong", "10%");
    cr_expect_not_null(strstr(told.out, "Better: the fitted numbers are taken."), "%s%s", told.out, told.err);
    cr_expect_str_eq(test_read_file(path, NULL), before, "nothing changes without --apply");

    test_run_result done = tune(path, "--from-observations", "--max-wrong=10%", "--apply", "--json");
    cr_assert_eq(done.status, 0, "%s%s", done.out, done.err);
    const json_t *report = test_json(done.out);
    cr_expect_str_eq(json_string_value(json_object_get(report, "applied")), path);
    cr_expect(json_is_null(json_object_get(report, "setting_needed")), "the setting points there");
    cr_expect_str_eq(test_read_file(previous, NULL), before, "byte for byte");
    cr_expect_str_neq(test_read_file(path, NULL), before);
    llmcache_close(local(path));

    test_run_result again = tune(path, "--from-observations", "--max-wrong=10%", "--apply");
    cr_expect_not_null(strstr(again.out, "Nothing was applied"), "%s%s", again.out, again.err);
    cr_expect_str_eq(test_read_file(previous, NULL), before, "what is not better leaves it alone");

    cr_expect_eq(tune(path, "--undo").status, 0);
    cr_expect_str_eq(test_read_file(path, NULL), before);
    cr_expect_not(test_exists(previous));
    cr_expect_eq(tune(path, "--undo").status, 3, "once only");
    cr_expect_str_eq(test_read_file(path, NULL), before);
}

Test(tune_observed, without_a_file_the_numbers_in_force_are_what_undo_goes_back_to)
{
    fill(MANY, BY_SCORE);
    const char *path = beside("score-weights.json");
    const char *set = poor("poor.json");
    test_run_result done = tune(set, "--from-observations", "--max-wrong=10%", "--apply", "--weights", path);
    cr_assert_eq(done.status, 0, "%s%s", done.out, done.err);
    cr_expect_not_null(strstr(done.out, test_format("LLMCACHE_SCORE_WEIGHTS=%s\n", path)), "%s", done.out);
    cr_expect_null(strstr(done.out, "LLMCACHE_SCORE_THRESHOLD"), "it is in the file: %s", done.out);
    cr_expect_eq(tune("", "--undo").status, 0, "beside the store");
    const json_t *file = test_json(test_read_file(path, NULL));
    const json_t *row = json_object_get(json_object_get(file, "languages"), "en");
    cr_expect_eq(test_tune_number(row, "weights", "cos"), 20);
    cr_expect_eq(test_tune_number(row, "bias", NULL), -19);
    cr_expect_eq(test_tune_number(row, "threshold", NULL), 0.8);
    llmcache_close(local(path));
}

Test(tune_observed, a_poisoned_set_is_not_applied)
{
    fill(MANY, BY_COIN);
    test_run_result done = tune("", "--from-observations", "--apply");
    cr_expect_eq(done.status, 5, "%s", done.err);
    cr_expect_not_null(strstr(done.out, "Not surely better"), "%s", done.out);
    cr_expect_not_null(strstr(done.out, "Nothing was applied"), "%s", done.out);
    cr_expect_not(test_exists(beside("score-weights.json")));
    cr_expect_not(test_exists(beside("score-weights.json.previous")));
}

Test(tune_observed, too_few_labels_are_refused)
{
    fill(300, BY_SCORE);
    const char *path = poor("score-weights.json"), *before = test_read_file(path, NULL);
    test_run_result few = tune(path, "--from-observations", "--max-wrong=10%", "--apply");
    cr_expect_eq(few.status, 5, "%s", few.err);
    cr_expect_not_null(strstr(few.out, "300 count, 200 more are needed"), "%s", few.out);
    cr_expect_str_eq(test_read_file(path, NULL), before);
    const json_t *report = test_json(tune(path, "--from-observations", "--json", "--min-labels=1000").out);
    cr_expect_eq(test_tune_number(test_tune_part(report, "en"), "labels_missing", NULL), 700);
    cr_expect_str_eq(state_of(report), "few-labels");
}

Test(tune_observed, what_would_do_harm_or_cannot_be_written_is_refused)
{
    fill(MANY, BY_SCORE);
    const char *path = poor("score-weights.json"), *before = test_read_file(path, NULL);
    test_run_result set = tune(path, "--from-observations", "--max-wrong=10%", "--apply",
                               "--score-threshold-en", "0.9");
    cr_expect_eq(set.status, 2, "%s", set.out);
    cr_expect_not_null(strstr(set.err, "score-threshold-en is set"), "%s", set.err);
    cr_expect_str_eq(test_read_file(path, NULL), before);

    cr_assert_eq(mkdir(beside("score-weights.json.previous"), 0700), 0);
    test_run_result stuck = tune(path, "--from-observations", "--max-wrong=10%", "--apply");
    cr_expect_eq(stuck.status, 1, "%s", stuck.out);
    cr_expect_str_eq(test_read_file(path, NULL), before, "without what was before nothing is written");
    cr_expect_not(test_exists(beside("score-weights.json.previous.new")));
}

Test(tune_observed, the_commands_mistakes)
{
    cr_expect_eq(run("", (const char *const[]){NULL}).status, 2);
    cr_expect_eq(tune("", "--from-observations", "pairs.jsonl").status, 2);
    cr_expect_eq(tune("", "--from-observations", "--source", "feedback,nobody").status, 2);
    cr_expect_eq(tune("", "--from-observations", "--source", "hit").status, 2);
    cr_expect_eq(tune("", "pairs.jsonl", "--apply").status, 2);
    cr_expect_eq(tune("", "pairs.jsonl", "--language", "en").status, 2);
    cr_expect_eq(tune("", "--undo", "--apply").status, 2);
    cr_expect_eq(tune("", "--undo", "--store", "memory:").status, 2, "it does not know where");
    cr_expect_eq(tune("", "--undo").status, 3);
}
