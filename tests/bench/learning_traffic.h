/* Who asks what, one after the other: the same for every policy at one seed. */
#ifndef LEARNING_TRAFFIC_H
#define LEARNING_TRAFFIC_H

#include "learning_runs.h"

typedef struct request {
    const seen_pair *pair; /* NULL: a text of the groups */
    size_t text;
    uint64_t record;       /* of the pair */
    int tenant;
} request;

typedef struct traffic_source {
    const features *f;
    const plan *plan;
    uint64_t seed;
    const pair_set *sets[4];
    size_t set_count;
    size_t *order;          /* of the texts, shuffled: by popularity */
    double *weights;        /* running sums of it */
    const seen_pair **traps; /* for bursts */
    size_t trap_count;
    size_t burst_trap;
} traffic_source;

double draw(uint64_t *seed);
void traffic_open(traffic_source *source, const features *f, const plan *p,
                  uint64_t seed);
request traffic_next(traffic_source *source, size_t number);
void traffic_close(traffic_source *source);

#endif
