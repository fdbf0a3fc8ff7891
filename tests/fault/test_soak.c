/*
 * A minute of everything at once: 200 clients over connections kept alive, streams and wholes of three protocols and
 * three callers, a model that fails in every way the mock knows, clients that leave midway. Nothing may hang, no
 * reply may be whole and wrong, and what is in the store afterwards must be what the model says when it is well.
 *
 *     LLMCACHE_SOAK_SECONDS=3600 LLMCACHE_SOAK_SEED=7 build/tests/fault-soak
 *
 * The seed decides what every client does and how the mock misbehaves; threads decide the rest.
 */
#include "llmcache_server.h"
#include "mock_client.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEASURES_MEMORY 0 /* a sanitizer's own memory says nothing of ours */
#else
#define MEASURES_MEMORY 1
#endif

enum {
    CLIENTS = 200,
    TENANTS = 3,
    QUESTIONS = 80,
    PROTOCOLS = 3,
    PATIENCE_MS = 60000 /* whoever waits as long has been forgotten */
};

static const struct protocol {
    const char *name, *path, *form;
} protocols[PROTOCOLS] = {
    {"chat", "/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]"},
    {"messages", "/v1/messages", "\"max_tokens\":500,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]"},
    {"responses", "/v1/responses", "\"input\":\"%s\""},
};

/* What the mock does to a call, each with its chance; all tell whose key the call carried. */
static const char *const troubles[] = {
    "'chance': 0.999, 'path': '/v1/embeddings'", /* after a failure the cache does without for a while */
    "'chance': 0.01, 'status': 500",
    "'chance': 0.01, 'status': 429, 'headers': {'Retry-After': '1'}",
    "'chance': 0.01, 'status': 529",
    "'chance': 0.01, 'drop': true",
    "'chance': 0.01, 'reset': true",
    "'chance': 0.005, 'hang': true",
    "'chance': 0.02, 'cut_after_events': 3",
    "'chance': 0.02, 'cut_after_events': 5, 'reset': true",
    "'chance': 0.02, 'cut_after_bytes': 120",
    "'chance': 0.02, 'cut_after_events': 4, 'cut_clean': true",
    "'chance': 0.02, 'no_done': true",
    "'chance': 0.02, 'no_last_blank': true",
    "'chance': 0.01, 'stall_after_events': 2",
    "'chance': 0.01, 'stall_after_bytes': 60",
    "'chance': 0.02, 'error_after_events': 3",
    "'chance': 0.02, 'garbage': 200",
    "'chance': 0.01, 'body': 'no JSON at all'",
    "'chance': 0.03, 'path': '/v1/chat', 'finish': 'length'",
    "'chance': 0.03, 'path': '/v1/chat', 'finish': 'content_filter'",
    "'chance': 0.03, 'path': '/v1/messages', 'finish': 'max_tokens'",
    "'chance': 0.03, 'path': '/v1/messages', 'finish': 'refusal'",
    "'chance': 0.03, 'path': '/v1/responses', 'finish': 'length'",
    "'chance': 0.02, 'empty': true",
    "'chance': 0.02, 'refusal': 'no'",
    "'chance': 0.03, 'delay_ms': 150",
    "'chance': 0.03, 'first_byte_delay_ms': 60, 'chunk_delay_ms': 3",
    "'chance': 0.03, 'end_delay_ms': 60",
    "'chance': 0.02, 'dribble': 5",
    "'chance': 0.03, 'crlf': true, 'comments': true",
    "'chance': 0.03, 'cr': true, 'ids': true",
    "'chance': 0.03, 'multiline': true, 'bom': true, 'no_space': true",
    "'chance': 0.03, 'content_encoding': 'gzip'",
    "'chance': 0.03, 'no_length': true, 'close': true",
    "'chance': 0.03, 'pretty': true",
    "'chance': 0.03, 'extra': {'note': 'nobody has heard of it'}",
    "'path': '/v1'",
};

/* ---- The run ------------------------------------------------------------------------------------ */

