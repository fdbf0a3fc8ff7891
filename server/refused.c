#include "refused.h"
#include "access_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REFUSED = 256, SPEAK_MS = 1000, CLOSE_MS = 2000 };

typedef struct refused_visitor {
    int fd;
    int told;       /* the reply is out */
    int64_t end_ms; /* of waiting for it to speak, then for it to leave */
    char address[INET6_ADDRSTRLEN];
} refused_visitor;

/*
 * `lock` guards the list of those that just came; the list being served belongs to the
 * serving thread.
 */
struct refused_list {
    access_log *log;
    pthread_mutex_t lock;
    refused_visitor fresh[MAX_REFUSED];
    int fresh_count;
    refused_visitor here[MAX_REFUSED];
    int here_count;
    int wake[2];
};

refused_list *refused_new(access_log *log)
{
    refused_list *refused = calloc(1, sizeof *refused);
    if (!refused)
        return NULL;
    if (pipe2(refused->wake, O_CLOEXEC | O_NONBLOCK)) {
        free(refused);
        return NULL;
    }
    refused->log = log;
    pthread_mutex_init(&refused->lock, NULL);
    return refused;
}

void refused_free(refused_list *refused)
{
    if (!refused)
        return;
    for (int i = 0; i < refused->fresh_count; i++)
        close(refused->fresh[i].fd);
    for (int i = 0; i < refused->here_count; i++)
        close(refused->here[i].fd);
    close(refused->wake[0]);
    close(refused->wake[1]);
    pthread_mutex_destroy(&refused->lock);
    free(refused);
}

void refused_wake(refused_list *refused)
{
    if (write(refused->wake[1], "", 1) < 0 && errno != EAGAIN)
        return; /* the next tick finds what is new */
}

/* ---- Telling -------------------------------------------------------------------- */

static void tell(refused_list *refused, refused_visitor *visitor, int draining)
{
    const char *body = draining ? "{\"error\":{\"message\":\"the server is "
                                  "stopping\",\"type\":\"server_error\","
                                  "\"param\":null,\"code\":\"stopping\"}}"
                                : "{\"error\":{\"message\":\"too many "
                                  "connections\",\"type\":\"server_error\","
                                  "\"param\":null,\"code\":\"too_many_connections\"}}";
    char reply[512];
    int size =
        snprintf(reply, sizeof reply,
                 "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s",
                 strlen(body), body);
    ssize_t sent = send(visitor->fd, reply, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(visitor->fd, SHUT_WR);
    visitor->told = 1;
    visitor->end_ms = server_now_ms() + CLOSE_MS;
    access_log_add(refused->log, &(access_line){.remote = visitor->address,
                                                .method = "-",
                                                .path = "-",
                                                .status = 503,
                                                .bytes = sent > 0 ? (uint64_t)sent : 0});
}

/* Reads what is there. 1 when the peer has left. */
static int read_away(const refused_visitor *visitor)
{
    char sink[4096];
    ssize_t size = recv(visitor->fd, sink, sizeof sink, MSG_DONTWAIT);
    return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

/* 1 when it can be closed. */
static int serve(refused_list *refused, refused_visitor *visitor, int readable,
                 int draining)
{
    int late = server_now_ms() >= visitor->end_ms;
    if (readable && read_away(visitor))
        return 1;
    if (!visitor->told && (readable || late)) {
        tell(refused, visitor, draining);
        return 0;
    }
    return late;
}

/* ---- The list ------------------------------------------------------------------- */

void refused_add(refused_list *refused, int fd, const struct sockaddr *peer)
{
    refused_visitor visitor = {.fd = fd, .end_ms = server_now_ms() + SPEAK_MS};
    if (peer->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr,
                  visitor.address, sizeof visitor.address);
    pthread_mutex_lock(&refused->lock);
    int full = refused->fresh_count == MAX_REFUSED;
    if (!full)
        refused->fresh[refused->fresh_count++] = visitor;
    pthread_mutex_unlock(&refused->lock);
    if (full) {
        tell(refused, &visitor, 0);
        close(fd);
    }
    refused_wake(refused);
}

/* Moves the fresh ones over; who finds no place is told at once. */
static void take_fresh(refused_list *refused, int draining)
{
    pthread_mutex_lock(&refused->lock);
    while (refused->fresh_count > 0) {
        refused_visitor *visitor = &refused->fresh[--refused->fresh_count];
        if (refused->here_count < MAX_REFUSED) {
            refused->here[refused->here_count++] = *visitor;
            continue;
        }
        tell(refused, visitor, draining);
        close(visitor->fd);
    }
    pthread_mutex_unlock(&refused->lock);
}

void refused_serve(refused_list *refused, int ms, int draining)
{
    struct pollfd polls[MAX_REFUSED + 1];
    int count = refused->here_count, kept = 0;
    char drained[64];

    polls[count] = (struct pollfd){.fd = refused->wake[0], .events = POLLIN};
    for (int i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = refused->here[i].fd, .events = POLLIN};
    if (poll(polls, (nfds_t)count + 1, ms) < 0)
        return;
    while (read(refused->wake[0], drained, sizeof drained) > 0)
        continue;
    for (int i = 0; i < count; i++) {
        refused_visitor *visitor = &refused->here[i];
        if (serve(refused, visitor, polls[i].revents != 0, draining))
            close(visitor->fd);
        else
            refused->here[kept++] = *visitor;
    }
    refused->here_count = kept;
    take_fresh(refused, draining);
}
