/*
 * llmcache-server: the cache behind HTTP.
 *
 * The main thread starts everything and then waits for signals, which all other threads
 * leave to it. On TERM or INT it drains: no new connections, what is under way is
 * finished, then the cache is closed. A thread of its own watches the time limit
 * meanwhile and ends the process when it passes, or at a second signal: answers are in
 * the store before they are sent, so ending loses none.
 */
#include "access_log.h"
#include "exchange.h"
#include "gate.h"
#include "json_memory.h"
#include "routes.h"

#include <civetweb.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FLUSH_MS = 200 };

/* ---- Time ----------------------------------------------------------------------- */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t server_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t server_now_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t server_wall_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

/* ---- What CivetWeb calls -------------------------------------------------------- */

typedef struct web_state {
    http_server *server;
    struct mg_context *context;
    atomic_int threads;  /* workers that have started */
    char complaint[256]; /* CivetWeb's first message: what went wrong at the start */
} web_state;

/* The connection's place in the gate: looked up once, since CivetWeb does not show its
 * socket. */
static gate_slot *slot_of(const web_state *web, const struct mg_connection *conn)
{
    const struct mg_request_info *info = mg_get_request_info(conn);
    gate_slot *slot = mg_get_user_connection_data(conn);
    if (!slot && info) {
        slot = gate_claim(web->server->gate, info->remote_addr, info->remote_port);
        mg_set_user_connection_data(conn, slot);
    }
    return slot;
}

static void log_exchange(const exchange *x)
{
    if (!x->server->log)
        return; /* not even the clock is asked */
    access_log_add(x->server->log, &(access_line){.remote = x->info->remote_addr,
                                                  .method = x->info->request_method,
                                                  .path = x->path,
                                                  .source = x->source,
                                                  .id = x->id,
                                                  .status = x->status,
                                                  .bytes = x->sent,
                                                  .us = server_now_us() - x->started_us});
}

/* Serves every request there is: CivetWeb's own handlers are never reached. */
static int on_request(struct mg_connection *conn)
{
    web_state *web = mg_get_user_data(mg_get_context(conn));
    exchange x = {.server = web->server,
                  .conn = conn,
                  .info = mg_get_request_info(conn),
                  .slot = slot_of(web, conn),
                  .started_us = server_now_us()};
    int given_up = gate_busy(x.slot);
    x.close = given_up;
    json_memory_begin();
    if (request_check(&x) == 0) {
        if (given_up)
            reply_error(&x, 503, "Retry-After: 1\r\n", "connection_closed", NULL,
                        "this connection was idle and is being closed");
        else
            routes_serve(&x);
    }
    if (x.close)
        mg_disable_connection_keep_alive(conn);
    log_exchange(&x);
    bytes_free(&x.body);
    gate_idle(x.slot);
    return x.status ? x.status : 500;
}

/* CivetWeb could not read the request: what it knows of it is not to be trusted, and it
 * closes. */
static int on_error(struct mg_connection *conn, int status, const char *message)
{
    web_state *web = mg_get_user_data(mg_get_context(conn));
    const struct mg_request_info *info = mg_get_request_info(conn);
    exchange x = {.server = web->server,
                  .conn = conn,
                  .info = info,
                  .slot = slot_of(web, conn),
                  .started_us = server_now_us(),
                  .close = 1,
                  .body_state = BODY_UNREAD};
    reply_error(&x, status == 411 ? 400 : status, NULL, "malformed_request", NULL,
                message);
    access_log_add(web->server->log,
                   &(access_line){.remote = info->remote_addr,
                                  .status = x.status,
                                  .bytes = x.sent,
                                  .us = server_now_us() - x.started_us});
    return 0;
}

static void on_close(const struct mg_connection *conn)
{
    web_state *web = mg_get_user_data(mg_get_context(conn));
    gate_release(slot_of(web, conn));
}

static void *on_thread(const struct mg_context *context, int type)
{
    web_state *web = mg_get_user_data(context);
    if (type == 1)
        atomic_fetch_add(&web->threads, 1);
    return NULL;
}

