/*
 * The gate at work. CivetWeb 1.15 has no hook between accept(2) and its worker threads,
 * so this program defines accept() itself: the dynamic linker (and the static one)
 * prefers a program's own definition to libc's, and CivetWeb's accept thread calls it for
 * each connection.
 *
 * `lock` guards the slots' lists and their sockets' validity: a socket is shut by another
 * thread only under it, and a slot is released under it before CivetWeb closes the
 * socket, so that a number that already means another socket is never touched. A slot's
 * `state`, `since_us` and `deadline_ms` are atomic, so that a request on a busy server
 * takes no lock.
 */
#include "gate.h"
#include "refused.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FREE,   /* no connection */
    IDLE,   /* it may ask */
    BUSY,   /* a request is being served */
    LEAVING /* given up: its thread is about to close it */
};

enum { TICK_MS = 100, LINGER_MS = 2000, LINGER_BYTES = 64 * 1024 * 1024 };

struct gate_slot {
    conn_gate *gate;
    int fd;
    char address[INET6_ADDRSTRLEN];
    int port;
    int claimed; /* its thread knows this slot */
    atomic_int state;
    atomic_int cut;
    atomic_llong since_us;    /* in this state */
    atomic_llong deadline_ms; /* of the reading, 0 for none */
};

struct conn_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a connection has gone */
    gate_slot *slots;
    int slot_count, max;
    int live; /* slots that are neither FREE nor LEAVING */
    int used; /* slots that are not FREE */
    int listener;
    int64_t hopeless_until_ms; /* nobody waits for a place before */
    refused_list *refused;
    pthread_t watch;
    atomic_int draining, stopping;
    atomic_ullong accepted, refused_count, evicted;
};

static _Atomic(conn_gate *) the_gate; /* what accept() below consults */

/* ---- Making --------------------------------------------------------------------- */

/* Every connection needs a descriptor, and so do the store and the model's service. */
static void raise_file_limit(int connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections * 2 + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void *watch(void *user);

static int start(conn_gate *gate)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&gate->lock, NULL);
    if (pthread_create(&gate->watch, NULL, watch, gate) == 0)
        return 0;
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    return -1;
}

conn_gate *gate_new(int max_connections, access_log *log)
{
    conn_gate *gate = calloc(1, sizeof *gate);
    if (!gate)
        return NULL;
    gate->max = max_connections;
    gate->slot_count = max_connections + GATE_SPARE;
    gate->listener = -1;
    gate->slots = calloc((size_t)gate->slot_count, sizeof *gate->slots);
    gate->refused = refused_new(log);
    if (!gate->slots || !gate->refused || start(gate)) {
        refused_free(gate->refused);
        free(gate->slots);
        free(gate);
        return NULL;
    }
    raise_file_limit(gate->slot_count);
    atomic_store(&the_gate, gate);
    return gate;
}

void gate_free(conn_gate *gate)
{
    if (!gate)
        return;
    atomic_store(&the_gate, NULL);
    atomic_store(&gate->stopping, 1);
    refused_wake(gate->refused);
    pthread_join(gate->watch, NULL);
    refused_free(gate->refused);
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    free(gate->slots);
    free(gate);
}

int gate_threads(const conn_gate *gate)
{
    return gate->slot_count;
}

/* ---- Letting in ----------------------------------------------------------------- */

