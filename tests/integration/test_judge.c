/*
 * Judged pairs against real asks: b is asked and kept, then a is asked, in a namespace of the pair's own; what
 * llmcache_judge said must be what happened, to the last digit of the similarity.
 */
#include "report_reader.h"
#include "test_cache.h"

#include <criterion/criterion.h>
#include <llmcache/tune.h>
#include <string.h>

TestSuite(judge, .timeout = 120);

static const char *const pairs[][2] = {
    {"How do I reset my router?", "How can I reset my router?"},
    {"How do I reset my router?", "How do I reset my router?"},
    {"  How do I reset my router? ", "How do I reset my router?"},
    {"how do I reset my router", "How do I reset my router?"},
    {"Ｈow do I reset my router?", "How do I reset my router?"},
    {"Please can you tell me how I reset my router?", "How do I reset my router?"},
    {"How do I lock the front door?", "How do I unlock the front door?"},
    {"What does a return ticket to Leeds cost?", "How much is a return ticket to Leeds?"},
    {"Trains from Leeds to York", "Trains from York to Leeds"},
    {"Bake bread for 4 people", "Bake bread for 6 people"},
    {"Why is the sky blue?", "What makes the sky blue?"},
    {"Why is the sky blue?", "When is the sky blue?"},
    {"Is it safe to swim after eating?", "Is it not safe to swim after eating?"},
    {"What is the weather today?", "How is the weather today?"},
    {"What is the weather like in June?", "What is the latest on the weather in June?"},
    {"What is the latest news?", "What is the latest news?"},
    {"Translate 'cat' into French", "Translate 'cat' into German"},
    {"Who wrote Emma?", "Which author wrote Emma?"},
    {"怎麼煮白飯？", "白飯要怎麼煮？"},
    {"怎麼煮白飯？", "請問怎麼煮白飯？"},
    {"怎麼煮白飯？", "怎么煮白饭？"},
    {"如何打開藍牙？", "如何關閉藍牙？"},
    {"從台北到高雄的高鐵要多久？", "從高雄到台北的高鐵要多久？"},
    {"三個人的機票多少錢？", "兩個人的機票多少錢？"},
    {"為什麼貓會呼嚕？", "貓呼嚕的原因是什麼？"},
    {"今天股市如何？", "股市如何？"},
    {"股市如何？", "今天股市如何？"},
    {"什麼是資料庫索引？", "請解釋資料庫索引"},
    {"什麼是資料庫索引？", "資料庫索引怎麼刪除？"},
    {"What is a database index?", "什麼是資料庫索引？"},
    {"可以用信用卡付款嗎？", "不可以用信用卡付款嗎？"},
    {"🙂", "🙃"},
    {"？", "什麼？"},
};

enum { COUNT = sizeof pairs / sizeof *pairs };

typedef struct judged {
    int served;
    llmcache_source source;
    double similarity;
    char why[32];
} judged;

static judged results[COUNT + 1];
static size_t seen;

static int keep(void *user, const llmcache_judgement *judgement)
{
    cr_assert_eq(judgement->pair, seen, "in their order");
    judged *to = &results[seen++];
    *to = (judged){judgement->served, judgement->source, judgement->similarity, ""};
    snprintf(to->why, sizeof to->why, "%s", judgement->why);
    cr_expect_eq(judgement->served, !*judgement->why, "%zu: %s", judgement->pair, judgement->why);
    return 0;
}

static void judge_all(llmcache *cache)
{
    llmcache_pair list[COUNT];
    llmcache_error err;
    for (size_t i = 0; i < COUNT; i++)
        list[i] = (llmcache_pair){.struct_size = sizeof *list, .a = pairs[i][0], .b = pairs[i][1], .label = -1};
    seen = 0;
    cr_assert_eq(llmcache_judge(cache, list, COUNT, keep, NULL, &err), 0, "%s", err.message);
    cr_assert_eq(seen, COUNT);
}

