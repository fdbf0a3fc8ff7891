/*
 * Learning which near questions may share an answer, from what was seen to be right, so
 * that the share of wrong answers stays under a budget. Pure: no I/O, no clock, no locks,
 * no randomness of its own. Time and a random number come in with each call; one caller
 * at a time (calls take microseconds).
 *
 * What it decides on are candidates only: a record that the rules of decide/decide.h let
 * through and whose position (the second look's score, or the cosine) is not below a
 * floor. What they refuse is never served, whatever was learned: `refused` and the floor
 * are looked at before anything else.
 *
 * The way from a candidate to a decision (docs/learning.md has sources and figures):
 *
 *   1. the curve: per embedding space and language, a logistic estimate of how likely a
 *      candidate at this position is wrong. Counts in 32 bins of position are all it
 *      needs; a normal prior keeps it finite where right and wrong are separable.
 *   2. the record: a record that was wrong more often than its curve expected has its odds
 *      multiplied by (.3 + wrong) / (.3 + expected), the mean of a gamma posterior; so a
 *      new record borrows everything from the curve and an old one stands for itself.
 *   3. the proof: estimates are not trusted. Labels are counted by the chance that was
 *      estimated BEFORE each of them was seen, and what is served is the largest set of
 *      low estimates of which the labels' upper confidence limit is within the budget.
 *      The first proof is stricter: of few hits one wrong is already over any budget.
 *   4. the lot: a random share of what would be served is checked all the same. It feeds
 *      the proof, gives the interval that is shown, and a detector of change that, on
 *      alarm, throws most of the evidence away, so that it has to be earned anew.
 *   5. caution with records that have no label of their own: they are checked after their
 *      first hit ("due"; all records after 4 more, 16, 64, ...), held back while far more
 *      of the candidates than lately would be served ("surge": the proof was made on
 *      another mix), and after wrong ones in the lot until right ones outweigh them
 *      ("wary").
 *
 * Labels may come late or never; each must come once. Without new ones the evidence
 * fades with traffic and time, and with it the serving. Servers that share a store should
 * hand each other's observations to lc_learner_observe; lc_learner_merge adds states up
 * once.
 *
 * The idea of exploring and serving by each record's own evidence is vCache's (arXiv
 * 2502.03771). Its rule to keep no record of a new question that was found to mean an old
 * one's cost most hits here (docs/learning.md): keep every record.
 */
#ifndef LC_LEARN_LEARNER_H
#define LC_LEARN_LEARNER_H

#include "base/buffer.h"

#include <llmcache/llmcache.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lc_learner lc_learner;

typedef enum lc_learner_mode {
    LC_LEARNER_VERIFIED, /* nothing is served before it is proven */
    LC_LEARNER_GUARD     /* what the fixed threshold serves, until labels speak against it;
                            from then on only what is proven of that */
} lc_learner_mode;

typedef enum lc_learner_among {
    LC_AMONG_HITS,    /* max_error bounds wrong hits among semantic hits: the stricter */
    LC_AMONG_REQUESTS /* ... among all requests that were counted, as vCache does */
} lc_learner_among;

typedef struct lc_learner_options {
    lc_learner_mode mode;
    lc_learner_among among;
    double max_error;  /* 0.02: the budget */
    double confidence; /* 0.95: of the limits */
    double lot_least;  /* 0.01: least share of would-be hits to check */
    double lot_most;   /* 0.2: the most, where little is known */
    double explore;    /* 1: share of what it may not serve yet that is compared (the
                          model is asked for those anyway) */
    /* The judge: how often it calls a right answer wrong (0; an underestimate is safe) and
     * a wrong one right (0.05; an overestimate is safe). Controls correct both. */
    double false_alarm, missed;
    double half_life;      /* 50000 candidates of a curve: its evidence then counts half */
    int64_t half_life_ms;  /* 30 days: the same by time; 0: never */
    size_t records_max;    /* 100000 that were labelled or served; 24 bytes each, as needed */
    int64_t record_ttl_ms; /* 90 days without either; 0: never */
    size_t curves_max;     /* 64; what comes later is never served */
} lc_learner_options;

void lc_learner_options_init(lc_learner_options *options);

/* LLMCACHE_MEMORY; LLMCACHE_SETTING for a value out of its range. */
int lc_learner_new(const lc_learner_options *options, lc_learner **learner,
                   llmcache_error *err);
void lc_learner_free(lc_learner *learner);
/* New settings for what was learned; room for records and curves stays as it was. */
int lc_learner_set(lc_learner *learner, const lc_learner_options *options,
                   llmcache_error *err);

#define LC_CURVE_NAME_SIZE 96

/* A candidate. Of one curve, floor and top are always the same; a curve whose floor or top
 * change begins anew. */
typedef struct lc_learner_candidate {
    const char *curve; /* what may be pooled: "<space>/<language>", with the tenant before
                          it where tenants are to learn apart */
    uint64_t record;   /* of its fingerprint; 0: unknown */
    double position;   /* higher is nearer; not finite: refused */
    double floor, top; /* positions at and above top are alike */
    int refused;       /* a rule spoke against it */
    int fixed;         /* the fixed threshold serves it (LC_LEARNER_GUARD) */
} lc_learner_candidate;

typedef enum lc_learner_action {
    LC_LEARNER_MISS,    /* ask the model */
    LC_LEARNER_EXPLORE, /* ask the model, compare, observe */
    LC_LEARNER_SERVE
} lc_learner_action;

