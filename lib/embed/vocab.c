/*
 * Open addressing with linear probing, at most half full. A slot is an id with ten bits
 * of its text's hash above it, so that a probe for a text that is not there nearly never
 * reads the text's page of the file. A quarter of a million tokens take some milliseconds
 * and four megabytes.
 */
#include "embed/vocab.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

#define ID_BITS    22
#define MAX_TOKENS ((1u << ID_BITS) - 1)
#define MAX_TEXT   1024 /* longer texts are never matched */

static uint32_t mixed(uint64_t hash)
{
    return (uint32_t)((hash * 0x9e3779b97f4a7c15u) >> 32);
}

/* Never 0, which marks a free slot: ids are kept plus one. */
static uint32_t slot_of(uint64_t hash, uint32_t id)
{
    return (uint32_t)(hash >> 54) << ID_BITS | (id + 1);
}

lc_span lc_vocab_text(const lc_vocab *vocab, uint32_t id)
{
    const char *at = vocab->texts + vocab->offsets[id];
    uint64_t size;
    memcpy(&size, at, sizeof size);
    return (lc_span){at + sizeof size, size};
}

uint32_t lc_vocab_find(const lc_vocab *vocab, uint64_t hash, const char *text,
                       size_t size)
{
    uint32_t tag = (uint32_t)(hash >> 54);
    for (uint32_t at = mixed(hash) & vocab->slot_mask;;
         at = (at + 1) & vocab->slot_mask) {
        uint32_t slot = vocab->slots[at];
        if (slot == 0)
            return LC_VOCAB_NONE;
        if (slot >> ID_BITS != tag)
            continue;
        uint32_t id = (slot & MAX_TOKENS) - 1;
        lc_span found = lc_vocab_text(vocab, id);
        if (found.size == size && memcmp(found.data, text, size) == 0)
            return id;
    }
}

/* ---- Making ---------------------------------------------------------------------- */

static int read_texts(lc_vocab *vocab, const lc_gguf *gguf, llmcache_error *err)
{
    lc_gguf_array array;
    lc_span text;
    int rc = lc_gguf_texts(gguf, "tokenizer.ggml.tokens", LC_GGUF_NEEDED, &array, err);
    if (rc)
        return rc;
    if (array.count == 0 || array.count >= MAX_TOKENS || array.bytes > UINT32_MAX)
        return lc_fail(
            err, LLMCACHE_UNSUPPORTED,
            "GGUF: tokenizer.ggml.tokens has %llu elements; up to %u are supported",
            (unsigned long long)array.count, (unsigned)MAX_TOKENS - 1);
    vocab->count = (uint32_t)array.count;
    vocab->texts = array.data;
    vocab->offsets = lc_alloc_array(vocab->count, sizeof *vocab->offsets);
    if (!vocab->offsets)
        return lc_fail_memory(err);
    for (uint32_t id = 0; id < vocab->count; id++) {
        vocab->offsets[id] = (uint32_t)(array.data - vocab->texts);
        lc_gguf_next_text(&array, &text);
    }
    return 0;
}

static int read_scores(lc_vocab *vocab, const lc_gguf *gguf, llmcache_error *err)
{
    lc_gguf_array array;
    int rc = lc_gguf_floats(gguf, "tokenizer.ggml.scores", LC_GGUF_MAYBE, &array, err);
    if (rc || array.count == 0)
        return rc;
    if (array.count != vocab->count)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "GGUF: tokenizer.ggml.scores has another length than the tokens");
    vocab->scores = lc_alloc_array(vocab->count, sizeof *vocab->scores);
    if (!vocab->scores)
        return lc_fail_memory(err);
    for (uint32_t id = 0; id < vocab->count; id++) {
        vocab->scores[id] = (float)lc_gguf_float_at(&array, id);
        if (!isfinite(vocab->scores[id]))
            return lc_fail(err, LLMCACHE_CORRUPT,
                           "GGUF: element %u of tokenizer.ggml.scores is not finite",
                           (unsigned)id);
    }
    return 0;
}

