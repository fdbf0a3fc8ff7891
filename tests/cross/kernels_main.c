/*
 * The kernel checks as a program that needs nothing but libc: built for another kind of
 * CPU and run under qemu's user emulation. The argument names the variant that must be
 * the best one there, so that a check which never ran cannot pass.
 */
#include "kernel_checks.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const lc_kernels *kernels;
    int failed = 0;
    if (argc != 2 || strcmp(lc_kernels_best()->name, argv[1])) {
        printf("the best variant here is %s\n", lc_kernels_best()->name);
        return 1;
    }
    for (size_t i = 0; (kernels = lc_kernels_at(i)); i++)
        for (const kernel_check *check = kernel_checks; check->name; check++) {
            const char *bad = check->run(kernels);
            printf("%s: %s: %s\n", kernels->name, check->name, bad ? bad : "ok");
            failed += bad != NULL;
        }
    return failed != 0;
}
