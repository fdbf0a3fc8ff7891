/* llmcache-server from a test's side. */
#include "llmcache_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FLAGS = 64 };

static int read_port(const char *file)
{
    char *text = test_read_file(file, NULL);
    return text && strchr(text, '\n') ? atoi(text) : 0;
}

void test_server_start(test_server *server, const char *const flags[],
                       const char *const environment[])
{
    const char *folder = test_folder(), *port_file = test_format("%s/port", folder);
    *server = (test_server){.access_log = test_format("%s/access.log", folder)};
    const char *argv[MAX_FLAGS] = {test_build_path("server/llmcache-server"),
                                   "--listen",
                                   test_format("127.0.0.1:%d", test_port()),
                                   "--port-file",
                                   port_file,
                                   "--access-log",
                                   server->access_log,
                                   "--max-connections",
                                   "32",
                                   "--store",
                                   "memory:",
                                   "--embedder",
                                   "none",
                                   "--provider",
                                   "demo:",
                                   "--demo-latency-ms",
                                   "0"};
    int count = 15;
    for (int i = 0; flags && flags[i] && count < MAX_FLAGS - 1; i++)
        argv[count++] = flags[i];
    test_spawn(&server->process, argv, environment);
    if (!test_wait_until((server->port = read_port(port_file)) ||
                             !test_running(&server->process),
                         30000) ||
        !server->port)
        test_give_up("llmcache-server does not start: %s",
                     test_read_file(server->process.log, NULL));
    server->url = test_format("http://127.0.0.1:%d", server->port);
}

int test_server_stop(test_server *server)
{
    test_signal(&server->process, SIGTERM);
    int status = test_join(&server->process, 20000);
    if (status)
        fprintf(stderr, "%s\n", test_read_file(server->process.log, NULL));
    return status;
}

/* ---- Requests
 * ---------------------------------------------------------------------------------- */

test_reply test_server_send(const test_server *server, const char *method,
                            const char *path, const char *const headers[],
                            const char *body)
{
    test_http *http = test_http_new();
    test_reply reply = test_http_send(
        http, &(test_request){.method = method,
                              .url = test_format("%s%s", server->url, path),
                              .headers = headers,
                              .body = body});
    test_http_free(http);
    return reply;
}

test_reply test_server_get(const test_server *server, const char *path)
{
    return test_server_send(server, "GET", path, NULL, NULL);
}

test_reply test_server_post(const test_server *server, const char *path, const char *body)
{
    return test_server_send(server, "POST", path, NULL, body);
}

const char *test_server_raw(const test_server *server, const char *bytes, int ms)
{
    int fd = test_connect(server->port);
    test_send_text(fd, bytes);
    const char *reply = test_receive(fd, NULL, ms);
    close(fd);
    return reply;
}

int test_raw_status(const char *reply)
{
    int status = 0;
    return reply && sscanf(reply, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

/* ---- The log
 * -------------------------------------------------------------------------------------
 */

static int lines_in(const char *text)
{
    int count = 0;
    for (; text && *text; text++)
        count += *text == '\n';
    return count;
}

const char *test_server_log(const test_server *server, int lines)
{
    const char *text = NULL;
    if (!test_wait_until(
            lines_in(text = test_read_file(server->access_log, NULL)) >= lines, 5000))
        test_give_up("the access log has %d lines, not %d: %s", lines_in(text), lines,
                     text);
    return text;
}
