/*
 * Rows of the SQLite store: a connection with its prepared statements, and entries to and from rows. A row
 * carries a checksum of what makes the answer right; one that does not fit its row is damage.
 */
#ifndef LC_STORE_SQLITE_ROWS_H
#define LC_STORE_SQLITE_ROWS_H

#include "store/sqlite_file.h"

#include <llmcache/backend.h>

/* Each is there for both parts; those from LC_SQL_BEGIN on are the same for both. */
enum lc_sqlite_statement {
    LC_SQL_GET,         /* fingerprint, space */
    LC_SQL_GET_HEAD,    /* lowest and highest fingerprint, space */
    LC_SQL_PAGE,        /* rows past an id, of a space or (NULL) all */
    LC_SQL_VECTORS,     /* records past an id, without what only their answers need; how many at most */
    LC_SQL_PUT,
    LC_SQL_REMOVE,      /* fingerprint, space */
    LC_SQL_REMOVE_HEAD, /* lowest and highest fingerprint, space */
    LC_SQL_DROP,        /* one damaged row: id, checksum */
    LC_SQL_SWEEP,       /* now, how many at most */
    LC_SQL_TOTAL,       /* rows there are */
    LC_SQL_BEGIN,
    LC_SQL_COMMIT,
    LC_SQL_LAST_CHANGE, /* number of the last line of `changes` */
    LC_SQL_PRUNE,       /* lines up to a number, how many at most */
    LC_SQL_PAGES,       /* of the file */
    LC_SQL_FREE_PAGES,
    LC_SQL_LEASE_LOOK,  /* fingerprint, space, lane */
    LC_SQL_LEASE_SET,   /* and holder, until */
    LC_SQL_LEASE_DROP,
    LC_SQL_LEASE_SWEEP, /* now */
    LC_SQL_COUNT
};

#define LC_SQL_PARTS 3 /* a table each */

/* For one thread at a time. */
typedef struct lc_sqlite_connection {
    sqlite3 *db;
    lc_sqlite_patience patience;
    sqlite3_stmt *statements[LC_SQL_COUNT][LC_SQL_PARTS]; /* prepared at first use */
    float *vector; /* the last row's, aligned */
    size_t vector_room;
    uint64_t epoch; /* which opening of the file it belongs to */
    struct lc_sqlite_connection *next;
} lc_sqlite_connection;

lc_sqlite_connection *lc_sqlite_connection_new(void);
void lc_sqlite_connection_free(lc_sqlite_connection *connection);

/* The statement, reset and without bindings; NULL with *rc when it cannot be prepared. */
sqlite3_stmt *lc_sqlite_statement(lc_sqlite_connection *connection, enum lc_sqlite_statement which,
                                  int part, int *rc);

/*
 * Runs a statement to its end and resets it. *number (may be NULL) receives the first column of its first
 * row, and is left alone when there is none. Returns a SQLite code.
 */
int lc_sqlite_run(lc_sqlite_connection *connection, enum lc_sqlite_statement which, int part,
                  int64_t *number);

/* Binds fingerprint (or the bounds of its head) and space from 1 on. */
void lc_sqlite_bind_key(sqlite3_stmt *statement, const llmcache_key *key);
void lc_sqlite_bind_entry(sqlite3_stmt *statement, int part, const llmcache_entry *entry);

/* What a row says of itself besides the entry. */
typedef struct lc_sqlite_row {
    int64_t id;
    int64_t checksum;
} lc_sqlite_row;

/*
 * Reads the current row. The entry's strings live until the statement goes on, its vector until the next
 * row. 0, LLMCACHE_CORRUPT for a row that is not what it should be, LLMCACHE_MEMORY.
 */
int lc_sqlite_read(lc_sqlite_connection *connection, sqlite3_stmt *statement, int part,
                   llmcache_entry *entry, lc_sqlite_row *row);

/*
 * The same for a row of LC_SQL_VECTORS: texts and body are "", what else was not read is 0. One without a sum of
 * its own is read and checked in whole.
 */
int lc_sqlite_read_vector(lc_sqlite_connection *connection, sqlite3_stmt *statement, llmcache_entry *entry,
                          lc_sqlite_row *row);

#endif
