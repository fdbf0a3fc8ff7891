/*
 * One connection to a PostgreSQL server on which every operation has a deadline: libpq in its non-blocking
 * form. Statements are prepared on their first use. A link is used by one thread at a time, and after any
 * error but a complaint of the server's (LLMCACHE_STORE) it is only good for closing.
 */
#ifndef LC_NET_POSTGRES_LINK_H
#define LC_NET_POSTGRES_LINK_H

#include <libpq-fe.h>
#include <llmcache/llmcache.h>

typedef struct lc_pg_link lc_pg_link;

/* Where a server is, read from a URI once. Immutable but for the address, see lc_pg_place_resolve. */
typedef struct lc_pg_place lc_pg_place;

/* postgresql://[user[:password]@]host[:port]/database?parameters, as libpq has it. ca_file "" or NULL: the
 * URI's. LLMCACHE_SETTING for a bad URI; the message never shows a password. */
int lc_pg_place_new(const char *uri, const char *ca_file, lc_pg_place **place, llmcache_error *err);
void lc_pg_place_free(lc_pg_place *place); /* accepts NULL */
const char *lc_pg_place_name(const lc_pg_place *place); /* "postgresql://host:5432/db", for people */

/*
 * Looks the host's name up, which may take as long as the system's resolver likes: for a thread that nobody waits
 * for. Until it has worked once, lc_pg_connect fails with LLMCACHE_STORE; addresses and sockets need none.
 */
int lc_pg_place_resolve(lc_pg_place *place, llmcache_error *err);

/* LLMCACHE_BUSY when the server has no room for another connection. `until_ms` is an instant of lc_mono_ms; cancel_fd (-1 for none) ends the waits when it becomes readable. */
int lc_pg_connect(lc_pg_place *place, int64_t until_ms, int cancel_fd, lc_pg_link **link,
                  llmcache_error *err);
void lc_pg_disconnect(lc_pg_link *link); /* accepts NULL */
int lc_pg_pid(const lc_pg_link *link);   /* of the server's process: who notifies */
int lc_pg_server(const lc_pg_link *link); /* its version: 150004 for 15.4 */
/* A number of the owner's, 0 at first. */
int lc_pg_tag(const lc_pg_link *link);
void lc_pg_set_tag(lc_pg_link *link, int tag);
/* What the server last refused a statement with, "" if it never did. */
const char *lc_pg_refusal(const lc_pg_link *link);

/* A statement: `slot` numbers it among those of a connection, from 0 to 63; the parameters are binary. A slot may
 * get another text, which is then prepared anew. */
typedef struct lc_pg_statement {
    int slot;
    const char *sql;
} lc_pg_statement;

typedef struct lc_pg_values {
    int count;
    const char *values[8]; /* NULL is SQL's NULL */
    int sizes[8];
} lc_pg_values;

void lc_pg_add(lc_pg_values *values, const void *bytes, size_t size);
/* A big-endian number in `room`, which must live as long as the values. */
void lc_pg_add_number(lc_pg_values *values, int64_t number, unsigned char room[8]);

/* How many rows a statement gave or touched, and the rows themselves (binary): *result is to be cleared. */
int lc_pg_run(lc_pg_link *link, const lc_pg_statement *statement, const lc_pg_values *values,
              int64_t until_ms, PGresult **result, llmcache_error *err);

/*
 * One statement for each of `count` rows of values, as one transaction and one round trip (pipeline mode). `results`
 * receives as many, all or none; to be cleared.
 */
int lc_pg_run_many(lc_pg_link *link, const lc_pg_statement *const *statements, const lc_pg_values *values,
                   size_t count, int64_t until_ms, PGresult **results, llmcache_error *err);

/* Statements without parameters, several of them with semicolons between: for the schema. */
int lc_pg_script(lc_pg_link *link, const char *sql, int64_t until_ms, llmcache_error *err);

/* Waits for a notification: 0 with *payload (PQfreemem) and the notifier's pid, LLMCACHE_TIMEOUT when none came. */
int lc_pg_await(lc_pg_link *link, int64_t until_ms, PGnotify **notify, llmcache_error *err);

#endif
