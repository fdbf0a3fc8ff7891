/*
 * The learner (learn/learner.h) at work in a cache: one, behind one lock whose holders take microseconds. It stands
 * between the rules and the answer: find_similar.c asks it about the first candidate that the rules let through, so
 * what they refuse never comes here.
 *
 * What it learns from are observations (observations.h), from here and from other servers, each counted once. What
 * it has learned is kept beside them in the store (learning_kept.c): a restart goes on where it was, and learns what
 * came since. Freeze, reset and import reach all who share the store.
 *
 * There is none (cache->learning NULL) where nothing is to be learned: policy exact, no embedder, or policy default
 * with shadow-share 0.
 */
#ifndef LC_ASK_LEARNING_H
#define LC_ASK_LEARNING_H

#include "ask/observations.h"

typedef struct lc_learning lc_learning;

/* Fills cache->learning, or leaves it NULL. After lc_observations_new, before lc_background_start. */
int lc_learning_new(llmcache *cache, llmcache_error *err);
void lc_learning_free(lc_learning *learning); /* accepts NULL */

/* Nothing is served by a fixed threshold: judge with the floors below. */
int lc_learning_decides(const llmcache *cache);
/* Least score, and least cosine where no score decides, of what may be asked about. */
#define LC_LEARNED_SCORE_FLOOR (-1.5)
double lc_learning_floor(const llmcache *cache);

/* ---- A question's way ------------------------------------------------------------------------------------ */

/*
 * May this candidate, which no rule speaks against, be served? 1 or 0, then job->why says why not. Where the model's
 * answer is to be compared with it, job->check is made: lc_call_llm hands it on.
 */
int lc_learning_ask(lc_job *job, const lc_entry *entry, double similarity, const lc_verdict *verdict);

/* The same without effects, appended as members of an object with a comma behind. 1 when it would be served. */
int lc_learning_explain(const lc_job *job, const llmcache_entry *entry, double similarity,
                        const lc_verdict *verdict, lc_buffer *out);

/* A question without a candidate that could be asked about: only counted. */
void lc_learning_pass(lc_job *job);

/* A candidate that a rule refused, of a question that the model is asked anyway: now and then the two answers are compared,
 * to see whether the comparison is able to tell. */
void lc_learning_refused(lc_job *job, const lc_entry *entry, double similarity,
                         const lc_verdict *verdict);

/* learning_check.c: asks the model behind the back of the hit that job->check is about. Never waits. */
void lc_learning_shadow(lc_job *job);

/* A comparison that is due. */
typedef struct lc_check lc_check;
/* Compares, observes, frees. `fresh`: the model's answer; NULL: there is none worth comparing. On a worker. */
void lc_check_end(lc_check *check, const lc_entry *fresh);
void lc_check_free(lc_check *check); /* accepts NULL */

/* ---- Seen and steered (learning_kept.c, learning_tell.c) --------------------------------------------- */

/* Waits until what is kept has been read, for as long as a question waits for the index. */
void lc_learning_settle(llmcache *cache);
/* One JSON object. Without `names` what anybody may see: nothing by namespace. */
int lc_learning_tell(llmcache *cache, int names, lc_buffer *out);
void lc_learning_metrics(llmcache *cache, lc_buffer *out);
int lc_learning_export(llmcache *cache, char **state, llmcache_error *err);
/* "freeze", "thaw", "reset", "import" with what was exported. */
int lc_learning_set(llmcache *cache, const char *action, const char *state, llmcache_error *err);

/* ---- For the background thread -------------------------------------------------------------------------- */

/* Reads what is kept, when it is newer than what is known. 1 when it was taken over; else 0, or why reading failed. */
int lc_learning_refresh(llmcache *cache);
/* Observations are being read from the store: those that are in what was kept count no more. */
void lc_learning_loading(llmcache *cache, int on);
/* Does this key hold what was learned? */
int lc_learning_is_kept(const llmcache *cache, const char *space);
#define LC_LEARNED_TAG "learner"
/* Keeps what was learned since. `now`: at once, else once a minute. */
int lc_learning_save(llmcache *cache, int now, llmcache_error *err);

#endif
