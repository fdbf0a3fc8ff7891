#include "kept_true_world.h"

#include "llmcache_server.h"
#include "mock_client.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAKEN_IN_MS = 60000, ASK_MS = 20000 };

static const char *const wordings[BOOK_WORDINGS] = {"How does the cache of shop %d work?",
                                                    "In what way does the cache of shop %d work?"};

static test_mock mock;
static test_server servers[KEPT_SERVERS];
static atomic_int ports[KEPT_SERVERS], frozen[KEPT_SERVERS];
static atomic_int first_topic, own_numbers;

/* ---- Dice ------------------------------------------------------------------------------------------ */

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void hand_init(hand *h, uint64_t seed)
{
    *h = (hand){test_http_new(), seed};
}

void hand_done(hand *h)
{
    test_http_free(h->http);
}

int hand_below(hand *h, int limit)
{
    return (int)(next(&h->random) % (uint64_t)limit);
}

/* ---- Servers --------------------------------------------------------------------------------------- */

void world_start_server(int server)
{
    const char *flags[] = {"--store", kept_engine_here.uri(server), "--provider", "openai:",
                           "--openai-base-url", mock.openai, "--openai-api-key", "sk-kept-true",
                           "--embedder", "openai:text-embedding-3-small", "--threshold", "0.95",
                           "--max-connections", "64", "--access-log", "", "--index",
                           kept_engine_here.index ? kept_engine_here.index : "flat:", NULL};
    test_server_start(&servers[server], flags, NULL);
    atomic_store(&ports[server], servers[server].port);
}

void world_start(void)
{
    mock_start(&mock);
    mock_behave(&mock, "{'unique': true}");
    kept_engine_here.start();
    for (int i = 0; i < KEPT_SERVERS; i++)
        world_start_server(i);
    atomic_store(&first_topic, MARKERS - TOPICS_AT_ONCE);
    world_new_topics();
}

void world_kill_server(int server)
{
    atomic_store(&ports[server], 0);
    test_kill(&servers[server].process);
}

void world_freeze(int server)
{
    atomic_store(&frozen[server], 1);
    test_signal(&servers[server].process, SIGSTOP);
}

void world_thaw(int server)
{
    test_signal(&servers[server].process, SIGCONT);
    atomic_store(&frozen[server], 0);
}

int world_is_frozen(int server)
{
    return atomic_load(&frozen[server]);
}

/* ---- Topics ---------------------------------------------------------------------------------------- */

static void question_of(int topic, int wording, char *out, size_t room)
{
    char form[96];
    snprintf(form, sizeof form, "%s", wordings[wording]);
    snprintf(out, room, form, topic);
}

void world_new_topics(void)
{
    int first = atomic_load(&first_topic) + TOPICS_AT_ONCE;
    const char *pairs = "";
    if (first + TOPICS_AT_ONCE > BOOK_TOPICS)
        test_give_up("the run is too long: no topics are left");
    for (int i = 0; i < TOPICS_AT_ONCE; i++) {
        char a[96], b[96];
        question_of(first + i, 0, a, sizeof a);
        question_of(first + i, 1, b, sizeof b);
        pairs = test_format("%s%s['%s', '%s', 0.97]", pairs, i ? ", " : "", a, b);
    }
    mock_behave(&mock, "{'pairs': [%s]}", pairs);
    atomic_store(&first_topic, first);
}

int world_topic(int which)
{
    return atomic_load(&first_topic) + which;
}

/* ---- Requests -------------------------------------------------------------------------------------- */

/* The reply's JSON, NULL when there is none; the caller drops it. */
static json_t *call(hand *h, int server, const char *method, const char *path, const char *body, int *status)
{
    char url[256];
    int port = atomic_load(&ports[server]);
    *status = 0;
    if (!port)
        return NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    test_reply reply = test_http_send(
        h->http, &(test_request){.method = method, .url = url, .body = body, .timeout_ms = ASK_MS});
    json_t *root = NULL;
    if (!reply.curl) {
        *status = reply.status;
        root = json_loadb(reply.body, reply.size, 0, NULL);
    }
    test_reply_done(&reply);
    return root;
}

