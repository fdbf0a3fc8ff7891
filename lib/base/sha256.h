/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), by OpenSSL's libcrypto. */
#ifndef LC_BASE_SHA256_H
#define LC_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define LC_SHA256_SIZE 32

/* A hash under way, on the caller's stack; start with init, read with end. */
typedef struct lc_sha256 {
    uint64_t state[16];
} lc_sha256;

void lc_sha256_init(lc_sha256 *hash);
void lc_sha256_add(lc_sha256 *hash, const void *bytes, size_t size);

/* Adds the length (8 bytes, little-endian), then the bytes: what is added cannot run together. */
void lc_sha256_field(lc_sha256 *hash, const void *bytes, size_t size);
void lc_sha256_text(lc_sha256 *hash, const char *text); /* a field; NULL is a value of its own */
void lc_sha256_end(lc_sha256 *hash, unsigned char digest[LC_SHA256_SIZE]);

void lc_sha256_once(const void *bytes, size_t size, unsigned char digest[LC_SHA256_SIZE]);
void lc_hmac_sha256(const void *key, size_t key_size, const void *bytes, size_t size,
                    unsigned char digest[LC_SHA256_SIZE]);

/* Writes 2 * size lower-case digits and a NUL. */
void lc_hex(const unsigned char *bytes, size_t size, char *out);
/* Reads exactly 2 * size digits; 0, or LLMCACHE_INVALID. */
int lc_unhex(const char *text, unsigned char *out, size_t size);

/* Compares without telling by its time where the two differ. 1 if equal. */
int lc_same_digest(const unsigned char a[LC_SHA256_SIZE], const unsigned char b[LC_SHA256_SIZE]);
int lc_same_secret(const void *a, size_t a_size, const void *b, size_t b_size);

#endif
