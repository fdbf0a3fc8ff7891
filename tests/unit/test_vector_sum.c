/* lib/store/vector_sum: it stands in files, so its values never change; and every byte matters. */
#include "store/vector_sum.h"

#include <criterion/criterion.h>
#include <stdint.h>

typedef struct subject {
    char space[8], embedder[8];
    float vector[21]; /* whole blocks of words and some left over */
    llmcache_entry entry;
} subject;

static void fill(subject *s)
{
    *s = (subject){.space = "default", .embedder = "model-1"};
    for (unsigned i = 0; i < 21; i++)
        s->vector[i] = (float)i / 32;
    for (unsigned i = 0; i < LLMCACHE_FINGERPRINT_SIZE; i++) {
        s->entry.fingerprint[i] = (unsigned char)(i + 1);
        s->entry.partition[i] = (unsigned char)(200 - i);
    }
    s->entry.space = s->space;
    s->entry.embedder = s->embedder;
    s->entry.vector = s->vector;
    s->entry.dimension = 21;
}

Test(vector_sum, stays_as_it_is_in_files)
{
    subject s;
    fill(&s);
    cr_assert_eq(lc_vector_sum(&s.entry), 0xfc88ba90u);
}

static void every_bit_matters(subject *s, void *bytes, size_t size)
{
    unsigned char *at = bytes;
    uint32_t before = lc_vector_sum(&s->entry);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        at[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_expect_neq(lc_vector_sum(&s->entry), before, "bit %zu", bit);
        at[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

Test(vector_sum, every_bit_matters)
{
    subject s;
    fill(&s);
    every_bit_matters(&s, s.vector, sizeof s.vector);
    every_bit_matters(&s, s.entry.fingerprint, sizeof s.entry.fingerprint);
    every_bit_matters(&s, s.entry.partition, sizeof s.entry.partition);
    every_bit_matters(&s, s.space, 7);
    every_bit_matters(&s, s.embedder, 7);
}

Test(vector_sum, places_matter)
{
    subject s;
    fill(&s);
    uint32_t before = lc_vector_sum(&s.entry);
    for (unsigned i = 0; i < 20; i++)
        for (unsigned k = i + 1; k < 21; k++) {
            s.vector[i] = (float)k / 32;
            s.vector[k] = (float)i / 32;
            cr_expect_neq(lc_vector_sum(&s.entry), before, "%u and %u", i, k);
            fill(&s);
        }
    s.entry.dimension = 20;
    cr_expect_neq(lc_vector_sum(&s.entry), before);
}
