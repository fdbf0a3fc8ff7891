/*
 * How a pair of questions is named. Two texts count as the same question when they are the same for the encoder
 * (decide/normalise.h) but for case, white space and closing marks: what was wrong once must not come back in
 * capitals. Pure.
 */
#ifndef LC_ASK_PAIR_H
#define LC_ASK_PAIR_H

#include "decide/normalise.h"

#include <llmcache/observe.h>

#define LC_PAIR_SIZE 32

/* Changes when the same text may get another digest. */
#define LC_PAIR_VERSION "1" LC_NORMALISE_VERSION

/* 0 or LLMCACHE_MEMORY. */
int lc_question_digest(const char *text, size_t size, unsigned char digest[32]);

/* The pair within its namespace, the same in both directions. */
void lc_pair_name(const char *space, const unsigned char a[32], const unsigned char b[32],
                  unsigned char name[LC_PAIR_SIZE]);

/*
 * The fingerprint of an observation. A hit, a person's word and a machine's word about one pair stand beside each other;
 * a later one of the same kind replaces the earlier.
 */
void lc_observation_fingerprint(const llmcache_observation *observation,
                                unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE]);

/* Whose word counts more: 0 a hit, 1 a machine, 2 a person. */
int lc_observer_rank(int observer);

#endif
