/* What the files of the index suite share. */
#ifndef TEST_INDEX_SUITE_H
#define TEST_INDEX_SUITE_H

#include "index/index.h"
#include "index_fixture.h"
#include "support.h"
#include "test_vectors.h"

#define DIM     70 /* not a multiple of any register's width */
#define CENTRES 20 /* directions the vectors crowd around */

enum { PATIENT_MS = 20000 };

lc_index open_index(void);
lc_index_stats stats_of(const lc_index *index);
/* The same, counted anew by an index that does not count all the time. */
lc_index_stats counts_of(const lc_index *index);
/* How many times a long test does it, over this index. */
uint64_t times(uint64_t usual);
/* Waits until the index has put in order what it does on its own time. */
void settle(const lc_index *index);

/* A record under the number, with the vector of a seed; and its search and removal. */
void add(const lc_index *index, uint64_t number, uint64_t partition, uint64_t seed, int64_t expires);
int take(const lc_index *index, uint64_t number);
size_t search(const lc_index *index, uint64_t partition, uint64_t seed, int64_t now, lc_neighbour *out, size_t k);

#endif
