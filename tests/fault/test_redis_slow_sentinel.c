/*
 * A sentinel that takes a while to answer, as one far away does, while its primary is dead and everybody doubts it: it is
 * heard all the same. The sentinel and the Redis are the test's own.
 */
#include "base/clock.h"
#include "net/redis_sentinel.h"
#include "support.h"
#include "tcp_server.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { SLOW_MS = 400, DEADLINE_MS = 100, PATIENT_MS = 10000 };

static void say(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static int is_asked(int fd)
{
    char bytes[4096];
    return recv(fd, bytes, sizeof bytes, 0) > 0;
}

static void serve_primary(void *user, int fd, int nth)
{
    (void)user, (void)nth;
    while (is_asked(fd))
        say(fd, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
}

/* 1 when the other end closes before the time is over. */
static int is_given_up(int fd)
{
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    return poll(&waits, 1, SLOW_MS) > 0;
}

/* The first is told of the dead primary at once, all others of the next one, slowly. */
static void serve_sentinel(void *user, int fd, int nth)
{
    const int *ports = user;
    const char *port = test_format("%d", ports[nth > 0]);
    if (!is_asked(fd) || (nth > 0 && is_given_up(fd)))
        return;
    say(fd, test_format("*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n*2\r\n$12\r\nconfig-epoch\r\n$1\r\n%d\r\n", strlen(port), port,
                        nth > 0 ? 2 : 1));
    for (int i = 0; i < 4; i++)
        say(fd, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    while (is_asked(fd))
        say(fd, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

static void ignore(void *user)
{
    (void)user;
}

static int connects(lc_redis_sentinel *sentinel)
{
    llmcache_error err;
    lc_redis_conn *conn = NULL;
    int rc = lc_redis_sentinel_connect(sentinel, lc_mono_ms() + DEADLINE_MS, 0, &conn, &err);
    lc_redis_disconnect(conn);
    return rc == 0;
}

Test(redis_slow_sentinel, is_heard_while_all_doubt_the_primary, .timeout = 60)
{
    llmcache_error err;
    lc_redis_uri uri;
    lc_redis_sentinel *sentinel;
    test_tcp_server *primary = test_tcp_serve(serve_primary, NULL);
    int ports[] = {test_port(), test_tcp_port(primary)}; /* nobody listens there */
    test_tcp_server *far = test_tcp_serve(serve_sentinel, ports);
    cr_assert_eq(lc_redis_uri_read(test_format("redis+sentinel://127.0.0.1:%d/m", test_tcp_port(far)), &uri, &err), 0);
    cr_assert_eq(lc_redis_sentinel_new(&uri, ignore, NULL, &sentinel, &err), 0);
    cr_assert_eq(lc_redis_sentinel_start(sentinel, &err), 0);
    cr_expect(test_wait_until(connects(sentinel), PATIENT_MS));
    lc_redis_sentinel_free(sentinel);
    lc_redis_uri_done(&uri);
    test_tcp_stop(far);
    test_tcp_stop(primary);
}
