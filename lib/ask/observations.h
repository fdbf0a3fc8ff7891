/*
 * Observations: the one place where everything that was learnt about pairs of questions is kept, whoever learnt it.
 *
 * The truth is the store (LLMCACHE_PART_OBSERVATION), shared by all who share the store. Here in memory is the
 * verdict table (verdict_table.h), which decisions ask; it is read from the store when the cache opens, before the
 * index, and kept true by the store's watch. What is observed here counts at once and is written by the background
 * thread, so that no hit waits for a write; what cannot be written is tried again. A store that keeps no
 * observations is replaced by one in memory.
 *
 * For a learner: lc_observe adds, lc_observations_listen hears of all (those read at the start, those of other
 * servers, and one's own), lc_observations_each goes over what is kept.
 */
#ifndef LC_ASK_OBSERVATIONS_H
#define LC_ASK_OBSERVATIONS_H

#include "ask/cache.h"
#include "ask/pair.h"

typedef llmcache_observation lc_observation;
typedef struct lc_observations lc_observations;

int lc_observations_new(llmcache *cache, llmcache_error *err); /* fills cache->observations */
void lc_observations_free(lc_observations *observations);

/*
 * Takes an observation in: it counts when this returns, and is written soon. Digests, times, embedding space and feature
 * names that are not filled in are filled in here. LLMCACHE_INVALID, LLMCACHE_MEMORY, LLMCACHE_BUSY (it
 * counts, and too much waits to be written for this to be kept). No I/O, no waiting.
 */
int lc_observe(llmcache *cache, const lc_observation *observation, llmcache_error *err);

/* The same, written when it returns 0. When the store fails it counts all the same and is tried again. */
int lc_observe_now(llmcache *cache, const lc_observation *observation, llmcache_error *err);

/* Called with every judged observation that is taken in from now on, by any thread, with no lock held. The same one may
 * come again (after the store was read anew). To be set before lc_background_start. */
typedef void (*lc_observed_fn)(void *user, const lc_observation *observation);
void lc_observations_listen(llmcache *cache, lc_observed_fn fn, void *user);

/* What is kept, as llmcache_observations has it. */
int lc_observations_each(llmcache *cache, const llmcache_filter *filter, llmcache_observation_fn fn,
                         void *user, llmcache_error *err);
int lc_observations_purge(llmcache *cache, const llmcache_filter *filter, uint64_t *removed,
                          llmcache_error *err);

/* ---- For the decision ---------------------------------------------------------------------------- */

/* Who judged this pair wrong ("feedback", static), or NULL. One lookup, and none while nothing is known. Want of
 * memory counts as wrong. */
const char *lc_wrong_before(llmcache *cache, const char *space, const char *asked, size_t asked_size,
                            const char *candidate);

/* What is known of the pair, a llmcache_verdict, and who says so (static, "" for nobody). Want of memory: wrong. */
int lc_known_before(llmcache *cache, const char *space, const char *asked, const char *candidate,
                    const char **who);

/* The observation of a candidate as it was judged: it borrows from all of them and says nothing yet. */
void lc_observation_fill(const lc_job *job, const lc_entry *entry, double similarity,
                         const lc_verdict *verdict, lc_observation *observation);

/* Rises whenever a pair becomes wrong. */
uint64_t lc_observations_turn(const llmcache *cache);

/* An answer was shared by meaning. Never fails, never waits. */
void lc_note_hit(const lc_job *job, const lc_entry *entry, double similarity,
                 const lc_verdict *verdict);

/* ---- For feedback -------------------------------------------------------------------------------- */

/* Removes one from the store and forgets it. */
int lc_observation_remove(llmcache *cache, const char *space, const char *id, llmcache_error *err);

/* ---- For the background thread --------------------------------------------------------------------- */

/* Reads all of them from the store. 0, or why that failed; what was known then stays. */
int lc_observations_load(llmcache *cache);
/* The store says that this one has changed or vanished. Not 0 when it could not be asked what it says now. */
int lc_observations_take_in(llmcache *cache, const char *space, const char *id);
/* Writes what waits, up to the first that fails. */
int lc_observations_flush(llmcache *cache, llmcache_error *err);
/* Monotonic time at which to write next, INT64_MAX when nothing waits. */
int64_t lc_observations_due_ms(const llmcache *cache);
void lc_observations_sweep(llmcache *cache);

/* ---- observation_body.c: between an observation and what a store keeps ------------------------------- */

/* Makes the entry (its vector-less copy, one reference) of an observation that is filled in. NULL: no memory. */
lc_entry *lc_observation_write(const lc_observation *observation, int with_text);

/* Reads one back. It borrows from the entry and from *root, which is freed with lc_json_free. LLMCACHE_CORRUPT
 * for what is none, LLMCACHE_MEMORY. */
struct lc_json;
int lc_observation_read(const llmcache_entry *entry, lc_observation *observation,
                        struct lc_json **root);

/* Names in the order of lc_feature. */
extern const char *const lc_feature_names[];

#endif
