/*
 * Checks of the index's scan, one form at a time, without a test framework: test_scan.c runs them for this
 * machine, tests/cross for another one under emulation.
 */
#ifndef TEST_SCAN_CHECKS_H
#define TEST_SCAN_CHECKS_H

#include "index/scan.h"

typedef struct scan_check {
    const char *name;
    const char *(*run)(const lc_scan *form); /* NULL when all is well, else what is not */
} scan_check;

/* Ends with a row of NULLs. */
extern const scan_check scan_checks[];

#endif
