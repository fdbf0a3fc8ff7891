/* One question asked at once on four servers of one store: one call, whatever becomes of its maker. */
#include "lease_fixture.h"
#include "llmcache_server.h"
#include "mock_client.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define SOON 20000

enum { SERVERS = 4, EACH = 3, MOST = SERVERS * EACH };

static const char question[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char streamed[] = "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                               "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char streamed_without_usage[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static test_mock mock;
static test_server servers[SERVERS];
static json_int_t before[SERVERS][5];

/* ---- Counting -------------------------------------------------------------------------------------- */

enum { TAKEN, WAITED, ANSWERED, TAKEN_OVER, GIVEN_UP };
static const char *const names[] = {"leases_taken", "leases_waited", "leases_answered", "leases_taken_over",
                                    "leases_given_up"};

static json_int_t read_count(int server, int which)
{
    test_reply reply = test_server_get(&servers[server], "/metrics/json");
    json_t *root = test_json(reply.body);
    json_t *value = json_object_get(root, names[which]);
    cr_assert(json_is_integer(value), "%s: %s", names[which], reply.body);
    return json_integer_value(value);
}

/* Of all servers that live, since the last mark. */
static json_int_t count_of(int which)
{
    json_int_t sum = 0;
    for (int i = 0; i < SERVERS; i++)
        if (test_running(&servers[i].process))
            sum += read_count(i, which) - before[i][which];
    return sum;
}

static void mark(void)
{
    for (int i = 0; i < SERVERS; i++)
        for (int which = 0; which < 5; which++)
            before[i][which] = read_count(i, which);
}

/* ---- Servers --------------------------------------------------------------------------------------- */

/* Leases are taken once the store's reports are heard. */
static int takes_leases(int server)
{
    static int number;
    const char *body = test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%d\"}]}", ++number);
    test_server_post(&servers[server], CHAT, body);
    return read_count(server, TAKEN) > 0;
}

static void start_servers(const char *lease_ms)
{
    const char *uri = fixture.start();
    if (!uri)
        cr_skip_test("%s is not available here", fixture.name);
    mock_start(&mock);
    for (int i = 0; i < SERVERS; i++)
        test_server_start(&servers[i],
                          (const char *const[]){"--store", uri, "--lease-ms", lease_ms, "--store-timeout-ms", "10000",
                                                "--store-write-timeout-ms", "10000", "--provider", "openai:",
                                                "--openai-base-url", mock.openai, "--openai-api-key", "sk-test", NULL},
                          NULL);
    for (int i = 0; i < SERVERS && strcmp(lease_ms, "0"); i++)
        cr_assert(test_wait_until(takes_leases(i), SOON), "server %d takes no leases", i);
    mock_reset(&mock);
    mark();
}

/* ---- Askers ---------------------------------------------------------------------------------------- */

typedef struct asker {
    pthread_t thread;
    int server;
    const char *body, *header;
    test_reply reply;
} asker;

static void *ask(void *user)
{
    asker *a = user;
    const char *const headers[] = {a->header, NULL};
    a->reply = test_server_send(&servers[a->server], "POST", CHAT, headers, a->body);
    return NULL;
}

static void set_out(asker *askers, int from, int to)
{
    for (int i = from; i < to; i++)
        cr_assert_eq(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
}

static void come_back(asker *askers, int from, int to)
{
    for (int i = from; i < to; i++)
        pthread_join(askers[i].thread, NULL);
}

static void crowd(asker *askers, int count, const char *body)
{
    memset(askers, 0, (size_t)count * sizeof *askers);
    for (int i = 0; i < count; i++) {
        askers[i].server = i % SERVERS;
        askers[i].body = body;
    }
}

/* The first asks, and when its call has come the others do; until all other servers wait. */
static void gather(asker *askers, int count)
{
    set_out(askers, 0, 1);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == 1, SOON));
    set_out(askers, 1, count);
    cr_assert(test_wait_until(count_of(WAITED) == SERVERS - 1, SOON), "%d wait", (int)count_of(WAITED));
    cr_assert_eq(mock_calls(&mock, NULL), 1);
}

