/* Made-up traffic for the learner's tests: what is right is drawn from a known law. */
#ifndef LEARNER_STREAMS_H
#define LEARNER_STREAMS_H

#include "learn/learner.h"

#include <criterion/criterion.h>
#include <math.h>

/* splitmix64: the same numbers every time. */
static inline double test_draw(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

typedef struct stream_law {
    double middle, slope; /* log odds of wrong at position 0.5 and from 0 to 1 */
    double record_spread; /* records differ so much, in log odds */
    size_t records;
} stream_law;

typedef struct stream_result {
    uint64_t hits, wrong_hits, explored, audited;
} stream_result;

static inline lc_learner *test_learner(const lc_learner_options *options)
{
    lc_learner_options usual;
    lc_learner *learner = NULL;
    lc_learner_options_init(&usual);
    cr_assert_eq(lc_learner_new(options ? options : &usual, &learner, NULL), 0);
    return learner;
}

static inline lc_learner_candidate test_candidate(double position, uint64_t record)
{
    return (lc_learner_candidate){.curve = "space/en",
                                  .record = record,
                                  .position = position,
                                  .floor = 0,
                                  .top = 1};
}

static inline double chance_of_wrong(const stream_law *law, double position,
                                     uint64_t record)
{
    uint64_t seed = record * 7919;
    double shift = law->record_spread * (2 * test_draw(&seed) - 1) * 1.7;
    return 1 / (1 + exp(-(law->middle + law->slope * (position - 0.5) + shift)));
}

/* `count` candidates, each labelled at once when it is checked. */
static inline stream_result test_stream(lc_learner *learner, const stream_law *law,
                                        size_t count, uint64_t *seed, int64_t *now_ms)
{
    stream_result result = {0};
    for (size_t i = 0; i < count; i++) {
        double position = test_draw(seed);
        uint64_t record = 1 + (uint64_t)(test_draw(seed) * (double)law->records);
        int wrong = test_draw(seed) < chance_of_wrong(law, position, record);
        lc_learner_candidate candidate = test_candidate(position, record);
        lc_learner_decision decision;
        lc_learner_ask(learner, &candidate, test_draw(seed), *now_ms, &decision);
        result.hits += decision.action == LC_LEARNER_SERVE;
        result.wrong_hits += decision.action == LC_LEARNER_SERVE && wrong;
        result.explored += decision.action == LC_LEARNER_EXPLORE;
        result.audited += decision.action == LC_LEARNER_SERVE && decision.by_lot;
        if (decision.action == LC_LEARNER_EXPLORE || decision.by_lot)
            cr_assert_eq(lc_learner_observe(learner, &candidate, !wrong, decision.by_lot,
                                            LC_LEARNED_EXPLORED, *now_ms),
                         0);
        *now_ms += 1000;
    }
    return result;
}

#endif