static int on_message(const struct mg_connection *conn, const char *message)
{
    web_state *web = mg_get_user_data(mg_get_context(conn));
    if (web && !*web->complaint)
        snprintf(web->complaint, sizeof web->complaint, "%s", message);
    return 1;
}

/* ---- Starting ------------------------------------------------------------------- */

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "llmcache-server: %s%s%s\n", what, *why ? ": " : "", why);
    return -SERVER_EXIT_FAILED;
}

static int start_web(web_state *web)
{
    const server_config *config = &web->server->config;
    char threads[16], request_ms[24], idle_ms[24], head[16];
    int wanted = gate_threads(web->server->gate);
    snprintf(threads, sizeof threads, "%d", wanted);
    snprintf(request_ms, sizeof request_ms, "%lld",
             (long long)config->request_timeout_ms);
    snprintf(idle_ms, sizeof idle_ms, "%lld", (long long)config->keep_alive_timeout_ms);
    snprintf(head, sizeof head, "%d", 2 * SERVER_HEAD_BYTES);
    const char *options[] = {"listening_ports",
                             config->address,
                             "num_threads",
                             threads,
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             idle_ms,
                             "request_timeout_ms",
                             request_ms,
                             "tcp_nodelay",
                             "1",
                             "max_request_size",
                             head,
                             "decode_url",
                             "no",
                             "enable_auth_domain_check",
                             "no",
                             "listen_backlog",
                             "1024",
                             "enable_directory_listing",
                             "no",
                             NULL};
    const struct mg_callbacks callbacks = {.begin_request = on_request,
                                           .http_error = on_error,
                                           .connection_close = on_close,
                                           .init_thread = on_thread,
                                           .log_message = on_message};
    mg_init_library(0);
    web->context = mg_start(&callbacks, web, options);
    if (!web->context)
        return fail("it cannot listen", web->complaint);
    for (int64_t end = server_now_ms() + 10000;
         atomic_load(&web->threads) < wanted && server_now_ms() < end;)
        usleep(1000);
    if (atomic_load(&web->threads) < wanted)
        return fail("there are not enough threads to be had for max-connections",
                    "lower it or raise the system's limit");
    return 0;
}

static int port_of(const web_state *web)
{
    struct mg_server_port port = {0};
    return mg_get_server_ports(web->context, 1, &port) == 1 ? port.port : 0;
}

/* Written beside and renamed, so that whoever waits for the file finds all of it. */
static int write_port_file(const char *path, int port)
{
    char part[4096];
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return fail("the port file cannot be written", "its name is too long");
    FILE *file = fopen(part, "we");
    int written = file && fprintf(file, "%d\n", port) > 0;
    if (file)
        written &= fclose(file) == 0;
    if (!written || rename(part, path))
        return fail("the port file cannot be written", strerror(errno));
    return 0;
}

static const char *shown(const http_server *server, const char *name)
{
    llmcache_setting row;
    for (size_t i = 0; llmcache_options_get(server->options, i, &row) == 0; i++)
        if (strcmp(row.name, name) == 0)
            return *row.value ? row.value : "auto";
    return "";
}

/* What is missing, said once: the server works without it. */
static void tell_problems(const http_server *server)
{
    llmcache_status status;
    char *json;
    if (llmcache_health(server->cache, &status, &json, NULL))
        return;
    json_t *parts = json_loads(json, 0, NULL), *part;
    const char *name;
    json_object_foreach(parts, name, part)
    {
        const char *detail = json_string_value(json_object_get(part, "detail"));
        if (json_is_false(json_object_get(part, "ok")) && detail && *detail)
            fprintf(stderr, "llmcache-server: %s: %s\n", name, detail);
    }
    json_decref(parts);
    llmcache_free(json);
}

static int announce(const web_state *web)
{
    const server_config *config = &web->server->config;
    int port = port_of(web), size = (int)strcspn(config->address, ":");
    if (config->port_file && write_port_file(config->port_file, port))
        return -SERVER_EXIT_FAILED;
    printf("llmcache-server %s listens on http://%.*s:%d (store %s, ", llmcache_version(),
           size, config->address, port, shown(web->server, "store"));
    printf("provider %s, ", shown(web->server, "provider"));
    printf("embedder %s)\n", shown(web->server, "embedder"));
    fflush(stdout);
    tell_problems(web->server);
    return 0;
}

