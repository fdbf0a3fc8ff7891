/*
 * Unigram (SentencePiece): normalise the text, then cut it into the pieces whose scores
 * sum to the most.
 *
 * The best way to cut is found left to right (Viterbi): for every place a character ends,
 * the best sum so far and the piece it ended with. A character without a piece of its own
 * may be the unknown token at the lowest score less ten; unknown neighbours become one
 * token. Kudo, "Subword Regularization", ACL 2018; the order of sums and of ties is that
 * of Hugging Face tokenizers.
 */
#include "embed/nfc.h"
#include "embed/tokenizer_inside.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define LOOK_AHEAD 64 /* bytes of text a rule of the character map may want to see */

/* ---- Normalising ----------------------------------------------------------------- */

/* The normalised text under construction in scratch->text, behind room for the mark of a
 * first word. */
typedef struct outlet {
    lc_token_scratch *scratch;
    size_t size;
    int collapse;
    int after_space;
    int full;
} outlet;

static void put_char(outlet *out, const char *bytes, size_t size)
{
    int space = size == 1 && *bytes == ' ';
    if (space && out->after_space && out->collapse)
        return;
    out->after_space = space;
    if (space) {
        bytes = LC_WORD_MARK;
        size = LC_WORD_MARK_SIZE;
    }
    if (out->full || size > out->scratch->text_room - out->size) {
        out->full = 1;
        return;
    }
    memcpy(out->scratch->text + out->size, bytes, size);
    out->size += size;
}

/* Puts what stands at the head of `text` and returns how many bytes of it that was. */
static size_t put_mapped(const lc_charsmap *map, lc_span text, outlet *out)
{
    lc_span with;
    size_t step = lc_charsmap_match(map, text.data, text.size, &with);
    if (step == 0) {
        step = lc_vocab_step(text.data, text.size);
        put_char(out, text.data, step);
        return step;
    }
    for (size_t at = 0, size; at < with.size; at += size) {
        size = lc_vocab_step(with.data + at, with.size - at);
        put_char(out, with.data + at, size);
    }
    return step;
}

/* Fills the window with composed text until it holds LOOK_AHEAD bytes or all that is
 * left. */
static size_t fill_window(char *window, size_t at, size_t have, lc_span *from)
{
    memmove(window, window + at, have - at);
    have -= at;
    while (have < LOOK_AHEAD && from->size)
        have += lc_nfc_next(from, window + have);
    return have;
}

_Static_assert(LOOK_AHEAD + LC_NFC_PIECE <= LC_WINDOW,
               "room for a piece behind what is left");

static int is_mark(const char *at)
{
    return memcmp(at, LC_WORD_MARK, LC_WORD_MARK_SIZE) == 0;
}

static lc_span trimmed(lc_span text)
{
    const size_t mark = LC_WORD_MARK_SIZE;
    while (text.size >= mark && is_mark(text.data))
        text = (lc_span){text.data + mark, text.size - mark};
    while (text.size >= mark && is_mark(text.data + text.size - mark))
        text.size -= mark;
    return text;
}

/* A text that does not begin with a mark gets one, in the room before it. */
static lc_span with_mark(const lc_tokenizer *tokenizer, lc_span text)
{
    const size_t mark = LC_WORD_MARK_SIZE;
    if (text.size == 0 || !tokenizer->mark_first ||
        (text.size >= mark && is_mark(text.data)))
        return text;
    memcpy((char *)text.data - mark, LC_WORD_MARK, mark);
    return (lc_span){text.data - mark, text.size + mark};
}

