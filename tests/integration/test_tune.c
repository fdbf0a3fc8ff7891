/*
 * Tuning end to end. Where cosines matter, an embedder of the test's own gives each pair the one its last word
 * stands for; where the score matters, the local encoder is used, if its model is here.
 */
#include "report_reader.h"
#include "test_cache.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <llmcache/tune.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(tune, .timeout = 200);

enum { MANY = 3000 };

static llmcache_pair list[MANY];
static double cosines[MANY];
static uint64_t state = 1;

static double uniform(void)
{
    return test_uniform(&state);
}

/* ---- An embedder whose cosines are known ----------------------------------------------------------- */

/* "where is baca" and "where can i find baca" are pair 2102 of base 10, letters for digits. */
static size_t pair_of(const char *text)
{
    size_t number = 0;
    for (const char *at = strrchr(text, ' ') + 1; *at >= 'a' && *at <= 'j'; at++)
        number = number * 10 + (size_t)(*at - 'a');
    return number;
}

static const char *word_of(size_t number)
{
    char *word = test_keep("aaaa", 4);
    for (int i = 3; i >= 0; i--, number /= 10)
        word[i] = (char)('a' + number % 10);
    return word;
}

static int embed(void *self, const char *const *texts, size_t count, float *vectors, int64_t deadline_ms,
                 llmcache_error *err)
{
    for (size_t i = 0; i < count; i++) {
        double cosine = strncmp(texts[i], "where is", 8) == 0 ? 1 : cosines[pair_of(texts[i])];
        vectors[2 * i] = (float)cosine;
        vectors[2 * i + 1] = (float)sqrt(1 - cosine * cosine);
    }
    return 0;
}

static size_t dimension(void *self)
{
    return 2;
}

static const char *space(void *self)
{
    return "test:2";
}

static double advised(void *self)
{
    return 0.8;
}

static void nothing(void *self)
{
}

static llmcache *known_cosines(const char *threshold)
{
    static const llmcache_embedder_ops ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "test",
                                              .embed = embed, .dimension = dimension, .space = space,
                                              .threshold = advised, .close = nothing};
    llmcache *cache;
    llmcache_error err;
    llmcache_options *options =
        test_cache_options(NULL, (const char *const[]){"threshold", threshold, NULL});
    cr_assert_eq(llmcache_options_embedder(options, &ops, &state, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    return cache;
}

/* From 0.9 upwards all are right, below it every second one. */
static void known_pairs(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *word = word_of(i);
        cosines[i] = 0.7 + 0.3 * uniform();
        list[i] = (llmcache_pair){.struct_size = sizeof *list,
                                  .a = test_format("where is %s", word),
                                  .b = test_format("where can i find %s", word),
                                  .label = cosines[i] >= 0.9 || i % 2};
    }
}

static json_t *tuned(llmcache *cache, size_t count, const llmcache_tune_options *options)
{
    llmcache_error err;
    char *text;
    cr_assert_eq(llmcache_tune(cache, list, count, options, &text, &err), 0, "%s", err.message);
    json_t *report = test_json(text);
    llmcache_free(text);
    return report;
}

/* ---- The threshold --------------------------------------------------------------------------------- */

typedef struct tally {
    size_t served, wrong;
} tally;

static int count_served(void *user, const llmcache_judgement *judgement)
{
    tally *t = user;
    t->served += (size_t)judgement->served;
    t->wrong += judgement->served && list[judgement->pair].label == 0;
    return 0;
}

static tally judged(llmcache *cache, size_t count)
{
    tally t = {0, 0};
    cr_assert_eq(llmcache_judge(cache, list, count, count_served, &t, NULL), 0);
    return t;
}

Test(tune, finds_the_cosine_from_which_answers_are_right)
{
    known_pairs(MANY);
    llmcache *cache = known_cosines("0");
    const json_t *report = tuned(cache, MANY, NULL), *part = test_tune_part(report, "all");
    cr_expect_str_eq(json_string_value(json_object_get(report, "decides")), "similarity");
    cr_expect(json_is_true(json_object_get(report, "met")));
    cr_expect_eq(test_tune_number(part, "current", NULL), 0.8);
    double threshold = test_tune_number(part, "chosen", "threshold");
    cr_expect(threshold > 0.88 && threshold < 0.93, "%g", threshold);
    cr_expect_leq(test_tune_number(part, "limit", NULL), 0.01);
    cr_expect_eq(test_tune_number(part, "choosing", NULL) + test_tune_number(part, "confirming", NULL), MANY);
    cr_expect_geq(json_array_size(json_object_get(part, "curve")), 20);
    const char *set = json_string_value(json_object_get(json_object_get(report, "settings"), "threshold"));
    cr_assert_not_null(set);
    cr_expect_eq(atof(set), threshold);
    llmcache_close(cache);
    cache = known_cosines(set);
    tally after = judged(cache, MANY);
    cr_expect_lt((double)after.wrong, 0.01 * (double)after.served, "%zu of %zu", after.wrong, after.served);
    cr_expect_gt(after.served, MANY / 4);
    llmcache_close(cache);
}

