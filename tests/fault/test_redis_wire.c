/*
 * Between the store and a Redis stands a peer of the test's own that cuts, delays, resets and lies. Whatever
 * comes, an operation ends in time, with the right answer or an error.
 */
#include "redis_server.h"
#include "store_entries.h"
#include "tcp_server.h"
#include "test_http.h"

#include <criterion/criterion.h>
#include <netdb.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEADLINE_MS = 100, SLACK_MS = 250, CLOSE_MS = 500, PATIENT_MS = 20000 };

static int within(int64_t start_ms, int64_t limit_ms)
{
    return test_own_ms() - start_ms < limit_ms + SLACK_MS;
}

/* ---- A relay ---------------------------------------------------------------------------------------- */

/* What it does with the server's bytes. */
typedef struct relay {
    int port;              /* of the server */
    atomic_int pass_bytes; /* of each connection's replies; then it cuts. -1: all */
    atomic_int reset;      /* cut by a reset */
    atomic_int hold;       /* replies are kept back while set */
    atomic_int trickle;    /* one byte at a time, with pauses */
    atomic_int kills;      /* so many connections end when they are used next */
} relay;

/* Passes replies on; 0 when the connection is to end. */
static int pass_back(relay *r, int server, int client, int *passed)
{
    char bytes[4096];
    while (atomic_load(&r->hold))
        test_nap();
    ssize_t got = recv(server, bytes, atomic_load(&r->trickle) ? 1 : sizeof bytes, 0);
    if (got <= 0)
        return 0;
    int limit = atomic_load(&r->pass_bytes);
    if (limit >= 0 && *passed + got >= limit) {
        if (limit > *passed)
            send(client, bytes, (size_t)(limit - *passed), MSG_NOSIGNAL);
        if (atomic_load(&r->reset))
            test_tcp_reset_on_close(client);
        return 0;
    }
    *passed += (int)got;
    if (atomic_load(&r->trickle))
        test_nap();
    return send(client, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

/* Is this connection one of those that end now? */
static int is_killed(relay *r)
{
    int kills = atomic_load(&r->kills);
    while (kills > 0 && !atomic_compare_exchange_weak(&r->kills, &kills, kills - 1))
        ;
    return kills > 0;
}

static void run_relay(void *user, int client, int nth)
{
    relay *r = user;
    char bytes[4096];
    int server = test_connect(r->port), passed = 0, alive = 1;
    while (alive) {
        struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[0].revents) {
            ssize_t got = recv(client, bytes, sizeof bytes, 0);
            alive = got > 0 && !is_killed(r) && send(server, bytes, (size_t)got, MSG_NOSIGNAL) == got;
        }
        if (alive && fds[1].revents)
            alive = pass_back(r, server, client, &passed);
    }
    close(server);
}

/* A server, and a store that sees it through a relay. */
static test_redis redis;
static relay between;
static test_tcp_server *server;
static lc_store store;

static void start(void)
{
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, NULL);
    between = (relay){.port = redis.port, .pass_bytes = -1};
    server = test_tcp_serve(run_relay, &between);
    store = store_at(test_format("redis://127.0.0.1:%d", test_tcp_port(server)), NULL);
}

static void stop(void)
{
    lc_store_close(&store);
    test_tcp_stop(server);
}

TestSuite(redis_relay, .init = start, .fini = stop, .timeout = 120);

static void put_directly(const llmcache_entry *entry)
{
    llmcache_error err;
    lc_store direct = store_at(redis.uri, NULL);
    cr_assert_eq(put_entry_in(&direct, entry, PATIENT_MS, &err), 0);
    lc_store_close(&direct);
}

Test(redis_relay, a_reply_cut_anywhere_is_an_error_never_a_wrong_answer)
{
    const llmcache_entry *entry = numbered_entry("default", 1);
    put_directly(entry);
    for (int part = LLMCACHE_PART_PROMPT; part <= LLMCACHE_PART_EMBED; part++)
        for (int cut = 1; cut < 700; cut += 23) {
            llmcache_error err;
            atomic_store(&between.pass_bytes, cut);
            atomic_store(&between.reset, cut % 2);
            int64_t start_ms = test_own_ms();
            int rc = get_entry_from(&store, part, entry, DEADLINE_MS, &err);
            cr_assert(rc <= 0 && rc != LLMCACHE_NOT_FOUND && rc != LLMCACHE_CORRUPT, "cut %d: %d", cut, rc);
            cr_assert(within(start_ms, DEADLINE_MS));
        }
    llmcache_error err;
    atomic_store(&between.pass_bytes, -1);
    cr_assert(test_wait_until(get_entry_from(&store, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err) == 0,
                              PATIENT_MS));
}

