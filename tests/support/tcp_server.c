/* A listening thread, and a thread a connection. */
#include "tcp_server.h"

#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256 };

typedef struct connection {
    test_tcp_server *server;
    pthread_t thread;
    int fd;
    int nth;
} connection;

struct test_tcp_server {
    test_serve_fn serve;
    void *user;
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t lock; /* guards count, stopping, and every fd against being closed while it is cut */
    int stopping;
    int count;
    connection connections[MOST];
};

static void *serve_one(void *argument)
{
    connection *c = argument;
    c->server->serve(c->server->user, c->fd, c->nth);
    pthread_mutex_lock(&c->server->lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&c->server->lock);
    return NULL;
}

static void *accept_all(void *argument)
{
    test_tcp_server *server = argument;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        pthread_mutex_lock(&server->lock);
        if (server->count == MOST)
            test_give_up("more than %d connections", MOST);
        if (server->stopping) {
            close(fd);
        } else {
            connection *c = &server->connections[server->count];
            *c = (connection){.server = server, .fd = fd, .nth = server->count};
            if (pthread_create(&c->thread, NULL, serve_one, c))
                test_give_up("no thread");
            server->count++;
        }
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

test_tcp_server *test_tcp_serve(test_serve_fn serve, void *user)
{
    test_tcp_server *server = calloc(1, sizeof *server);
    if (!server)
        test_give_up("no memory");
    *server = (test_tcp_server){.serve = serve, .user = user};
    pthread_mutex_init(&server->lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server->port = test_port(); /* stays the test's own once nobody listens there any more */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server->listener, (struct sockaddr *)&at, sizeof at) || listen(server->listener, 128) ||
        pthread_create(&server->thread, NULL, accept_all, server))
        test_give_up("cannot listen");
    return server;
}

int test_tcp_port(const test_tcp_server *server)
{
    return server->port;
}

int test_tcp_connections(test_tcp_server *server)
{
    pthread_mutex_lock(&server->lock);
    int count = server->count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

void test_tcp_stop(test_tcp_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = 1;
    for (int i = 0; i < server->count; i++)
        if (server->connections[i].fd >= 0)
            shutdown(server->connections[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    for (int i = 0; i < server->count; i++)
        pthread_join(server->connections[i].thread, NULL);
    close(server->listener);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *test_tcp_request(int fd)
{
    size_t size = 0, room = 4096, need = 0;
    char *text = malloc(room);
    while (text && (need == 0 || size < need)) {
        if (size + 1 >= room && !(text = realloc(text, room *= 2)))
            break;
        ssize_t got = recv(fd, text + size, room - size - 1, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        text[size] = '\0';
        const char *end = need ? NULL : strstr(text, "\r\n\r\n");
        if (end) {
            const char *length = strcasestr(text, "\r\ncontent-length:");
            need = (size_t)(end + 4 - text);
            if (length && length < end)
                need += strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
        }
    }
    const char *kept = text && need && size >= need ? test_keep(text, size) : NULL;
    free(text);
    return kept;
}

void test_tcp_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