static const char *text_at(const json_t *root, const char *name)
{
    const char *text = json_string_value(json_object_get(root, name));
    return text ? text : "";
}

static int source_of(const char *name)
{
    static const char *const names[] = {"model", "exact", "semantic", "shared"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    test_give_up("an answer from \"%s\"", name);
}

/* Which wording of which topic is it? */
static int read_question(const char *question, int *wording)
{
    for (int w = 0; w < BOOK_WORDINGS; w++) {
        int topic = -1, end = 0;
        char form[96];
        snprintf(form, sizeof form, "%s%%n", wordings[w]);
        if (sscanf(question, form, &topic, &end) == 1 && end && !question[end]) {
            *wording = w;
            return topic;
        }
    }
    return -1;
}

static void read_answer(const json_t *root, int topic, said *out)
{
    const char *text = text_at(root, "answer"), *number = strstr(text, "(call ");
    if (!number || read_question(text_at(root, "question"), &out->wording) != topic)
        test_give_up("a strange answer for topic %d: \"%s\" to \"%s\"", topic, text, text_at(root, "question"));
    out->answer = atoi(number + 6);
    out->from = source_of(text_at(root, "source"));
    out->stored = json_is_true(json_object_get(root, "stored"));
    snprintf(out->id, sizeof out->id, "%s", text_at(root, "id"));
}

said world_ask(hand *h, int server, int topic, int wording, const char *more, int calm)
{
    char question[96], body[512];
    said out = {.begun_us = test_now_us()};
    const char *ttl = strstr(more, "\"ttl\":");
    question_of(topic, wording, question, sizeof question);
    snprintf(body, sizeof body, "{\"question\":\"%s\"%s}", question, more);
    json_t *root = call(h, server, "POST", "/ask", body, &out.status);
    out.ended_us = test_now_us();
    if (root && out.status == 200) {
        read_answer(root, topic, &out);
        int kept = out.from == BOOK_FROM_EXACT || out.from == BOOK_FROM_SEMANTIC || out.stored;
        double expires_us = ttl && out.from == BOOK_FROM_MODEL ? out.ended_us + atof(ttl + 6) * 1e6 : 0;
        book_served(&(book_serve){.begun_us = out.begun_us, .ended_us = out.ended_us, .answer = out.answer,
                                  .topic = topic, .wording = wording, .made_for = out.wording,
                                  .from = out.from, .server = server, .calm = calm},
                    kept ? out.ended_us : 0, expires_us);
    }
    json_decref(root);
    return out;
}

/* ---- Removals -------------------------------------------------------------------------------------- */

static int note(int acknowledged, double begun_us, int topic, int wording, int parts, const char *how)
{
    if (acknowledged)
        book_removed(&(book_removal){begun_us, test_now_us(), topic, wording, parts, how});
    return acknowledged;
}

static int64_t number_in(json_t *take_root, const char *name)
{
    int64_t number = json_integer_value(json_object_get(take_root, name));
    json_decref(take_root);
    return number;
}

int world_delete(hand *h, int server, int topic, int wording, const char *id)
{
    char path[96];
    int status;
    double begun_us = test_now_us();
    snprintf(path, sizeof path, "/cache/entries/%s", id);
    json_decref(call(h, server, "DELETE", path, NULL, &status));
    return note(status == 200, begun_us, topic, wording, BOOK_BOTH, "deleted by id");
}

int world_purge_topic(hand *h, int server, int topic)
{
    char body[96];
    int status;
    double begun_us = test_now_us();
    snprintf(body, sizeof body, "{\"contains\":\"shop %d work\"}", topic);
    json_decref(call(h, server, "POST", "/cache/purge", body, &status));
    return note(status == 200, begun_us, topic, -1, BOOK_BOTH, "purged by a condition");
}

int world_purge_all(hand *h, int server)
{
    int status;
    double begun_us = test_now_us();
    json_decref(call(h, server, "POST", "/cache/purge", "{\"all\":true}", &status));
    return note(status == 200, begun_us, -1, -1, BOOK_BOTH, "all purged");
}

int world_feedback(hand *h, int server, int topic, int wording, const said *wrong)
{
    char question[96], body[512];
    int status;
    double begun_us = test_now_us();
    question_of(topic, wording, question, sizeof question);
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"verdict\":\"wrong\",\"question\":\"%s\"}", wrong->id, question);
    json_t *root = call(h, server, "POST", "/cache/feedback", body, &status);
    if (number_in(root, "pairs") > 0 && status == 200)
        book_wrong_pair(topic, begun_us, test_now_us());
    return note(status == 200, begun_us, topic, wrong->wording, BOOK_BOTH, "called wrong");
}

