/*
 * The access log: one JSON object a line for each request. Never a prompt, an answer, a
 * key, or the values of a query.
 *
 * Lines are gathered and written when there are many or when access_log_flush is called,
 * so that a request does not wait for a disk or a terminal. Thread-safe; a NULL log is no
 * log.
 */
#ifndef ACCESS_LOG_H
#define ACCESS_LOG_H

#include "server.h"

typedef struct access_line {
    const char *remote;
    const char *method;
    const char *path;   /* without its query */
    const char *source; /* who answered: "exact", "model", ...; NULL for none */
    const char *id;     /* of the entry, NULL for none */
    int status;
    uint64_t bytes; /* sent, headers included */
    int64_t us;     /* from the request's headers to the end of the reply */
} access_line;

/* `target`: a file to append to, "-" for standard error. NULL when it cannot be opened
 * (errno). */
access_log *access_log_new(const char *target);
void access_log_free(access_log *log); /* flushes */

void access_log_add(access_log *log, const access_line *line);
void access_log_flush(access_log *log);

/* Opens the file anew, after it was moved away. The old one stays when that fails. */
void access_log_reopen(access_log *log);

#endif
