/*
 * What was learnt about pairs of questions: who said of two whether one answer serves both. Kept in the store beside
 * the answers, and shared by all who share the store.
 */
#ifndef LLMCACHE_OBSERVE_H
#define LLMCACHE_OBSERVE_H

#include <llmcache/llmcache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Feedback ---------------------------------------------------------------------------------- */

typedef struct llmcache_feedback_report {
    size_t struct_size; /* sizeof(llmcache_feedback_report), set by the caller */
    uint64_t removed;   /* answers */
    uint64_t pairs;     /* pairs of questions that were judged by this */
} llmcache_feedback_report;

/*
 * As llmcache_feedback, with the question that got the answer (NULL: not known). With it, exactly that pair is judged; when it is
 * the answer's own question, the answer alone was wrong and no pair is. Without it, the pair is looked up among the
 * hits of the last week; when several wordings got this answer, all of them are judged (the latest 16), marked
 * as doubtful. `report` may be NULL. LLMCACHE_NOT_FOUND when neither the answer nor a hit of it is known.
 */
LLMCACHE_EXPORT int llmcache_feedback_about(llmcache *cache, const char *id, int good,
                                            const char *question,
                                            llmcache_feedback_report *report,
                                            llmcache_error *err);

/* ---- Observations -------------------------------------------------------------------------------- */

typedef enum llmcache_verdict {
    LLMCACHE_UNJUDGED = 0, /* an answer was shared between the two, and nobody has said more */
    LLMCACHE_RIGHT = 1,    /* one answer serves both */
    LLMCACHE_WRONG = 2     /* it does not */
} llmcache_verdict;

/* Who says so. The word of a person (feedback, import) counts before any other. */
typedef enum llmcache_observer {
    LLMCACHE_BY_HIT = 0, /* of what is unjudged */
    LLMCACHE_BY_FEEDBACK = 1,
    LLMCACHE_BY_JUDGE = 2,
    LLMCACHE_BY_EXPLORATION = 3,
    LLMCACHE_BY_SHADOW = 4,
    LLMCACHE_BY_IMPORT = 5
} llmcache_observer;

LLMCACHE_EXPORT const char *llmcache_verdict_name(int verdict);   /* "unjudged", "right", "wrong" */
LLMCACHE_EXPORT const char *llmcache_observer_name(int observer); /* "hit", "feedback", "judge", ... */

#define LLMCACHE_FEATURES_MAX 16

/*
 * One pair: the question that was asked and the one whose answer was, or might have been, served for it. A pair judged
 * wrong is never matched again within its namespace, in either direction, also in words that differ only in
 * case, white space, closing marks and politeness. A pair judged right is not served for that: the rules decide. Where a judge is set, it is what
 * the judge would have said in the grey zone.
 * Zero all and set `struct_size` before filling one in; borrowed wherever it is handed to a callback.
 */
typedef struct llmcache_observation {
    size_t struct_size; /* sizeof(llmcache_observation) */
    char id[LLMCACHE_ID_SIZE];
    const char *space;
    unsigned char partition[LLMCACHE_FINGERPRINT_SIZE]; /* all zero: not known */
    const char *asked;     /* "" where texts are not kept (setting observation-text) */
    const char *candidate;
    unsigned char asked_digest[LLMCACHE_FINGERPRINT_SIZE]; /* of the texts as they are compared; made from them
                                                              where there are texts */
    unsigned char candidate_digest[LLMCACHE_FINGERPRINT_SIZE];
    char candidate_id[LLMCACHE_ID_SIZE]; /* of the answer, "" when not known */
    int verdict;           /* llmcache_verdict */
    int observer;          /* llmcache_observer */
    int doubtful;          /* said of an answer that several wordings had got: it may be another of them */
    double similarity;     /* cosine; 0 when not known */
    int scored;            /* the next three hold values */
    double score;
    double features[LLMCACHE_FEATURES_MAX];
    size_t feature_count;
    const char *const *feature_names;
    const char *language;  /* "en", "zh"; "" when not known */
    const char *embedder;  /* name of the embedding space */
    const char *model;
    const char *protocol;
    int64_t time_ms;       /* wall clock; 0 when filled in: now */
    int64_t expires_ms;    /* 0: never; when filled in: by the setting observation-ttl */
} llmcache_observation;

typedef int (*llmcache_observation_fn)(void *user, const llmcache_observation *observation);

/*
 * Calls `fn` for each observation that matches; NULL for all. All of the filter counts but `records`, and `search`, which is
 * LLMCACHE_INVALID. Texts are looked for in what was asked; `tag` is the verdict's name, or "judged" for right and wrong.
 */
LLMCACHE_EXPORT int llmcache_observations(llmcache *cache, const llmcache_filter *filter,
                                          llmcache_observation_fn fn, void *user,
                                          llmcache_error *err);

/* Keeps an observation and acts on it. An older one of the same pair by the same kind of observer is replaced. */
LLMCACHE_EXPORT int llmcache_observe(llmcache *cache, const llmcache_observation *observation,
                                     llmcache_error *err);

/* Removes those that match (dry_run: counts them): llmcache_purge leaves them alone. `removed` may be NULL. */
LLMCACHE_EXPORT int llmcache_observations_purge(llmcache *cache, const llmcache_filter *filter,
                                                uint64_t *removed, llmcache_error *err);

/* ---- What was learned of them -------------------------------------------------------------------- */

/*
 * Where policy is verified, or shadow-share above 0, the cache learns which near questions may share an answer, so that
 * wrong ones stay below max-error (docs/learning.md). *json gets one object: policy, max_error, embedder, learns, and where
 * something is learned: compared (answers, by what came out), shadow (calls made behind the back of hits, their tokens and
 * cost), learned (state, and for each namespace and language: hits, explored, threshold and its history, error with its 95 %
 * interval, all and by band). Numbers and names of namespaces only. Free with llmcache_free.
 */
LLMCACHE_EXPORT int llmcache_policy(llmcache *cache, char **json, llmcache_error *err);

/* What was learned, as text that llmcache_policy_set imports, into a cache with the same embedder. Free with llmcache_free. */
LLMCACHE_EXPORT int llmcache_policy_export(llmcache *cache, char **state, llmcache_error *err);

/*
 * Steers what is learned, here and in all caches that share the store:
 *   "freeze"  decisions stay as they are, whatever is observed    "thaw"  learns on
 *   "reset"   forgets all of it (judged pairs stay)               "import" takes over `state`
 * `state` is NULL for the others. LLMCACHE_UNSUPPORTED where nothing is learned, LLMCACHE_INVALID for another word or a
 * state that is none. When the store cannot be written it is done here and the error says so.
 */
LLMCACHE_EXPORT int llmcache_policy_set(llmcache *cache, const char *action, const char *state,
                                        llmcache_error *err);

#ifdef __cplusplus
}
#endif

#endif
