/*
 * Hashing over libcrypto's SHA256_* functions: they are the only ones there that work on memory of
 * the caller's without a lookup and an allocation per digest (EVP costs about as much as hashing 1 KB).
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <llmcache/llmcache.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(lc_sha256), "room for libcrypto's context");

static SHA256_CTX *context_of(lc_sha256 *hash)
{
    return (SHA256_CTX *)(void *)hash->state;
}

void lc_sha256_init(lc_sha256 *hash)
{
    SHA256_Init(context_of(hash));
}

void lc_sha256_add(lc_sha256 *hash, const void *bytes, size_t size)
{
    SHA256_Update(context_of(hash), bytes, size);
}

static void add_length(lc_sha256 *hash, uint64_t size)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(size >> (8 * i));
    lc_sha256_add(hash, bytes, sizeof bytes);
}

void lc_sha256_field(lc_sha256 *hash, const void *bytes, size_t size)
{
    add_length(hash, size);
    lc_sha256_add(hash, bytes, size);
}

void lc_sha256_text(lc_sha256 *hash, const char *text)
{
    if (text)
        lc_sha256_field(hash, text, strlen(text));
    else
        add_length(hash, UINT64_MAX);
}

void lc_sha256_end(lc_sha256 *hash, unsigned char digest[LC_SHA256_SIZE])
{
    SHA256_Final(digest, context_of(hash));
}

void lc_sha256_once(const void *bytes, size_t size, unsigned char digest[LC_SHA256_SIZE])
{
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, bytes, size);
    SHA256_Final(digest, &context);
}

void lc_hmac_sha256(const void *key, size_t key_size, const void *bytes, size_t size,
                    unsigned char digest[LC_SHA256_SIZE])
{
    unsigned char pad[SHA256_CBLOCK], inner[LC_SHA256_SIZE], block[SHA256_CBLOCK] = {0};
    SHA256_CTX context;
    if (key_size > sizeof block)
        lc_sha256_once(key, key_size, block);
    else if (key_size)
        memcpy(block, key, key_size);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x36;
    SHA256_Init(&context);
    SHA256_Update(&context, pad, sizeof pad);
    SHA256_Update(&context, bytes, size);
    SHA256_Final(inner, &context);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x5c;
    SHA256_Init(&context);
    SHA256_Update(&context, pad, sizeof pad);
    SHA256_Update(&context, inner, sizeof inner);
    SHA256_Final(digest, &context);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(pad, sizeof pad);
}

void lc_hex(const unsigned char *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int lc_unhex(const char *text, unsigned char *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = digit(text[2 * i]);
        int low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return LLMCACHE_INVALID;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return text[2 * size] ? LLMCACHE_INVALID : 0;
}

int lc_same_digest(const unsigned char a[LC_SHA256_SIZE], const unsigned char b[LC_SHA256_SIZE])
{
    return CRYPTO_memcmp(a, b, LC_SHA256_SIZE) == 0;
}

int lc_same_secret(const void *a, size_t a_size, const void *b, size_t b_size)
{
    unsigned char left[LC_SHA256_SIZE], right[LC_SHA256_SIZE];
    lc_sha256_once(a, a_size, left);
    lc_sha256_once(b, b_size, right);
    return CRYPTO_memcmp(left, right, sizeof left) == 0;
}