static int open_parts(http_server *server)
{
    llmcache_error err;
    if (*server->config.access_log) {
        server->log = access_log_new(server->config.access_log);
        if (!server->log) {
            fprintf(stderr,
                    "llmcache-server: setting access-log: \"%s\" cannot be opened: %s\n",
                    server->config.access_log, strerror(errno));
            return -SERVER_EXIT_USAGE;
        }
    }
    server->openapi = openapi_document();
    server->gate = gate_new(server->config.max_connections, server->log);
    if (!server->openapi || !server->gate)
        return fail("out of memory", "");
    if (llmcache_open(server->options, &server->cache, &err)) {
        fail(err.message, "");
        return err.code == LLMCACHE_SETTING ? -SERVER_EXIT_USAGE : -SERVER_EXIT_FAILED;
    }
    return 0;
}

static void close_parts(http_server *server)
{
    llmcache_close(server->cache);
    gate_free(server->gate);
    access_log_free(server->log);
    llmcache_options_free(server->options);
    free(server->openapi);
}

/* ---- Ending --------------------------------------------------------------------- */

typedef struct end_watch {
    http_server *server;
    int64_t end_ms;
    pthread_t thread;
    int runs;
} end_watch;

static void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

/* Ends the process at the time limit or at a second signal, whoever still waits for what.
 */
static void *end_in_time(void *user)
{
    end_watch *watch = user;
    gate_counts counts;
    sigset_t set;
    stop_signals(&set);
    int64_t left = watch->end_ms - server_now_ms();
    struct timespec wait = {left > 0 ? left / 1000 : 0,
                            left > 0 ? left % 1000 * 1000000 : 0};
    while (sigtimedwait(&set, NULL, &wait) < 0 && errno == EINTR)
        continue;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* from here on it ends */
    gate_count(watch->server->gate, &counts);
    fprintf(stderr, "llmcache-server: stopped with %d requests under way\n", counts.busy);
    access_log_flush(watch->server->log);
    _exit(0);
}

static void watch_start(end_watch *watch, http_server *server)
{
    *watch = (end_watch){.server = server,
                         .end_ms = server_now_ms() + server->config.drain_timeout_ms};
    watch->runs = pthread_create(&watch->thread, NULL, end_in_time, watch) == 0;
}

/* All that could take long is over. */
static void watch_stop(end_watch *watch)
{
    if (!watch->runs)
        return;
    pthread_cancel(watch->thread);
    pthread_join(watch->thread, NULL);
}

static void drain(web_state *web)
{
    http_server *server = web->server;
    end_watch watch;
    watch_start(&watch, server);
    gate_drain(server->gate);
    gate_wait_empty(server->gate, server->config.drain_timeout_ms);
    mg_stop(web->context);
    llmcache_close(server->cache);
    server->cache = NULL;
    watch_stop(&watch);
}

/* Waits for TERM or INT; meanwhile writes the log out, and opens it anew on HUP. */
static void wait_for_end(http_server *server)
{
    struct timespec tick = {0, FLUSH_MS * 1000000};
    sigset_t set;
    stop_signals(&set);
    sigaddset(&set, SIGHUP);
    for (;;) {
        int signal = sigtimedwait(&set, NULL, &tick);
        if (signal == SIGTERM || signal == SIGINT)
            return;
        if (signal == SIGHUP)
            access_log_reopen(server->log);
        else
            access_log_flush(server->log);
    }
}

static void take_signals(void)
{
    sigset_t set;
    stop_signals(&set);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    http_server server = {0};
    web_state web = {.server = &server};
    json_memory_watch();

    int code = server_config_read(&server, argc, argv);
    if (code == 0) {
        take_signals();
        code = open_parts(&server);
    }
    if (code == 0)
        code = start_web(&web);
    if (code == 0)
        code = announce(&web);
    if (code == 0) {
        wait_for_end(&server);
        drain(&web);
    } else if (web.context) {
        mg_stop(web.context);
    }
    close_parts(&server);
    return code < 0 ? -code : 0;
}