int world_remove_by_hand(hand *h, int topic, int wording, const char *id, int parts)
{
    (void)h;
    double begun_us = test_now_us();
    return note(kept_engine_here.remove(id, parts), begun_us, topic, wording, parts, "removed by hand");
}

int world_remove_all_by_hand(hand *h)
{
    (void)h;
    double begun_us = test_now_us();
    int done = kept_engine_here.remove_all();
    if (kept_engine_here.takes_pairs)
        book_pairs_gone(begun_us, test_now_us());
    return note(done, begun_us, -1, -1, BOOK_BOTH, "all removed by hand");
}

int world_overwrite(hand *h, int topic, int wording, const char *id)
{
    (void)h;
    double begun_us = test_now_us();
    int number = WORLD_FIRST_OWN_NUMBER + atomic_fetch_add(&own_numbers, 1);
    if (!kept_engine_here.overwrite(id, number))
        return 0;
    book_written(number, topic, wording, test_now_us());
    return note(1, begun_us, topic, wording, BOOK_EXACT, "overwritten by hand");
}

int kept_is_calm(void)
{
    const char *calm = getenv("LLMCACHE_KEPT_CALM");
    return calm && *calm;
}

char *kept_renumbered(const char *text, int number)
{
    const char *at = strstr(text, "(call "), *end = at ? strchr(at, ')') : NULL;
    size_t room = strlen(text) + 32;
    char *changed = end ? malloc(room) : NULL;
    if (changed)
        snprintf(changed, room, "%.*s(call %d%s", (int)(at - text), text, number, end);
    return changed;
}

/* ---- The barrier ----------------------------------------------------------------------------------- */

static const char exactly_kept[] = ",\"only_cached\":true,\"exact\":true";

/* 1 when this server has the marker's newest answer. */
static int has_marker(hand *h, int server, int marker, int answer)
{
    said s = world_ask(h, server, marker, 0, exactly_kept, 0);
    return s.status == 200 && s.answer == answer;
}

static int lacks_marker(hand *h, int server, int marker)
{
    return world_ask(h, server, marker, 0, exactly_kept, 0).status == 404;
}

/* A server that died by itself would go unnoticed. */
static void expect_all_run(void)
{
    for (int i = 0; i < KEPT_SERVERS; i++)
        if (!test_running(&servers[i].process))
            test_give_up("server %d has died, %d: %s", i, servers[i].process.status,
                         test_read_file(servers[i].process.log, NULL));
}

/* A new marker, seen by all. */
static said place_marker(hand *h, int marker)
{
    said made = {0};
    if (!test_wait_until((made = world_ask(h, marker % KEPT_SERVERS, marker, 0, ",\"no_cache\":true,\"exact\":true", 0))
                                 .stored, TAKEN_IN_MS))
        test_give_up("no marker can be kept: %d", made.status);
    for (int i = 0; i < KEPT_SERVERS; i++)
        if (!test_wait_until(has_marker(h, i, marker, made.answer), TAKEN_IN_MS))
            test_give_up("server %d does not see a new answer", i);
    return made;
}

void world_barrier(hand *h)
{
    expect_all_run();
    for (int marker = 0; marker < MARKERS; marker++) {
        said made = place_marker(h, marker);
        if (!test_wait_until(world_remove_by_hand(h, marker, 0, made.id, BOOK_EXACT), TAKEN_IN_MS))
            test_give_up("a marker cannot be removed by hand");
        for (int i = 0; i < KEPT_SERVERS; i++)
            if (!test_wait_until(lacks_marker(h, i, marker), TAKEN_IN_MS))
                test_give_up("server %d does not see that an answer was removed", i);
    }
}