static int is_connected(void)
{
    llmcache_store_stats stats = {0};
    store.ops.stats(store.self, &stats);
    return stats.connected;
}

/* A kept connection dies, as many do when somebody kills them all, and the one that is made instead. */
Test(redis_relay, a_new_connection_that_is_killed_loses_no_answer)
{
    llmcache_error err = {0};
    cr_assert(test_wait_until(is_connected(), PATIENT_MS));
    for (int i = 0; i < 5; i++) {
        const llmcache_entry *entry = numbered_entry("default", i);
        atomic_store(&between.kills, 2);
        cr_assert_eq(put_entry_in(&store, entry, PATIENT_MS, &err), 0, "%s", err.message);
        cr_assert_eq(atomic_load(&between.kills), 0);
        cr_assert(is_connected());
        cr_assert_eq(get_entry_from(&store, LLMCACHE_PART_PROMPT, entry, PATIENT_MS, &err), 0);
    }
    atomic_store(&between.kills, 1000);
    cr_assert_eq(put_entry_in(&store, numbered_entry("default", 9), PATIENT_MS, &err), LLMCACHE_NETWORK);
    cr_assert(!is_connected(), "a server on which none lives is lost");
    atomic_store(&between.kills, 0);
    cr_assert(test_wait_until(is_connected(), PATIENT_MS));
}

Test(redis_relay, a_write_cut_anywhere_says_so)
{
    for (int cut = 1; cut < 60; cut += 3) {
        llmcache_error err;
        const llmcache_entry *entry = numbered_entry("default", cut);
        atomic_store(&between.pass_bytes, cut);
        int64_t start_ms = test_own_ms();
        int rc = put_entry_in(&store, entry, DEADLINE_MS, &err);
        cr_assert_leq(rc, 0);
        cr_assert(within(start_ms, DEADLINE_MS));
        atomic_store(&between.pass_bytes, -1);
        if (rc == 0)
            cr_assert(test_wait_until(get_entry_from(&store, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err) == 0,
                                      PATIENT_MS));
    }
}

Test(redis_relay, an_answer_that_comes_late_is_nobodys)
{
    llmcache_error err;
    const llmcache_entry *a = numbered_entry("default", 1), *b = numbered_entry("default", 2);
    put_directly(a);
    put_directly(b);
    for (int i = 0; i < 10; i++) {
        cr_assert(test_wait_until(get_entry_from(&store, LLMCACHE_PART_PROMPT, b, DEADLINE_MS, &err) == 0,
                                  PATIENT_MS));
        atomic_store(&between.hold, 1);
        int64_t start_ms = test_own_ms();
        cr_assert_lt(get_entry_from(&store, LLMCACHE_PART_PROMPT, a, DEADLINE_MS, &err), 0);
        cr_assert(within(start_ms, DEADLINE_MS));
        atomic_store(&between.hold, 0); /* the answer to a is under way now */
        int rc = get_entry_from(&store, LLMCACHE_PART_PROMPT, b, DEADLINE_MS, &err);
        cr_assert(rc <= 0 && rc != LLMCACHE_NOT_FOUND, "%d", rc);
    }
}

Test(redis_relay, a_trickle_does_not_stretch_the_deadline)
{
    llmcache_error err;
    llmcache_entry large = *numbered_entry("default", 1);
    large.body_size = 200000;
    large.body = memset(calloc(1, large.body_size), 'x', large.body_size);
    put_directly(&large);
    atomic_store(&between.trickle, 1);
    int64_t start_ms = test_own_ms();
    cr_assert_lt(get_entry_from(&store, LLMCACHE_PART_PROMPT, &large, DEADLINE_MS, &err), 0);
    cr_assert(within(start_ms, DEADLINE_MS), "%lld ms", (long long)(test_own_ms() - start_ms));
    atomic_store(&between.trickle, 0);
    free((void *)large.body);
}

/* ---- Peers that are no Redis --------------------------------------------------------------------------- */

/* Whatever is asked, this. */
static void say(void *user, int fd, int nth)
{
    char bytes[4096];
    const char *text = user;
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
            return;
}

static void listen_only(void *user, int fd, int nth)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
}

static lc_store store_of(const char *scheme, test_tcp_server *peer)
{
    return store_at(test_format("%s://127.0.0.1:%d", scheme, test_tcp_port(peer)), NULL);
}

TestSuite(redis_wire, .timeout = 120);

