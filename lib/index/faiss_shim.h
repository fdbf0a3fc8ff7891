/*
 * FAISS (https://github.com/facebookresearch/faiss; Johnson, Douze and Jégou 2017, arXiv 1702.08734) behind
 * plain C: one index of it, by inner product, made by a factory string. No exception leaves it, and its work
 * stays on the calling thread. The caller locks: searches may run together, all else alone.
 */
#ifndef LC_INDEX_FAISS_SHIM_H
#define LC_INDEX_FAISS_SHIM_H

#include <llmcache/llmcache.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lc_faiss lc_faiss;

/*
 * Makes an empty one. `search` (or "") sets what a search spends, by FAISS's own names: "nprobe=16" or
 * "efSearch=64". LLMCACHE_SETTING when FAISS does not take the strings.
 */
int lc_faiss_new(const char *factory, const char *search, size_t dimension, lc_faiss **faiss,
                 llmcache_error *err);
void lc_faiss_free(lc_faiss *faiss);

/* Vectors that training wants at least, 0 if there is nothing to train; and of how many it makes use. */
size_t lc_faiss_training(const lc_faiss *faiss, size_t *useful);
int lc_faiss_train(lc_faiss *faiss, const float *vectors, size_t count, llmcache_error *err);

/* Labels are counted from 0, in the order in which vectors come. */
int lc_faiss_add(lc_faiss *faiss, const float *vectors, size_t count, llmcache_error *err);

/* Writes the labels of up to k vectors, best first; *found of them. */
int lc_faiss_search(const lc_faiss *faiss, const float *query, size_t k, float *similarities,
                    int64_t *labels, size_t *found, llmcache_error *err);

/* About what it takes, as FAISS does not count. */
size_t lc_faiss_bytes(const lc_faiss *faiss);

#ifdef __cplusplus
}
#endif

#endif
