/* A connection of the mock model's, between reading calls and sending replies. */
#ifndef MOCK_CONNECTION_H
#define MOCK_CONNECTION_H

#include "mock.h"

typedef struct mock_connection {
    int fd;
    uint64_t number;
    mock_bytes in; /* received; `start` of it is done with */
    size_t start;
    int gone; /* the client has left, or writing failed */
    int last; /* close after this reply */
} mock_connection;

void mock_send(mock_connection *c, const void *data, size_t size);

/* The head without its empty line as a string to free; its size with that line, 0 when
 * the connection ends. */
size_t mock_read_head(mock_connection *c, char **head);

/* The body that the call's headers announce, which begins at `at`; *end: after it. 0, or
 * -1. */
int mock_read_body(mock_connection *c, const mock_call *call, size_t at, mock_bytes *body,
                   size_t *end);

/* Undoes gzip in place; leaves the bytes when they are none. */
void mock_inflate(mock_bytes *body);

/* NULL when it is no JSON, even to parsers that take more than jansson does. */
json_t *mock_parse(const char *text, size_t size);

#endif
