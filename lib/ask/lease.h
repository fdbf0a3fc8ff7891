/*
 * One call for many servers. Where caches share a store, the leader of a flight takes a lease on the question's exact
 * entry before it asks the model; the leaders of the same question on other servers wait until the store tells them
 * of the answer, or of the lease's end, and at the latest until it can have run out.
 *
 * Whatever fails here costs a question its place in the queue and nothing else: it goes to the model by itself.
 * Waiting and that call together take no longer than a call may.
 */
#ifndef LC_ASK_LEASE_H
#define LC_ASK_LEASE_H

#include "ask/cache.h"

typedef struct lc_leases lc_leases;
typedef struct lc_lease lc_lease;

/* Fills cache->leases, or leaves it NULL: the store has no leases, or they are switched off. */
int lc_leases_new(llmcache *cache, llmcache_error *err);
void lc_leases_halt(lc_leases *leases); /* ends the thread; accepts NULL */
void lc_leases_free(lc_leases *leases); /* after the store is closed; accepts NULL */

/*
 * For a question of which nothing was found, in its flight's leader. 1 when job->entry holds the answer that another
 * server's call has brought. 0: the model is to be asked, and job->lease, unless NULL, is held meanwhile.
 */
int lc_lease_find(lc_job *job);

/* lease_time.c: who has waited for so long (job->waited_ms): for how long he may wait on, and how long his call may take. */
int64_t lc_lease_patience_ms(const llmcache *cache, int64_t waited_ms);
int64_t lc_lease_leaves_ms(const llmcache *cache, int64_t waited_ms);

/*
 * For a call that nobody waits for: 0 when another server is at it already, or has just given up. Else 1, and *lease is
 * to be held meanwhile, unless NULL. Asks the store, and does not wait for others.
 */
int lc_lease_try(llmcache *cache, const llmcache_entry *facts, lc_wants wants, lc_lease **lease);

/* The call has ended, and the store has its answer or not. Frees the lease; accepts NULL. */
void lc_lease_end(lc_lease *lease, int kept);

/* What the store reports. Accept NULL. */
void lc_leases_tell(lc_leases *leases, const char *space, const char *id); /* something changed about an entry */
void lc_leases_trust(lc_leases *leases, int trusted);                      /* changes are heard, or not any more */

#endif
