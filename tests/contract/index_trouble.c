/*
 * The index contract: opening it, adding and searching while the N-th allocation fails, while there are few file
 * descriptors, and under signals. A failure is a code with its message, and as soon as there is enough again the same
 * index works: nobody opens it anew.
 */
#include "index_suite.h"

#include "base/memory.h"
#include "store/store.h"
#include "trouble.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000, LONG_S = 240, SOON_MS = 500 };

static int try_to_add(const lc_index *index, int64_t deadline_ms, llmcache_error *err)
{
    float vector[DIM];
    unsigned char fingerprint[32], digest[32];
    const lc_record record = {.space = "s", .fingerprint = fingerprint, .partition = digest, .vector = vector,
                              .dimension = DIM};
    test_vector(1, vector, DIM);
    test_digest(1, fingerprint);
    test_digest(2, digest);
    return index->ops.add(index->self, &record, deadline_ms, err);
}

static int try_to_find(const lc_index *index, int64_t deadline_ms, size_t *count, llmcache_error *err)
{
    float vector[DIM];
    unsigned char digest[32];
    lc_neighbour out[1];
    const lc_query query = {.space = "s", .partition = digest, .vector = vector, .dimension = DIM, .now_ms = 1,
                            .deadline_ms = deadline_ms};
    test_vector(1, vector, DIM);
    test_digest(2, digest);
    return index->ops.search(index->self, &query, out, 1, count, err);
}

/* Everything once; what fails says so. */
static void use(const lc_index *index, int64_t deadline_ms)
{
    llmcache_error err;
    size_t count;
    lc_index_fill state;
    if (index->ops.fill_state) {
        test_spoil(&err);
        test_check_error(index->ops.fill_state(index->self, deadline_ms, &state, &err), &err, "fill_state");
    }
    test_spoil(&err);
    test_check_error(try_to_add(index, deadline_ms, &err), &err, "add");
    test_spoil(&err);
    test_check_error(try_to_find(index, deadline_ms, &count, &err), &err, "search");
    test_spoil(&err);
    test_check_error(index->ops.remove(index->self, "s", "00112233445566778899", deadline_ms, NULL, &err), &err, "remove");
    if (index->ops.set_filled) {
        test_spoil(&err);
        test_check_error(index->ops.set_filled(index->self, deadline_ms, &err), &err, "set_filled");
    }
    index->ops.sweep(index->self, 1);
}

static int is_found(const lc_index *index, llmcache_error *err)
{
    size_t count = 0;
    return !try_to_add(index, PATIENT_MS, err) && !try_to_find(index, PATIENT_MS, &count, err) && count == 1;
}

static void expect_to_work(const lc_index *index, const char *what, uint64_t n)
{
    llmcache_error err = {.message = ""};
    cr_assert(test_wait_until(is_found(index, &err), PATIENT_MS), "%s %llu: %s", what, (unsigned long long)n,
              err.message);
}

/* A server is made at the first call. */
static const char *uri_to_open(void)
{
    const char *uri = index_fixture_used.fresh ? index_fixture_used.fresh() : index_fixture_used.uri;
    if (!uri)
        cr_skip("this build has no such index");
    return uri;
}

Test(index, opening_survives_every_failed_allocation, .timeout = LONG_S)
{
    const char *uri = uri_to_open();
    int failed = 1;
    uint64_t n;
    for (n = 1; failed && n < MOST; n++) {
        llmcache_error err;
        lc_index index = {0};
        test_spoil(&err);
        lc_memory_fail_at(n);
        int rc = lc_index_open(uri, NULL, &index, &err);
        test_check_error(rc, &err, "opening");
        if (!rc)
            use(&index, PATIENT_MS);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || !rc, "%s", err.message);
        if (!rc)
            expect_to_work(&index, "after failed allocation", n);
        lc_index_close(&index);
    }
    cr_assert_lt(n, (uint64_t)MOST, "it never came through");
}

Test(index, few_file_descriptors_are_an_error_while_they_are_few, .timeout = LONG_S)
{
    const char *uri = uri_to_open();
    for (int spare = 0; spare < 10; spare++) {
        llmcache_error err;
        lc_index index = {0};
        test_allow_descriptors(spare);
        test_spoil(&err);
        int rc = lc_index_open(uri, NULL, &index, &err);
        test_check_error(rc, &err, "opening");
        if (!rc)
            use(&index, SOON_MS);
        test_allow_all_descriptors();
        if (!rc)
            expect_to_work(&index, "spare descriptors", (uint64_t)spare);
        lc_index_close(&index);
    }
}

Test(index, signals_are_no_failure, .timeout = LONG_S)
{
    lc_index index = open_index();
    llmcache_error err = {.message = ""};
    int found = 1;
    expect_to_work(&index, "before", 0);
    test_interrupt(1);
    for (int i = 0; i < 100 && found; i++)
        found = is_found(&index, &err);
    test_interrupt(0);
    cr_assert(found, "%s", err.message);
    lc_index_close(&index);
}
