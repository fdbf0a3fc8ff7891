/*
 * Picks the kernels. By the CPU's own word and not by ifunc: those run before the
 * sanitizers are up and cannot be overridden by a test.
 */
#include "embed/kernels.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* Asked of the CPU itself: not every compiler's __builtin_cpu_supports knows the name. */
static int has_avxvnni(void)
{
    unsigned a = 0, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1U << 4)) != 0;
}
#elif LC_HAVE_NEON_DOT
static int has_dot_product(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & (1UL << 20)) != 0; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
    return 1;
#else
    return 0;
#endif
}
#endif

static int always(void)
{
    return 1;
}

static const struct {
    const lc_kernels *kernels;
    int (*runs_here)(void);
} variants[] = {
#if defined(__x86_64__)
    {&lc_kernels_avx512, has_avx512},
    {&lc_kernels_avxvnni, has_avxvnni},
    {&lc_kernels_avx2, has_avx2},
#elif LC_HAVE_NEON_DOT
    {&lc_kernels_neon, has_dot_product},
#endif
    {&lc_kernels_plain, always},
};

const lc_kernels *lc_kernels_at(size_t position)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (variants[i].runs_here() && position-- == 0)
            return variants[i].kernels;
    return NULL;
}

const lc_kernels *lc_kernels_best(void)
{
    return lc_kernels_at(0);
}

const lc_kernels *lc_kernels_named(const char *name)
{
    const lc_kernels *kernels;
    if (!name || !*name)
        return lc_kernels_best();
    for (size_t i = 0; (kernels = lc_kernels_at(i)); i++)
        if (strcmp(kernels->name, name) == 0)
            return kernels;
    return NULL;
}
