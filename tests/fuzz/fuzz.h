/*
 * A fuzz target: one function that is given bytes and must neither crash nor break the
 * rules it checks, and the folders of inputs to begin with. Linked with fuzz_main.c it is
 * a test: every input of its corpus and some thousand mutations of them, the same ones
 * every time. Built by script/fuzz it is a libFuzzer program.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Folders below the source root, ends with NULL. Hidden files are left out. */
extern const char *const fuzz_corpora[];

/* Ends the program, whatever NDEBUG says. */
#define FUZZ_CHECK(condition)                                               \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

#endif