static test_mock mock;
static test_server server;
static const char *store;
static uint64_t seed;
static int seconds;
static const char *expected[TENANTS][QUESTIONS][PROTOCOLS]; /* texts of a well model */
static atomic_int over;
static atomic_int asked, hits, streams, left, refused, cut, partial;

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(uint64_t *state, int limit)
{
    return (int)(next(state) % (uint64_t)limit);
}

static int64_t number_from(const char *name, int64_t standard)
{
    const char *text = getenv(name);
    return text && *text ? strtoll(text, NULL, 10) : standard;
}

/* The same for all callers: only the key tells their answers apart. */
static void question_text(int question, char *out, size_t room)
{
    snprintf(out, room, "Question %d of the soak: 快取 and what of it?", question);
}

static void body_of(int question, int protocol, const char *delivery, char *out, size_t room)
{
    char text[128], rest[256];
    question_text(question, text, sizeof text);
    snprintf(rest, sizeof rest, protocols[protocol].form, text);
    snprintf(out, room, "{\"model\":\"soak-1\",%s%s}", delivery, rest);
}

static void key_of(int tenant, int protocol, char *out, size_t room)
{
    snprintf(out, room, protocol == 1 ? "x-api-key: sk-soak-tenant-%d" : "Authorization: Bearer sk-soak-tenant-%d",
             tenant);
}

static void behave(int misbehaves)
{
    size_t count = sizeof troubles / sizeof *troubles;
    for (size_t i = misbehaves ? 0 : count - 1; i < count; i++)
        mock_behave(&mock, "{'tell_key': true, %s}", troubles[i]);
}

/* ---- What a reply says -------------------------------------------------------------------------- */

typedef struct said {
    char text[1024];
    size_t size;
    int whole;  /* carried its protocol's own end */
    int good;   /* and says that the model finished by itself */
    int broken; /* an error, or what is no answer */
} said;

static void say(said *s, const json_t *text)
{
    size_t size = json_string_length(text);
    if (s->size + size >= sizeof s->text) {
        s->broken = 1;
        return;
    }
    memcpy(s->text + s->size, json_string_value(text) ? json_string_value(text) : "", size);
    s->size += size;
    s->text[s->size] = '\0';
}

