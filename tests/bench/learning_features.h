/*
 * What the real pipeline makes of the labelled sets, once for all runs of
 * bench_learning: per pair the cosine, the second look's score, whether a rule refuses it
 * and whether the shipped default serves it. Kept in the build folder until the program is
 * linked anew.
 */
#ifndef LEARNING_FEATURES_H
#define LEARNING_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#define NEAR_MAX 48 /* nearest texts that are kept of each text */

typedef struct seen_pair {
    float cosine, score;
    uint32_t other; /* groups: the text it is near to */
    uint8_t right, refused, fixed, chinese;
} seen_pair;

typedef struct pair_set {
    char name[32];
    seen_pair *pairs;
    size_t count;
} pair_set;

typedef struct features {
    pair_set sets[16];
    size_t set_count;
    /* Groups: near[i * NEAR_MAX], nearest first, cosine 0: no more. */
    seen_pair *near;
    uint16_t *groups; /* of each text */
    size_t text_count, group_count;
} features;

/* 0 when the sets or the model are not there. */
int features_get(features *f);
const pair_set *features_set(const features *f, const char *name);

#endif