Test(redis_wire, other_protocols_and_nonsense_are_errors)
{
    const char *const sayings[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n", ":1\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "$5\r\nhello\r\n",
        "*3\r\n$-1\r\n$-1\r\n$-1\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:5\r\n",
        "$99999999999999999999\r\n", "*2147483647\r\n", "$-2\r\n", "-\r\n", "-LOADING x\r\n", "\r\n\r\n", "!x\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"};
    const llmcache_entry *entry = numbered_entry("default", 1);
    for (size_t i = 0; i < sizeof sayings / sizeof *sayings; i++) {
        test_tcp_server *peer = test_tcp_serve(say, (void *)sayings[i]);
        lc_store odd = store_of("redis", peer);
        llmcache_error err;
        uint64_t removed;
        llmcache_key key = key_of_entry(entry);
        int64_t start_ms = test_own_ms();
        for (int part = LLMCACHE_PART_PROMPT; part <= LLMCACHE_PART_EMBED; part++)
            cr_expect_lt(get_entry_from(&odd, part, entry, DEADLINE_MS, &err), 0, "%s", sayings[i]);
        put_entry_in(&odd, entry, DEADLINE_MS, &err);
        odd.ops.remove(odd.self, LLMCACHE_PART_BOTH, &key, 1, DEADLINE_MS, &removed, &err);
        cr_expect(within(start_ms, 4 * DEADLINE_MS), "%s", sayings[i]);
        lc_store_close(&odd);
        test_tcp_stop(peer);
    }
}

Test(redis_wire, random_bytes_are_survived)
{
    const llmcache_entry *entry = numbered_entry("default", 1);
    static const char alphabet[] = "$*+-:0123456789\r\n\r\n\r\nab{}\"";
    unsigned seed = 7;
    for (int round = 0; round < 200; round++) {
        char noise[256];
        size_t size = (size_t)rand_r(&seed) % (sizeof noise - 1) + 1;
        for (size_t i = 0; i < size; i++)
            noise[i] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        noise[size] = '\0';
        test_tcp_server *peer = test_tcp_serve(say, noise);
        lc_store odd = store_of("redis", peer);
        llmcache_error err;
        int64_t start_ms = test_own_ms();
        int rc = get_entry_from(&odd, round % 2 + 1, entry, 20, &err);
        cr_expect_lt(rc, 0);
        cr_expect(within(start_ms, 20));
        lc_store_close(&odd);
        test_tcp_stop(peer);
    }
}

Test(redis_wire, a_server_that_is_loading_is_not_asked_for_a_while)
{
    static char loading_text[] = "-LOADING Redis is loading the dataset in memory\r\n";
    const llmcache_entry *entry = numbered_entry("default", 1);
    test_tcp_server *peer = test_tcp_serve(say, loading_text);
    lc_store loading = store_of("redis", peer);
    llmcache_error err;
    cr_assert_eq(get_entry_from(&loading, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err), LLMCACHE_STORE);
    cr_assert_not_null(strstr(err.message, "loading"), "%s", err.message);
    double start_us = test_own_us();
    cr_assert_eq(get_entry_from(&loading, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err), LLMCACHE_STORE);
    cr_assert_lt(test_own_us() - start_us, 20000);
    lc_store_close(&loading);
    test_tcp_stop(peer);
}

Test(redis_wire, a_handshake_that_hangs_does_not_outlast_the_deadline)
{
    const char *const schemes[] = {"redis", "rediss"};
    const llmcache_entry *entry = numbered_entry("default", 1);
    test_tcp_server *peer = test_tcp_serve(listen_only, NULL);
    for (int i = 0; i < 2; i++) {
        lc_store silent = store_of(schemes[i], peer);
        llmcache_error err;
        int64_t start_ms = test_own_ms();
        cr_assert_lt(get_entry_from(&silent, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err), 0);
        cr_assert(within(start_ms, DEADLINE_MS), "%s: %lld ms", schemes[i],
                  (long long)(test_own_ms() - start_ms));
        start_ms = test_own_ms();
        lc_store_close(&silent);
        cr_assert(within(start_ms, CLOSE_MS));
    }
    test_tcp_stop(peer);
}

/* The name lookup of this program: libcurl finds this function before the C library's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    if (name && strcmp(name, "hangs.test") == 0)
        poll(NULL, 0, 2000);
    return EAI_NONAME;
}

Test(redis_wire, a_name_lookup_that_hangs_does_not_outlast_the_deadline)
{
    const llmcache_entry *entry = numbered_entry("default", 1);
    lc_store nowhere = store_at("redis://hangs.test", NULL);
    llmcache_error err;
    int64_t start_ms = test_own_ms();
    cr_assert_lt(get_entry_from(&nowhere, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err), 0);
    cr_assert(within(start_ms, DEADLINE_MS), "%lld ms", (long long)(test_own_ms() - start_ms));
    start_ms = test_own_ms();
    lc_store_close(&nowhere);
    cr_assert(within(start_ms, CLOSE_MS));
}
