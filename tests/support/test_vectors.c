/* Vectors for tests: see test_vectors.h. */
#include "test_vectors.h"

#include <math.h>
#include <string.h>

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double test_uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

void test_digest(uint64_t number, unsigned char digest[32])
{
    for (int i = 0; i < 4; i++) {
        uint64_t word = test_random(&number);
        memcpy(digest + 8 * i, &word, 8);
    }
}

static void normalise(float *vector, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)vector[i] * vector[i];
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < dimension; i++)
        vector[i] *= scale;
}

void test_vector(uint64_t seed, float *vector, size_t dimension)
{
    for (size_t i = 0; i < dimension; i++) {
        /* The sum of four is near enough to a normal distribution. */
        uint64_t bits = test_random(&seed);
        int32_t sum = (int32_t)(bits & 0xffff) + (int32_t)(bits >> 16 & 0xffff) +
                      (int32_t)(bits >> 32 & 0xffff) + (int32_t)(bits >> 48);
        vector[i] = (float)(sum - 131070) + 0.5f;
    }
    normalise(vector, dimension);
}

void test_clustered_vector(uint64_t seed, uint64_t centres, double spread, float *vector, size_t dimension)
{
    float off[4096];
    uint64_t state = seed;
    uint64_t centre = test_random(&state) % centres;
    test_vector(0xc0ffee + centre, vector, dimension);
    test_vector(seed ^ 0x5eed, off, dimension);
    for (size_t i = 0; i < dimension; i++)
        vector[i] += (float)spread * off[i];
    normalise(vector, dimension);
}

double test_cosine(const float *a, const float *b, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)a[i] * b[i];
    return sum;
}