static int answered_by(const asker *a, const char *source)
{
    const char *value = test_header(&a->reply, "X-LLMCache-Source");
    return value && strcmp(value, source) == 0;
}

static void expect_all(const asker *askers, int from, int to, int status)
{
    for (int i = from; i < to; i++)
        cr_assert_eq(askers[i].reply.status, status, "%d: curl %d, %d %s", i, askers[i].reply.curl,
                     askers[i].reply.status, askers[i].reply.body);
}

/* ---- Tests ----------------------------------------------------------------------------------------- */

static void end(void)
{
    if (fixture.end)
        fixture.end();
}

TestSuite(leases, .timeout = 120, .fini = end);

Test(leases, a_question_on_four_servers_is_one_call)
{
    asker askers[MOST];
    start_servers("60000");
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, MOST, question);
    gather(askers, MOST);
    mock_release(&mock);
    come_back(askers, 0, MOST);
    expect_all(askers, 0, MOST, 200);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    cr_assert(answered_by(&askers[0], "model"));
    for (int i = 0; i < MOST; i++)
        cr_assert_str_eq(askers[i].reply.body, askers[0].reply.body);
    for (int i = 1; i < MOST; i++) /* who came a little later finds it kept */
        cr_assert(answered_by(&askers[i], "shared") || answered_by(&askers[i], "exact"), "%d", i);
    cr_assert_eq(count_of(ANSWERED), SERVERS - 1);
    cr_assert_eq(count_of(GIVEN_UP) + count_of(TAKEN_OVER), 0);
}

Test(leases, all_at_once_without_anybody_first)
{
    asker askers[MOST];
    start_servers("60000");
    for (int round = 0; round < 20; round++) {
        const char *body =
            test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"round %d\"}]}", round);
        crowd(askers, MOST, body);
        set_out(askers, 0, MOST);
        come_back(askers, 0, MOST);
        expect_all(askers, 0, MOST, 200);
        cr_assert_eq(mock_calls(&mock, NULL), round + 1);
    }
}

Test(leases, streams_are_replayed_to_who_waited)
{
    asker askers[MOST];
    start_servers("60000");
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, MOST, streamed);
    gather(askers, MOST);
    mock_release(&mock);
    come_back(askers, 0, MOST);
    expect_all(askers, 0, MOST, 200);
    for (int i = 0; i < MOST; i++)
        cr_assert(strstr(askers[i].reply.body, "data: [DONE]"), "%s", askers[i].reply.body);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
}

/* Its answer will not do for them, so nobody waits for it. */
Test(leases, who_needs_usage_does_not_wait_for_a_stream_without)
{
    asker askers[2];
    start_servers("60000");
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, 2, streamed_without_usage);
    askers[1].body = question;
    set_out(askers, 0, 1);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == 1, SOON));
    set_out(askers, 1, 2);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == 2, SOON));
    mock_release(&mock);
    come_back(askers, 0, 2);
    expect_all(askers, 0, 2, 200);
    cr_assert(strstr(askers[1].reply.body, "\"usage\""));
    cr_assert_eq(count_of(WAITED), 0);
}

Test(leases, a_call_may_take_longer_than_a_lease)
{
    asker askers[SERVERS];
    start_servers("2000"); /* renewed long before, on a busy machine too */
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, SERVERS, question);
    gather(askers, SERVERS);
    cr_assert_not(test_wait_until(mock_calls(&mock, NULL) > 1, 4000), "somebody did not wait");
    mock_release(&mock);
    come_back(askers, 0, SERVERS);
    expect_all(askers, 0, SERVERS, 200);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    cr_assert_eq(count_of(ANSWERED), SERVERS - 1);
}