/* A request has begun to arrive: not idle, although its thread has not read of it yet. */
static int asks(const gate_slot *slot)
{
    char byte;
    return recv(slot->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static gate_slot *longest_idle(conn_gate *gate)
{
    gate_slot *oldest = NULL;
    for (int i = 0; i < gate->slot_count; i++) {
        gate_slot *slot = &gate->slots[i];
        if (atomic_load(&slot->state) == IDLE &&
            (!oldest || atomic_load(&slot->since_us) < atomic_load(&oldest->since_us)))
            oldest = slot;
    }
    return oldest;
}

/* Gives up the longest idle connection. Under the lock. 0 when one was found; else after how many
 * milliseconds one may be, -1 when none is idle. */
static int64_t evict(conn_gate *gate)
{
    for (int tried = 0; tried < gate->slot_count; tried++) {
        gate_slot *oldest = longest_idle(gate);
        int64_t now = server_now_us();
        int64_t left = oldest ? atomic_load(&oldest->since_us) + GATE_PATIENCE_MS * 1000 - now : -1;
        int idle = IDLE;
        if (!oldest || left > 0)
            return left > 0 ? left / 1000 + 1 : -1;
        if (asks(oldest)) {
            atomic_store(&oldest->since_us, now);
        } else if (atomic_compare_exchange_strong(&oldest->state, &idle, LEAVING)) {
            gate->live--;
            atomic_fetch_add(&gate->evicted, 1);
            shutdown(oldest->fd, SHUT_RD);
            return 0;
        }
    }
    return -1;
}

static gate_slot *free_slot(conn_gate *gate)
{
    for (int i = 0; i < gate->slot_count; i++)
        if (atomic_load(&gate->slots[i].state) == FREE)
            return &gate->slots[i];
    return NULL;
}

static void name_peer(gate_slot *slot, const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const void *)address;
    slot->address[0] = '\0';
    slot->port = 0;
    if (address->sa_family != AF_INET)
        return;
    inet_ntop(AF_INET, &v4->sin_addr, slot->address, sizeof slot->address);
    slot->port = ntohs(v4->sin_port);
}

/* Until `changed` is told, `ms` at most. Under the lock. */
static int wait_changed(conn_gate *gate, int64_t ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    return pthread_cond_timedwait(&gate->changed, &gate->lock, &end);
}

/*
 * A slot for a new connection, made free where one is idle. That can take a moment: until one has been idle for
 * long enough, or a thread has left. The others wait in the kernel's queue meanwhile; after a wait in vain nobody
 * does for a while, so that a server with more work than connections says so at once.
 */
static gate_slot *place(conn_gate *gate)
{
    int64_t now = server_now_ms(), end = now + 2 * GATE_PATIENCE_MS;
    for (; !atomic_load(&gate->draining); now = server_now_ms()) {
        int64_t wait = GATE_PATIENCE_MS;
        if (gate->used < gate->slot_count)
            wait = gate->live < gate->max ? 0 : evict(gate);
        if (wait == 0)
            return free_slot(gate);
        if (wait < 0 || now < gate->hopeless_until_ms)
            return NULL;
        if (now >= end) {
            gate->hopeless_until_ms = now + GATE_PATIENCE_MS;
            return NULL;
        }
        wait_changed(gate, wait);
    }
    return NULL;
}

/* 0 when the connection may come in. */
static int admit(conn_gate *gate, int fd, const struct sockaddr *address)
{
    pthread_mutex_lock(&gate->lock);
    gate_slot *slot = place(gate);
    if (slot) {
        slot->gate = gate;
        slot->fd = fd;
        name_peer(slot, address);
        atomic_store(&slot->cut, 0);
        atomic_store(&slot->deadline_ms, 0);
        atomic_store(&slot->since_us, server_now_us());
        atomic_store(&slot->state, IDLE);
        slot->claimed = 0;
        gate->live++;
        gate->used++;
    }
    pthread_mutex_unlock(&gate->lock);
    return slot ? 0 : -1;
}

/* CivetWeb polls again at once after a failed accept: what will not pass quickly must not
 * spin. */
static void accept_failed(conn_gate *gate)
{
    struct timespec pause = {0, 20 * 1000 * 1000};
    int why = errno;
    if (gate && (why == EMFILE || why == ENFILE)) { /* fewer descriptors than connections: an idle one gives way */
        pthread_mutex_lock(&gate->lock);
        evict(gate);
        pthread_mutex_unlock(&gate->lock);
    }
    errno = why;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS ||
        (gate && atomic_load(&gate->draining)))
        nanosleep(&pause, NULL);
}

/* This is accept(2), for CivetWeb: see the head of the file. */
int gate_accept(int listener, struct sockaddr *address, socklen_t *size) __asm__("accept")
    __attribute__((visibility("default"), used));

int gate_accept(int listener, struct sockaddr *address, socklen_t *size)
{
    conn_gate *gate = atomic_load(&the_gate);
    int fd = accept4(listener, address, size, SOCK_CLOEXEC);
    if (fd < 0) {
        int why = errno;
        accept_failed(gate);
        errno = why;
        return -1;
    }
    if (!gate)
        return fd;
    if (admit(gate, fd, address) == 0) {
        atomic_fetch_add(&gate->accepted, 1);
        return fd;
    }
    atomic_fetch_add(&gate->refused_count, 1);
    refused_add(gate->refused, fd, address);
    errno = EAGAIN;
    return -1;
}

/* ---- One connection's life ------------------------------------------------------ */

/* Peers differ in address or port: the server has one address, or all of them and then
 * one port. */
gate_slot *gate_claim(conn_gate *gate, const char *address, int port)
{
    gate_slot *found = NULL;
    pthread_mutex_lock(&gate->lock);
    for (int i = 0; i < gate->slot_count && !found; i++) {
        gate_slot *slot = &gate->slots[i];
        if (atomic_load(&slot->state) != FREE && !slot->claimed && slot->port == port &&
            strcmp(slot->address, address) == 0)
            found = slot;
    }
    if (found)
        found->claimed = 1;
    pthread_mutex_unlock(&gate->lock);
    return found;
}

