/* Starts redis-server from a configuration file written for the test. */
#include "redis_server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *program(void)
{
    const char *other = getenv("LLMCACHE_TEST_REDIS_SERVER");
    return other && *other ? other : test_program("redis-server");
}

const char *test_redis8(void)
{
    const char *other = getenv("LLMCACHE_TEST_REDIS8_SERVER");
    const char *ours = test_format("%s/redis8/redis-server", TEST_BUILD_ROOT);
    const char *found = other && *other ? other : access(ours, X_OK) == 0 ? ours : NULL;
    if (!found)
        fprintf(stderr, "skipped: %s\n", TEST_NO_REDIS8);
    return found;
}

int test_redis_installed(void)
{
    return program() != NULL;
}

static void make_certificate(test_redis *redis)
{
    const test_redis *like = redis->options.tls_like;
    const char *key = test_format("%s/server.key", redis->folder);
    redis->ca_file = like ? like->ca_file : test_format("%s/server.crt", redis->folder);
    if (like) {
        test_write_text(key, test_read_file(test_format("%s/server.key", like->folder), NULL));
        return;
    }
    test_run_result made = test_run_line(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
        "/CN=llmcache test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-keyout", key, "-out", redis->ca_file);
    if (made.status)
        test_give_up("openssl req: %s", made.err);
}

static const char *configuration(const test_redis *redis)
{
    const test_redis_options *options = &redis->options;
    const char *port = test_format("port %d\n", options->tls ? 0 : redis->port);
    const char *tls = "", *users = "";
    if (options->tls)
        tls = test_format("tls-port %d\ntls-cert-file %s\ntls-key-file %s/server.key\n"
                          "tls-auth-clients no\ntls-ca-cert-file %s\n",
                          redis->port, redis->ca_file, redis->folder, redis->ca_file);
    if (options->user)
        users = test_format("user default off\nuser %s on >%s ~* &* +@all\n",
                            options->user, options->password ? options->password : "");
    else if (options->password)
        users = test_format("requirepass %s\n", options->password);
    if (options->sentinel)
        return test_format("bind 127.0.0.1\n%s%s%sunixsocket %s\nunixsocketperm 700\ndir %s\n%s\n",
                           port, tls, users, redis->socket, redis->folder,
                           options->config ? options->config : "");
    return test_format(
        "bind 127.0.0.1\n%s%s%sunixsocket %s\nunixsocketperm 700\ndir %s\nsave \"\"\n"
        "appendonly %s\nappendfsync always\ndatabases 16\n%s\n",
        port, tls, users, redis->socket, redis->folder, options->durable ? "yes" : "no",
        options->config ? options->config : "");
}

/* LLMCACHE_TEST_REDIS_SERVER split into words, then the configuration file. */
static void launch(test_redis *redis)
{
    const char *argv[16];
    size_t count = 0;
    const char *usual = redis->options.program;
    for (const char *at = usual ? usual : program(); *at && count < 13; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        argv[count++] = test_format("%.*s", (int)size, at);
        at += size;
    }
    argv[count++] = test_format("%s/redis.conf", redis->folder);
    if (redis->options.sentinel)
        argv[count++] = "--sentinel";
    argv[count] = NULL;
    test_spawn(&redis->process, argv, NULL);
}

static int log_in(redisContext *link, const test_redis_options *options)
{
    redisReply *reply;
    if (options->user)
        reply = redisCommand(link, "AUTH %s %s", options->user,
                             options->password ? options->password : "");
    else if (options->password)
        reply = redisCommand(link, "AUTH %s", options->password);
    else
        reply = redisCommand(link, "PING");
    int fine = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return fine;
}

/* NULL while the server is not ready. */
static redisContext *try_connect(const test_redis *redis)
{
    struct timeval limit = {.tv_sec = 10};
    redisContext *link = redisConnectUnixWithTimeout(redis->socket, limit);
    if (link && !link->err)
        redisSetTimeout(link, limit);
    if (link && !link->err && log_in(link, &redis->options))
        return link;
    if (link)
        redisFree(link);
    return NULL;
}

/* Loading the append-only file answers -LOADING; log_in does not take that for ready. */
static int answers(const test_redis *redis)
{
    redisContext *link = try_connect(redis);
    if (!link)
        return 0;
    redisReply *reply = redisCommand(link, "PING");
    int ready = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    redisFree(link);
    return ready;
}

static void launch_and_wait(test_redis *redis)
{
    launch(redis);
    if (!test_wait_until(answers(redis) || !test_running(&redis->process), 20000) ||
        !redis->process.pid)
        test_give_up("redis-server does not answer: %s",
                     test_read_file(redis->process.log, NULL));
}