Test(tune, is_the_same_every_time_and_another_with_another_seed)
{
    known_pairs(1000);
    llmcache *cache = known_cosines("0");
    llmcache_tune_options options = {.struct_size = sizeof options, .max_wrong = 0.05, .confidence = 0.9};
    json_t *first = tuned(cache, 1000, &options), *again = tuned(cache, 1000, &options);
    cr_expect(json_equal(first, again));
    options.seed = 9;
    cr_expect_not(json_equal(first, tuned(cache, 1000, &options)));
    llmcache_close(cache);
}

Test(tune, says_how_many_labels_are_missing)
{
    known_pairs(200);
    for (size_t i = 0; i < 200; i++)
        list[i].label = 1;
    llmcache *cache = known_cosines("0");
    const json_t *report = tuned(cache, 200, NULL), *part = test_tune_part(report, "all");
    cr_expect(json_is_false(json_object_get(report, "met")));
    cr_expect_eq(test_tune_number(part, "missing", "hits_needed"), 299);
    double labels = test_tune_number(part, "missing", "labels");
    cr_expect(labels > 350 && labels < 500, "%g", labels);
    cr_expect_eq(json_object_size(json_object_get(report, "settings")), 0);
    for (size_t i = 0; i < 200; i++)
        list[i].label = i % 3 == 0;
    part = test_tune_part(tuned(cache, 200, NULL), "all");
    cr_expect(json_is_null(json_object_get(json_object_get(part, "missing"), "labels")));
    llmcache_close(cache);
}

static int stop(void *user, size_t done, size_t total)
{
    ++*(size_t *)user;
    return done == 10;
}

Test(tune, what_cannot_be_tuned_is_said)
{
    llmcache_error err;
    size_t seen = 0;
    char *text;
    known_pairs(100);
    llmcache *cache = known_cosines("0");
    llmcache_tune_options options = {.struct_size = sizeof options, .progress = stop, .user = &seen};
    cr_expect_eq(llmcache_tune(cache, list, 100, &options, &text, &err), LLMCACHE_ABORTED);
    cr_expect_eq(seen, 10);
    options = (llmcache_tune_options){.struct_size = sizeof options, .max_wrong = 2};
    cr_expect_eq(llmcache_tune(cache, list, 100, &options, &text, &err), LLMCACHE_INVALID);
    options = (llmcache_tune_options){.struct_size = sizeof options, .confidence = 0.3};
    cr_expect_eq(llmcache_tune(cache, list, 100, &options, &text, &err), LLMCACHE_INVALID);
    cr_expect_eq(llmcache_tune(cache, list, 100, NULL, NULL, &err), LLMCACHE_INVALID);
    for (size_t i = 0; i < 100; i++)
        list[i].label = -1;
    cr_expect_eq(llmcache_tune(cache, list, 100, NULL, &text, &err), LLMCACHE_INVALID);
    llmcache_close(cache);
    cache = test_cache(NULL, "provider", "demo:");
    cr_expect_eq(llmcache_tune(cache, list, 100, NULL, &text, &err), LLMCACHE_UNSUPPORTED);
    llmcache_close(cache);
}

/* ---- The score ------------------------------------------------------------------------------------- */

static const char *const things[] = {"bread", "milk", "soap", "paint", "honey", "shoes", "lamps", "chairs",
                                     "stamps", "seeds", "wool", "tyres", "glue", "rice", "books", "rope",
                                     "candles", "nails", "tea", "salt", "boots", "mirrors", "pencils", "hats"};

enum { THINGS = sizeof things / sizeof *things };

static const char *const places[] = {"kitchen", "cellar", "garage", "office", "tent", "boat",
                                     "school", "library", "factory", "garden", "hotel"};

enum { PLACES = sizeof places / sizeof *places };

