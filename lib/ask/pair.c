/* Digests of questions and names of pairs. */
#include "ask/pair.h"

#include "base/buffer.h"
#include "base/sha256.h"

#include <string.h>

/* ASCII only: what else has cases was folded, or is told apart for good. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length without closing marks; all of it when there is nothing else. */
static size_t without_marks(const char *text, size_t size)
{
    static const char *const marks[] = {".", "?", "!", "。", "…"};
    size_t left = size;
    for (size_t i = 0; i < sizeof marks / sizeof *marks;) {
        size_t mark = strlen(marks[i]);
        if (left >= mark && memcmp(text + left - mark, marks[i], mark) == 0) {
            left -= mark;
            i = 0;
        } else {
            i++;
        }
    }
    return left ? left : size;
}

int lc_question_digest(const char *text, size_t size, unsigned char digest[32])
{
    lc_buffer read;
    lc_buffer_init(&read, 0);
    int code = lc_normalise_question(text, size, &read);
    size_t kept = 0;
    for (size_t i = 0; !code && i < read.size; i++)
        if (!is_space(read.data[i]))
            read.data[kept++] = lower(read.data[i]);
    if (!code)
        lc_sha256_once(read.data ? read.data : "", kept ? without_marks(read.data, kept) : 0, digest);
    lc_buffer_done(&read);
    return code ? LLMCACHE_MEMORY : 0;
}

void lc_pair_name(const char *space, const unsigned char a[32], const unsigned char b[32],
                  unsigned char name[LC_PAIR_SIZE])
{
    int in_order = memcmp(a, b, 32) <= 0;
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_text(&hash, space);
    lc_sha256_add(&hash, in_order ? a : b, 32);
    lc_sha256_add(&hash, in_order ? b : a, 32);
    lc_sha256_end(&hash, name);
}

int lc_observer_rank(int observer)
{
    if (observer == LLMCACHE_BY_HIT)
        return 0;
    return observer == LLMCACHE_BY_FEEDBACK || observer == LLMCACHE_BY_IMPORT ? 2 : 1;
}

void lc_observation_fingerprint(const llmcache_observation *o,
                                unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE])
{
    unsigned char rank = (unsigned char)lc_observer_rank(o->observer);
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_text(&hash, "observation 1");
    lc_sha256_text(&hash, o->space);
    lc_sha256_add(&hash, o->partition, sizeof o->partition);
    lc_sha256_text(&hash, o->embedder);
    lc_sha256_add(&hash, o->asked_digest, sizeof o->asked_digest);
    lc_sha256_add(&hash, o->candidate_digest, sizeof o->candidate_digest);
    lc_sha256_add(&hash, &rank, 1);
    lc_sha256_end(&hash, fingerprint);
}
