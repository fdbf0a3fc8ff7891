/*
 * The connections to one server, and the switch that spares questions a dead server.
 *
 * Who needs a connection takes an idle one or makes one, within its deadline. When the server does not do
 * its part, the switch opens: from then on everybody fails at once, while a thread of the pool's own tries
 * to reach the server again, with short growing pauses; it hands over its connection when that works.
 * What a connection is, is its owner's affair: two functions.
 */
#ifndef LC_NET_CONN_POOL_H
#define LC_NET_CONN_POOL_H

#include <llmcache/llmcache.h>

typedef struct lc_conn_pool lc_conn_pool;

typedef struct lc_conn_kind {
    /* A new connection over which the server has answered. `until_ms` is an instant of lc_mono_ms; waits end
     * also when cancel_fd (-1 for none) becomes readable. */
    int (*reach)(void *user, int64_t until_ms, int cancel_fd, void **conn, llmcache_error *err);
    void (*close)(void *user, void *conn); /* never waits; accepts NULL */
} lc_conn_kind;

typedef struct lc_conn_options {
    int64_t probe_ms; /* how long one try to reach a lost server may take */
    size_t most;      /* connections taken at once, 0 for any number: who comes later waits within its deadline */
    int after_reach;  /* nobody makes a connection before `reach` has worked once: it prepares something */
} lc_conn_options;

/* `kind` and `user` are borrowed for the pool's life. Starts reaching at once, from its own thread. */
int lc_conn_pool_new(const lc_conn_kind *kind, void *user, const lc_conn_options *options,
                     lc_conn_pool **pool, llmcache_error *err);
/* No connection may be taken. Does not wait for the network. Accepts NULL. */
void lc_conn_pool_free(lc_conn_pool *pool);

/* Readable once the pool closes: for the waits of other threads that end with it. */
int lc_conn_pool_cancel_fd(const lc_conn_pool *pool);
void lc_conn_pool_cancel(lc_conn_pool *pool);

/*
 * An idle connection, or NULL in *conn when there is none: make one. Each 0 is answered by one lc_conn_pool_give or
 * lc_conn_pool_forget. LLMCACHE_STORE while the server is lost, LLMCACHE_BUSY when none could
 * be had until until_ms.
 */
int lc_conn_pool_take(lc_conn_pool *pool, int64_t until_ms, void **conn, llmcache_error *err);
/* What was taken has just worked. */
void lc_conn_pool_give(lc_conn_pool *pool, void *conn);
/* What was taken did not come to be, or was closed by who took it. */
void lc_conn_pool_forget(lc_conn_pool *pool);
/* The idle ones, as when one of them turned out to be dead. */
void lc_conn_pool_drop_idle(lc_conn_pool *pool);
/*
 * What was taken did not come to be, since the server has no room for more. 1 when there are other connections: for a while
 * nobody makes one, and who needs one waits for one of these. 0: there are none, and the server is as good as lost.
 */
int lc_conn_pool_make_do(lc_conn_pool *pool);
/* The server has no room for a connection that matters more: gives up an idle one, if there are others. */
void lc_conn_pool_spare_one(lc_conn_pool *pool);
/* The server may be there again, or elsewhere: it is tried at once if it is lost. */
void lc_conn_pool_nudge(lc_conn_pool *pool);
/* The server did not do its part, as err says: opens the switch. */
void lc_conn_pool_lose(lc_conn_pool *pool, const llmcache_error *err);
/* Errors of our own making (memory, size) say nothing about the server. */
int lc_conn_is_loss(int code);

/* A new connection, whatever is known; closes the switch if it works. */
int lc_conn_pool_ping(lc_conn_pool *pool, int64_t until_ms, llmcache_error *err);

typedef struct lc_conn_pool_state {
    int lost;          /* the switch is open */
    int ever_worked;
    size_t idle;
    char reason[LLMCACHE_MESSAGE_SIZE]; /* of the last loss */
} lc_conn_pool_state;

void lc_conn_pool_look(lc_conn_pool *pool, lc_conn_pool_state *state);

#endif
