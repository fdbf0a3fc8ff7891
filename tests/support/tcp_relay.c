/* One thread and poll; a socket's buffers hold back what is held back. */
#include "tcp_relay.h"

#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 128, PIECE = 16384 };

typedef struct pipe_pair {
    int fd[2]; /* who came, and where it goes */
} pipe_pair;

struct test_relay {
    pthread_t thread;
    int listener, wake, port, to_port;
    atomic_int held, cut, over;
    pipe_pair pairs[MOST];
    size_t count;
};

static void set_options(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static void close_pair(test_relay *relay, size_t which)
{
    for (int side = 0; side < 2; side++) {
        setsockopt(relay->pairs[which].fd[side], SOL_SOCKET, SO_LINGER,
                   &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        close(relay->pairs[which].fd[side]);
    }
    relay->pairs[which] = relay->pairs[--relay->count];
}

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void take_connection(test_relay *relay)
{
    struct sockaddr_in to = address_of(relay->to_port);
    int from = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    int on = from < 0 ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (on < 0 || relay->count == MOST || connect(on, (struct sockaddr *)&to, sizeof to)) {
        if (from >= 0)
            close(from);
        if (on >= 0)
            close(on);
        return;
    }
    set_options(from);
    set_options(on);
    relay->pairs[relay->count++] = (pipe_pair){{from, on}};
}

/* 0 when the connection has ended. */
static int pass_on(int from, int to)
{
    char bytes[PIECE];
    ssize_t size = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size <= 0)
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    for (ssize_t at = 0, some; at < size; at += some) {
        some = send(to, bytes + at, (size_t)(size - at), MSG_NOSIGNAL);
        if (some <= 0)
            return 0;
    }
    return 1;
}

static void round_of(test_relay *relay)
{
    struct pollfd fds[2 + 2 * MOST] = {{.fd = relay->wake, .events = POLLIN}};
    int held = atomic_load(&relay->held);
    size_t count = relay->count;
    fds[1] = (struct pollfd){.fd = held ? -1 : relay->listener, .events = POLLIN};
    for (size_t i = 0; i < 2 * count; i++)
        fds[2 + i] = (struct pollfd){.fd = held ? -1 : relay->pairs[i / 2].fd[i % 2], .events = POLLIN};
    poll(fds, 2 + 2 * count, -1);
    if (fds[0].revents) {
        uint64_t number;
        ssize_t size = read(relay->wake, &number, sizeof number);
        (void)size;
    }
    if (atomic_exchange(&relay->cut, 0)) {
        while (relay->count)
            close_pair(relay, relay->count - 1);
        return;
    }
    if (held || atomic_load(&relay->held))
        return;
    for (size_t i = count; i-- > 0;) {
        int fine = 1;
        for (int side = 0; side < 2 && fine; side++)
            if (fds[2 + 2 * i + (size_t)side].revents)
                fine = pass_on(relay->pairs[i].fd[side], relay->pairs[i].fd[!side]);
        if (!fine)
            close_pair(relay, i);
    }
    if (fds[1].revents)
        take_connection(relay);
}

static void *run(void *user)
{
    test_relay *relay = user;
    while (!atomic_load(&relay->over))
        round_of(relay);
    while (relay->count)
        close_pair(relay, relay->count - 1);
    return NULL;
}

static void wake(test_relay *relay)
{
    ssize_t size = write(relay->wake, &(uint64_t){1}, sizeof(uint64_t));
    (void)size;
}

static void end(void *what)
{
    test_relay *relay = what;
    atomic_store(&relay->over, 1);
    wake(relay);
    pthread_join(relay->thread, NULL);
    close(relay->listener);
    close(relay->wake);
    free(relay);
}

test_relay *test_relay_new(int to_port)
{
    test_relay *relay = calloc(1, sizeof *relay);
    struct sockaddr_in at = address_of(0);
    socklen_t size = sizeof at;
    if (!relay)
        test_give_up("no memory");
    relay->to_port = to_port;
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    relay->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->listener < 0 || relay->wake < 0 || bind(relay->listener, (struct sockaddr *)&at, sizeof at) ||
        listen(relay->listener, MOST) || getsockname(relay->listener, (struct sockaddr *)&at, &size) ||
        pthread_create(&relay->thread, NULL, run, relay))
        test_give_up("a relay cannot be made");
    relay->port = ntohs(at.sin_port);
    test_at_end(end, relay);
    return relay;
}

int test_relay_port(const test_relay *relay)
{
    return relay->port;
}

void test_relay_hold(test_relay *relay)
{
    atomic_store(&relay->held, 1);
    wake(relay);
}

void test_relay_release(test_relay *relay)
{
    atomic_store(&relay->held, 0);
    wake(relay);
}

void test_relay_cut(test_relay *relay)
{
    atomic_store(&relay->cut, 1);
    wake(relay);
}
