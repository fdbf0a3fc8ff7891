/* Picks the kernels. */
#include "embed/kernels.h"

#include "base/cpu.h"

#include <string.h>

static const struct {
    const lc_kernels *kernels;
    int (*runs_here)(void);
} variants[] = {
#if defined(__x86_64__)
    {&lc_kernels_avx512, lc_cpu_has_avx512},
    {&lc_kernels_avxvnni, lc_cpu_has_avxvnni},
    {&lc_kernels_avx2, lc_cpu_has_avx2},
#elif LC_HAVE_NEON_DOT
    {&lc_kernels_neon, lc_cpu_has_dot_product},
#endif
    {&lc_kernels_plain, lc_cpu_always},
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
