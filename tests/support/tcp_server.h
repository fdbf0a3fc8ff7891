/*
 * A TCP server of the test's own on 127.0.0.1, for peers that misbehave: each connection is served by a
 * function of the test, in a thread of its own, down to the byte.
 */
#ifndef TEST_TCP_SERVER_H
#define TEST_TCP_SERVER_H

#include <stddef.h>

typedef struct test_tcp_server test_tcp_server;

/* Serves connection number `nth` (0, 1, ...); the connection is closed when it returns. */
typedef void (*test_serve_fn)(void *user, int fd, int nth);

test_tcp_server *test_tcp_serve(test_serve_fn serve, void *user);
int test_tcp_port(const test_tcp_server *server);
int test_tcp_connections(test_tcp_server *server); /* accepted so far */
void test_tcp_stop(test_tcp_server *server);       /* cuts what is open, waits for the functions */

/* One HTTP request with its body (by Content-Length), alive until the test ends; NULL at the end. */
const char *test_tcp_request(int fd);

/* Makes the coming close a reset. */
void test_tcp_reset_on_close(int fd);

#endif
