/*
 * Traffic made from the labelled sets, and what a policy makes of it. A request is a text
 * of the groups, whose candidates are the nearest texts that are cached at that time, or a
 * pair whose first half is cached. What a policy asks the model for is cached, except
 * where it was found to mean the same as its candidate.
 */
#ifndef LEARNING_RUNS_H
#define LEARNING_RUNS_H

#include "learn/learner.h"
#include "learning_features.h"

#define FLOOR (-1.5) /* of the score: what is below is nobody's candidate */
#define TOP   4.0
#define DELAY 20     /* requests until a label is there */

typedef enum traffic {
    TRAFFIC_GROUPS,
    TRAFFIC_ZIPF,
    TRAFFIC_PAIRS_EN,
    TRAFFIC_PAIRS_ZH,
    TRAFFIC_DRIFT,
    TRAFFIC_CHANGE,
    TRAFFIC_BURSTS,
    TRAFFIC_TENANTS
} traffic;

typedef struct plan {
    const char *name;
    traffic traffic;
    size_t requests;
    size_t ttl;        /* requests a record lives; 0: for ever */
    double flips;      /* of the judge's verdicts, both ways; the learner is told */
    int untold;        /* ... is not told */
    int always_right;  /* the judge from the middle on */
    int controls;      /* one for so many labels; 0: none */
    size_t paused;     /* no labels from this request on; 0: never */
    int restart;       /* saved and loaded in the middle */
    int servers;       /* 2: they take turns and read each other's observations; 3: they
                          learn apart and are merged in the middle */
    int pooled;        /* tenants share their curves */
    int sparse;        /* no record of a question that was found to mean another's */
    int guard;         /* the fixed threshold, guarded */
    double lot;        /* least and most of it, 0: the default */
} plan;

typedef struct result {
    size_t requests, exact, hits, wrong, explored, audited, controls, calls;
    size_t alarms;
    double worst; /* error among the hits of the worst tenth of the requests, of tenths
                     with 100 hits */
    size_t tenth_hits[10], tenth_wrong[10];
} result;

/* `fixed`: the shipped default; otherwise score >= threshold. */
result run_fixed(const features *f, const plan *p, uint64_t seed, int shipped,
                 double threshold);
result run_learner(const features *f, const plan *p, uint64_t seed, double budget);

#endif
