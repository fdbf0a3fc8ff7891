/* Picks the form of the scan. */
#include "index/scan.h"

#include "base/cpu.h"

static const struct {
    const lc_scan *form;
    int (*runs_here)(void);
} forms[] = {
#if defined(__x86_64__)
    {&lc_scan_avx512, lc_cpu_has_avx512},
    {&lc_scan_avx2, lc_cpu_has_avx2},
#elif LC_SCAN_NEON
    {&lc_scan_neon, lc_cpu_has_dot_product},
#endif
    {&lc_scan_plain, lc_cpu_always},
};

const lc_scan *lc_scan_at(size_t position)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].runs_here() && position-- == 0)
            return forms[i].form;
    return NULL;
}

const lc_scan *lc_scan_best(void)
{
    return lc_scan_at(0);
}
