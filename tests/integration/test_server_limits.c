/* How many connections llmcache-server takes, what the others are told, and that idle
 * ones starve nobody. */
#include "llmcache_server.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(server_limits, .timeout = 120);

static test_server server;

static void start(const char *connections)
{
    test_server_start(
        &server, (const char *const[]){"--max-connections", connections, NULL}, NULL);
}

static const char live[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

static int ask_on(int fd)
{
    test_send_text(fd, live);
    return test_raw_status(test_receive_until(fd, "}", NULL, 10000));
}

static int ask_anew(void)
{
    int fd = test_connect(server.port), status = ask_on(fd);
    close(fd);
    return status;
}

/* A connection whose request is under way: the server waits for its last bytes. */
static int hold(void)
{
    int fd = test_connect(server.port);
    test_send_text(fd, "POST /ask HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n");
    cr_assert_not_null(strstr(test_receive_until(fd, "\r\n\r\n", NULL, 10000), " 100 "));
    test_send_text(fd, "{\"question\":");
    return fd;
}

static int let_go(int fd)
{
    test_send_text(fd, "\"x\"}");
    int status = test_raw_status(test_receive_until(fd, "}", NULL, 10000));
    close(fd);
    return status;
}

Test(server_limits, past_the_limit_is_503_with_retry_after)
{
    int fds[4];
    start("4");
    for (int i = 0; i < 4; i++)
        fds[i] = hold();
    const char *refused = test_server_raw(&server, live, 5000);
    cr_assert_eq(test_raw_status(refused), 503, "%s", refused);
    cr_assert_not_null(strstr(refused, "\r\nRetry-After: 1\r\n"));
    cr_assert_not_null(
        json_object_get(test_json(strstr(refused, "\r\n\r\n") + 4), "error"));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(let_go(fds[i]), 200, "connection %d", i);
    cr_assert(test_wait_until(ask_anew() == 200, 5000));
}

/* Who says nothing is told too, and does not stay. */
Test(server_limits, a_silent_visitor_is_told_and_closed)
{
    start("1");
    int holder = hold();
    int silent = test_connect(server.port);
    cr_assert_eq(test_raw_status(test_receive(silent, NULL, 10000)), 503);
    close(silent);
    cr_assert_eq(let_go(holder), 200);
}

Test(server_limits, many_refused_at_once_are_all_told)
{
    enum { VISITORS = 200 };
    int fds[VISITORS];
    start("1");
    int holder = hold();
    for (int i = 0; i < VISITORS; i++) {
        fds[i] = test_connect(server.port);
        test_send_text(fds[i], live);
    }
    for (int i = 0; i < VISITORS; i++) {
        cr_expect_eq(test_raw_status(test_receive(fds[i], NULL, 10000)), 503,
                     "visitor %d", i);
        close(fds[i]);
    }
    cr_assert_eq(let_go(holder), 200);
}

static void raise_file_limit(void)
{
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 2400)
        cr_skip_test("the system allows too few open files");
}

/* Idle connections up to the limit leave room for one more; each still works afterwards.
 */
Test(server_limits, a_thousand_idle_connections_starve_nobody)
{
    enum { IDLE = 1000 };
    raise_file_limit();
    int *fds = calloc(IDLE, sizeof *fds);
    start("1100");
    for (int i = 0; i < IDLE; i++) {
        fds[i] = test_connect(server.port);
        if (i % 2)
            cr_assert_eq(ask_on(fds[i]), 200);
    }
    int64_t start_ms = test_now_ms();
    cr_assert_eq(ask_anew(), 200);
    cr_assert_lt(test_now_ms() - start_ms, 15000);
    for (int i = 0; i < IDLE; i += 97)
        cr_assert_eq(ask_on(fds[i]), 200, "connection %d", i);
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
    free(fds);
}

