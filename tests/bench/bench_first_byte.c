/*
 * What a miss through llmcache-server adds to the model's own time, as its client sees it: to the first byte of the
 * body and to the last, streamed and whole, against the mock model asked directly in the same run. The model thinks
 * for a tenth of a second before it says anything, and every question is a new one; 1 and 64 connections kept
 * alive, the next question sent when the reply is whole.
 */
#include "bench.h"
#include "llmcache_server.h"
#include "mock_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 64, ROUNDS = 5, THINKS_MS = 100, SAMPLES = 4096 };

/* ---- Load ----------------------------------------------------------------------------------- */

typedef struct connection {
    int fd;
    size_t got, head; /* bytes of the reply, of its head once that is whole */
    double sent_us, first_us;
    char reply[65536];
} connection;

typedef struct times {
    double first[SAMPLES], last[SAMPLES];
    int count;
} times;

typedef struct load {
    int port, count, streams, epoll;
    connection connections[MOST];
} load;

static unsigned long question; /* of all */

static void open_load(load *l, int port, int count, int streams)
{
    l->port = port;
    l->count = count;
    l->streams = streams;
    l->epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->connections[i]};
        l->connections[i].fd = test_connect(port);
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->connections[i].fd, &event);
    }
}

static void close_load(load *l)
{
    for (int i = 0; i < l->count; i++)
        close(l->connections[i].fd);
    close(l->epoll);
}

static void ask(const load *l, connection *c)
{
    char body[512], request[1024];
    int size = snprintf(body, sizeof body,
                        "{\"model\":\"gpt-4o-mini\",%s\"messages\":[{\"role\":\"user\",\"content\":"
                        "\"Question %lu of the benchmark, as long as people's questions are?\"}]}",
                        l->streams ? "\"stream\":true,\"stream_options\":{\"include_usage\":true}," : "", ++question);
    size = snprintf(request, sizeof request,
                    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    "Authorization: Bearer sk-bench\r\nContent-Length: %d\r\n\r\n%s", size, body);
    c->got = c->head = 0;
    c->sent_us = test_now_us();
    if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        test_give_up("a request could not be sent");
}

static int is_whole(const connection *c)
{
    const char *length = strcasestr(c->reply, "\r\nContent-Length: ");
    if (length && length < c->reply + c->head)
        return c->got >= c->head + strtoul(length + 18, NULL, 10);
    return c->got >= 5 && memcmp(c->reply + c->got - 5, "0\r\n\r\n", 5) == 0;
}

/* 1 when the reply is whole. */
static int take(connection *c)
{
    ssize_t size = recv(c->fd, c->reply + c->got, sizeof c->reply - 1 - c->got, 0);
    if (size <= 0)
        test_give_up("a connection ended: %s", size ? strerror(errno) : "closed");
    int had_body = c->head && c->got > c->head;
    c->got += (size_t)size;
    c->reply[c->got] = '\0';
    const char *end = c->head ? NULL : strstr(c->reply, "\r\n\r\n");
    if (end)
        c->head = (size_t)(end + 4 - c->reply);
    if (c->head && c->got > c->head && !had_body)
        c->first_us = test_now_us();
    if (c->head && strncmp(c->reply, "HTTP/1.1 200", 12) != 0)
        test_give_up("not 200: %s", c->reply);
    return c->head && is_whole(c);
}

static void note(times *t, const connection *c)
{
    if (t->count == SAMPLES)
        return;
    t->first[t->count] = c->first_us - c->sent_us;
    t->last[t->count++] = test_now_us() - c->sent_us;
}

static void run(load *l, int count, times *t)
{
    int sent = 0, done = 0;
    struct epoll_event events[MOST];
    for (; sent < l->count && sent < count; sent++)
        ask(l, &l->connections[sent]);
    while (done < count) {
        int ready = epoll_wait(l->epoll, events, MOST, 10000);
        if (ready <= 0)
            test_give_up("no reply for ten seconds");
        for (int i = 0; i < ready; i++) {
            connection *c = events[i].data.ptr;
            if (!take(c))
                continue;
            done++;
            if (t)
                note(t, c);
            if (sent < count) {
                sent++;
                ask(l, c);
            }
        }
    }
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *values, int count, int percent)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count * percent / 100];
}

static void row(bench_report *report, const char *name, double *ours, int our_count, double *theirs, int their_count)
{
    double us = percentile(ours, our_count, 50), bound = percentile(theirs, their_count, 50);
    double slow = percentile(ours, our_count, 99), slow_bound = percentile(theirs, their_count, 99);
    bench_pair(report, name, "the mock, asked directly", us, bound, 1.1);
    bench_note(report, "  added, p50", us - bound, "us");
    bench_note(report, "  added, p99", slow - slow_bound, "us");
}

static void compare(bench_report *report, const char *store, int port, int mock_port, int connections, int streams)
{
    static load ours, direct;
    static times our_times, direct_times;
    const char *form = streams ? "streamed" : "whole";
    int count = connections == 1 ? 12 : connections * 6;
    our_times.count = direct_times.count = 0;
    open_load(&ours, port, connections, streams);
    open_load(&direct, mock_port, connections, streams);
    for (int i = -1; i < (bench_quick() ? 1 : ROUNDS); i++) {
        run(&ours, count, i < 0 ? NULL : &our_times);
        run(&direct, count, i < 0 ? NULL : &direct_times);
    }
    close_load(&ours);
    close_load(&direct);
    row(report, test_format("%s, %s, first byte, %d connections", store, form, connections), our_times.first,
        our_times.count, direct_times.first, direct_times.count);
    row(report, test_format("%s, %s, last byte, %d connections", store, form, connections), our_times.last,
        our_times.count, direct_times.last, direct_times.count);
}

static void compare_all(bench_report *report, const test_mock *mock, const char *name, const char *store)
{
    test_server server;
    const char *flags[] = {"--store", store, "--provider", "openai:", "--openai-base-url", mock->openai,
                           "--embedder", "none", "--access-log", "", "--max-connections", "128", NULL};
    test_server_start(&server, flags, NULL);
    for (int connections = 1; connections <= MOST; connections *= MOST)
        for (int streams = 1; streams >= 0; streams--)
            compare(report, name, server.port, mock->port, connections, streams);
    test_kill(&server.process);
}

int main(void)
{
    test_mock mock;
    bench_report *report = bench_new("a miss through llmcache-server, the model thinks for 100 ms, us a request");
    mock_start(&mock);
    mock_behave(&mock, "{'delay_ms': %d}", THINKS_MS);
    compare_all(report, &mock, "memory", "memory:");
    compare_all(report, &mock, "sqlite", test_format("sqlite:%s/cache.db", test_folder()));
    return bench_done(report);
}
