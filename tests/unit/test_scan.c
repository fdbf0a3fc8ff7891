/* The forms of the scan, and what codes promise. */
#include "base/memory.h"
#include "index/codes.h"
#include "scan_checks.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(scan, every_form_computes_the_same)
{
    const lc_scan *form;
    size_t count = 0;
    for (; (form = lc_scan_at(count)); count++)
        for (const scan_check *check = scan_checks; check->name; check++) {
            const char *bad = check->run(form);
            cr_assert_null(bad, "%s: %s: %s", form->name, check->name, bad);
        }
    cr_assert_geq(count, 1u);
    cr_assert_str_eq(lc_scan_at(count - 1)->name, "plain");
    cr_assert_eq(lc_scan_best(), lc_scan_at(0));
}

#define MOST 4096

typedef struct coded {
    uint8_t high[MOST];
    int8_t low[MOST];
    float step, error, vector[MOST];
} coded;

static lc_codes parts(coded *c)
{
    return (lc_codes){c->high, c->low, &c->step, &c->error};
}

/* The three kinds: as embeddings are; all in one component, the coarsest unit; all components alike. */
static void make_vector(int kind, uint64_t seed, float *vector, size_t dimension)
{
    memset(vector, 0, dimension * sizeof *vector);
    if (kind == 0)
        test_clustered_vector(seed, 3, 0.8, vector, dimension);
    else if (kind == 1)
        vector[seed % dimension] = seed % 2 ? -1.0f : 1.0f;
    else
        for (size_t i = 0; i < dimension; i++)
            vector[i] = (float)((test_random(&seed) % 2 ? 1 : -1) / sqrt((double)dimension));
}

static void check_pair(const lc_scan *form, coded *row, const float *query, size_t dimension)
{
    lc_coded_query q;
    int32_t sum;
    double truth = test_cosine(query, row->vector, dimension);
    cr_assert_eq(lc_query_code(query, dimension, &q), 0);
    form->sums(q.codes, row->high, q.stride, 1, &sum);
    double near = (double)sum * (double)row->step * (double)q.test.factor;
    double spare = (double)row->error * (double)q.test.weight + (double)q.test.slack;
    cr_assert_leq(fabs(truth - near), spare, "dimension %zu: %g is not within %g", dimension,
                  truth - near, spare);
    double full = (double)(form->exact(q.vector, row->high, row->low, q.stride) * (row->step / 256));
    double bound = (double)row->step / 256 / 2 * sqrt((double)dimension) + 2e-6;
    cr_assert_leq(fabs(truth - full), bound < 1e-3 ? bound : 1e-3);
    lc_query_done(&q);
}

Test(codes, keep_what_their_header_says)
{
    static coded row;
    static float query[MOST], back[MOST];
    static const size_t dimensions[] = {1, 2, 3, 64, 70, 256, 384, 768, 1024, 1536, 3072, MOST};
    for (size_t d = 0; d < sizeof dimensions / sizeof *dimensions; d++) {
        size_t dimension = dimensions[d];
        for (int kind = 0; kind < 9; kind++) {
            lc_codes to = parts(&row);
            make_vector(kind / 3, (uint64_t)kind + 7 * d, row.vector, dimension);
            make_vector(kind % 3, (uint64_t)kind + 5 * d, query, dimension);
            lc_codes_write(row.vector, dimension, &to);
            lc_codes_read(&to, dimension, back);
            for (size_t i = 0; i < dimension; i++)
                cr_assert_leq(fabsf(back[i] - row.vector[i]), row.step / 512 * 1.01f);
            for (size_t i = dimension; i < lc_codes_stride(dimension); i++)
                cr_assert(row.high[i] == 128 && row.low[i] == 0, "padding counts");
            check_pair(lc_scan_best(), &row, query, dimension);
            check_pair(lc_scan_best(), &row, row.vector, dimension);
        }
    }
}
