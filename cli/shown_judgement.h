/*
 * What was judged of pairs of questions, as JSON, and counted: shared by llmcache-cli and
 * llmcache-server.
 */
#ifndef SHOWN_JUDGEMENT_H
#define SHOWN_JUDGEMENT_H

#include <jansson.h>
#include <llmcache/tune.h>

/* The pair and what would be done with it; rules: those that stop it. NULL for want of
 * memory. */
json_t *shown_judgement(const llmcache_pair *pair, const llmcache_judgement *judgement);

/* Pairs of one kind, counted. Start with all zero. */
typedef struct judged_count {
    uint64_t pairs, hits, exact;
    uint64_t labelled, positive;            /* of the pairs */
    uint64_t labelled_hits, positive_hits;  /* of the hits */
} judged_count;

void judged_count_add(judged_count *count, const llmcache_pair *pair,
                      const llmcache_judgement *judgement);

/* With the exact limits of every rate at this confidence. NULL for want of memory. */
json_t *shown_judged_count(const judged_count *count, double confidence);

#endif