/* *cut: not all of the text fits the scratch. */
static lc_span normalise(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                         lc_span text, int *cut)
{
    outlet out = {scratch, LC_WORD_MARK_SIZE, tokenizer->collapse, 0, 0};
    char *window = scratch->window, *made = scratch->text + LC_WORD_MARK_SIZE;
    size_t at = 0, have = 0;
    while (!out.full) {
        if (have - at < LOOK_AHEAD && text.size) {
            have = fill_window(window, at, have, &text);
            at = 0;
        }
        if (at == have)
            break;
        at += put_mapped(&tokenizer->map, (lc_span){window + at, have - at}, &out);
    }
    *cut = out.full;
    lc_span normal = {made, out.size - LC_WORD_MARK_SIZE};
    return with_mark(tokenizer, tokenizer->trim ? trimmed(normal) : normal);
}

/* ---- Cutting --------------------------------------------------------------------- */

static void offer(lc_lattice_node *node, double score, size_t start, uint32_t id)
{
    if (score > node->score)
        *node = (lc_lattice_node){score, (uint32_t)start, id};
}

/* Tries every piece that the text at `start` begins with. */
static void extend(const lc_tokenizer *tokenizer, lc_lattice_node *nodes, lc_span text,
                   size_t start)
{
    const lc_vocab *vocab = &tokenizer->vocab;
    double score = nodes[start].score;
    uint64_t hash = LC_VOCAB_HASH;
    uint32_t limit = vocab->longest_chars;
    int single = 0;
    size_t first = lc_vocab_step(text.data + start, text.size - start);
    for (size_t end = start, chars = 0; end < text.size && chars < limit;) {
        size_t step = lc_vocab_step(text.data + end, text.size - end);
        hash = lc_vocab_hash(hash, text.data + end, step);
        end += step;
        if (++chars == 2)
            limit = lc_vocab_reach(vocab, hash);
        if (chars > limit)
            break;
        uint32_t id = lc_vocab_find(vocab, hash, text.data + start, end - start);
        if (id == LC_VOCAB_NONE)
            continue;
        int defined = vocab->types[id] == LC_TOKEN_USER_DEFINED;
        offer(&nodes[end], score + (defined ? 0 : (double)vocab->scores[id]), start, id);
        single |= chars == 1;
    }
    if (!single)
        offer(&nodes[start + first], score + tokenizer->unknown_score, start,
              tokenizer->unknown);
}

/* How many tokens the best way has, unknown neighbours taken as one. */
static size_t count_tokens(const lc_lattice_node *nodes, size_t end, uint32_t unknown)
{
    size_t count = 0;
    uint32_t last = LC_VOCAB_NONE;
    for (; end > 0; end = nodes[end].start) {
        count += nodes[end].id != unknown || last != unknown;
        last = nodes[end].id;
    }
    return count;
}

/* Walks the best way back, writing those of its tokens that there is room for. */
static void collect(const lc_lattice_node *nodes, size_t end, uint32_t unknown,
                    lc_token_sink *sink)
{
    size_t left = count_tokens(nodes, end, unknown);
    size_t fitting = left < sink->room - sink->count ? left : sink->room - sink->count;
    uint32_t last = LC_VOCAB_NONE;
    sink->info.cut |= fitting < left;
    for (; end > 0; end = nodes[end].start) {
        uint32_t id = nodes[end].id;
        if (id == unknown && last == unknown)
            continue;
        last = id;
        if (--left < fitting) {
            sink->ids[sink->count + left] = id;
            sink->info.unknown += id == unknown;
        }
    }
    sink->count += fitting;
}

void lc_unigram_encode(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                       lc_span text, lc_token_sink *sink)
{
    int cut;
    lc_span normal = normalise(tokenizer, scratch, text, &cut);
    lc_lattice_node *nodes = scratch->nodes;
    sink->info.cut |= cut;
    nodes[0].score = 0;
    for (size_t i = 1; i <= normal.size; i++)
        nodes[i].score = -INFINITY;
    for (size_t at = 0; at < normal.size;
         at += lc_vocab_step(normal.data + at, normal.size - at))
        extend(tokenizer, nodes, normal, at);
    collect(nodes, normal.size, tokenizer->unknown, sink);
}
