/* How llmcache-server ends, and what other signals do. */
#include "llmcache_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(server_drain, .timeout = 60);

static test_server server;

static void start(const char *latency, const char *drain)
{
    test_server_start(&server,
                      (const char *const[]){"--demo-latency-ms", latency,
                                            "--drain-timeout-ms", drain, NULL},
                      NULL);
}

static int ask(const char *question)
{
    int fd = test_connect(server.port);
    test_send_text(
        fd, test_format("POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n"
                        "{\"question\":\"%s\"}",
                        strlen(question) + 15, question));
    return fd;
}

static int requests_active(void)
{
    test_reply reply = test_server_get(&server, "/metrics");
    const char *at = strstr(reply.body, "\nllmcache_server_requests_active ");
    int count = -1;
    if (at)
        sscanf(at + 1, "%*s %d", &count);
    return count - 1; /* this one asks too */
}

static int refuses(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)server.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int refused = connect(fd, (struct sockaddr *)&to, sizeof to) != 0;
    close(fd);
    return refused;
}

Test(server_drain, what_is_under_way_is_finished)
{
    start("6s", "20s");
    int idle = test_connect(server.port), busy = ask("slow");
    test_send_text(idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    test_receive_until(idle, "}", NULL, 5000);
    cr_assert(test_wait_until(requests_active() == 1, 5000));
    test_signal(&server.process, SIGTERM);
    cr_assert(test_wait_until(refuses(), 5000), "new connections are let in");
    size_t size = 1;
    test_receive(idle, &size, 1000);
    cr_assert_eq(size, 0);
    const char *reply = test_receive(busy, NULL, 10000);
    cr_assert_eq(test_raw_status(reply), 200, "%s", reply);
    cr_assert_not_null(strstr(reply, "\"answer\""));
    cr_assert_eq(test_join(&server.process, 20000), 0);
    cr_assert_not_null(strstr(test_read_file(server.access_log, NULL),
                              "\"path\":\"/ask\",\"status\":200"));
}

Test(server_drain, an_idle_server_ends_at_once)
{
    start("0", "20s");
    int64_t start_ms = test_now_ms();
    cr_assert_eq(test_server_stop(&server), 0);
    cr_assert_lt(test_now_ms() - start_ms, 15000);
}

Test(server_drain, the_time_limit_ends_it)
{
    start("30s", "300ms");
    ask("endless");
    cr_assert(test_wait_until(requests_active() == 1, 5000));
    int64_t start_ms = test_now_ms();
    cr_assert_eq(test_server_stop(&server), 0);
    cr_assert_lt(test_now_ms() - start_ms, 20000);
    cr_assert_not_null(
        strstr(test_read_file(server.process.log, NULL), "1 requests under way"));
}

Test(server_drain, a_second_signal_ends_it)
{
    start("30s", "60s");
    ask("endless");
    cr_assert(test_wait_until(requests_active() == 1, 5000));
    test_signal(&server.process, SIGINT);
    cr_assert(test_wait_until(refuses(), 20000));
    test_signal(&server.process, SIGINT);
    cr_assert_eq(test_join(&server.process, 5000), 0);
}

Test(server_drain, hup_opens_the_log_anew_and_pipe_is_nothing)
{
    start("0", "1s");
    test_server_get(&server, "/livez");
    test_server_log(&server, 1);
    const char *moved = test_format("%s.1", server.access_log);
    cr_assert_eq(rename(server.access_log, moved), 0);
    test_signal(&server.process, SIGHUP);
    cr_assert(test_wait_until(test_exists(server.access_log), 5000));
    test_signal(&server.process, SIGPIPE);
    test_server_get(&server, "/readyz");
    cr_assert_not_null(strstr(test_server_log(&server, 1), "/readyz"));
    cr_assert_null(strstr(test_read_file(moved, NULL), "/readyz"));
    cr_assert_eq(test_server_stop(&server), 0);
}
