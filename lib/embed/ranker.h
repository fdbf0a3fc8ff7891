/*
 * A judge of pairs: a cross-encoder of the models folder, read on the same kernels as the
 * embedder's model. Any number of threads may use one.
 */
#ifndef LC_EMBED_RANKER_H
#define LC_EMBED_RANKER_H

#include <llmcache/llmcache.h>

typedef struct lc_ranker lc_ranker;

/* name and folder as lc_local_model_open takes them. LLMCACHE_UNSUPPORTED for a model
 * that embeds. */
int lc_ranker_open(const char *folder, const char *name, lc_ranker **ranker,
                   llmcache_error *err);
void lc_ranker_close(lc_ranker *ranker); /* accepts NULL */

/*
 * What the model's head says of the pair, as it comes (a logit in most models): higher is
 * more alike. LLMCACHE_UNSUPPORTED when the model cannot read both texts whole.
 */
int lc_ranker_score(lc_ranker *ranker, const char *left, const char *right, float *score,
                    llmcache_error *err);

#endif