/* Of each thing at each place the same in other words, and something else. */
static size_t storage_pairs(void)
{
    size_t count = 0;
    for (size_t i = 0; i < THINGS * PLACES; i++) {
        const char *thing = things[i / PLACES], *place = places[i % PLACES];
        const char *asked = test_format("what is the best way to store %s in a small %s", thing, place);
        list[count++] = (llmcache_pair){.struct_size = sizeof *list,
                                        .a = asked,
                                        .b = test_format("how should one store %s in a small %s", thing, place),
                                        .label = 1,
                                        .source = i % 3 ? "one" : "two"};
        list[count++] = (llmcache_pair){.struct_size = sizeof *list,
                                        .a = asked,
                                        .b = test_format("what is a good way to sell %s from a small %s", thing, place),
                                        .label = 0,
                                        .source = i % 3 ? "one" : "two"};
    }
    return count;
}

/* Numbers that tell no pair from another: nothing is served. */
static const char *poor_numbers(void)
{
    const char *path = test_format("%s/poor.json", test_folder());
    test_write_text(path, "{\"score_weights\":1,\"made\":\"2026-01-01\",\"languages\":{\"en\":{\"labels\":1,"
                          "\"threshold\":0.5,\"bias\":0,\"weights\":{\"cos\":0,\"leftover\":0,\"number\":0,"
                          "\"negation\":0,\"negation-alike\":0,\"antonym\":0,\"name\":0,\"question\":0,"
                          "\"direction\":0}}}}");
    return path;
}

static llmcache *local(const char *weights)
{
    llmcache_error err;
    llmcache *cache = test_cache(NULL, "provider", "demo:", "embedder", "local:", "embed-timeout-ms", "60000",
                                 "score-weights", weights);
    if (test_try_embedder(cache, &err))
        cr_skip_test("%s", err.message);
    return cache;
}

Test(tune, refitted_numbers_are_taken_when_they_are_better)
{
    size_t count = storage_pairs();
    llmcache *cache = local(poor_numbers());
    tally before = judged(cache, count);
    llmcache_tune_options options = {.struct_size = sizeof options, .max_wrong = 0.2, .refit = 1};
    const json_t *report = tuned(cache, count, &options), *part = test_tune_part(report, "en");
    const json_t *refit = json_object_get(part, "refit");
    const char *refit_state = json_string_value(json_object_get(refit, "state"));
    llmcache_close(cache);
    if (strcmp(refit_state, "few-labels") == 0)
        cr_assert_fail("%zu pairs are too few", count);
    cr_assert_str_eq(refit_state, "better", "%s", test_format("%.0f labels", test_tune_number(part, "labels", NULL)));
    cr_expect_gt(test_tune_number(refit, "gain_low", NULL), 0);
    cr_expect_gt(test_tune_number(refit, "true_served_after", "rate"),
                 test_tune_number(refit, "true_served_before", "rate"));
    cr_expect_eq(test_tune_number(part, "confidence", NULL), 0.975, "two sets of numbers share the risk");
    const json_t *file = json_object_get(report, "score_weights");
    const json_t *row = json_object_get(json_object_get(file, "languages"), "en");
    cr_assert(json_is_object(row));
    cr_expect_gt(test_tune_number(row, "weights", "leftover"), 0);

    const char *path = test_format("%s/fitted.json", test_folder());
    char *text = json_dumps(file, 0);
    test_write_text(path, text);
    free(text);
    cache = local(path);
    tally after = judged(cache, count);
    cr_expect_lt((double)after.wrong, 0.2 * (double)after.served, "%zu of %zu", after.wrong, after.served);
    cr_expect_gt(after.served - after.wrong, before.served - before.wrong, "more true ones");
    llmcache_close(cache);
}

Test(tune, a_refit_needs_labels)
{
    size_t count = storage_pairs();
    llmcache *cache = local("");
    llmcache_tune_options options = {.struct_size = sizeof options, .refit = 1};
    const json_t *report = tuned(cache, count < 60 ? count : 60, &options);
    const json_t *refit = json_object_get(test_tune_part(report, "en"), "refit");
    cr_expect_str_eq(json_string_value(json_object_get(refit, "state")), "few-labels");
    cr_expect(json_is_null(json_object_get(report, "score_weights")));
    cr_expect_eq(test_tune_number(test_tune_part(report, "zh"), "labels", NULL), 0);
    llmcache_close(cache);
}

/* ---- The command ----------------------------------------------------------------------------------- */

