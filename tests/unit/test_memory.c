/* lib/base/memory, error and clock: sizes that overflow, failing on purpose, one-line
 * messages. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(memory, sizes_that_overflow_are_refused)
{
    size_t half = SIZE_MAX / 2 + 2;
    cr_assert_null(lc_alloc_array(half, 2));
    cr_assert_null(lc_zalloc_array(SIZE_MAX, SIZE_MAX));
    cr_assert_null(lc_realloc_array(NULL, half, 2));
    cr_assert_null(lc_strndup("", SIZE_MAX));
}

Test(memory, nothing_is_something_to_free)
{
    void *empty[] = {lc_alloc(0), lc_zalloc(0), lc_realloc(NULL, 0), lc_memdup(NULL, 0)};
    for (int i = 0; i < 4; i++) {
        cr_expect_not_null(empty[i]);
        lc_free(empty[i]);
    }
    lc_free(NULL);
    cr_assert_null(lc_strdup(NULL));
}

Test(memory, zeroed_and_aligned_as_asked)
{
    unsigned char *zero = lc_zalloc_array(100, 10);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(zero[i], 0);
    lc_free(zero);
    void *aligned = lc_alloc_aligned(64, 100);
    cr_assert_eq((uintptr_t)aligned % 64, 0);
    lc_free(aligned);
}

Test(memory, the_nth_allocation_fails_and_only_that)
{
    lc_memory_fail_at(3);
    void *first = lc_alloc(1), *second = lc_zalloc(1);
    cr_assert(first && second && !lc_memory_failed());
    cr_assert_null(lc_strdup("third"));
    cr_assert(lc_memory_failed());
    void *fourth = lc_alloc(1);
    cr_assert_not_null(fourth);
    lc_memory_fail_at(0);
    cr_assert_not(lc_memory_failed());
    lc_free(first);
    lc_free(second);
    lc_free(fourth);
}

Test(memory, every_kind_of_allocation_can_fail)
{
    char *slot = lc_strdup("old");
    for (int kind = 0; kind < 9; kind++) {
        lc_memory_fail_at(1);
        void *got = kind == 0   ? lc_alloc(1)
                    : kind == 1 ? lc_zalloc(1)
                    : kind == 2 ? lc_alloc_array(1, 1)
                    : kind == 3 ? lc_zalloc_array(1, 1)
                    : kind == 4 ? lc_realloc(NULL, 1)
                    : kind == 5 ? lc_realloc_array(NULL, 1, 1)
                    : kind == 6 ? lc_alloc_aligned(16, 16)
                    : kind == 7 ? lc_strndup("ab", 1)
                                : lc_memdup("ab", 2);
        cr_expect_null(got, "kind %d", kind);
    }
    lc_memory_fail_at(1);
    cr_assert_eq(lc_strset(&slot, "new"), LLMCACHE_MEMORY);
    cr_assert_str_eq(slot, "old");
    lc_memory_fail_at(0);
    cr_assert_eq(lc_strset(&slot, NULL), 0);
    cr_assert_null(slot);
}

Test(error, fills_everything_and_gives_the_code)
{
    llmcache_error err;
    memset(&err, 'x', sizeof err);
    cr_assert_eq(lc_fail(&err, LLMCACHE_TIMEOUT, "after %d ms", 50), LLMCACHE_TIMEOUT);
    cr_assert_eq(err.code, LLMCACHE_TIMEOUT);
    cr_assert_eq(err.upstream_status, 0);
    cr_assert_eq(err.retry_after_ms, -1);
    cr_assert_str_eq(err.message, "after 50 ms");
    cr_assert_eq(lc_fail(NULL, LLMCACHE_STORE, "x"), LLMCACHE_STORE);
}

Test(error, a_message_is_one_line_of_utf8_however_long)
{
    llmcache_error err;
    lc_fail(&err, LLMCACHE_INVALID, "a\nb\r\tc\x7f");
    cr_assert_str_eq(err.message, "a b  c ");
    char text[4 * LLMCACHE_MESSAGE_SIZE];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t at = shift; at + 4 < sizeof text; at += 4)
            memcpy(text + at, "\xf0\x9f\x98\x80", 5);
        lc_fail(&err, LLMCACHE_INVALID, "%s", text);
        size_t size = strlen(err.message);
        cr_expect(lc_utf8_valid(err.message, size), "shift %zu", shift);
        cr_expect_geq(size, LLMCACHE_MESSAGE_SIZE - 5);
    }
}

/* A sequence that fits to its last byte is whole and stays. */
Test(error, a_message_that_just_fits_is_kept_whole)
{
    llmcache_error err;
    char text[LLMCACHE_MESSAGE_SIZE];
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 4, "\xe5\xbf\xab", 4);
    lc_fail(&err, LLMCACHE_INVALID, "%s", text);
    cr_assert_str_eq(err.message, text);
}

Test(error, every_code_has_a_name_and_a_text)
{
    cr_assert_str_eq(llmcache_code_name(LLMCACHE_NOT_FOUND), "LLMCACHE_NOT_FOUND");
    cr_assert_str_eq(llmcache_code_name(-12345), "LLMCACHE_UNKNOWN");
    cr_assert_str_eq(lc_code_text(LLMCACHE_BUSY), "too much is under way");
    cr_assert_str_eq(lc_code_text(77), "unknown error");
}

Test(clock, runs_forward_and_sleeps_long_enough)
{
    int64_t ms = lc_mono_ms(), us = lc_mono_us(), ns = lc_mono_ns();
    lc_sleep_ms(5);
    cr_assert_geq(lc_mono_us() - us, 5000);
    cr_assert_geq(lc_mono_ns() - ns, 5000000);
    cr_assert_geq(lc_mono_ms() - ms, 4);
    cr_assert_gt(lc_wall_ms(), 1700000000000);
    struct timespec later = lc_mono_after(1500);
    int64_t ahead = (int64_t)later.tv_sec * 1000 + later.tv_nsec / 1000000 - lc_mono_ms();
    cr_assert(ahead > 1000 && ahead <= 1501, "%lld", (long long)ahead);
    cr_assert(later.tv_nsec >= 0 && later.tv_nsec < 1000000000);
}