static int is(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static const json_t *at(const json_t *value, const char *name)
{
    return json_object_get(value, name);
}

static void say_parts(said *s, const json_t *list)
{
    size_t i;
    const json_t *part;
    for (i = 0; i < json_array_size(list); i++) {
        part = json_array_get(list, i);
        if (json_is_string(at(part, "text")))
            say(s, at(part, "text"));
        say_parts(s, at(part, "content"));
    }
}

static void read_whole(said *s, int protocol, const json_t *body)
{
    const json_t *choice = json_array_get(at(body, "choices"), 0);
    s->whole = json_is_object(body) && !json_is_object(at(body, "error")) && !is(at(body, "type"), "error");
    if (protocol == 0) {
        say(s, at(at(choice, "message"), "content"));
        s->good = is(at(choice, "finish_reason"), "stop");
    } else if (protocol == 1) {
        say_parts(s, at(body, "content"));
        s->good = is(at(body, "stop_reason"), "end_turn");
    } else {
        say_parts(s, at(body, "output"));
        s->good = is(at(body, "status"), "completed");
    }
}

static void read_event(said *s, int protocol, const char *name, const char *data)
{
    if (protocol == 0 && strcmp(data, "[DONE]") == 0) {
        s->whole = 1;
        return;
    }
    json_t *event = json_loads(data, 0, NULL);
    const json_t *type = at(event, "type");
    if (!event || json_is_object(at(event, "error")) || is(type, "error") || is(type, "response.failed"))
        s->broken = 1;
    if (protocol == 0) {
        const json_t *choice = json_array_get(at(event, "choices"), 0);
        say(s, at(at(choice, "delta"), "content"));
        s->good |= is(at(choice, "finish_reason"), "stop");
    } else if (protocol == 1) {
        s->broken |= !*name; /* the SDKs drop what has no name */
        if (is(type, "content_block_delta"))
            say(s, at(at(event, "delta"), "text"));
        s->good |= is(at(at(event, "delta"), "stop_reason"), "end_turn");
        s->whole |= is(type, "message_stop");
    } else {
        if (is(type, "response.output_text.delta"))
            say(s, at(event, "delta"));
        s->good |= is(type, "response.completed");
        s->whole |= is(type, "response.completed") || is(type, "response.incomplete");
    }
    json_decref(event);
}

/* One line of the stream; an event ends with an empty one. */
static void read_line(said *s, int protocol, const char *line, size_t size, char *name, char *data)
{
    const char *colon = memchr(line, ':', size);
    size_t field = colon ? (size_t)(colon - line) : size, skip = colon ? field + 1 : size;
    skip += skip < size && line[skip] == ' ';
    char *to = field == 4 && memcmp(line, "data", 4) == 0    ? data
               : field == 5 && memcmp(line, "event", 5) == 0 ? name
                                                             : NULL;
    if (size == 0) {
        if (*data)
            read_event(s, protocol, name, data);
        *name = *data = '\0';
        return;
    }
    if (!to)
        return;
    if (to == data && *data)
        strcat(data, "\n");
    if (to == name)
        *name = '\0';
    strncat(to, line + skip, size - skip);
}

static void read_stream(said *s, int protocol, const char *bytes, size_t size)
{
    char *name = calloc(1, size + 8), *data = calloc(1, size * 2 + 8);
    size_t from = size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    for (size_t i = from; i < size; i++) {
        if (bytes[i] != '\n' && bytes[i] != '\r')
            continue;
        read_line(s, protocol, bytes + from, i - from, name, data);
        i += bytes[i] == '\r' && i + 1 < size && bytes[i + 1] == '\n';
        from = i + 1;
    }
    free(name);
    free(data);
}

/* ---- Clients ------------------------------------------------------------------------------------ */

typedef struct client {
    pthread_t thread;
    uint64_t random;
    int wrong; /* replies that may not be */
    char why[2048];
} client;

typedef struct wish {
    int tenant, question, protocol, streams;
    int leaves_after; /* bytes, -1: stays */
    long timeout_ms;
} wish;

static void complain(client *c, const wish *w, const test_reply *reply, const char *what, const char *text)
{
    if (!c->wrong++)
        snprintf(c->why, sizeof c->why, "%s: tenant %d, question %d, %s, %s, status %d, curl %d\n%.300s\nsaid: %.300s\n%.600s",
                 what, w->tenant, w->question, protocols[w->protocol].name, w->streams ? "stream" : "whole",
                 reply->status, reply->curl, reply->headers, text, reply->body);
}

static int hang_up(void *user, const char *bytes, size_t size)
{
    int *bytes_left = user;
    *bytes_left -= (int)size;
    return *bytes_left <= 0;
}

static void check_answer(client *c, const wish *w, const test_reply *reply)
{
    const char *source = test_header(reply, "X-LLMCache-Source");
    const char *want = expected[w->tenant][w->question][w->protocol];
    int hit = source && (strcmp(source, "exact") == 0 || strcmp(source, "semantic") == 0);
    said s = {.text = ""};
    if (w->streams && strncmp(test_header(reply, "Content-Type"), "text/event-stream", 17) == 0) {
        read_stream(&s, w->protocol, reply->body, reply->size);
    } else {
        json_t *body = json_loadb(reply->body, reply->size, 0, NULL);
        read_whole(&s, w->protocol, body);
        json_decref(body);
    }
    int right = strcmp(s.text, want) == 0;
    atomic_fetch_add(hit ? &hits : s.whole && s.good ? &streams : &partial, 1);
    if (hit && (!s.whole || !s.good || s.broken || !right))
        complain(c, w, reply, "a wrong hit", s.text);
    /* A model that is unwell may say nothing or refuse; it never says another's answer. */
    if (!hit && s.whole && s.good && !s.broken && !right && s.size)
        complain(c, w, reply, "a wrong answer", s.text);
    if (reply->curl && s.whole && w->streams && w->leaves_after < 0)
        complain(c, w, reply, "whole, and cut all the same", s.text);
}

static void check(client *c, const wish *w, const test_reply *reply, int leaves)
{
    if (leaves && (reply->curl || !reply->status)) {
        atomic_fetch_add(&left, 1);
        return;
    }
    if (reply->status >= 400)
        atomic_fetch_add(&refused, 1);
    else if (reply->status != 200)
        complain(c, w, reply, "no reply", "");
    else if (reply->curl == 28)
        complain(c, w, reply, "it hangs", "");
    else
        check_answer(c, w, reply);
    if (reply->curl)
        atomic_fetch_add(&cut, 1);
    if (reply->status == 401 || reply->status == 400 || reply->status == 404)
        complain(c, w, reply, "a refusal nobody asked for", "");
}

static wish make_wish(client *c)
{
    int dice = below(&c->random, 100);
    wish w = {.tenant = below(&c->random, TENANTS), .protocol = below(&c->random, PROTOCOLS),
              .streams = below(&c->random, 2), .leaves_after = -1, .timeout_ms = PATIENCE_MS};
    w.question = below(&c->random, 1 + below(&c->random, QUESTIONS)); /* some are asked more than others */
    if (dice < 8)
        w.leaves_after = below(&c->random, 800);
    else if (dice < 14)
        w.timeout_ms = 1 + below(&c->random, 40);
    return w;
}

static void ask(client *c, test_http *http)
{
    static const char *const deliveries[] = {"", "\"stream\":true,",
                                             "\"stream\":true,\"stream_options\":{\"include_usage\":true},"};
    static const char *const controls[] = {"Cache-Control: no-cache", "Cache-Control: no-store", "X-LLMCache-TTL: 1",
                                           "X-LLMCache-TTL: 2", NULL, NULL};
    wish w = make_wish(c);
    char url[128], key[128], body[1024];
    int form = !w.streams ? 0 : w.protocol == 0 ? 1 + below(&c->random, 2) : 1;
    int bytes_left = w.leaves_after;
    body_of(w.question, w.protocol, deliveries[form], body, sizeof body);
    key_of(w.tenant, w.protocol, key, sizeof key);
    snprintf(url, sizeof url, "%s%s", server.url, protocols[w.protocol].path);
    const char *headers[] = {key, controls[below(&c->random, 6)], NULL, NULL};
    if (w.protocol == 1)
        headers[headers[1] ? 2 : 1] = "anthropic-version: 2023-06-01";
    test_request request = {.url = url, .headers = headers, .body = body, .timeout_ms = w.timeout_ms,
                            .each = w.leaves_after >= 0 ? hang_up : NULL, .user = &bytes_left};
    test_reply reply = test_http_send(http, &request);
    atomic_fetch_add(&asked, 1);
    check(c, &w, &reply, w.leaves_after >= 0 || w.timeout_ms < PATIENCE_MS);
    test_reply_done(&reply);
}

static void *run_client(void *argument)
{
    client *c = argument;
    test_http *http = test_http_new();
    while (!atomic_load(&over) && !c->wrong)
        ask(c, http);
    test_http_free(http);
    return NULL;
}

/* ---- Before ------------------------------------------------------------------------------------- */

/* What a well model says to each question of each caller, asked for directly. */
static void learn_answers(void)
{
    test_http *http = test_http_new();
    for (int t = 0; t < TENANTS; t++)
        for (int q = 0; q < QUESTIONS; q++)
            for (int p = 0; p < PROTOCOLS; p++) {
                char url[128], key[128], body[1024];
                said s = {.text = ""};
                body_of(q, p, "", body, sizeof body);
                key_of(t, p, key, sizeof key);
                snprintf(url, sizeof url, "%s%s", mock.url, protocols[p].path);
                const char *headers[] = {key, "anthropic-version: 2023-06-01", NULL};
                test_request request = {.url = url, .headers = headers, .body = body};
                test_reply reply = test_http_send(http, &request);
                json_t *whole = json_loadb(reply.body, reply.size, 0, NULL);
                read_whole(&s, p, whole);
                cr_assert(reply.status == 200 && s.good && s.size, "%s", reply.body);
                expected[t][q][p] = test_keep(s.text, s.size);
                json_decref(whole);
                test_reply_done(&reply);
            }
    test_http_free(http);
    cr_assert_str_neq(expected[0][0][0], expected[1][0][0], "callers must be told apart by their answers");
}

static void start(void)
{
    seed = (uint64_t)number_from("LLMCACHE_SOAK_SEED", 20261125);
    seconds = (int)number_from("LLMCACHE_SOAK_SECONDS", 60);
    store = test_format("sqlite:%s/cache.db", test_folder());
    mock_start(&mock);
    behave(0);
    learn_answers();
    mock_reset(&mock);
    mock_behave(&mock, "{'seed': %llu}", (unsigned long long)seed);
    behave(1);
    const char *flags[] = {"--store", store, "--provider", "openai:", "--openai-base-url", mock.openai,
                           "--anthropic-base-url", mock.anthropic, "--stall-timeout-ms", "500",
                           "--embedder", "openai:text-embedding-3-small", "--embed-api-key", "sk-soak-embed",
                           "--memory-bytes", "1MiB", "--max-connections", "300", "--access-log", "", NULL};
    test_server_start(&server, flags, NULL);
}

TestSuite(soak, .init = start, .timeout = 36000);

/* ---- Meanwhile ---------------------------------------------------------------------------------- */

/* A number of /proc/PID/status: "VmRSS" in KiB, "Threads". */
static long status_of(const char *name)
{
    const char *text = test_read_file(test_format("/proc/%d/status", (int)server.process.pid), NULL);
    const char *line = text ? strstr(text, test_format("\n%s:", name)) : NULL;
    return line ? strtol(line + strlen(name) + 2, NULL, 10) : -1;
}

static long highest(long a, long b)
{
    return a > b ? a : b;
}

/* The most memory seen in the second third and in the last: a leak shows as the difference. */
static void watch_memory(long *middle, long *last)
{
    int64_t start_ms = test_now_ms(), all_ms = (int64_t)seconds * 1000;
    *middle = *last = 0;
    while (test_now_ms() - start_ms < all_ms) {
        int64_t at_ms = test_now_ms() - start_ms;
        cr_assert(test_running(&server.process), "the server died");
        long *third = at_ms > all_ms * 2 / 3 ? last : middle;
        if (at_ms > all_ms / 3)
            *third = highest(*third, status_of("VmRSS"));
        test_wait_until(test_now_ms() - start_ms > at_ms + 250, 1000);
    }
}

/* ---- Afterwards --------------------------------------------------------------------------------- */

typedef struct inspection {
    char spaces[TENANTS][PROTOCOLS][LLMCACHE_SPACE_SIZE];
    int seen, wrong;
} inspection;

static int one_of(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static int inspect(void *user, const llmcache_entry *entry)
{
    inspection *in = user;
    static const char *const names[] = {"chat", "messages", "responses"};
    int question = -1, tenant = -1, protocol = one_of(entry->protocol, names, PROTOCOLS);
    said s = {.text = ""};
    json_t *body = json_loadb(entry->body, entry->body_size, 0, NULL);
    for (int t = 0; t < TENANTS && protocol >= 0; t++)
        if (strcmp(entry->space, in->spaces[t][protocol]) == 0)
            tenant = t;
    sscanf(entry->question, "Question %d of", &question);
    read_whole(&s, protocol, body);
    json_decref(body);
    int known = tenant >= 0 && question >= 0 && question < QUESTIONS;
    if (!known || !s.whole || !s.good || strcmp(s.text, expected[tenant][question][protocol]) != 0) {
        in->wrong++;
        fprintf(stderr, "kept and wrong: %s %s \"%s\": %.*s\n", entry->space, entry->protocol, entry->question,
                (int)entry->body_size, entry->body);
    }
    in->seen++;
    return 0;
}

/* The namespaces, as any program would be told. */
static void find_spaces(llmcache *cache, inspection *in)
{
    for (int t = 0; t < TENANTS; t++)
        for (int p = 0; p < PROTOCOLS; p++) {
            const char *value = test_format(p == 1 ? "sk-soak-tenant-%d" : "Bearer sk-soak-tenant-%d", t);
            llmcache_header header = {p == 1 ? "x-api-key" : "Authorization", value};
            llmcache_error err;
            cr_assert_eq(llmcache_admit(cache, &header, 1, NULL, in->spaces[t][p], &err), 0, "%s", err.message);
        }
}

static void inspect_store(void)
{
    static inspection in;
    llmcache_error err;
    llmcache_options *options;
    llmcache *cache;
    cr_assert_eq(llmcache_options_new_bare(&options, &err), 0);
    cr_assert_eq(llmcache_options_set(options, "store", store, &err), 0);
    cr_assert_eq(llmcache_options_set(options, "embedder", "none", &err), 0);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    find_spaces(cache, &in);
    for (int kind = 1; kind <= 2; kind++) {
        llmcache_filter filter = {.struct_size = sizeof filter, .records = kind};
        in.seen = 0;
        cr_assert_eq(llmcache_each(cache, &filter, inspect, &in, &err), 0, "%s", err.message);
        printf("soak: looked at %d kept %s, wrong: %d\n", in.seen, kind == 1 ? "answers" : "records", in.wrong);
        cr_assert_eq(in.wrong, 0);
        cr_assert_gt(in.seen, 20);
    }
    llmcache_close(cache);
}

static double metric(const char *name)
{
    json_t *all = test_json(test_server_get(&server, "/metrics/json").body);
    json_t *value = json_object_get(all, name);
    cr_assert(json_is_number(value), "%s", name);
    return json_number_value(value);
}

static void report(long base, long middle, long last)
{
    printf("soak: seed %llu, %d s, %d asked, %d hits, %d whole answers, %d not whole, %d refused, %d cut, %d clients left\n",
           (unsigned long long)seed, seconds, atomic_load(&asked), atomic_load(&hits), atomic_load(&streams),
           atomic_load(&partial), atomic_load(&refused), atomic_load(&cut), atomic_load(&left));
    printf("soak: %.0f kept, %.0f not, %.0f calls to the model, %.0f shared, %.0f texts embedded, %.0f failed, %.0f rejected\n",
           metric("stored"), metric("not_stored"), metric("upstream_calls"), metric("hits_shared"), metric("embeds"),
           metric("embed_errors"), metric("rejected"));
    printf("soak: memory %ld KiB at the start, at most %ld in the second third, %ld in the last\n", base, middle, last);
    fflush(stdout);
}

Test(soak, a_minute_of_everything)
{
    static client clients[CLIENTS];
    long base = status_of("VmRSS"), threads = status_of("Threads") + 1; /* the one that renews leases comes with the first */
    long middle, last;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].random = seed + (uint64_t)i * 1000003;
        cr_assert_eq(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    watch_memory(&middle, &last);
    atomic_store(&over, 1);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    report(base, middle, last);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_eq(clients[i].wrong, 0, "client %d: %s", i, clients[i].why);
    cr_assert(atomic_load(&hits) && atomic_load(&streams) && atomic_load(&partial) && atomic_load(&cut) &&
              atomic_load(&left) && atomic_load(&refused));
    if (MEASURES_MEMORY)
        cr_assert_leq(last, middle + middle / 8 + 2048, "memory grows");
    cr_assert(test_wait_until(metric("in_flight") == 0, PATIENCE_MS));
    cr_assert(test_wait_until(status_of("Threads") <= threads, 60000), "%ld threads, %ld expected at most",
              status_of("Threads"), threads);
    cr_assert_eq(test_server_stop(&server), 0);
    mock_reset(&mock);
    inspect_store();
}
