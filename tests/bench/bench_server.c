/*
 * An exact hit through llmcache-server against a bare CivetWeb handler that returns the same bytes, and against
 * nginx's `return 200` with as large a body: requests over 1, 8, 64 and 256 connections kept alive, the next one sent
 * when its reply is whole. Where there are two processors or more, the servers have one and the load has another.
 * LLMCACHE_BENCH_NGINX names nginx where it is not in PATH.
 */
#include "bench.h"
#include "llmcache_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256, REQUEST_BYTES = 1024, THREADS = 300, SAMPLES = 20000, QUICK_SAMPLES = 4000 };

/* ---- Load ----------------------------------------------------------------------------------- */

typedef struct connection {
    int fd;
    size_t got, wanted; /* of the reply; wanted 0 while its head is not whole */
    double sent_us;
    char reply[16384];
} connection;

typedef struct load {
    const char *request;
    size_t request_size;
    int count; /* of connections */
    int epoll;
    double *samples; /* how long each reply took; NULL: not asked for */
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
    if (l->samples)
        c->sent_us = test_now_us();
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
            if (l->samples)
                l->samples[done] = test_now_us() - c->sent_us;
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
    load ours, bare, nginx;
} pair;

static void ask_ours(void *user, size_t count)
{
    run(&((pair *)user)->ours, count);
}

static void ask_bare(void *user, size_t count)
{
    run(&((pair *)user)->bare, count);
}

static void ask_nginx(void *user, size_t count)
{
    run(&((pair *)user)->nginx, count);
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

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double p99(load *l)
{
    static double samples[SAMPLES];
    size_t count = bench_quick() ? QUICK_SAMPLES : SAMPLES;
    l->samples = samples;
    run(l, count);
    l->samples = NULL;
    qsort(samples, count, sizeof *samples, by_value);
    return samples[count * 99 / 100];
}

/* ---- nginx -------------------------------------------------------------------------------------- */

static const char *nginx_program(void)
{
    const char *named = getenv("LLMCACHE_BENCH_NGINX");
    static const char *const folders[] = {"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin",
                                          "/opt/homebrew/bin"};
    if (named && *named)
        return named;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (test_exists(test_format("%s/nginx", folders[i])))
            return test_format("%s/nginx", folders[i]);
    return NULL;
}

static int listens(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int found = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return found;
}

/* As many bytes of body as the reply has. Its port; 0 without nginx. */
static int start_nginx(test_process *process, const char *reply)
{
    const char *program = nginx_program(), *folder = test_folder();
    char *body = strstr(test_read_file(reply, NULL), "\r\n\r\n");
    int port = test_port();
    if (!program || !body)
        return 0;
    body += 4;
    memset(body, 'x', strlen(body));
    test_write_text(test_format("%s/nginx.conf", folder),
                    test_format("daemon off;\nworker_processes 1;\npid %s/nginx.pid;\nerror_log stderr;\n"
                                "events { worker_connections 1024; }\n"
                                "http { access_log off; keepalive_requests 1000000000; tcp_nodelay on;\n"
                                "client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n"
                                "uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
                                "server { listen 127.0.0.1:%d; location / { default_type application/json;\n"
                                "return 200 \"%s\"; } } }\n",
                                folder, folder, folder, folder, folder, folder, port, body));
    const char *const argv[] = {program, "-p", folder, "-c", test_format("%s/nginx.conf", folder), NULL};
    test_spawn(process, argv, NULL);
    if (!test_wait_until(listens(port) || !test_running(process), 10000) || !test_running(process))
        test_give_up("nginx does not start: %s", test_read_file(process->log, NULL));
    return port;
}

/* ---- Comparing ----------------------------------------------------------------------------------- */

typedef struct servers {
    test_server ours;
    test_process bare, nginx;
    int bare_port, nginx_port; /* 0: no nginx */
} servers;

static void start_all(servers *all, const char *store, const char *log, int with_nginx)
{
    const char *flags[] = {"--max-connections", "320", "--store", store, "--memory-bytes", "65536",
                           "--access-log", log, NULL};
    if (strcmp(store, "memory:") == 0)
        flags[5] = "64MiB";
    *all = (servers){0};
    use_processor(0);
    test_server_start(&all->ours, flags, NULL);
    const char *reply = reply_file(&all->ours, chat_request());
    all->bare_port = start_bare(&all->bare, reply);
    all->nginx_port = with_nginx ? start_nginx(&all->nginx, reply) : 0;
    if (with_nginx && !all->nginx_port)
        puts("skipped: nginx is not installed");
    use_processor(1);
}

static void compare_over(bench_report *report, servers *all, pair *loads, const char *name, int c, double aim)
{
    const size_t rounds = c == 1 || bench_quick() ? 1000 : 5000, many = bench_quick() ? 5000 : 30000;
    bench_compare(report, test_format("%s, %d connections", name, c), "bare CivetWeb handler", ask_ours, ask_bare, loads,
                  rounds, 15, aim);
    double ours = processor_of(&all->ours.process, &loads->ours, many);
    double handler = processor_of(&all->bare, &loads->bare, many);
    bench_note(report, test_format("  its processor time (bare %.1f us)", handler), ours, "us a request");
    double slow = p99(&loads->ours), slow_bare = p99(&loads->bare);
    bench_value(report, test_format("  added to the bare handler's p99 of %.0f us, %d connections", slow_bare, c),
                slow - slow_bare, "us", c == 64 && aim > 0 ? 1000 : 0);
    if (all->nginx_port)
        bench_compare(report, test_format("%s, %d connections, beside nginx", name, c), "nginx, return 200", ask_ours,
                      ask_nginx, loads, rounds, 15, 0);
}

static void compare(bench_report *report, const char *name, const char *store, const char *log, double aim)
{
    static pair loads;
    static const int counts[] = {1, 8, 64, 256};
    servers all;
    const char *request = chat_request();
    start_all(&all, store, log, strcmp(name, "memory") == 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        open_load(&loads.ours, all.ours.port, request, counts[i]);
        open_load(&loads.bare, all.bare_port, request, counts[i]);
        if (all.nginx_port)
            open_load(&loads.nginx, all.nginx_port, request, counts[i]);
        compare_over(report, &all, &loads, name, counts[i], aim);
        close_load(&loads.ours);
        close_load(&loads.bare);
        if (all.nginx_port)
            close_load(&loads.nginx);
    }
    test_kill(&all.ours.process);
    test_kill(&all.bare);
    if (all.nginx_port)
        test_kill(&all.nginx);
}

int main(void)
{
    bench_report *report = bench_new("exact hit through llmcache-server, 1 KB request, us a request");
    compare(report, "memory", "memory:", "", 1 / 0.9);
    if (bench_quick())
        return bench_done(report);
    compare(report, "memory, access log to a file", "memory:",
            test_format("%s/access.log", test_folder()), 0);
    compare(report, "sqlite", test_format("sqlite:%s/cache.db", test_folder()), "", 1 / 0.75);
    return bench_done(report);
}
