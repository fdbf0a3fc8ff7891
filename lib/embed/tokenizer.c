/* The tokenizer object: what the file says of it, special tokens, pairs, and questions
 * about ids. */
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "embed/tokenizer_inside.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#define LEAST_IDS 4
#define MOST_IDS  (1u << 20)
#define MOST_PIECE \
    64 /* bytes a token is taken to be at most, for the size of a scratch */

/* ---- Making ---------------------------------------------------------------------- */

static int read_id(const lc_tokenizer *tokenizer, const lc_gguf *gguf, const char *key,
                   uint32_t fallback, uint32_t *id, llmcache_error *err)
{
    uint32_t value = fallback;
    int rc = lc_gguf_u32(gguf, key, LC_GGUF_MAYBE, &value, err);
    if (rc)
        return rc;
    if (value >= tokenizer->vocab.count)
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: %s is %u, past the last token", key,
                       (unsigned)value);
    *id = value;
    return 0;
}

/* BERT files name their specials "cls" and "sep", or "bos" and "eos"; old ones not at
 * all. */
static int read_wordpiece(lc_tokenizer *tokenizer, const lc_gguf *gguf,
                          llmcache_error *err)
{
    uint32_t first = 101, last = 102;
    tokenizer->kind = LC_WORDPIECE;
    tokenizer->add_first = tokenizer->add_last = tokenizer->lower = 1;
    int rc = lc_gguf_u32(gguf, "tokenizer.ggml.bos_token_id", LC_GGUF_MAYBE, &first, err);
    if (rc == 0)
        rc = lc_gguf_u32(gguf, "tokenizer.ggml.eos_token_id", LC_GGUF_MAYBE, &last, err);
    if (rc == 0)
        rc = read_id(tokenizer, gguf, "tokenizer.ggml.cls_token_id", first,
                     &tokenizer->first, err);
    if (rc == 0)
        rc = read_id(tokenizer, gguf, "tokenizer.ggml.seperator_token_id", last,
                     &tokenizer->last, err);
    if (rc == 0)
        rc = read_id(tokenizer, gguf, "tokenizer.ggml.unknown_token_id", 100,
                     &tokenizer->unknown, err);
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "tokenizer.ggml.normalizer.lowercase", LC_GGUF_MAYBE,
                          &tokenizer->lower, err);
    tokenizer->strip = tokenizer->lower;
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "tokenizer.ggml.normalizer.strip_accents", LC_GGUF_MAYBE,
                          &tokenizer->strip, err);
    return rc;
}

static int read_charsmap(lc_tokenizer *tokenizer, const lc_gguf *gguf,
                         llmcache_error *err)
{
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    lc_gguf_array array;
    int rc = lc_gguf_integers(gguf, key, LC_GGUF_MAYBE, &array, err);
    if (rc)
        return rc;
    if (array.count && array.kind != LC_GGUF_U8 && array.kind != LC_GGUF_I8)
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: key %s is not an array of bytes",
                       key);
    return lc_charsmap_open((lc_span){array.data, array.bytes}, &tokenizer->map, err);
}

static int read_unigram(lc_tokenizer *tokenizer, const lc_gguf *gguf, llmcache_error *err)
{
    const lc_vocab *vocab = &tokenizer->vocab;
    tokenizer->kind = LC_UNIGRAM;
    tokenizer->add_last = tokenizer->mark_first = tokenizer->collapse = 1;
    if (!vocab->scores)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "GGUF: key tokenizer.ggml.scores is missing");
    for (uint32_t id = 0; id < vocab->count; id++)
        if (vocab->types[id] == LC_TOKEN_NORMAL &&
            vocab->scores[id] < tokenizer->unknown_score)
            tokenizer->unknown_score = (double)vocab->scores[id];
    tokenizer->unknown_score -= 10;
    int rc = read_id(tokenizer, gguf, "tokenizer.ggml.bos_token_id", 0, &tokenizer->first,
                     err);
    if (rc == 0)
        rc = read_id(tokenizer, gguf, "tokenizer.ggml.eos_token_id", 1, &tokenizer->last,
                     err);
    if (rc == 0)
        rc = read_id(tokenizer, gguf, "tokenizer.ggml.unknown_token_id", 2,
                     &tokenizer->unknown, err);
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "tokenizer.ggml.add_bos_token", LC_GGUF_MAYBE,
                          &tokenizer->add_first, err);
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "tokenizer.ggml.add_eos_token", LC_GGUF_MAYBE,
                          &tokenizer->add_last, err);
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", LC_GGUF_MAYBE,
                          &tokenizer->mark_first, err);
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "tokenizer.ggml.remove_extra_whitespaces", LC_GGUF_MAYBE,
                          &tokenizer->collapse, err);
    /* SentencePiece drops spaces at the ends too; XLM-R's own pipeline does not, and says
     * so. */
    tokenizer->trim = tokenizer->collapse;
    if (rc == 0)
        rc = lc_gguf_bool(gguf, "llmcache.tokenizer.trim", LC_GGUF_MAYBE,
                          &tokenizer->trim, err);
    return rc ? rc : read_charsmap(tokenizer, gguf, err);
}

