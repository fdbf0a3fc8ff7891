/*
 * English rows are looked up for each pair of words that only one side has: few, since
 * near questions share most of theirs. Chinese rows are looked for as bytes, because
 * Chinese has no word borders; a set of the characters present rules out nearly all rows
 * by one look.
 */
#include "decide/antonyms.h"

#include <string.h>

enum row_kind { LISTED, NEGATED, MORE };

struct row {
    lc_slice left, right;
    enum row_kind kind;
};

#define SPAN(word)             \
    {                          \
        word, sizeof(word) - 1 \
    }
#define LC_ANTONYM(left, right)      {SPAN(left), SPAN(right), LISTED},
#define LC_NEGATED(left, right)      {SPAN(left), SPAN(right), NEGATED},
#define LC_ANTONYM_MORE(left, right) {SPAN(left), SPAN(right), MORE},
static const struct row english[] = {
#include "decide/antonyms_en.def"
};
static const struct row chinese[] = {
#include "decide/antonyms_zh.def"
};
#undef LC_ANTONYM
#undef LC_NEGATED
#undef LC_ANTONYM_MORE

/* Prefixes that turn a word into its opposite, and pairs of prefixes that are opposites.
 */
static const char *const negative_prefixes[] = {"un", "in", "im", "dis", "non",
                                                "de", "ir", "il", "mis"};
static const char *const opposite_prefixes[][2] = {
    {"hyper", "hypo"},  {"macro", "micro"}, {"over", "under"}, {"pre", "post"},
    {"inter", "intra"}, {"in", "out"},      {"up", "down"},    {"pro", "anti"},
    {"endo", "exo"},    {"in", "ex"},
};

static int starts(lc_slice span, const char *prefix)
{
    size_t size = strlen(prefix);
    return span.size > size && memcmp(span.text, prefix, size) == 0;
}

static lc_slice behind(lc_slice span, size_t size)
{
    return (lc_slice){span.text + size, span.size - size};
}

static int same(lc_slice a, lc_slice b)
{
    return a.size == b.size && a.text[0] == b.text[0] &&
           memcmp(a.text, b.text, a.size) == 0;
}

/* unlock = un + lock, with more than three letters left. */
static int negates(lc_slice longer, lc_slice shorter)
{
    for (size_t i = 0; i < sizeof negative_prefixes / sizeof negative_prefixes[0]; i++)
        if (shorter.size > 3 && starts(longer, negative_prefixes[i]) &&
            same(behind(longer, strlen(negative_prefixes[i])), shorter))
            return 1;
    return 0;
}

static int opposite_ends(lc_slice a, lc_slice b)
{
    for (size_t i = 0; i < sizeof opposite_prefixes / sizeof opposite_prefixes[0]; i++) {
        const char *left = opposite_prefixes[i][0], *right = opposite_prefixes[i][1];
        if (starts(a, left) && starts(b, right) && a.size > strlen(left) + 3 &&
            same(behind(a, strlen(left)), behind(b, strlen(right))))
            return 1;
    }
    /* harmful, harmless */
    size_t stem = a.size > 3 ? a.size - 3 : 0;
    return stem > 2 && b.size == stem + 4 && memcmp(a.text + stem, "ful", 3) == 0 &&
           memcmp(b.text + stem, "less", 4) == 0 && memcmp(a.text, b.text, stem) == 0;
}

/* The row that makes `a` and a word of `reading` opposites: its other word is in *other.
 */
static const struct row *listed_row(lc_slice a, const lc_reading *reading,
                                    lc_slice *other)
{
    for (size_t i = 0; i < sizeof english / sizeof english[0]; i++) {
        const struct row *row = &english[i];
        if (same(a, row->left))
            *other = row->right;
        else if (same(a, row->right))
            *other = row->left;
        else
            continue;
        if (lc_reading_has(reading, other->text, other->size))
            return row;
    }
    return NULL;
}

/* Do the terms i..i_end of a and j..j_end of b stand between the same words on one side
 * at least? A text's beginning is like its beginning, its end like its end. Position
 * SIZE_MAX is before it. */
static int anchored(const lc_reading *a, size_t i, size_t i_end, const lc_reading *b,
                    size_t j, size_t j_end)
{
    return lc_border_same(a, i - 1, b, j - 1) || lc_border_same(a, i_end, b, j_end);
}

/* Words that only one side has. Texts with more of them than these have more between them
 * than an opposite; and long texts must not cost the square of their length. */
#define OWN_MAX 64

struct own_words {
    size_t terms[OWN_MAX];
    size_t count;
};

static void find_own(const lc_reading *reading, const lc_reading *other,
                     struct own_words *own)
{
    own->count = 0;
    for (size_t i = 0; i < reading->term_count && own->count < OWN_MAX; i++)
        if (reading->terms[i].kind == LC_TERM_WORD &&
            !lc_reading_shares(other, reading, i))
            own->terms[own->count++] = i;
}

