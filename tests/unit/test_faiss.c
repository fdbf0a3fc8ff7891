/* Indexes by URI, and what FAISS is used for; tests of its build skip where it is not. */
#include "index/index.h"
#include "support.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <string.h>

#define DIM     64
#define RECORDS 4000

static int open_code(const char *uri, llmcache_error *err)
{
    lc_index index = {0};
    int code = lc_index_open(uri, NULL, &index, err);
    lc_index_close(&index);
    return code;
}

static int has_faiss(void)
{
    llmcache_error err;
    return open_code("faiss:Flat", &err) == 0;
}

static lc_index open_index(const char *uri)
{
    lc_index index;
    llmcache_error err = {0};
    if (!has_faiss())
        cr_skip("this build is without FAISS");
    cr_assert_eq(lc_index_open(uri, NULL, &index, &err), 0, "%s", err.message);
    return index;
}

static lc_index_stats settled(const lc_index *index)
{
    lc_index_stats stats;
    cr_assert(test_wait_until((index->ops.stats(index->self, &stats), stats.unsettled == 0), 30000));
    index->ops.stats(index->self, &stats);
    return stats;
}

static void add(const lc_index *index, uint64_t number, int64_t expires)
{
    static const unsigned char partition[32] = {1};
    float vector[DIM];
    unsigned char fingerprint[32];
    llmcache_error err = {0};
    lc_record record = {.space = "s", .fingerprint = fingerprint, .partition = partition, .vector = vector,
                        .dimension = DIM, .expires_ms = expires};
    test_digest(number, fingerprint);
    test_vector(number, vector, DIM);
    cr_assert_eq(index->ops.add(index->self, &record, 1000, &err), 0, "%s", err.message);
}

/* Of 200 questions about what is in the middle between two records, how many find the nearest record? */
static double recall(const lc_index *index, uint64_t first, uint64_t last)
{
    static const unsigned char partition[32] = {1};
    int right = 0;
    for (uint64_t q = 0; q < 200; q++) {
        float asked[DIM], vector[DIM];
        lc_query query = {.space = "s", .partition = partition, .vector = asked, .dimension = DIM,
                          .now_ms = 1, .deadline_ms = 1000};
        lc_neighbour out[1];
        size_t count = 0;
        llmcache_error err = {0};
        double best = -2;
        test_vector(1000000 + q, asked, DIM);
        for (uint64_t n = first; n < last; n++) {
            test_vector(n, vector, DIM);
            double near = test_cosine(asked, vector, DIM);
            best = near > best ? near : best;
        }
        cr_assert_eq(index->ops.search(index->self, &query, out, 1, &count, &err), 0, "%s", err.message);
        right += count == 1 && out[0].similarity > best - 1e-5;
    }
    return right / 200.0;
}

Test(index_uri, says_what_it_does_not_know)
{
    static const char *const wrong[] = {"",           "flat",           "hnsw:",          "flat:1",
                                        "flattened:", "faiss:Nonsense", "faiss:Flat?from=3", "faiss:Flat?from=x",
                                        "faiss:Flat?k=1", "faiss:", "faiss:IVF8,Flat?search=nonsense=1"};
    llmcache_error err;
    cr_assert_eq(open_code("flat:", &err), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int code = open_code(wrong[i], &err);
        if (strcmp(wrong[i], "flat") == 0)
            cr_assert_eq(code, 0);
        else if (strncmp(wrong[i], "faiss:", 6) == 0 && !has_faiss())
            cr_assert(code == LLMCACHE_UNSUPPORTED && strstr(err.message, "libfaiss-dev"));
        else
            cr_assert(code == LLMCACHE_SETTING && strstr(err.message, "index"), "%s: %s", wrong[i], err.message);
    }
}

Test(faiss, searches_large_partitions_by_its_own_structures)
{
    /* One list of sixteen misses what stands in another: so it is FAISS that is asked, and not flat. */
    static const struct {
        const char *uri;
        double least, most;
    } kinds[] = {{"faiss:Flat?from=1000", 1, 1},
                 {"faiss:IVF16,Flat?from=1000&search=nprobe=1", 0.1, 0.9},
                 {"faiss:IVF16,Flat?from=1000&search=nprobe=16", 1, 1},
                 {"faiss:HNSW16?from=1000&search=efSearch=128", 0.95, 1},
                 {"faiss:IVF16,SQ8?from=1000&search=nprobe=16", 0.95, 1}};
    lc_index flat = open_index("flat:");
    for (uint64_t n = 0; n < RECORDS; n++)
        add(&flat, n, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        lc_index index = open_index(kinds[i].uri);
        for (uint64_t n = 0; n < RECORDS; n++)
            add(&index, n, 0);
        cr_assert_gt(settled(&index).bytes, settled(&flat).bytes, "%s", kinds[i].uri);
        double found = recall(&index, 0, RECORDS);
        cr_assert(found >= kinds[i].least && found <= kinds[i].most, "%s: %g", kinds[i].uri, found);
        lc_index_close(&index);
    }
    lc_index_close(&flat);
}

Test(faiss, small_partitions_and_untrained_ones_are_searched_flat)
{
    lc_index index = open_index("faiss:IVF16,Flat?from=100&search=nprobe=1");
    for (uint64_t n = 0; n < 600; n++) /* training wants 640 */
        add(&index, n, 0);
    lc_index_stats before = settled(&index);
    cr_assert_eq(recall(&index, 0, 600), 1);
    for (uint64_t n = 600; n < 700; n++)
        add(&index, n, 0);
    cr_assert_gt(settled(&index).bytes, before.bytes + 600 * DIM * 4);
    cr_assert_lt(recall(&index, 0, 700), 1);
    lc_index_close(&index);
}

Test(faiss, forgets_what_expired_and_gives_its_memory_back)
{
    lc_index index = open_index("faiss:Flat?from=1000");
    for (uint64_t n = 0; n < RECORDS; n++)
        add(&index, n, n < RECORDS / 2 ? 1 : 100);
    settled(&index);
    cr_assert_eq(index.ops.sweep(index.self, 0), 0u); /* so that the builder looks at what was added since */
    lc_index_stats before = settled(&index);
    cr_assert_eq(recall(&index, RECORDS / 2, RECORDS), 1, "what has expired but is not swept is not found");
    cr_assert_eq(index.ops.sweep(index.self, 1), RECORDS / 2);
    lc_index_stats after = settled(&index);
    cr_assert_lt(after.bytes, before.bytes * 6 / 10);
    cr_assert_eq(recall(&index, RECORDS / 2, RECORDS), 1);
    cr_assert_eq(index.ops.sweep(index.self, 100), RECORDS / 2);
    cr_assert_lt(settled(&index).bytes, 200000u, "nothing is left but empty tables");
    lc_index_close(&index);
}

Test(faiss, begins_anew_after_a_clear_while_it_builds)
{
    lc_index index = open_index("faiss:HNSW16?from=1000&search=efSearch=128");
    llmcache_error err;
    for (int round = 0; round < 5; round++) {
        for (uint64_t n = 0; n < 1500; n++)
            add(&index, n, 0);
        cr_assert_eq(index.ops.clear(index.self, 1000, &err), 0);
    }
    for (uint64_t n = 0; n < 1500; n++)
        add(&index, n, 0);
    settled(&index);
    cr_assert_geq(recall(&index, 0, 1500), 0.95);
    lc_index_close(&index);
}
