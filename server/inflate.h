/* Undoing gzip and deflate (RFC 1952, RFC 1950), with a cap against bombs. */
#ifndef INFLATE_H
#define INFLATE_H

#include "bytes.h"

typedef enum inflate_result {
    INFLATE_FINE = 0,
    INFLATE_BROKEN,   /* not gzip or zlib data, cut, or with bytes after its end */
    INFLATE_TOO_LARGE /* more than out->max */
} inflate_result;

/* Appends what `data` unpacks to. Want of memory counts as too large. */
inflate_result inflate_bytes(const void *data, size_t size, byte_buffer *out);

#endif