Test(leases, one_takes_the_place_of_a_server_that_dies)
{
    asker askers[MOST];
    start_servers("3000");
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, MOST, question);
    gather(askers, MOST);
    test_kill(&servers[0].process);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == 2, SOON), "nobody takes over");
    cr_assert_eq(count_of(TAKEN_OVER), 1);
    mock_release(&mock);
    come_back(askers, 0, MOST);
    cr_assert_eq(mock_calls(&mock, NULL), 2);
    int model = 0;
    for (int i = 0; i < MOST; i++) {
        if (askers[i].server == 0)
            continue;
        cr_assert_eq(askers[i].reply.status, 200);
        cr_assert(strstr(askers[i].reply.body, "\"choices\""));
        model += answered_by(&askers[i], "model");
    }
    cr_assert_eq(model, 1);
    cr_assert_eq(count_of(ANSWERED), SERVERS - 2);
    cr_assert_eq(count_of(GIVEN_UP), 0);
}

/* Each server of those that wait asks by itself, all of them at once: the mock holds them all. */
static void expect_own_calls(const char *rule, int status)
{
    asker askers[SERVERS];
    start_servers("60000");
    mock_behave(&mock, "%s", rule);
    crowd(askers, SERVERS, question);
    gather(askers, SERVERS);
    mock_release(&mock);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == SERVERS, SOON), "%d calls", mock_calls(&mock, NULL));
    mock_release(&mock);
    come_back(askers, 0, SERVERS);
    expect_all(askers, 0, SERVERS, status);
    cr_assert_eq(mock_calls(&mock, NULL), SERVERS);
    cr_assert_eq(count_of(GIVEN_UP), SERVERS - 1);
}

Test(leases, after_an_error_all_ask_by_themselves_at_once)
{
    expect_own_calls("{'hold': true, 'status': 500}", 500);
}

Test(leases, after_an_answer_that_is_not_kept_too)
{
    expect_own_calls("{'hold': true, 'finish': 'length'}", 200);
}

/* Waiting for a store that is gone is over at once; none is left to hang. */
static void lose_the_store(void (*lose)(void))
{
    asker askers[SERVERS];
    if (!lose)
        cr_skip_test("%s cannot be lost", fixture.name);
    start_servers("60000");
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, SERVERS, question);
    gather(askers, SERVERS);
    lose();
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == SERVERS, SOON), "%d calls", mock_calls(&mock, NULL));
    mock_release(&mock);
    come_back(askers, 0, SERVERS);
    expect_all(askers, 0, SERVERS, 200);
    cr_assert_eq(mock_calls(&mock, NULL), SERVERS);
}

Test(leases, a_killed_store_lets_all_go_on)
{
    lose_the_store(fixture.kill);
}

Test(leases, a_store_that_hangs_does_too)
{
    lose_the_store(fixture.pause);
}

Test(leases, who_may_not_use_the_answer_does_not_wait_for_it)
{
    static const char *const headers[] = {"Cache-Control: no-store", "Cache-Control: no-cache",
                                          "Authorization: Bearer sk-another"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        asker askers[2];
        if (i == 0)
            start_servers("60000");
        mock_reset(&mock);
        mark();
        mock_behave(&mock, "{'hold': true}");
        const char *body =
            test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"case %zu\"}]}", i);
        crowd(askers, 2, body);
        askers[1].header = headers[i];
        set_out(askers, 0, 1);
        cr_assert(test_wait_until(mock_calls(&mock, NULL) == 1, SOON));
        set_out(askers, 1, 2);
        cr_assert(test_wait_until(mock_calls(&mock, NULL) == 2, SOON), "%s", headers[i]);
        mock_release(&mock);
        come_back(askers, 0, 2);
        expect_all(askers, 0, 2, 200);
        cr_assert_eq(count_of(WAITED), 0);
    }
}

Test(leases, can_be_switched_off)
{
    asker askers[SERVERS];
    start_servers("0");
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, SERVERS, question);
    set_out(askers, 0, SERVERS);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == SERVERS, SOON));
    mock_release(&mock);
    come_back(askers, 0, SERVERS);
    expect_all(askers, 0, SERVERS, 200);
    cr_assert_eq(count_of(TAKEN) + count_of(WAITED), 0);
}