void test_redis_launch(test_redis *redis)
{
    launch_and_wait(redis);
}

void test_redis_start(test_redis *redis, const test_redis_options *options)
{
    test_redis_prepare(redis, options);
    test_redis_launch(redis);
}

void test_redis_prepare(test_redis *redis, const test_redis_options *options)
{
    if (!program() && !(options && options->program))
        test_give_up("redis-server is not installed");
    *redis = (test_redis){.folder = test_folder()};
    if (options)
        redis->options = *options;
    options = &redis->options;
    redis->socket = test_format("%s/redis.sock", redis->folder);
    redis->unix_uri = test_format("unix:%s", redis->socket);
    redis->port = options->no_tcp    ? 0
                  : options->cluster ? test_port_pair(10000) /* a node speaks to the others 10,000 ports above */
                                     : test_port();
    if (options->tls)
        make_certificate(redis);
    const char *login = "";
    if (options->password)
        login =
            test_format("%s:%s@", options->user ? options->user : "", options->password);
    redis->uri = options->no_tcp
                     ? redis->unix_uri
                     : test_format("%s://%s127.0.0.1:%d",
                                   options->tls ? "rediss" : "redis", login, redis->port);
    test_write_text(test_format("%s/redis.conf", redis->folder), configuration(redis));
}

void test_redis_kill(test_redis *redis)
{
    test_kill(&redis->process);
}

void test_redis_pause(test_redis *redis)
{
    test_signal(&redis->process, SIGSTOP);
}

void test_redis_resume(test_redis *redis)
{
    test_signal(&redis->process, SIGCONT);
}

void test_redis_restart(test_redis *redis)
{
    test_kill(&redis->process);
    launch_and_wait(redis);
}

redisContext *test_redis_connect(const test_redis *redis)
{
    redisContext *link = try_connect(redis);
    if (!link)
        test_give_up("cannot connect to redis at %s", redis->socket);
    return link;
}

static const char *as_text(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL)
        return NULL;
    if (reply->type == REDIS_REPLY_INTEGER)
        return test_format("%lld", reply->integer);
    if (reply->type != REDIS_REPLY_ARRAY)
        return test_keep(reply->str, reply->len);
    const char *all = "";
    for (size_t i = 0; i < reply->elements; i++) {
        const char *one = as_text(reply->element[i]);
        all = test_format("%s%s%s", all, i ? "\n" : "", one ? one : "");
    }
    return all;
}

/* Words without spaces in them; NULL when the connection breaks. */
static redisReply *do_line(redisContext *link, char *line)
{
    const char *words[64];
    int count = 0;
    for (char *rest = line, *word; count < 64 && (word = strtok_r(rest, " ", &rest));)
        words[count++] = word;
    return redisCommandArgv(link, count, words, NULL);
}

int test_redis_says(const test_redis *redis, const char *command, const char *what)
{
    char line[4096];
    snprintf(line, sizeof line, "%s", command);
    redisContext *link = try_connect(redis);
    redisReply *reply = link ? do_line(link, line) : NULL;
    const char *text = reply ? as_text(reply) : NULL;
    freeReplyObject(reply);
    if (link)
        redisFree(link);
    return text && strstr(text, what) != NULL;
}

const char *test_redis_command(const test_redis *redis, const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof line)
        test_give_up("command too long");
    redisContext *link = test_redis_connect(redis);
    redisReply *reply = do_line(link, line);
    if (!reply)
        test_give_up("redis: %s", link->errstr);
    const char *text = as_text(reply);
    freeReplyObject(reply);
    redisFree(link);
    return text;
}

static int can(const test_redis_options *options, const char *command, const char *what)
{
    test_redis redis;
    test_redis_prepare(&redis, options);
    launch(&redis);
    int it_can = test_wait_until(answers(&redis) || !test_running(&redis.process), 20000) &&
                 redis.process.pid && test_redis_says(&redis, command, what);
    test_redis_kill(&redis);
    return it_can;
}

const char *test_redis_lacks_cluster(void)
{
    const test_redis_options node = {.cluster = 1, .config = "cluster-enabled yes\n"};
    if (!program())
        return "redis-server is not installed";
    return can(&node, "CLUSTER INFO", "cluster_state") ? NULL : "this redis-server cannot be part of a cluster";
}

const char *test_redis_lacks_sentinel(void)
{
    const test_redis_options sentinel = {.sentinel = 1, .config = "sentinel monitor me 127.0.0.1 1 1\n"};
    if (!program())
        return "redis-server is not installed";
    return can(&sentinel, "SENTINEL MASTERS", "me") ? NULL : "this redis-server cannot be a sentinel";
}