static int read_tokenizer(lc_tokenizer *tokenizer, const lc_gguf *gguf,
                          llmcache_error *err)
{
    lc_span model;
    int rc = lc_gguf_text(gguf, "tokenizer.ggml.model", LC_GGUF_NEEDED, &model, err);
    if (rc)
        return rc;
    int wordpiece = lc_span_is(model, "bert");
    if (!wordpiece && !lc_span_is(model, "t5"))
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "GGUF: tokenizer.ggml.model is none of the supported: bert, t5");
    rc = lc_vocab_init(&tokenizer->vocab, gguf, err);
    if (rc)
        return rc;
    return wordpiece ? read_wordpiece(tokenizer, gguf, err)
                     : read_unigram(tokenizer, gguf, err);
}

int lc_tokenizer_new(const lc_gguf *gguf, lc_tokenizer **out, llmcache_error *err)
{
    lc_tokenizer *tokenizer = lc_zalloc(sizeof *tokenizer);
    if (!tokenizer)
        return lc_fail_memory(err);
    int rc = read_tokenizer(tokenizer, gguf, err);
    if (rc)
        lc_tokenizer_free(tokenizer);
    else
        *out = tokenizer;
    return rc;
}

void lc_tokenizer_free(lc_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    lc_vocab_done(&tokenizer->vocab);
    lc_free(tokenizer);
}

int lc_token_scratch_new(const lc_tokenizer *tokenizer, size_t max_ids,
                         lc_token_scratch **out, llmcache_error *err)
{
    assert(max_ids >= LEAST_IDS && max_ids <= MOST_IDS);
    lc_token_scratch *scratch = lc_zalloc(sizeof *scratch);
    if (!scratch)
        return lc_fail_memory(err);
    uint32_t longest = tokenizer->vocab.longest;
    scratch->max_ids = max_ids;
    scratch->ids = lc_alloc_array(max_ids, sizeof *scratch->ids);
    scratch->text_room =
        LC_WORD_MARK_SIZE + max_ids * (longest < MOST_PIECE ? longest : MOST_PIECE);
    if (tokenizer->kind == LC_UNIGRAM) {
        scratch->text = lc_alloc(scratch->text_room);
        scratch->nodes = lc_alloc_array(scratch->text_room + 1, sizeof *scratch->nodes);
    }
    if (!scratch->ids ||
        (tokenizer->kind == LC_UNIGRAM && (!scratch->text || !scratch->nodes))) {
        lc_token_scratch_free(scratch);
        return lc_fail_memory(err);
    }
    *out = scratch;
    return 0;
}

void lc_token_scratch_free(lc_token_scratch *scratch)
{
    if (!scratch)
        return;
    lc_free(scratch->ids);
    lc_free(scratch->text);
    lc_free(scratch->nodes);
    lc_free(scratch);
}

/* ---- Encoding -------------------------------------------------------------------- */

static void encode_text(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                        lc_span text, lc_token_sink *sink)
{
    if (tokenizer->kind == LC_UNIGRAM)
        lc_unigram_encode(tokenizer, scratch, text, sink);
    else
        lc_wordpiece_encode(tokenizer, scratch, text, sink);
}

