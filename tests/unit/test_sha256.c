/* lib/base/sha256: FIPS 180-4 and RFC 4231 vectors, framing of fields, hexadecimal. */
#include "base/sha256.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <stdlib.h>
#include <string.h>

static const char *hex(const unsigned char digest[LC_SHA256_SIZE])
{
    static char text[2 * LC_SHA256_SIZE + 1];
    lc_hex(digest, LC_SHA256_SIZE, text);
    return text;
}

Test(sha256, fips_vectors)
{
    static const struct {
        const char *text, *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < 3; i++) {
        unsigned char digest[LC_SHA256_SIZE];
        lc_sha256_once(rows[i].text, strlen(rows[i].text), digest);
        cr_expect_str_eq(hex(digest), rows[i].digest);
    }
}

Test(sha256, a_million_bytes_in_uneven_steps)
{
    lc_sha256 hash;
    unsigned char digest[LC_SHA256_SIZE];
    char block[997];
    memset(block, 'a', sizeof block);
    lc_sha256_init(&hash);
    for (size_t left = 1000000; left;) {
        size_t step = left < sizeof block ? left : sizeof block;
        lc_sha256_add(&hash, block, step);
        left -= step;
    }
    lc_sha256_end(&hash, digest);
    cr_assert_str_eq(hex(digest),
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231 §4.2 to 4.8 but 4.6, which truncates. A count stands for so many bytes of one
 * value. */
static const struct {
    int key_byte;
    size_t key_size;
    const char *key;
    int data_byte;
    size_t data_size;
    const char *data, *digest;
} rfc4231[] = {
    {0x0b, 20, NULL, 0, 8, "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 4, "Jefe", 0, 28, "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0, 25,
     "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14"
     "\x15\x16\x17\x18\x19",
     0xcd, 50, NULL, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {0xaa, 131, NULL, 0, 54, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL, 0, 152,
     "This is a test using a larger than block-size key and a larger than block-size "
     "data. "
     "The key needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

Test(sha256, hmac_rfc_4231)
{
    for (size_t i = 0; i < sizeof rfc4231 / sizeof *rfc4231; i++) {
        char key[256], data[256];
        unsigned char digest[LC_SHA256_SIZE];
        memset(key, rfc4231[i].key_byte, sizeof key);
        memset(data, rfc4231[i].data_byte, sizeof data);
        if (rfc4231[i].key)
            memcpy(key, rfc4231[i].key, rfc4231[i].key_size);
        if (rfc4231[i].data)
            memcpy(data, rfc4231[i].data, rfc4231[i].data_size);
        lc_hmac_sha256(key, rfc4231[i].key_size, data, rfc4231[i].data_size, digest);
        cr_expect_str_eq(hex(digest), rfc4231[i].digest, "case %zu", i);
    }
}

static const char *fields(const char *a, const char *b)
{
    static char texts[4][65];
    static int turn;
    lc_sha256 hash;
    unsigned char digest[LC_SHA256_SIZE];
    lc_sha256_init(&hash);
    lc_sha256_text(&hash, a);
    lc_sha256_text(&hash, b);
    lc_sha256_end(&hash, digest);
    lc_hex(digest, sizeof digest, texts[++turn % 4]);
    return texts[turn % 4];
}

Test(sha256, fields_cannot_run_together)
{
    cr_assert_str_eq(fields("ab", "c"), fields("ab", "c"));
    cr_assert_str_neq(fields("ab", "c"), fields("a", "bc"));
    cr_assert_str_neq(fields("", "x"), fields(NULL, "x"));
    cr_assert_str_neq(fields("x", ""), fields("x", NULL));
    cr_assert_str_neq(fields("", NULL), fields(NULL, ""));
}

Test(sha256, a_field_is_its_length_and_its_bytes)
{
    lc_sha256 field, plain;
    unsigned char a[LC_SHA256_SIZE], b[LC_SHA256_SIZE];
    lc_sha256_init(&field);
    lc_sha256_field(&field, "xyz", 3);
    lc_sha256_end(&field, a);
    lc_sha256_init(&plain);
    lc_sha256_add(&plain, "\3\0\0\0\0\0\0\0xyz", 11);
    lc_sha256_end(&plain, b);
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
}

Test(sha256, hexadecimal_both_ways)
{
    unsigned char bytes[256], back[256];
    char text[513];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    lc_hex(bytes, sizeof bytes, text);
    cr_assert_eq(strlen(text), 512);
    cr_assert_eq(lc_unhex(text, back, sizeof back), 0);
    cr_assert_eq(memcmp(bytes, back, sizeof bytes), 0);
    cr_assert_eq(lc_unhex("aBcD", back, 2), 0);
    cr_assert_eq(back[0], 0xab);
    cr_assert_eq(back[1], 0xcd);
    static const char *const bad[] = {"", "a", "abc", "abcde", "abcg", "ab d", "abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(lc_unhex(bad[i], back, 2), LLMCACHE_INVALID, "\"%s\"", bad[i]);
}

Test(sha256, secrets_are_the_same_only_when_they_are)
{
    cr_assert(lc_same_secret("key", 3, "key", 3));
    cr_assert_not(lc_same_secret("key", 3, "keY", 3));
    cr_assert_not(lc_same_secret("key", 3, "key\0", 4));
    cr_assert_not(lc_same_secret("", 0, "k", 1));
    cr_assert(lc_same_secret("", 0, "", 0));
}