/* The opposite of a's word i among the words that only b has. 0 if there is none. */
static int find_opposite(const lc_reading *a, size_t i, const lc_reading *b,
                         const struct own_words *own, lc_swap *swap)
{
    lc_slice word = lc_term_slice(a, i), other = {NULL, 0};
    const struct row *row = listed_row(word, b, &other);
    for (size_t k = 0; k < own->count; k++) {
        size_t j = own->terms[k];
        lc_slice candidate = lc_term_slice(b, j);
        int prefixed = 0;
        if (row && !same(candidate, other))
            continue;
        if (!row) {
            prefixed = negates(word, candidate) || negates(candidate, word);
            if (!prefixed && !opposite_ends(word, candidate) &&
                !opposite_ends(candidate, word))
                continue;
        }
        *swap = (lc_swap){.a_at = a->terms[i].at,
                          .a_size = a->terms[i].size,
                          .b_at = b->terms[j].at,
                          .b_size = b->terms[j].size,
                          .listed = row ? row->kind != MORE : prefixed,
                          .negates = row && row->kind == NEGATED,
                          .anchored = anchored(a, i, i + 1, b, j, j + 1)};
        return 1;
    }
    return 0;
}

static size_t swaps_english(const lc_reading *a, const lc_reading *b, lc_swap *swaps,
                            size_t room)
{
    struct own_words in_a, in_b;
    size_t count = 0;
    find_own(a, b, &in_a);
    find_own(b, a, &in_b);
    for (size_t i = 0; i < in_a.count && count < room; i++)
        count += (size_t)find_opposite(a, in_a.terms[i], b, &in_b, &swaps[count]);
    return count;
}

/* Which Han characters a text has, by the low bits of their third byte and second byte.
 */
typedef struct char_set {
    uint64_t bits[64];
} char_set;

static void note_chars(const lc_reading *reading, char_set *set)
{
    *set = (char_set){{0}};
    for (size_t i = 0; i < reading->term_count; i++) {
        const unsigned char *at =
            (const unsigned char *)reading->text + reading->terms[i].at;
        if (reading->terms[i].kind == LC_TERM_HAN)
            set->bits[at[1] & 63] |= (uint64_t)1 << (at[2] & 63);
    }
}

static int may_have(const char_set *set, lc_slice word)
{
    const unsigned char *at = (const unsigned char *)word.text;
    return set->bits[at[1] & 63] >> (at[2] & 63) & 1;
}

static const char *find(const lc_reading *reading, lc_slice word)
{
    return memmem(reading->text, reading->size, word.text, word.size);
}

/* The term that begins at or behind byte `at`. */
static size_t term_at(const lc_reading *reading, size_t at)
{
    size_t low = 0, high = reading->term_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reading->terms[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Does `x` stand in a only and `y` in b only? */
static int swapped(const lc_reading *a, const lc_reading *b, lc_slice x, lc_slice y,
                   lc_swap *swap)
{
    const char *left = find(a, x), *right = left ? find(b, y) : NULL;
    if (!left || !right || find(b, x) || find(a, y))
        return 0;
    swap->a_at = (uint32_t)(left - a->text), swap->a_size = (uint32_t)x.size;
    swap->b_at = (uint32_t)(right - b->text), swap->b_size = (uint32_t)y.size;
    swap->anchored =
        anchored(a, term_at(a, swap->a_at), term_at(a, swap->a_at + swap->a_size), b,
                 term_at(b, swap->b_at), term_at(b, swap->b_at + swap->b_size));
    return 1;
}

static size_t swaps_chinese(const lc_reading *a, const lc_reading *b, lc_swap *swaps,
                            size_t room)
{
    size_t count = 0;
    char_set in_a, in_b;
    if (a->han_count == 0 || b->han_count == 0)
        return 0;
    note_chars(a, &in_a);
    note_chars(b, &in_b);
    for (size_t i = 0; i < sizeof chinese / sizeof chinese[0] && count < room; i++) {
        const struct row *row = &chinese[i];
        lc_swap swap = {.listed = row->kind != MORE, .negates = row->kind == NEGATED};
        if ((may_have(&in_a, row->left) && may_have(&in_b, row->right) &&
             swapped(a, b, row->left, row->right, &swap)) ||
            (may_have(&in_a, row->right) && may_have(&in_b, row->left) &&
             swapped(a, b, row->right, row->left, &swap)))
            swaps[count++] = swap;
    }
    return count;
}

size_t lc_swaps_find(const lc_reading *a, const lc_reading *b, lc_swap *swaps,
                     size_t room)
{
    size_t count = swaps_english(a, b, swaps, room);
    return count + swaps_chinese(a, b, swaps + count, room - count);
}
