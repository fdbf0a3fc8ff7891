/* lib/embed/kernels*, matrix: every variant this CPU has, against plain C and against
 * doubles. */
#include "kernel_checks.h"

#include <criterion/criterion.h>

static void run_all(const char *variant)
{
    const lc_kernels *kernels = lc_kernels_named(variant);
    if (!kernels)
        cr_skip_test("%s: not on this CPU", variant);
    for (const kernel_check *check = kernel_checks; check->name; check++) {
        const char *bad = check->run(kernels);
        cr_expect_null(bad, "%s: %s: %s", variant, check->name, bad);
    }
}

Test(kernels, plain)
{
    run_all("plain");
}

Test(kernels, avx2)
{
    run_all("avx2");
}

Test(kernels, avxvnni)
{
    run_all("avxvnni");
}

Test(kernels, avx512vnni)
{
    run_all("avx512vnni");
}

Test(kernels, neon)
{
    run_all("neon");
}

Test(kernels, are_found_by_name_best_first)
{
    size_t count = 0;
    while (lc_kernels_at(count))
        count++;
    cr_assert_geq(count, 1);
    cr_assert_str_eq(lc_kernels_at(count - 1)->name, "plain");
    cr_assert_eq(lc_kernels_best(), lc_kernels_at(0));
    cr_assert_eq(lc_kernels_named(NULL), lc_kernels_best());
    cr_assert_eq(lc_kernels_named(""), lc_kernels_best());
    cr_assert_null(lc_kernels_named("avx1024"));
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(lc_kernels_named(lc_kernels_at(i)->name), lc_kernels_at(i));
}