typedef struct lc_learner_decision {
    lc_learner_action action;
    int by_lot; /* would be served, and was drawn to be checked: hand on with the
                   observation. With SERVE: ask the model behind the answer's back */
    const char *why;   /* static. Served: "proven", "fixed"; held back: "unproven",
                          "lot", "due", "surge", "wary", "judge"; never: "refused",
                          "floor", "memory" */
    double chance;     /* that it is wrong; the record's history included */
    double low, high;  /* 95 % band of the curve's estimate there */
    double limit;      /* chances up to this are served now; 0: none */
    double needed;     /* the error allowed among what is served */
    double upper;      /* the limit of the error among it, as labelled */
} lc_learner_decision;

/* `draw`: a random number from 0 to below 1, a new one for each call. */
void lc_learner_ask(lc_learner *learner, const lc_learner_candidate *candidate,
                    double draw, int64_t now_ms, lc_learner_decision *decision);

/* What it would say, the lot left out; nothing is counted. */
void lc_learner_explain(const lc_learner *learner, const lc_learner_candidate *candidate,
                        lc_learner_decision *decision);

/* A request of this curve that had no candidate: only counted. */
void lc_learner_pass(lc_learner *learner, const char *curve);

typedef enum lc_learner_source {
    LC_LEARNED_EXPLORED, /* the model's own answer was compared (also audits of hits) */
    LC_LEARNED_JUDGED,   /* a judge was asked about the pair alone */
    LC_LEARNED_TOLD      /* by a person, about a hit: not a random sample */
} lc_learner_source;

/* What was seen of a candidate. `by_lot` as decided. `refused` observations change
 * nothing. LLMCACHE_INVALID for positions below the floor or not finite, LLMCACHE_MEMORY
 * when the record could not be kept (the curve has learned all the same). */
int lc_learner_observe(lc_learner *learner, const lc_learner_candidate *candidate,
                       int right, int by_lot, lc_learner_source source, int64_t now_ms);

/* A pair of answers of which it is known whether they say the same, and the judge's word:
 * the same question asked twice; a candidate that a rule refused. From ten on the judge's
 * own rates are used where they are worse than assumed. A judge that misses half of the
 * known-wrong ones is no judge: all that was learned from it goes, and nothing is served by
 * proof ("judge") until enough controls speak for it again. */
void lc_learner_control(lc_learner *learner, int known_right, int said_right);

/* Frozen, decisions go on as they are; observations only move what is shown. */
void lc_learner_freeze(lc_learner *learner, int frozen);
/* Forgets a curve (what is known of its records stays), or with NULL everything. */
void lc_learner_reset(lc_learner *learner, const char *curve);

/* ---- What is shown ------------------------------------------------------------------ */

#define LC_LEARNER_VIEW_BANDS 8
#define LC_LEARNER_HISTORY    32

typedef struct lc_learner_band {
    double from;          /* position */
    uint64_t hits;        /* served */
    uint64_t lots, wrong; /* of would-be hits checked by lot, as the judge said */
    double low, high;     /* of the error among hits, valid at any time; judge's rates taken
                             into account */
} lc_learner_band;

typedef struct lc_learner_view {
    char curve[LC_CURVE_NAME_SIZE];
    uint64_t requests, candidates, hits, fixed_hits, explored, audited, told_wrong;
    lc_learner_band all; /* over the bands; from: the floor */
    lc_learner_band bands[LC_LEARNER_VIEW_BANDS];
    double requests_high; /* upper limit of wrong hits among requests */
    double limit, needed, upper;
    double threshold; /* least position served for a record without a history; above top:
                         none */
    double share;     /* drawn by lot now */
    double slope, at_floor; /* the curve's log odds of being wrong: at the floor, and what
                               the way to the top adds */
    uint64_t alarms;
    int alarmed; /* LC_LEARNER_GUARD: the fixed threshold is not trusted any more */
    size_t history_count;
    struct lc_learner_step {
        int64_t at_ms;
        double threshold;
    } history[LC_LEARNER_HISTORY]; /* oldest first */
} lc_learner_view;

size_t lc_learner_curves(const lc_learner *learner);
size_t lc_learner_records(const lc_learner *learner);
size_t lc_learner_memory(const lc_learner *learner); /* bytes held */
void lc_learner_see(const lc_learner *learner, size_t curve, lc_learner_view *view);
/* All of it as one JSON object; names of curves and numbers only. */
int lc_learner_tell(const lc_learner *learner, lc_buffer *out);

/* ---- Keeping it --------------------------------------------------------------------- */

/* Appends the whole state: versioned, little-endian, with a checksum. A learner that
 * loads it goes on exactly as this one does. */
int lc_learner_save(lc_learner *learner, lc_buffer *out);
/* Replaces what was learned; unchanged on error. LLMCACHE_CORRUPT, LLMCACHE_UNSUPPORTED
 * (another version), LLMCACHE_MEMORY, LLMCACHE_TOO_LARGE (more curves than curves_max).
 * Records beyond records_max are left out, those not seen for longest first. */
int lc_learner_load(lc_learner *learner, const void *bytes, size_t size,
                    llmcache_error *err);
/* Adds another's evidence: sums. Doing it twice counts it twice. */
int lc_learner_merge(lc_learner *learner, const lc_learner *other, llmcache_error *err);

#endif
