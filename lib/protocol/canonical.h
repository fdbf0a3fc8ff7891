/*
 * The canonical form of JSON, hashed while it is walked: two values give one digest
 * exactly when they mean the same. Members in the order of their names; numbers as exact
 * decimals (0, 0.0 and -0 are one, 2^53 and 2^53 + 1 are two); strings in NFC with their
 * lengths before them, NUL bytes included; a marked string as a mark alone, for what is
 * hashed elsewhere.
 */
#ifndef LC_PROTOCOL_CANONICAL_H
#define LC_PROTOCOL_CANONICAL_H

#include "base/sha256.h"
#include "protocol/json_tree.h"

typedef struct lc_canonical {
    lc_sha256 hash;
    int exact;                  /* strings as they are, not in NFC; set it after init */
    size_t used;
    unsigned char waiting[192]; /* so that the hash is called for blocks, not for bytes */
    int status; /* 0, LLMCACHE_MEMORY, or LLMCACHE_INVALID: an exponent beyond reason */
} lc_canonical;

/* `purpose` keeps digests of different things apart. */
void lc_canonical_init(lc_canonical *form, const char *purpose);
void lc_canonical_member(lc_canonical *form, const lc_tree *member);
void lc_canonical_value(lc_canonical *form, const lc_tree *value);
void lc_canonical_bytes(lc_canonical *form, const void *bytes,
                        size_t size); /* with its length */
/* Appends a number the one way that all its ways of writing share: 0.70 and 7e-1 as 0.7.
 */
int lc_canonical_number(const lc_tree *number, lc_buffer *out);
/* Gives form->status; the digest is written when that is 0. */
int lc_canonical_end(lc_canonical *form, unsigned char digest[LC_SHA256_SIZE]);

#endif