void lc_tokenizer_encode(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                         const char *text, size_t size, uint32_t *ids, size_t max_ids,
                         size_t *count, lc_token_info *info)
{
    assert(max_ids >= LEAST_IDS && max_ids <= scratch->max_ids);
    lc_token_sink sink = {.ids = ids, .room = max_ids - (tokenizer->add_last != 0)};
    if (tokenizer->add_first)
        ids[sink.count++] = tokenizer->first;
    encode_text(tokenizer, scratch, (lc_span){text, size}, &sink);
    if (tokenizer->add_last)
        ids[sink.count++] = tokenizer->last;
    *count = sink.count;
    if (info)
        *info = sink.info;
}

/* Takes tokens off the longer text until both fit. */
static void share_room(size_t room, size_t *left, size_t *right)
{
    size_t half = room / 2;
    if (*left + *right <= room)
        return;
    if (*left <= half)
        *right = room - *left;
    else if (*right <= room - half)
        *left = room - *right;
    else
        *left = room - (*right = half);
}

/* BERT: first A last B last. XLM-R: first A last last B last. */
void lc_tokenizer_encode_pair(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                              lc_span left, lc_span right, uint32_t *ids, size_t max_ids,
                              size_t *count, size_t *first, lc_token_info *info)
{
    assert(max_ids >= LEAST_IDS && max_ids <= scratch->max_ids);
    size_t doubled = tokenizer->kind == LC_UNIGRAM, room = max_ids - 3 - doubled, at = 0;
    lc_token_sink a = {.ids = ids + 1, .room = max_ids - 1},
                  b = {scratch->ids, max_ids, 0, {0}};
    encode_text(tokenizer, scratch, left, &a);
    encode_text(tokenizer, scratch, right, &b);
    size_t left_count = a.count, right_count = b.count;
    share_room(room, &left_count, &right_count);
    ids[at++] = tokenizer->first;
    at += left_count;
    ids[at++] = tokenizer->last;
    *first = at;
    if (doubled)
        ids[at++] = tokenizer->last;
    memcpy(ids + at, scratch->ids, right_count * sizeof *ids);
    at += right_count;
    ids[at++] = tokenizer->last;
    *count = at;
    if (info) {
        info->unknown = a.info.unknown + b.info.unknown;
        info->cut =
            a.info.cut || b.info.cut || left_count < a.count || right_count < b.count;
    }
}

int lc_tokenizer_pair_types(const lc_tokenizer *tokenizer)
{
    return tokenizer->kind == LC_WORDPIECE;
}

/* ---- Ids ------------------------------------------------------------------------- */

uint32_t lc_tokenizer_count(const lc_tokenizer *tokenizer)
{
    return tokenizer->vocab.count;
}

lc_span lc_tokenizer_piece(const lc_tokenizer *tokenizer, uint32_t id)
{
    assert(id < tokenizer->vocab.count);
    return lc_vocab_text(&tokenizer->vocab, id);
}

int lc_tokenizer_is_special(const lc_tokenizer *tokenizer, uint32_t id)
{
    assert(id < tokenizer->vocab.count);
    int type = tokenizer->vocab.types[id];
    return (type != LC_TOKEN_NORMAL && type != LC_TOKEN_USER_DEFINED) ||
           id == tokenizer->unknown || (id == tokenizer->first && tokenizer->add_first) ||
           (id == tokenizer->last && tokenizer->add_last);
}

int lc_tokenizer_is_word(const lc_tokenizer *tokenizer, uint32_t id)
{
    if (lc_tokenizer_is_special(tokenizer, id))
        return 0;
    lc_span text = lc_tokenizer_piece(tokenizer, id);
    for (size_t at = 0, length; at < text.size; at += length) {
        uint32_t cp = lc_utf8_decode(text.data + at, text.size - at, &length);
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
        if ((category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
            (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO))
            return 1;
    }
    return 0;
}

int lc_tokenizer_knows(const lc_tokenizer *tokenizer, uint32_t cp)
{
    char text[LC_WORD_MARK_SIZE + 4] = LC_WORD_MARK;
    size_t start = tokenizer->kind == LC_WORDPIECE ? 0 : LC_WORD_MARK_SIZE;
    size_t size =
        LC_WORD_MARK_SIZE + lc_utf8_encode(cp, text + LC_WORD_MARK_SIZE) - start;
    uint64_t hash = lc_vocab_hash(LC_VOCAB_HASH, text + start, size);
    return lc_vocab_find(&tokenizer->vocab, hash, text + start, size) != LC_VOCAB_NONE;
}
