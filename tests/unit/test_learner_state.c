/* What was learned, saved, loaded and added up. */
#include "learner_streams.h"

#include "base/memory.h"

#include <string.h>

static const stream_law law = {
    .middle = -3, .slope = -10, .record_spread = 1, .records = 200};

static void save(lc_learner *learner, lc_buffer *out)
{
    lc_buffer_init(out, 0);
    cr_assert_eq(lc_learner_save(learner, out), 0);
}

Test(learner_state, goes_on_exactly_after_a_restart)
{
    lc_learner *one = test_learner(NULL), *two = test_learner(NULL);
    uint64_t seed = 1;
    int64_t now = 1000;
    test_stream(one, &law, 7777, &seed, &now);
    lc_learner_control(one, 0, 1);
    lc_buffer first, second;
    save(one, &first);
    cr_assert_eq(lc_learner_load(two, first.data, first.size, NULL), 0);
    save(two, &second);
    cr_assert_eq(first.size, second.size);
    cr_assert_eq(memcmp(first.data, second.data, first.size), 0);
    uint64_t same = seed;
    int64_t then = now;
    stream_result a = test_stream(one, &law, 7000, &seed, &now);
    stream_result b = test_stream(two, &law, 7000, &same, &then);
    cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
    cr_expect(a.hits > 0);
    lc_buffer_done(&first);
    lc_buffer_done(&second);
    save(one, &first);
    save(two, &second);
    cr_assert_eq(memcmp(first.data, second.data, first.size), 0);
    lc_buffer_done(&first);
    lc_buffer_done(&second);
    lc_learner_free(one);
    lc_learner_free(two);
}

Test(learner_state, damage_is_noticed_and_changes_nothing)
{
    lc_learner *one = test_learner(NULL), *two = test_learner(NULL);
    uint64_t seed = 1;
    int64_t now = 1000;
    test_stream(one, &law, 2000, &seed, &now);
    test_stream(two, &law, 100, &seed, &now);
    lc_buffer whole, before, after;
    save(one, &whole);
    save(two, &before);
    for (size_t i = 0; i < whole.size; i += 7) {
        whole.data[i] ^= 0x10;
        llmcache_error err;
        int code = lc_learner_load(two, whole.data, whole.size, &err);
        cr_assert_eq(code, LLMCACHE_CORRUPT, "byte %zu: %d", i, code);
        whole.data[i] ^= 0x10;
    }
    for (size_t size = 0; size < whole.size; size += 13)
        cr_assert_eq(lc_learner_load(two, whole.data, size, NULL), LLMCACHE_CORRUPT);
    save(two, &after);
    cr_assert_eq(before.size, after.size);
    cr_assert_eq(memcmp(before.data, after.data, before.size), 0);
    lc_buffer_done(&whole);
    lc_buffer_done(&before);
    lc_buffer_done(&after);
    lc_learner_free(one);
    lc_learner_free(two);
}

/* A version that is not known, with its checksum right. */
Test(learner_state, another_version_is_refused)
{
    lc_learner *one = test_learner(NULL);
    lc_buffer whole;
    save(one, &whole);
    whole.data[4] = 9;
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < whole.size - 8; i++)
        sum = (sum ^ (unsigned char)whole.data[i]) * 0x100000001b3u;
    for (int i = 0; i < 8; i++)
        whole.data[whole.size - 8 + (size_t)i] = (char)(sum >> (8 * i));
    llmcache_error err;
    cr_assert_eq(lc_learner_load(one, whole.data, whole.size, &err), LLMCACHE_UNSUPPORTED);
    cr_assert(strstr(err.message, "version 9"));
    lc_buffer_done(&whole);
    lc_learner_free(one);
}

Test(learner_state, a_smaller_learner_takes_what_fits)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    lc_learner *large = test_learner(&options);
    for (uint64_t i = 1; i <= 5000; i++) {
        lc_learner_candidate c = test_candidate(0.9, i * 0x9e3779b97f4a7c15u);
        lc_learner_observe(large, &c, 1, 0, LC_LEARNED_EXPLORED, (int64_t)i * 60000);
    }
    options.records_max = 1024;
    lc_learner *small = test_learner(&options);
    lc_buffer whole;
    save(large, &whole);
    cr_assert_eq(lc_learner_load(small, whole.data, whole.size, NULL), 0);
    cr_expect(lc_learner_records(small) <= 1024 && lc_learner_records(small) > 500);
    lc_learner_candidate other = test_candidate(0.9, 1);
    other.curve = "another";
    lc_learner_observe(large, &other, 1, 0, LC_LEARNED_EXPLORED, 1000);
    lc_buffer_done(&whole);
    save(large, &whole);
    options.curves_max = 1;
    lc_learner_free(small);
    small = test_learner(&options);
    cr_expect_eq(lc_learner_load(small, whole.data, whole.size, NULL), LLMCACHE_TOO_LARGE);
    lc_buffer_done(&whole);
    lc_learner_free(large);
    lc_learner_free(small);
}

