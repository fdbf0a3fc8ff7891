/*
 * Labelled pairs of questions: what the cache would do with them, and settings chosen by them.
 *
 * The conventions of llmcache.h hold.
 */
#ifndef LLMCACHE_TUNE_H
#define LLMCACHE_TUNE_H

#include <llmcache/llmcache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Judging --------------------------------------------------------------------------------- */

/* Two questions. Set `struct_size` in each; strings are borrowed for the length of the call. */
typedef struct llmcache_pair {
    size_t struct_size; /* sizeof(llmcache_pair) */
    const char *a;      /* asked now */
    const char *b;      /* asked before; its answer was kept */
    int label;          /* 1: one answer serves both; 0: it does not; -1: not known */
    const char *source; /* where the label comes from: a data set's name; NULL for none */
} llmcache_pair;

/* One rule's word. */
typedef struct llmcache_rule_word {
    const char *rule;   /* "number"; docs/decisions.md has them all */
    int veto;           /* 1: it stops the answer */
    const char *detail; /* "30 / 35"; "" where there is nothing to add. Made from the questions' own text */
} llmcache_rule_word;

/* What llmcache_ask would do with `a` if the answer to `b` alone were kept. Borrowed for the length of the
 * callback. */
typedef struct llmcache_judgement {
    size_t struct_size;     /* as the library has it */
    size_t pair;            /* position in the list */
    int served;             /* `a` gets the answer of `b` */
    llmcache_source source; /* LLMCACHE_SOURCE_EXACT, _SEMANTIC, or _MODEL when it is not served */
    const char *why;        /* one word: what stopped it; "" when served */
    const char *language;   /* "en", "zh" (or mixed): which score threshold counts */
    double similarity;      /* cosine of the two vectors; 0 when one of them can have none */
    double threshold;       /* least similarity in force (where the score decides: to be scored at all) */
    int scored;             /* the score decides here, and the three below hold values */
    double score;
    double score_threshold;
    const double *features; /* what the score is made of, in the order of docs/decisions.md */
    size_t feature_count;
    const llmcache_rule_word *rules; /* every rule that was heard, in their order; none for exact hits */
    size_t rule_count;
} llmcache_judgement;

/* Return 0 to go on, anything else to stop: LLMCACHE_ABORTED. */
typedef int (*llmcache_judgement_fn)(void *user, const llmcache_judgement *judgement);

/*
 * Judges every pair by the code that answers questions, with the settings in force, and calls `fn` for each in
 * their order. Nothing is looked up, asked or kept. LLMCACHE_INVALID, _TOO_LARGE for a pair that could not be
 * asked (the message has its number, from 1), or the embedder's own failure: no pair is passed over silently.
 */
LLMCACHE_EXPORT int llmcache_judge(llmcache *cache, const llmcache_pair *pairs, size_t count,
                                   llmcache_judgement_fn fn, void *user, llmcache_error *err);

/* ---- Tuning ---------------------------------------------------------------------------------- */

/* Zero all, set `struct_size`, then the fields that matter. */
typedef struct llmcache_tune_options {
    size_t struct_size;
    double max_wrong;  /* greatest share of wrong answers among hits; 0: 0.01 */
    double confidence; /* 0: 0.95; at least 0.5 */
    uint64_t seed;     /* of the split and of the bootstrap */
    int refit;         /* fit the score's numbers to the labels too */
    int (*progress)(void *user, size_t done, size_t total); /* may be NULL; not 0 stops: LLMCACHE_ABORTED */
    void *user;
    /* llmcache_tune_observations alone: */
    unsigned observers;   /* whose words count, a bit each (1u << LLMCACHE_BY_JUDGE); 0: everybody's */
    const char *language; /* "en" or "zh": of these alone; NULL: of all */
    size_t min_labels;    /* of a part; with fewer nothing is chosen for it; 0: 500 */
} llmcache_tune_options;

/*
 * Chooses thresholds by labelled pairs. The pairs are judged as llmcache_judge does and split in two, so that no
 * text is in both halves. On one half the lowest threshold is chosen whose share of wrong hits is bounded
 * by the exact limit of Clopper and Pearson, on the other it is confirmed: with `confidence`, at most max_wrong of
 * the hits are wrong on questions like these. Where the score decides, each language has a threshold of its own.
 *
 * *json (free with llmcache_free) is one object, described in docs/decisions.md: `met`, `parts` with what was
 * chosen, what is missing and a curve of hits against wrong ones, `settings` with what to set, and
 * `score_weights`, the text for the file of that setting, when refitted numbers were surely better. Nothing is
 * changed here: the caller sets what it wants. LLMCACHE_UNSUPPORTED when nothing is matched by meaning.
 */
LLMCACHE_EXPORT int llmcache_tune(llmcache *cache, const llmcache_pair *pairs, size_t count,
                                  const llmcache_tune_options *options, char **json, llmcache_error *err);

/*
 * The same by the judged observations that the store keeps (observe.h) and that match `filter` (as llmcache_observations
 * has it; NULL: all). Of several about one pair a person's counts, then the latest; doubtful ones do not. Those with texts
 * are judged anew; those without are used as they were seen, if that was in the embedding space in force. Each
 * kind of observer counts as a source. *json also has `observed`: what there was and what was used.
 */
LLMCACHE_EXPORT int llmcache_tune_observations(llmcache *cache, const llmcache_filter *filter,
                                               const llmcache_tune_options *options, char **json,
                                               llmcache_error *err);

/*
 * The exact limits of a rate by Clopper and Pearson (Biometrika 26, 1934): each is missed with
 * (1 - confidence) / 2 at most. `confidence` is above 0 and below 1; no trials: 0 to 1.
 */
LLMCACHE_EXPORT void llmcache_interval(uint64_t hits, uint64_t trials, double confidence, double *low,
                                       double *high);

#ifdef __cplusplus
}
#endif

#endif
