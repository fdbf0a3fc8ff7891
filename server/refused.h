/*
 * Connections that found no place: each is told 503 with Retry-After and closed, by
 * whoever calls refused_serve (one thread), without a thread of its own.
 *
 * The reply waits for the first bytes of the request, or a second: a client that has not
 * spoken yet may not expect an answer. After it the socket is read to its end for a short
 * while, since closing with unread bytes would reset the connection and could take the
 * reply away from the client.
 */
#ifndef REFUSED_H
#define REFUSED_H

#include "server.h"

#include <sys/socket.h>

typedef struct refused_list refused_list;

refused_list *refused_new(access_log *log); /* NULL: no memory */
void refused_free(refused_list *refused);   /* closes what is left */

/* Takes over the socket. Any thread. */
void refused_add(refused_list *refused, int fd, const struct sockaddr *peer);

/* Serves what is there, for about `ms`. `draining` changes what they are told. */
void refused_serve(refused_list *refused, int ms, int draining);
void refused_wake(refused_list *refused);

#endif