/* Two halves of the labels, learned apart and added up, are all of them learned by one:
 * the fit of the curve is equal, so are the records and what was counted. */
Test(learner_state, two_add_up_to_the_union)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    options.half_life = 1e12;
    options.half_life_ms = 0;
    lc_learner *halves[2] = {test_learner(&options), test_learner(&options)},
               *whole = test_learner(&options);
    uint64_t seed = 4;
    for (int i = 0; i < 4000; i++) {
        double position = test_draw(&seed);
        uint64_t record = 1 + (uint64_t)(test_draw(&seed) * 100);
        int right = test_draw(&seed) > chance_of_wrong(&law, position, record);
        lc_learner_candidate c = test_candidate(position, record);
        int lot = right && i % 3 == 0;
        lc_learner_observe(halves[i % 2], &c, right, lot, LC_LEARNED_EXPLORED, 1000);
        lc_learner_observe(whole, &c, right, lot, LC_LEARNED_EXPLORED, 1000);
    }
    cr_assert_eq(lc_learner_merge(halves[0], halves[1], NULL), 0);
    lc_learner_view sum, all;
    lc_learner_see(halves[0], 0, &sum);
    lc_learner_freeze(whole, 1); /* makes its fit anew, too */
    lc_learner_see(whole, 0, &all);
    cr_expect(fabs(sum.slope - all.slope) < 1e-9);
    cr_expect(fabs(sum.at_floor - all.at_floor) < 1e-9);
    cr_expect_eq(sum.all.lots, all.all.lots);
    cr_expect_eq(sum.all.wrong, all.all.wrong);
    cr_expect_eq(lc_learner_records(halves[0]), lc_learner_records(whole));
    for (int i = 0; i < 2; i++)
        lc_learner_free(halves[i]);
    lc_learner_free(whole);
}

Test(learner_state, merging_does_not_depend_on_the_order)
{
    lc_learner *a = test_learner(NULL), *b = test_learner(NULL), *ab = test_learner(NULL),
               *ba = test_learner(NULL);
    uint64_t seed = 1;
    int64_t now = 1000;
    test_stream(a, &law, 3000, &seed, &now);
    test_stream(b, &law, 2000, &seed, &now);
    lc_learner *order[2][2] = {{a, b}, {b, a}}, *into[2] = {ab, ba};
    lc_learner_view views[2];
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++)
            cr_assert_eq(lc_learner_merge(into[i], order[i][j], NULL), 0);
        lc_learner_see(into[i], 0, &views[i]);
    }
    cr_expect(fabs(views[0].slope - views[1].slope) < 1e-9);
    cr_expect(fabs(views[0].upper - views[1].upper) < 1e-9);
    cr_expect_eq(views[0].all.lots, views[1].all.lots);
    cr_expect_eq(views[0].requests, 5000);
    lc_learner *all[] = {a, b, ab, ba};
    for (int i = 0; i < 4; i++)
        lc_learner_free(all[i]);
}

Test(learner_state, other_scales_do_not_merge)
{
    lc_learner *a = test_learner(NULL), *b = test_learner(NULL);
    lc_learner_candidate c = test_candidate(0.5, 1);
    lc_learner_observe(a, &c, 1, 0, LC_LEARNED_EXPLORED, 1000);
    c.top = 3;
    lc_learner_observe(b, &c, 1, 0, LC_LEARNED_EXPLORED, 1000);
    c.curve = "another";
    lc_learner_observe(b, &c, 1, 0, LC_LEARNED_EXPLORED, 1000);
    llmcache_error err;
    cr_expect_eq(lc_learner_merge(a, b, &err), LLMCACHE_INVALID);
    cr_expect_eq(lc_learner_curves(a), 1);
    lc_learner_free(a);
    lc_learner_free(b);
}

Test(learner_state, allocations_that_fail)
{
    lc_learner *one = test_learner(NULL);
    uint64_t seed = 1;
    int64_t now = 1000;
    test_stream(one, &law, 500, &seed, &now);
    lc_buffer whole;
    save(one, &whole);
    for (uint64_t n = 1; n < 8; n++) {
        lc_learner *two = test_learner(NULL);
        lc_memory_fail_at(n);
        int code = lc_learner_load(two, whole.data, whole.size, NULL);
        int merged = lc_learner_merge(two, one, NULL);
        cr_expect(code == LLMCACHE_MEMORY || merged || !lc_memory_failed());
        lc_memory_fail_at(0);
        lc_learner_free(two);
    }
    lc_buffer_done(&whole);
    lc_learner_free(one);
}
