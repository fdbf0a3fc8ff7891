/*
 * Checks of the encoder's kernels, one variant at a time, without a test framework:
 * test_kernels.c runs them for this machine, tests/cross for another one under emulation.
 */
#ifndef TEST_KERNEL_CHECKS_H
#define TEST_KERNEL_CHECKS_H

#include "embed/kernels.h"

typedef struct kernel_check {
    const char *name;
    /* NULL when all is well, else what is not; the text lives until the next call. */
    const char *(*run)(const lc_kernels *kernels);
} kernel_check;

/* Ends with a row of NULLs. */
extern const kernel_check kernel_checks[];

#endif