/* How many of each source there were. */
static void compare_with_asks(llmcache *cache, int counts[3])
{
    judge_all(cache);
    for (size_t i = 0; i < COUNT; i++) {
        llmcache_ask_options options = {.struct_size = sizeof options,
                                        .space = test_format("pair-%zu", i)};
        llmcache_answer_free(test_ask(cache, pairs[i][1], &options));
        llmcache_answer *answer = test_ask(cache, pairs[i][0], &options);
        llmcache_source source = llmcache_answer_source(answer);
        cr_expect_eq(results[i].source, source, "%s | %s: judged %s (%s), was %s", pairs[i][0], pairs[i][1],
                     llmcache_source_name(results[i].source), results[i].why,
                     llmcache_answer_source_name(answer));
        cr_expect_eq(results[i].served, source != LLMCACHE_SOURCE_MODEL);
        if (source != LLMCACHE_SOURCE_MODEL)
            cr_expect_eq(results[i].similarity, llmcache_answer_similarity(answer), "%s", pairs[i][0]);
        counts[source]++;
        llmcache_answer_free(answer);
    }
}

Test(judge, says_what_an_ask_would_do_with_remote_vectors)
{
    test_mock mock;
    int counts[3] = {0};
    mock_start(&mock);
    llmcache *cache = test_cache(&mock, "threshold", "0.6");
    mock_behave(&mock, "{'pairs': [['%s', '%s', 0.6]]}", pairs[0][0], pairs[0][1]);
    compare_with_asks(cache, counts);
    cr_expect_geq(counts[LLMCACHE_SOURCE_SEMANTIC], 5);
    cr_expect_geq(counts[LLMCACHE_SOURCE_MODEL], 5);
    cr_expect_geq(counts[LLMCACHE_SOURCE_EXACT], 2);
    llmcache_close(cache);
}

/* With the encoder and its score, where its model is. */
static void compare_locally(const char *threshold)
{
    int counts[3] = {0};
    llmcache_error err;
    llmcache *cache = test_cache(NULL, "provider", "demo:", "demo-latency-ms", "0", "embedder", "local:",
                                 "threshold", threshold, "embed-timeout-ms", "60000");
    if (test_try_embedder(cache, &err))
        cr_skip_test("%s", err.message);
    compare_with_asks(cache, counts);
    cr_expect_geq(counts[LLMCACHE_SOURCE_SEMANTIC], 5);
    cr_expect_geq(counts[LLMCACHE_SOURCE_MODEL], 5);
    llmcache_close(cache);
}

Test(judge, says_what_an_ask_would_do_with_the_local_encoder)
{
    compare_locally("0");
}

Test(judge, says_what_an_ask_would_do_with_a_threshold_that_was_set)
{
    compare_locally("0.9");
}

Test(judge, exact_only_means_exact_only)
{
    int counts[3] = {0};
    llmcache *cache = test_cache(NULL, "provider", "demo:", "demo-latency-ms", "0");
    compare_with_asks(cache, counts);
    cr_expect_eq(counts[LLMCACHE_SOURCE_SEMANTIC], 0);
    cr_expect_str_eq(results[0].why, "no-embedder");
    llmcache_close(cache);
}

Test(judge, a_long_list_goes_through_in_few_calls)
{
    test_mock mock;
    mock_start(&mock);
    llmcache *cache = test_cache(&mock, "threshold", "0.6");
    judge_all(cache);
    cr_expect_leq(mock_calls(&mock, "/v1/embeddings"), 3, "%d", mock_calls(&mock, "/v1/embeddings"));
    cr_expect_eq(test_counters(cache).stored, 0);
    cr_expect_eq(test_counters(cache).requests, 0);
    cr_expect_eq(test_counters(cache).rejected, 0);
    llmcache_close(cache);
}

static int stop(void *user, const llmcache_judgement *judgement)
{
    return 1;
}

Test(judge, what_cannot_be_judged_is_said)
{
    llmcache_error err;
    test_mock mock;
    mock_start(&mock);
    llmcache *cache = test_cache(&mock, "max-question-bytes", "64");
    llmcache_pair list[] = {{.struct_size = sizeof *list, .a = "one", .b = "two", .label = 1},
                            {.struct_size = sizeof *list, .a = "one", .b = " ", .label = 1}};
    cr_expect_eq(llmcache_judge(cache, list, 2, keep, NULL, &err), LLMCACHE_INVALID);
    cr_expect_not_null(strstr(err.message, "pair 2, b"), "%s", err.message);
    cr_expect_eq(llmcache_judge(NULL, list, 1, keep, NULL, &err), LLMCACHE_INVALID);
    cr_expect_eq(llmcache_judge(cache, list, 1, stop, NULL, &err), LLMCACHE_ABORTED);
    cr_expect_eq(llmcache_judge(cache, NULL, 0, keep, NULL, &err), 0);
    mock_behave(&mock, "{'path': '/v1/embeddings', 'status': 400}");
    cr_expect_lt(llmcache_judge(cache, list, 1, keep, NULL, &err), 0, "a failing embedder is no verdict");
    llmcache_close(cache);
}

