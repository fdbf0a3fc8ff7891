/*
 * The inside of the SQLite store, shared by its files:
 *
 *   sqlite_store.c   the operations and the state
 *   sqlite_walk.c    going over all rows
 *   sqlite_queue.c   changes waiting to be made, and waiting for them
 *   sqlite_lease.c   leases
 *   sqlite_batch.c   many changes in one transaction
 *   sqlite_writer.c  the one thread that writes; it also opens and mends the file
 *   sqlite_keeper.c  one thread that looks what other processes changed, and moves the WAL into the file
 *   sqlite_rows.c    statements, rows
 *   sqlite_file.c    the file and its schema
 *
 * Asks only read, on connections of a pool, and wait for the writer with a deadline: a slow disk or another
 * process's lock costs an ask its deadline and no more.
 */
#ifndef LC_STORE_SQLITE_STORE_H
#define LC_STORE_SQLITE_STORE_H

#include "store/memory_cache.h"
#include "store/sqlite_rows.h"
#include "store/store.h"

#include <pthread.h>

enum lc_sqlite_work { LC_WORK_PUT, LC_WORK_REMOVE, LC_WORK_SWEEP, LC_WORK_DROP, LC_WORK_PING, LC_WORK_LEASE, LC_WORK_RELEASE };

/* Rows there are, and the size of the file. */
typedef struct lc_sqlite_totals {
    int64_t entries, records, observations;
    int64_t bytes;
} lc_sqlite_totals;

/* One change to be made. Belongs to its caller until it is submitted. */
typedef struct lc_sqlite_job {
    struct lc_sqlite_job *next;
    enum lc_sqlite_work work;
    int parts;
    lc_entry *entry;    /* PUT: a copy of its own */
    llmcache_key *keys; /* REMOVE, LEASE, RELEASE: one allocation with their namespaces */
    size_t key_count;
    lc_sqlite_row row;  /* DROP */
    int64_t now_ms;     /* SWEEP */
    char holder[64];    /* LEASE, RELEASE */
    int lane, renew;
    int64_t lease_ms;   /* RELEASE: how long it stays given up */
    int64_t until_ms;   /* monotonic: when its caller gives up */
    size_t bytes;       /* held by it */
    int abandoned;      /* its caller has left: who finishes it frees it */
    int finished;
    pthread_cond_t done;
    uint64_t removed;   /* the outcome */
    int64_t others_ms;  /* that of LEASE */
    llmcache_error err; /* code 0 for success */
} lc_sqlite_job;

/* Changes this process makes: lines of the table `changes` that need not be told to it. Booked before
 * they are committed, as they can be read a moment before the commit returns. */
typedef struct lc_own_range {
    int64_t first, last;
    int64_t committed; /* the last one that is in the file for certain */
} lc_own_range;

typedef struct lc_sqlite {
    char *path;
    int64_t connect_ms;
    pthread_t writer, keeper;
    int wake_keeper; /* eventfd */
    int keeper_pages, writer_pages; /* of the WAL, at their last checkpoints; the writer's alone */

    pthread_mutex_t lock; /* guards all below; never held over I/O or a callback */
    pthread_cond_t work;  /* for the writer: jobs, mending, closing */
    pthread_cond_t news;  /* for others: a connection came back, an attempt to open has ended */
    int closing;

    int ready;              /* the file is open; otherwise `reason` says why not */
    llmcache_error reason;
    uint64_t epoch;         /* rises whenever the file is opened */
    uint64_t attempts;      /* at opening it */
    int retry_wanted;
    int64_t retry_at_ms;    /* not before */
    int damaged, vanished;  /* what was found out about the file now open */
    struct stat file;
    char note[128];         /* what happened to the last damaged file */

    lc_sqlite_job *first, **last; /* the queue */
    size_t queued_bytes;

    lc_sqlite_connection *idle; /* readers */
    unsigned readers;           /* idle and lent */

    int watching;
    llmcache_watch watch;
    lc_own_range *own;
    size_t own_count, own_room;
    int lost;             /* changes may have been missed */
    int64_t seen;         /* last line of `changes` that was dealt with */
    int checkpoint_due;
    lc_sqlite_totals totals;
} lc_sqlite;

/* ---- sqlite_store.c ---------------------------------------------------------------------------- */