void gate_release(gate_slot *slot)
{
    if (!slot)
        return;
    conn_gate *gate = slot->gate;
    pthread_mutex_lock(&gate->lock);
    if (atomic_load(&slot->state) != LEAVING)
        gate->live--;
    gate->used--;
    slot->fd = -1;
    atomic_store(&slot->deadline_ms, 0);
    atomic_store(&slot->state, FREE);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

int gate_busy(gate_slot *slot)
{
    int idle = IDLE;
    if (!slot)
        return 0;
    return atomic_compare_exchange_strong(&slot->state, &idle, BUSY) ? 0 : -1;
}

/* A drain that began meanwhile has not seen this connection as idle. */
void gate_idle(gate_slot *slot)
{
    int busy = BUSY;
    if (!slot)
        return;
    atomic_store(&slot->since_us, server_now_us());
    atomic_compare_exchange_strong(&slot->state, &busy, IDLE);
    if (atomic_load(&slot->gate->draining))
        shutdown(slot->fd, SHUT_RD);
}

void gate_limit(gate_slot *slot, int64_t ms)
{
    if (slot)
        atomic_store(&slot->deadline_ms, ms ? server_now_ms() + ms : 0);
}

int gate_was_cut(const gate_slot *slot)
{
    return slot && atomic_load(&slot->cut);
}

void gate_linger(gate_slot *slot)
{
    char sink[16384];
    int64_t end = server_now_ms() + LINGER_MS, now;
    size_t left = LINGER_BYTES;
    if (!slot)
        return;
    shutdown(slot->fd, SHUT_WR);
    while ((now = server_now_ms()) < end && left > sizeof sink) {
        struct pollfd wait = {.fd = slot->fd, .events = POLLIN};
        if (poll(&wait, 1, (int)(end - now)) <= 0)
            break;
        ssize_t size = recv(slot->fd, sink, sizeof sink, MSG_DONTWAIT);
        if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
            break;
        left -= size > 0 ? (size_t)size : 0;
    }
}

/* Connecting a connected TCP socket to nowhere resets it (Linux, BSD). */
void gate_abort(gate_slot *slot)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    if (slot)
        connect(slot->fd, &nowhere, sizeof nowhere);
}

/* ---- Watching ------------------------------------------------------------------- */

static void cut_late_ones(conn_gate *gate)
{
    int64_t now = server_now_ms();
    pthread_mutex_lock(&gate->lock);
    for (int i = 0; i < gate->slot_count; i++) {
        gate_slot *slot = &gate->slots[i];
        int64_t deadline = atomic_load(&slot->deadline_ms);
        if (!deadline || now < deadline || atomic_load(&slot->state) == FREE)
            continue;
        atomic_store(&slot->cut, 1);
        atomic_store(&slot->deadline_ms, 0);
        shutdown(slot->fd, SHUT_RD);
    }
    pthread_mutex_unlock(&gate->lock);
}

static void *watch(void *user)
{
    conn_gate *gate = user;
    while (!atomic_load(&gate->stopping)) {
        refused_serve(gate->refused, TICK_MS, atomic_load(&gate->draining));
        cut_late_ones(gate);
    }
    return NULL;
}

/* ---- Draining ------------------------------------------------------------------- */

/* CivetWeb does not tell its listening socket; it is the one socket of the process that
 * listens. */
static int find_listener(void)
{
    struct rlimit limit;
    int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024 * 1024
                   ? (int)limit.rlim_cur
                   : 1024 * 1024;
    for (int fd = 3; fd < last; fd++) {
        int listens = 0;
        socklen_t size = sizeof listens;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
            return fd;
    }
    return -1;
}

void gate_drain(conn_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    atomic_store(&gate->draining, 1);
    gate->listener = find_listener();
    if (gate->listener >= 0)
        shutdown(gate->listener, SHUT_RDWR);
    pthread_cond_broadcast(&gate->changed); /* whoever waits for a place */
    for (int i = 0; i < gate->slot_count; i++)
        if (atomic_load(&gate->slots[i].state) == IDLE)
            shutdown(gate->slots[i].fd, SHUT_RD);
    pthread_mutex_unlock(&gate->lock);
}

int gate_draining(const conn_gate *gate)
{
    return atomic_load(&gate->draining);
}

int gate_wait_empty(conn_gate *gate, int64_t ms)
{
    int64_t end = server_now_ms() + ms, left;
    pthread_mutex_lock(&gate->lock);
    while (gate->used > 0 && (left = end - server_now_ms()) > 0)
        wait_changed(gate, left);
    int used = gate->used;
    pthread_mutex_unlock(&gate->lock);
    return used;
}

void gate_count(conn_gate *gate, gate_counts *counts)
{
    *counts = (gate_counts){.accepted = atomic_load(&gate->accepted),
                            .refused = atomic_load(&gate->refused_count),
                            .evicted = atomic_load(&gate->evicted)};
    pthread_mutex_lock(&gate->lock);
    counts->connections = gate->used;
    for (int i = 0; i < gate->slot_count; i++)
        counts->busy += atomic_load(&gate->slots[i].state) == BUSY;
    pthread_mutex_unlock(&gate->lock);
}
