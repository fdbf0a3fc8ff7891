/*
 * An exact hit through llmcache-server against a bare CivetWeb handler that returns the same bytes: requests
 * over 1, 8 and 64 connections kept alive, the next one sent when its reply is whole. Where there are
 * two processors or more, the servers have one and the load has another.
 */
#include "bench.h"
#include "llmcache_server.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 64, REQUEST_BYTES = 1024, THREADS = 80 };

/* ---- Load ----------------------------------------------------------------------------------- */

typedef struct connection {
    int fd;
    size_t got, wanted; /* of the reply; wanted 0 while its head is not whole */
    char reply[16384];
} connection;

typedef struct load {
    const char *request;
    size_t request_size;
    int count; /* of connections */
    int epoll;
    connection connections[MOST];
} load;

static void open_load(load *l, int port, const char *request, int count)
{
    *l = (load){.request = request, .request_size = strlen(request), .count = count,
                .epoll = epoll_create1(0)};
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
    c->got = c->wanted = 0;
    if (send(c->fd, l->request, l->request_size, MSG_NOSIGNAL) != (ssize_t)l->request_size)
        test_give_up("a request could not be sent");
}

/* 1 when the reply is whole. */
static int take(connection *c)
{
    ssize_t size = recv(c->fd, c->reply + c->got, sizeof c->reply - 1 - c->got, 0);
    if (size <= 0)
        test_give_up("a connection ended: %s", size ? strerror(errno) : "closed");
    c->got += (size_t)size;
    c->reply[c->got] = '\0';
    if (!c->wanted) {
        const char *head = strstr(c->reply, "\r\n\r\n"), *length = strstr(c->reply, "Content-Length: ");
        if (!head || !length)
            return 0;
        c->wanted = (size_t)(head + 4 - c->reply) + strtoul(length + 16, NULL, 10);
        if (strncmp(c->reply, "HTTP/1.1 200", 12) != 0)
            test_give_up("not 200: %s", c->reply);
    }
    return c->got >= c->wanted;
}

static void run(load *l, size_t count)
{
    size_t sent = 0, done = 0;
    struct epoll_event events[MOST];
    for (; sent < (size_t)l->count && sent < count; sent++)
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
            if (sent < count) {
                sent++;
                ask(l, c);
            }
        }
    }
}

/* ---- The two servers --------------------------------------------------------------------------- */

typedef struct pair {
    load ours, bare;
} pair;

static void ask_ours(void *user, size_t count)
{
    run(&((pair *)user)->ours, count);
}

static void ask_bare(void *user, size_t count)
{
    run(&((pair *)user)->bare, count);
}

static void use_processor(int number)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(number, &set);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        sched_setaffinity(0, sizeof set, &set);
}

/* About 1 KB, as OpenAI's clients send it. */
static const char *chat_request(void)
{
    static const char head[] = "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"system\",\"content\":\"";
    static const char tail[] = "\"},{\"role\":\"user\",\"content\":\"What is a cache?\"}]}";
    char filler[REQUEST_BYTES] = "";
    memset(filler, 'x', REQUEST_BYTES - sizeof head - sizeof tail);
    const char *body = test_format("%s%s%s", head, filler, tail);
    return test_format("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
                       "Content-Type: application/json\r\nAuthorization: Bearer sk-bench\r\n"
                       "User-Agent: OpenAI/Python 1.0\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
}

/* One reply to the request, byte for byte, in a file. */
static const char *reply_file(const test_server *server, const char *request)
{
    static load l;
    const char *path = test_format("%s/reply", test_folder());
    open_load(&l, server->port, request, 1);
    run(&l, 2); /* the second is a hit */
    test_write_file(path, l.connections[0].reply, l.connections[0].got);
    close_load(&l);
    return path;
}

static int start_bare(test_process *process, const char *reply)
{
    const char *port_file = test_format("%s/port", test_folder());
    const char *const argv[] = {test_build_path("tests/bench/bare-server"), test_format("%d", THREADS),
                                port_file, reply, NULL};
    const char *text = NULL;
    test_spawn(process, argv, NULL);
    if (!test_wait_until((text = test_read_file(port_file, NULL)) && strchr(text, '\n'), 10000))
        test_give_up("bare-server does not start");
    return atoi(text);
}

/* Processor time a process has used: says more than time passed on a machine that others use too. */
static double processor_us(const test_process *process)
{
    unsigned long user = 0, system = 0;
    const char *text = test_read_file(test_format("/proc/%d/stat", (int)process->pid), NULL);
    const char *at = text ? strrchr(text, ')') : NULL;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static double processor_of(const test_process *process, load *l, size_t count)
{
    double before = processor_us(process);
    run(l, count);
    return (processor_us(process) - before) / (double)count;
}

static void compare(bench_report *report, const char *name, const char *store, const char *log, double aim)
{
    static pair loads;
    test_server server;
    test_process bare;
    const char *request = chat_request();
    use_processor(0);
    const char *flags[] = {"--max-connections", "192", "--store", store, "--memory-bytes", "65536",
                           "--access-log", log, NULL};
    if (strcmp(store, "memory:") == 0)
        flags[5] = "64MiB";
    test_server_start(&server, flags, NULL);
    int port = start_bare(&bare, reply_file(&server, request));
    use_processor(1);
    for (int c = 1; c <= MOST; c *= 8) {
        open_load(&loads.ours, server.port, request, c);
        open_load(&loads.bare, port, request, c);
        bench_compare(report, test_format("%s, %d connections", name, c), "bare CivetWeb handler", ask_ours,
                      ask_bare, &loads, c == 1 ? 1000 : 5000, 15, aim);
        double ours = processor_of(&server.process, &loads.ours, 30000);
        double handler = processor_of(&bare, &loads.bare, 30000);
        bench_note(report, test_format("  its processor time (bare %.1f us)", handler), ours, "us a request");
        close_load(&loads.ours);
        close_load(&loads.bare);
    }
    test_kill(&server.process);
    test_kill(&bare);
}

int main(void)
{
    bench_report *report = bench_new("exact hit through llmcache-server, 1 KB request, us a request");
    compare(report, "memory", "memory:", "", 1 / 0.9);
    compare(report, "memory, access log to a file", "memory:",
            test_format("%s/access.log", test_folder()), 0);
    compare(report, "sqlite", test_format("sqlite:%s/cache.db", test_folder()), "", 1 / 0.75);
    return bench_done(report);
}