/* More of them than are let in: those that asked and those that never did give way, and nobody is refused. */
Test(server_limits, idle_connections_past_the_limit_starve_nobody)
{
    enum { IDLE = 1000, NEW = 40 };
    int *fds = calloc(IDLE, sizeof *fds);
    raise_file_limit();
    test_server_start(&server, NULL, NULL); /* as it comes: 512 */
    for (int i = 0; i < IDLE; i++) {
        fds[i] = test_connect(server.port);
        if (i % 2)
            cr_assert_eq(ask_on(fds[i]), 200, "connection %d", i);
    }
    for (int i = 0; i < NEW; i++)
        cr_expect_eq(ask_anew(), 200, "new connection %d", i);
    cr_expect_eq(ask_on(fds[IDLE - 1]), 200, "the last one is still there");
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
    free(fds);
}

/* At the limit the connection that has been idle longest gives way to one that asks, without a word. */
Test(server_limits, the_longest_idle_connection_gives_way)
{
    int fds[2];
    start("2");
    for (int i = 0; i < 2; i++) {
        fds[i] = test_connect(server.port);
        cr_assert_eq(ask_on(fds[i]), 200);
    }
    for (int i = 0; i < 50; i++) /* the other's thread may come to know only later that it is idle */
        cr_assert_eq(ask_on(fds[0]), 200);
    cr_assert_eq(ask_anew(), 200);
    size_t size = 1;
    test_receive(fds[1], &size, 5000);
    cr_assert_eq(size, 0);
    cr_assert_eq(ask_on(fds[0]), 200);
    close(fds[0]);
    close(fds[1]);
}

/* What is being served never does. */
Test(server_limits, no_request_under_way_gives_way)
{
    start("2");
    int idle = test_connect(server.port), holder = hold();
    cr_assert_eq(ask_on(idle), 200);
    for (int i = 0; i < 4; i++) /* the one before may not have gone yet */
        cr_assert(test_wait_until(ask_anew() == 200, 10000));
    cr_assert_eq(let_go(holder), 200);
    close(idle);
}

Test(server_limits, streams_do_not_starve_a_new_request)
{
    enum { STREAMS = 20 };
    int fds[STREAMS];
    test_server_start(&server, (const char *const[]){"--demo-latency-ms", "8s", NULL},
                      NULL);
    for (int i = 0; i < STREAMS; i++) {
        const char *body = test_format("{\"question\":\"%d\"}", i);
        fds[i] = test_connect(server.port);
        test_send_text(
            fds[i],
            test_format("POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                        strlen(body), body));
    }
    int64_t start_ms = test_now_ms();
    cr_assert_eq(ask_anew(), 200);
    cr_assert_lt(test_now_ms() - start_ms, 6000); /* none of them has ended */
    for (int i = 0; i < STREAMS; i++) {
        cr_expect_eq(test_raw_status(test_receive_until(fds[i], "}}", NULL, 20000)), 200);
        close(fds[i]);
    }
}

/* A server that may have 24 descriptors and 32 connections. */
static void start_with_few_descriptors(void)
{
    const char *port_file = test_format("%s/port", test_folder());
    const char *line = test_format("ulimit -n 24; exec %s --listen 127.0.0.1:0 --port-file %s --max-connections 32"
                                   " --store memory: --embedder none --provider demo: --demo-latency-ms 0",
                                   test_build_path("server/llmcache-server"), port_file);
    test_spawn(&server.process, (const char *const[]){"sh", "-c", line, NULL}, NULL);
    cr_assert(test_wait_until(test_exists(port_file), 30000), "%s", test_read_file(server.process.log, NULL));
    server.port = atoi(test_read_file(port_file, NULL));
}

Test(server_limits, idle_connections_give_way_where_descriptors_are_few)
{
    int fds[30];
    start_with_few_descriptors();
    for (int i = 0; i < 30; i++)
        fds[i] = test_connect(server.port);
    cr_assert_eq(ask_anew(), 200);
    for (int i = 0; i < 30; i++)
        close(fds[i]);
    cr_assert_eq(ask_anew(), 200);
}