/* Lends a reader; LLMCACHE_TIMEOUT, or the reason why the store is not ready. */
int lc_sqlite_lend(lc_sqlite *self, int64_t until_ms, lc_sqlite_connection **connection,
                   llmcache_error *err);
void lc_sqlite_give_back(lc_sqlite *self, lc_sqlite_connection *connection);

/* Tells what a result code of a connection says about the file. */
void lc_sqlite_report(lc_sqlite *self, const lc_sqlite_connection *connection, int rc);

/* The store's reason, or a wish to try again; lock held. */
int lc_sqlite_not_ready(lc_sqlite *self, llmcache_error *err);

int lc_sqlite_get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
                  llmcache_entry_fn fn, void *user, llmcache_error *err); /* as in llmcache_store_ops */

/* Copies the keys with their namespaces into one allocation; NULL: no memory. */
llmcache_key *lc_sqlite_copy_keys(const llmcache_key *keys, size_t count, size_t *bytes);

/* ---- sqlite_walk.c ----------------------------------------------------------------------------- */

/* As in llmcache_store_ops. */
int lc_sqlite_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn, void *user,
                   uint64_t *damaged, llmcache_error *err);
int lc_sqlite_each_vector(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user, uint64_t *damaged,
                          llmcache_error *err);

/* ---- sqlite_queue.c ---------------------------------------------------------------------------- */

lc_sqlite_job *lc_sqlite_job_new(enum lc_sqlite_work work, int parts, llmcache_error *err);
void lc_sqlite_job_free(lc_sqlite_job *job);

/* Gives the job to the writer and waits for its outcome, at most deadline_ms; takes it over. *removed receives a
 * LEASE's others_ms. */
int lc_sqlite_submit(lc_sqlite *self, lc_sqlite_job *job, int64_t deadline_ms, uint64_t *removed,
                     llmcache_error *err);
/* The same without waiting. */
void lc_sqlite_post(lc_sqlite *self, lc_sqlite_job *job);

/* What becomes one transaction. */
typedef struct lc_sqlite_batch {
    lc_sqlite_job *first;
    int64_t until_ms;         /* the most patient of its callers waits until then */
    int64_t before, after;    /* last line of `changes` */
    lc_sqlite_totals totals;  /* after it */
} lc_sqlite_batch;

/* Takes what waits; lock held. */
lc_sqlite_batch lc_sqlite_take_batch(lc_sqlite *self);

/* Tells all who wait for these jobs how it went; lock held. */
void lc_sqlite_complete(lc_sqlite *self, lc_sqlite_job *job, int rc);

/* ---- sqlite_lease.c ---------------------------------------------------------------------------- */

int lc_sqlite_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                    int64_t *others_ms, llmcache_error *err);
int lc_sqlite_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                      int64_t deadline_ms, llmcache_error *err);

/* Within the writer's transaction. These return a SQLite code. */
int lc_sqlite_run_lease(lc_sqlite_connection *connection, lc_sqlite_job *job);
int lc_sqlite_sweep_leases(lc_sqlite_connection *connection);

/* ---- sqlite_batch.c ---------------------------------------------------------------------------- */

int lc_sqlite_commit(lc_sqlite *self, lc_sqlite_connection *connection, lc_sqlite_batch *b, int pruning);

/* These return a SQLite code. */
int lc_sqlite_last_change(lc_sqlite_connection *connection, int64_t *seq);
int lc_sqlite_read_totals(lc_sqlite_connection *connection, lc_sqlite_totals *totals);

/* ---- sqlite_writer.c --------------------------------------------------------------------------- */

/* The thread; it starts with this connection, NULL when the file could not be opened. */
typedef struct lc_sqlite_writer_start {
    lc_sqlite *self;
    lc_sqlite_connection *connection;
} lc_sqlite_writer_start;
void *lc_sqlite_writer_run(void *start);

/* Opens the file for writing, setting a damaged one aside; NULL and *err when it cannot be. */
lc_sqlite_connection *lc_sqlite_open(lc_sqlite *self, llmcache_error *err);

/* ---- sqlite_keeper.c --------------------------------------------------------------------------- */

void *lc_sqlite_keeper_run(void *self);
void lc_sqlite_wake_keeper(lc_sqlite *self);

#endif