static int read_types(lc_vocab *vocab, const lc_gguf *gguf, llmcache_error *err)
{
    lc_gguf_array array;
    int rc =
        lc_gguf_integers(gguf, "tokenizer.ggml.token_type", LC_GGUF_MAYBE, &array, err);
    if (rc)
        return rc;
    if (array.count && array.count != vocab->count)
        return lc_fail(
            err, LLMCACHE_CORRUPT,
            "GGUF: tokenizer.ggml.token_type has another length than the tokens");
    vocab->types = lc_alloc(vocab->count);
    if (!vocab->types)
        return lc_fail_memory(err);
    for (uint32_t id = 0; id < vocab->count; id++) {
        int64_t type = array.count ? lc_gguf_integer_at(&array, id) : LC_TOKEN_NORMAL;
        if (type < 0 || type > LC_TOKEN_BYTE)
            return lc_fail(
                err, LLMCACHE_CORRUPT,
                "GGUF: element %u of tokenizer.ggml.token_type is out of range",
                (unsigned)id);
        vocab->types[id] = (uint8_t)type;
    }
    return 0;
}

static void note_length(lc_vocab *vocab, lc_span text)
{
    uint32_t chars = 0;
    uint64_t hash = LC_VOCAB_HASH, of_two = 0;
    for (size_t at = 0, step; at < text.size; at += step) {
        step = lc_vocab_step(text.data + at, text.size - at);
        if (chars < 2)
            hash = lc_vocab_hash(hash, text.data + at, step);
        if (++chars == 2)
            of_two = hash;
    }
    if (text.size > vocab->longest)
        vocab->longest = (uint32_t)text.size;
    if (chars > vocab->longest_chars)
        vocab->longest_chars = chars;
    uint8_t *reach = &vocab->reach[(of_two >> 24) % LC_VOCAB_REACH];
    if (chars >= 2 && *reach < chars)
        *reach = chars < UINT8_MAX ? (uint8_t)chars : UINT8_MAX;
}

static void add_slot(lc_vocab *vocab, uint32_t id, lc_span text)
{
    uint64_t hash = lc_vocab_hash(LC_VOCAB_HASH, text.data, text.size);
    uint32_t at = mixed(hash) & vocab->slot_mask;
    while (vocab->slots[at])
        at = (at + 1) & vocab->slot_mask;
    vocab->slots[at] = slot_of(hash, id);
}

static int make_table(lc_vocab *vocab, llmcache_error *err)
{
    uint32_t room = 64;
    while (room / 2 < vocab->count)
        room *= 2;
    vocab->slots = lc_zalloc_array(room, sizeof *vocab->slots);
    vocab->reach = lc_zalloc(LC_VOCAB_REACH);
    if (!vocab->slots || !vocab->reach)
        return lc_fail_memory(err);
    vocab->slot_mask = room - 1;
    for (uint32_t id = 0; id < vocab->count; id++) {
        lc_span text = lc_vocab_text(vocab, id);
        int type = vocab->types[id];
        if ((type != LC_TOKEN_NORMAL && type != LC_TOKEN_USER_DEFINED) ||
            text.size == 0 || text.size > MAX_TEXT)
            continue;
        note_length(vocab, text);
        add_slot(vocab, id, text);
    }
    return 0;
}

int lc_vocab_init(lc_vocab *vocab, const lc_gguf *gguf, llmcache_error *err)
{
    *vocab = (lc_vocab){0};
    int rc = read_texts(vocab, gguf, err);
    if (rc == 0)
        rc = read_scores(vocab, gguf, err);
    if (rc == 0)
        rc = read_types(vocab, gguf, err);
    if (rc == 0)
        rc = make_table(vocab, err);
    if (rc)
        lc_vocab_done(vocab);
    return rc;
}

void lc_vocab_done(lc_vocab *vocab)
{
    lc_free(vocab->offsets);
    lc_free(vocab->scores);
    lc_free(vocab->types);
    lc_free(vocab->slots);
    lc_free(vocab->reach);
    *vocab = (lc_vocab){0};
}
