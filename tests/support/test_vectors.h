/* Vectors and digests for tests and benchmarks of the index: the same on every machine. */
#ifndef TEST_VECTORS_H
#define TEST_VECTORS_H

#include <stddef.h>
#include <stdint.h>

uint64_t test_random(uint64_t *state); /* SplitMix64 */
double test_uniform(uint64_t *state);  /* from 0, below 1 */
void test_digest(uint64_t number, unsigned char digest[32]);

/* Of unit length, in any direction. */
void test_vector(uint64_t seed, float *vector, size_t dimension);
/* Of unit length, near one of `centres` directions, as embeddings of texts on few subjects are: `spread` is
 * how far, 0 for the centre itself. */
void test_clustered_vector(uint64_t seed, uint64_t centres, double spread, float *vector, size_t dimension);

double test_cosine(const float *a, const float *b, size_t dimension); /* in double */

#endif
