/*
 * A word of letters from two alphabets that look alike ("pаypal" with a Cyrillic а) is
 * another word to the encoder and to every list here, and the same to a reader. On one
 * side only, it is not answered from memory. Units and formulae (μm, ΔT) are such words
 * too, and stand on both sides.
 */
#include "base/utf8.h"
#include "decide/case.h"

enum { LATIN = 1, GREEK = 2, CYRILLIC = 4 };

static int alphabet_of(uint32_t cp)
{
    if ((cp >= 'a' && cp <= 'z') || (cp >= 0xc0 && cp <= 0x24f))
        return LATIN;
    if (cp >= 0x370 && cp <= 0x3ff)
        return GREEK;
    return cp >= 0x400 && cp <= 0x52f ? CYRILLIC : 0;
}

static int is_mixed(const lc_reading *reading, const lc_term *term)
{
    int alphabets = 0;
    size_t length;
    for (size_t at = 0; at < term->size; at += length)
        alphabets |= alphabet_of(
            lc_utf8_decode(reading->text + term->at + at, term->size - at, &length));
    return (alphabets & (alphabets - 1)) != 0;
}

/* Such a word that the other text lacks, or term_count. */
static size_t find(const lc_reading *reading, const lc_reading *other)
{
    size_t i = 0;
    while (i < reading->term_count && !(is_mixed(reading, &reading->terms[i]) &&
                                        !lc_reading_shares(other, reading, i)))
        i++;
    return i;
}

int lc_rule_disguise(const lc_case *c, char *detail)
{
    size_t in_a = find(&c->a, &c->b), in_b = find(&c->b, &c->a);
    if (in_a == c->a.term_count && in_b == c->b.term_count)
        return 0;
    lc_detail(detail, lc_term_slice(&c->a, in_a), lc_term_slice(&c->b, in_b));
    return 1;
}