static test_mock mock;

static test_run_result run(const char *input, const char *const more[])
{
    const char *argv[24] = {test_build_path("cli/llmcache-cli"), "tune", "-"};
    const char *const environment[] = {"LLMCACHE_STORE=memory:", "LLMCACHE_EMBEDDER=openai:m",
                                       test_format("OPENAI_BASE_URL=%s", mock.openai), "OPENAI_API_KEY=k",
                                       "LLMCACHE_EMBED_TIMEOUT_MS=60000", NULL};
    for (int i = 0; more[i]; i++)
        argv[3 + i] = more[i];
    return test_run(argv, environment, input);
}

#define tune(input, ...) run(input, (const char *const[]){__VA_ARGS__, NULL})

/* Pairs that share most of their words, all of them right. */
static const char *lines_of_pairs(size_t count)
{
    size_t used = 0, room = count * 200;
    char *text = calloc(room, 1);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, room - used,
                                 "{\"a\":\"how do i clean the %s door of my house\","
                                 "\"b\":\"how can i clean the %s door of my house\",\"label\":1}\n",
                                 word_of(i), word_of(i));
    const char *kept = test_keep(text, used);
    free(text);
    return kept;
}

Test(tune, the_command_writes_what_it_found)
{
    const char *pairs = lines_of_pairs(400);
    const char *env = test_format("%s/.env", test_folder()), *svg = test_format("%s/c.svg", test_folder());
    mock_start(&mock);
    test_write_text(env, "# mine\nexport LLMCACHE_THRESHOLD=0.5\nOTHER=1\nLLMCACHE_THRESHOLD=0.6\nLAST=x");
    cr_assert_eq(chmod(env, 0600), 0);
    test_run_result told = tune(pairs, "--max-wrong", "5%");
    cr_assert_eq(told.status, 0, "%s", told.err);
    cr_expect_not_null(strstr(told.out, "\nLLMCACHE_THRESHOLD=0."), "%s", told.out);
    cr_expect_not_null(strstr(told.out, "Confirmed: with 95 % confidence"), "%s", told.out);
    cr_expect_not_null(strstr(test_read_file(env, NULL), "=0.5\n"), "nothing was asked to be written");
    cr_expect_str_empty(told.err);

    test_run_result wrote = tune(pairs, "--max-wrong=5%", "--write", env, "--svg", svg, "--json");
    cr_assert_eq(wrote.status, 0, "%s", wrote.err);
    const json_t *report = test_json(wrote.out);
    const char *value = json_string_value(json_object_get(json_object_get(report, "settings"), "threshold"));
    cr_expect_str_eq(test_read_file(env, NULL),
                     test_format("# mine\nLLMCACHE_THRESHOLD=%s\nOTHER=1\nLAST=x\n", value));
    struct stat mode;
    cr_expect(stat(env, &mode) == 0 && (mode.st_mode & 0777) == 0600);
    const char *drawn = test_read_file(svg, NULL);
    cr_assert_not_null(drawn);
    static const char *const parts[] = {"<svg ", "hits among requests", "wrong among hits", "bound 5 %",
                                        "class=\"band\"", "chosen", "</svg>"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(drawn, parts[i]), "%s", parts[i]);

    const char *fresh = test_format("%s/new.env", test_folder());
    cr_expect_eq(tune(pairs, "--max-wrong=5%", "--write", fresh).status, 0);
    cr_expect_str_eq(test_read_file(fresh, NULL), test_format("LLMCACHE_THRESHOLD=%s\n", value));
}

Test(tune, the_commands_exit_codes)
{
    const char *env = test_format("%s/.env", test_folder());
    mock_start(&mock);
    test_run_result few = tune(lines_of_pairs(60), "--write", env);
    cr_expect_eq(few.status, 5, "%d %s", few.status, few.err);
    cr_expect_not_null(strstr(few.out, "labels more"), "%s", few.out);
    cr_expect_not(test_exists(env), "there was nothing to write");
    cr_expect_eq(tune(lines_of_pairs(60), "--max-wrong", "0").status, 2);
    cr_expect_eq(tune("nonsense\n", "--json").status, 2);
    cr_expect_eq(tune(lines_of_pairs(3), "--svg", "/nowhere/c.svg").status, 1);
    mock_behave(&mock, "{'path': '/v1/embeddings', 'status': 400}");
    cr_expect_neq(tune(lines_of_pairs(3), "--json").status, 0);
}
