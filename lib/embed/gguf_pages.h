/*
 * What the system is told about a mapped model file, so that a process keeps only what it
 * uses. All of it is advice: nothing changes in what can be read. No effect where the
 * file is memory of the caller's.
 */
#ifndef LC_EMBED_GGUF_PAGES_H
#define LC_EMBED_GGUF_PAGES_H

#include "embed/gguf.h"

/* The tensor's bytes were read and are not needed soon: they leave the process, not the
 * page cache. */
void lc_gguf_let_go(const lc_gguf *gguf, const lc_gguf_tensor *tensor);

/* Rows of the tensor will be read here and there: no reading ahead. */
void lc_gguf_expect_scattered(const lc_gguf *gguf, const lc_gguf_tensor *tensor);

#endif