/* ---- The command ---------------------------------------------------------------------------------- */

static test_run_result run_judge(const char *input, const char *flag)
{
    const char *const argv[] = {test_build_path("cli/llmcache-cli"), "judge", "-", flag, NULL};
    const char *const environment[] = {"LLMCACHE_STORE=memory:", "LLMCACHE_EMBEDDER=none",
                                       "LLMCACHE_PROVIDER=demo:", NULL};
    return test_run(argv, environment, input);
}

static double rate(const json_t *totals, const char *name, const char *what)
{
    return json_number_value(json_object_get(json_object_get(totals, name), what));
}

Test(judge, the_command_prints_a_line_a_pair_and_the_totals)
{
    test_run_result result =
        run_judge("{\"a\":\"one\",\"b\":\"one\",\"label\":1,\"set\":\"s\",\"kind\":\"k\"}\n\n"
                  "{\"a\":\"two\",\"b\":\"two\",\"label\":0,\"source\":\"s\"}\n"
                  "{\"a\":\"two\",\"b\":\"three\",\"label\":true}\n"
                  "{\"a\":\"四\",\"b\":\"四\"}\n",
                  "--json");
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert_eq(test_count(result.out, "\n"), 5, "%s", result.out);
    const json_t *first = test_json(test_keep(result.out, strcspn(result.out, "\n")));
    cr_expect(json_is_true(json_object_get(first, "served")));
    cr_expect_eq(json_number_value(json_object_get(first, "similarity")), 1);
    cr_expect_eq(json_integer_value(json_object_get(first, "label")), 1);
    const json_t *totals = json_object_get(test_json(strstr(result.out, "{\"totals\"")), "totals");
    cr_expect_eq(json_integer_value(json_object_get(totals, "pairs")), 4);
    cr_expect_eq(json_integer_value(json_object_get(totals, "hits")), 3);
    cr_expect_eq(json_integer_value(json_object_get(totals, "wrong")), 1);
    cr_expect_float_eq(rate(totals, "wrong_among_hits", "rate"), 0.5, 1e-12);
    cr_expect_float_eq(rate(totals, "wrong_among_hits", "low"), 0.0125791, 1e-6);
    cr_expect_float_eq(rate(totals, "true_served", "rate"), 0.5, 1e-12);
    cr_expect_eq(json_array_size(json_object_get(totals, "groups")), 2);
}

Test(judge, the_command_names_the_line_it_cannot_read)
{
    static const struct {
        const char *line, *said;
    } rows[] = {{"{\"a\":\"x\",\"b\":", "not JSON"},
                {"[1]", "no JSON object"},
                {"{\"a\":\"x\"}", "\"a\" and \"b\""},
                {"{\"a\":\"x\",\"b\":7}", "\"a\" and \"b\""},
                {"{\"a\":\"x\",\"b\":\" \"}", "blank"},
                {"{\"a\":\"x\",\"b\":\"y\",\"label\":2}", "\"label\""},
                {"{\"a\":\"x\",\"b\":\"y\",\"label\":\"yes\"}", "\"label\""},
                {"{\"a\":\"x\",\"a\":\"z\",\"b\":\"y\"}", "not JSON"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_run_result result =
            run_judge(test_format("{\"a\":\"x\",\"b\":\"y\"}\n\n%s\n", rows[i].line), "--totals");
        cr_expect_eq(result.status, 2, "%s", rows[i].line);
        cr_expect_not_null(strstr(result.err, "line 3"), "%s", result.err);
        cr_expect_not_null(strstr(result.err, rows[i].said), "%s", result.err);
        cr_expect_str_empty(result.out);
    }
    cr_expect_eq(run_judge("\n", "--json").status, 2);
    cr_expect_eq(run_judge("{\"a\":\"x\",\"b\":\"y\"}", "--confidence=2").status, 2);
}
