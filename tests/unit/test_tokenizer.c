/*
 * lib/embed/tokenizer: the rules one by one on small vocabularies, and ids of independent
 * tokenizers (tokenizer_reference.json, made by compare_tokenizers.py).
 */
#include "base/memory.h"
#include "embed/import.h"
#include "embed/tokenizer.h"
#include "support.h"
#include "tiny_files.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

enum { MAX_IDS = 512 };

typedef struct subject {
    lc_gguf *gguf;
    lc_tokenizer *tokenizer;
    lc_token_scratch *scratch;
} subject;

static subject subject_of(lc_span file)
{
    subject s;
    llmcache_error err;
    cr_assert_eq(lc_gguf_open_memory(file.data, file.size, &s.gguf, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_tokenizer_new(s.gguf, &s.tokenizer, &err), 0, "%s", err.message);
    cr_assert_eq(lc_token_scratch_new(s.tokenizer, MAX_IDS, &s.scratch, &err), 0);
    return s;
}

static void subject_done(subject *s)
{
    lc_token_scratch_free(s->scratch);
    lc_tokenizer_free(s->tokenizer);
    lc_gguf_close(s->gguf);
}

/* The pieces of a text, joined by blanks: "[CLS] what [SEP]". */
static const char *pieces_of(const subject *s, const char *text, size_t max_ids,
                             lc_token_info *info)
{
    uint32_t ids[MAX_IDS];
    size_t count;
    char out[8192];
    size_t size = 0;
    lc_tokenizer_encode(s->tokenizer, s->scratch, text, strlen(text), ids, max_ids,
                        &count, info);
    cr_assert(count <= max_ids);
    for (size_t i = 0; i < count; i++) {
        lc_span piece = lc_tokenizer_piece(s->tokenizer, ids[i]);
        size += (size_t)snprintf(out + size, sizeof out - size, "%s%.*s", i ? " " : "",
                                 (int)piece.size, piece.data);
    }
    return test_keep(out, size);
}

static void gives(const subject *s, const char *text, const char *expected,
                  unsigned unknown)
{
    lc_token_info info;
    cr_assert_str_eq(pieces_of(s, text, MAX_IDS, &info), expected);
    cr_assert_eq(info.unknown, unknown, "%s", text);
    cr_assert_not(info.cut, "%s", text);
}

#define W "\u2581" /* where a word begins */

/* ---- WordPiece ------------------------------------------------------------------- */

Test(wordpiece, words_and_pieces)
{
    subject s = subject_of(tiny_gguf(TINY_WORDPIECE));
    gives(&s, "", "[CLS] [SEP]", 0);
    gives(&s, "what is a cache?",
          "[CLS] " W "what " W "is " W "a " W "cache " W "? [SEP]", 0);
    gives(&s, "unaffable", "[CLS] " W "un aff able [SEP]", 0);
    gives(&s, "What IS", "[CLS] " W "what " W "is [SEP]", 0);
    gives(&s, "a,b!", "[CLS] " W "a " W ", " W "b " W "! [SEP]", 0);
    gives(&s, "  a \t\n b  ", "[CLS] " W "a " W "b [SEP]", 0);
    gives(&s, "12", "[CLS] " W "1 2 [SEP]", 0);
    subject_done(&s);
}

Test(wordpiece, normalising)
{
    subject s = subject_of(tiny_gguf(TINY_WORDPIECE));
    gives(&s, "Café CAFE\u0301", "[CLS] " W "cafe " W "cafe [SEP]", 0);
    gives(&s, "快取快", "[CLS] " W "快 " W "取 " W "快 [SEP]", 0);
    gives(&s, "a快b", "[CLS] " W "a " W "快 " W "b [SEP]", 0);
    gives(&s,
          "a\x01\u200b\ufffd\xff"
          "b",
          "[CLS] " W "a b [SEP]", 0);
    gives(&s, "a\u00a0b\u3000c", "[CLS] " W "a " W "b " W "c [SEP]", 0);
    subject_done(&s);
}

Test(wordpiece, unknown_words)
{
    subject s = subject_of(tiny_gguf(TINY_WORDPIECE));
    gives(&s, "zzz what zzz", "[CLS] [UNK] " W "what [UNK] [SEP]", 2);
    gives(&s, "ax", "[CLS] [UNK] [SEP]", 1); /* a rest makes the whole word unknown */
    gives(&s, "丁", "[CLS] [UNK] [SEP]", 1);
    char word[120];
    memset(word, 'a', sizeof word);
    word[101] = '\0';
    gives(&s, word, "[CLS] [UNK] [SEP]", 1);
    word[100] = '\0';
    lc_token_info info;
    pieces_of(&s, word, MAX_IDS, &info);
    cr_assert_eq(info.unknown, 0, "a hundred characters are a word");
    subject_done(&s);
}

Test(wordpiece, text_is_never_a_special_token)
{
    subject s = subject_of(tiny_gguf(TINY_WORDPIECE));
    gives(&s, "[SEP]", "[CLS] " W "[ " W "sep " W "] [SEP]", 0);
    gives(&s, "[CLS] a", "[CLS] " W "[ " W "cls " W "] " W "a [SEP]", 0);
    gives(&s, "[UNK]", "[CLS] " W "[ [UNK] " W "] [SEP]", 1);
    gives(&s, "##a", "[CLS] [UNK] [UNK] " W "a [SEP]", 2);
    gives(&s, W "a", "[CLS] [UNK] [SEP]", 1); /* the mark is the vocabulary's own */
    gives(&s, "a" W "b", "[CLS] [UNK] [SEP]", 1);
    subject_done(&s);
}

/* ---- Unigram --------------------------------------------------------------------- */

Test(unigram, the_best_sum_wins)
{
    subject s = subject_of(tiny_gguf(TINY_UNIGRAM));
    gives(&s, "", "<s> </s>", 0);
    gives(&s, "cache", "<s> " W "cache </s>", 0);
    gives(&s, "the cache", "<s> " W "the " W "cache </s>", 0);
    gives(&s, "abc", "<s> " W " abc </s>", 0);
    gives(&s, "快取", "<s> " W "快取 </s>", 0);
    gives(&s, "取快取", "<s> " W " 取 快取 </s>", 0);
    gives(&s, "12", "<s> " W " 12 </s>", 0);
    subject_done(&s);
}

Test(unigram, spaces)
{
    subject s = subject_of(tiny_gguf(TINY_UNIGRAM));
    gives(&s, " ", "<s> " W " </s>", 0);
    gives(&s, "   a", "<s> " W "a </s>", 0);
    gives(&s, "a   a ", "<s> " W "a " W "a " W " </s>", 0);
    gives(&s, W "a", "<s> " W "a </s>", 0);
    subject_done(&s);
}

Test(unigram, unknown_neighbours_are_one)
{
    subject s = subject_of(tiny_gguf(TINY_UNIGRAM));
    gives(&s, "a丁丂a", "<s> " W "a <unk> a </s>", 1);
    gives(&s, "丁a丂", "<s> " W " <unk> a <unk> </s>", 2);
    gives(&s, "丁 丂", "<s> " W " <unk> " W " <unk> </s>", 2);
    subject_done(&s);
}

Test(unigram, text_is_never_a_special_token)
{
    subject s = subject_of(tiny_gguf(TINY_UNIGRAM));
    gives(&s, "<s>", "<s> " W " < s > </s>", 0);
    gives(&s, "a</s>", "<s> " W "a < / s > </s>", 0);
    gives(&s, "<unk>", "<s> " W " < un k > </s>", 0);
    subject_done(&s);
}

static subject packed(void)
{
    lc_gguf_writer writer;
    llmcache_error err;
    lc_gguf_writer_init(&writer);
    cr_assert_eq(lc_import_e5s1(tiny_pack(), &writer, &err), 0, "%s", err.message);
    lc_span file = tiny_written(&writer);
    lc_gguf_writer_done(&writer);
    return subject_of(file);
}

/* The pack's map: U+FB01 is "fi", full-width a is a, U+0001 goes, tab and U+00A0 are
 * spaces. */
Test(unigram, characters_are_mapped)
{
    subject s = packed();
    gives(&s, "\uff41b", "<s> " W " ab </s>", 0);
    gives(&s,
          "a\x01"
          "b",
          "<s> " W " ab </s>", 0);
    gives(&s, "a\t\u00a0a", "<s> " W "a " W "a </s>", 0);
    gives(&s, "e\u0301", "<s> " W " é </s>", 0);
    gives(&s, "\x01", "<s> </s>", 0);
    subject_done(&s);
}

/* A rule may stand astride two windows of text. */
Test(unigram, long_texts_are_mapped_as_short_ones)
{
    subject s = packed();
    static char text[16000];
    uint32_t ids[MAX_IDS];
    lc_token_info info;
    size_t size = 0, count;
    while (size <
           4 * 2000) /* U+FF41 e U+0301: what a window ends with changes all the time */
        size += (size_t)snprintf(text + size, sizeof text - size, "\uff41e\u0301");
    lc_tokenizer_encode(s.tokenizer, s.scratch, text, size, ids, MAX_IDS, &count, &info);
    cr_assert_eq(count, MAX_IDS);
    cr_assert(info.cut && info.unknown == 0);
    for (size_t i = 2; i + 1 < count; i++)
        cr_assert(
            lc_span_is(lc_tokenizer_piece(s.tokenizer, ids[i]), i % 2 ? "a" : "é") ||
            lc_span_is(lc_tokenizer_piece(s.tokenizer, ids[i]), i % 2 ? "é" : "a"));
    subject_done(&s);
}

/* ---- Length ---------------------------------------------------------------------- */

Test(tokenizer, cuts_at_the_limit_and_says_so)
{
    const tiny_kind kinds[] = {TINY_WORDPIECE, TINY_UNIGRAM};
    const char *const six[] = {"[CLS] " W "a " W "b " W "c " W "a [SEP]",
                               "<s> " W "a " W " b " W " </s>"};
    for (int k = 0; k < 2; k++) {
        subject s = subject_of(tiny_gguf(kinds[k]));
        lc_token_info info;
        cr_assert_str_eq(pieces_of(&s, "a b c a b c", 6, &info), six[k]);
        cr_assert(info.cut);
        pieces_of(&s, "a a a a", 6, &info);
        cr_assert_not(info.cut, "it fits to the last id");
        pieces_of(&s, "a a a a 丁", 6, &info);
        cr_assert(info.cut && info.unknown == 0, "what is not there is not counted");
        subject_done(&s);
    }
}

Test(tokenizer, very_long_texts)
{
    static char text[1 << 20];
    const tiny_kind kinds[] = {TINY_WORDPIECE, TINY_UNIGRAM};
    memset(text, 'a', sizeof text);
    for (int k = 0; k < 2; k++) {
        subject s = subject_of(tiny_gguf(kinds[k]));
        uint32_t ids[MAX_IDS];
        size_t count;
        lc_token_info info;
        lc_tokenizer_encode(s.tokenizer, s.scratch, text, sizeof text, ids, MAX_IDS,
                            &count, &info);
        cr_assert(k == TINY_WORDPIECE ? count == 3 && info.unknown == 1 : info.cut);
        subject_done(&s);
    }
}

/* ---- Pairs ----------------------------------------------------------------------- */

static const char *pair_of(const subject *s, const char *left, const char *right,
                           size_t max_ids, size_t *first, lc_token_info *info)
{
    uint32_t ids[MAX_IDS];
    size_t count, size = 0;
    char out[4096];
    lc_tokenizer_encode_pair(s->tokenizer, s->scratch, (lc_span){left, strlen(left)},
                             (lc_span){right, strlen(right)}, ids, max_ids, &count, first,
                             info);
    cr_assert(count <= max_ids && *first <= count);
    for (size_t i = 0; i < count; i++) {
        lc_span piece = lc_tokenizer_piece(s->tokenizer, ids[i]);
        size += (size_t)snprintf(out + size, sizeof out - size, "%s%.*s", i ? " " : "",
                                 (int)piece.size, piece.data);
    }
    return test_keep(out, size);
}

Test(tokenizer, pairs)
{
    subject bert = subject_of(tiny_gguf(TINY_WORDPIECE)),
            xlmr = subject_of(tiny_gguf(TINY_UNIGRAM));
    lc_token_info info;
    size_t first;
    cr_assert_str_eq(pair_of(&bert, "a", "b c", 20, &first, &info),
                     "[CLS] " W "a [SEP] " W "b " W "c [SEP]");
    cr_assert_eq(first, 3);
    cr_assert(lc_tokenizer_pair_types(bert.tokenizer));
    cr_assert_str_eq(pair_of(&xlmr, "a", "a", 20, &first, &info),
                     "<s> " W "a </s> </s> " W "a </s>");
    cr_assert_eq(first, 3);
    cr_assert_not(lc_tokenizer_pair_types(xlmr.tokenizer));
    cr_assert_not(info.cut);
    cr_assert_str_eq(pair_of(&bert, "a a a a", "b", 6, &first, &info),
                     "[CLS] " W "a " W "a [SEP] " W "b [SEP]", "the longer one is cut");
    cr_assert(info.cut);
    cr_assert_str_eq(pair_of(&bert, "a", "b b b b", 6, &first, &info),
                     "[CLS] " W "a [SEP] " W "b " W "b [SEP]");
    cr_assert_str_eq(pair_of(&bert, "a a a", "b b b", 7, &first, &info),
                     "[CLS] " W "a " W "a [SEP] " W "b " W "b [SEP]");
    subject_done(&bert);
    subject_done(&xlmr);
}

/* ---- Ids ------------------------------------------------------------------------- */

Test(tokenizer, what_an_id_stands_for)
{
    subject s = subject_of(tiny_gguf(TINY_WORDPIECE));
    uint32_t words = 0, specials = 0, count = lc_tokenizer_count(s.tokenizer);
    for (uint32_t id = 0; id < count; id++) {
        lc_span piece = lc_tokenizer_piece(s.tokenizer, id);
        int word = lc_tokenizer_is_word(s.tokenizer, id);
        int special = lc_tokenizer_is_special(s.tokenizer, id);
        cr_assert_not(word && special);
        words += (uint32_t)word;
        specials += (uint32_t)special;
        if (lc_span_is(piece, W "cache") || lc_span_is(piece, W "快") ||
            lc_span_is(piece, W "1"))
            cr_assert(word);
        if (lc_span_is(piece, W "?") || lc_span_is(piece, "[SEP]") ||
            lc_span_is(piece, W "-"))
            cr_assert_not(word);
    }
    cr_assert_eq(count, TINY_ROWS);
    cr_assert_gt(words, 20);
    cr_assert_gt(specials, 50, "rows without a token stand for nothing");
    subject_done(&s);
}

/* ---- Files ----------------------------------------------------------------------- */

static void refuses(void (*spoil)(lc_gguf_writer *), int code, const char *names)
{
    lc_gguf_writer writer;
    lc_gguf *gguf;
    lc_tokenizer *tokenizer = NULL;
    llmcache_error err = {.message = "(made)"};
    lc_gguf_writer_init(&writer);
    spoil(&writer);
    lc_span file = tiny_written(&writer);
    lc_gguf_writer_done(&writer);
    cr_assert_eq(lc_gguf_open_memory(file.data, file.size, &gguf, NULL), 0);
    cr_assert_eq(lc_tokenizer_new(gguf, &tokenizer, &err), code, "%s: %s", names,
                 err.message);
    cr_assert(strstr(err.message, names), "'%s' does not name %s", err.message, names);
    cr_assert_null(tokenizer);
    lc_gguf_close(gguf);
}

static void two_tokens(lc_gguf_writer *writer, const char *model)
{
    lc_gguf_put_text(writer, "tokenizer.ggml.model", model);
    lc_gguf_put_array(writer, "tokenizer.ggml.tokens", LC_GGUF_TEXT, 2);
    lc_gguf_add_text(writer, (lc_span){"a", 1});
    lc_gguf_add_text(writer, (lc_span){"b", 1});
}

static void no_model(lc_gguf_writer *writer)
{
    lc_gguf_put_u32(writer, "x", 1);
}

static void other_model(lc_gguf_writer *writer)
{
    two_tokens(writer, "gpt2");
}

static void no_scores(lc_gguf_writer *writer)
{
    two_tokens(writer, "t5");
}

static void few_scores(lc_gguf_writer *writer)
{
    two_tokens(writer, "t5");
    lc_gguf_put_array(writer, "tokenizer.ggml.scores", LC_GGUF_F32, 1);
    lc_gguf_add_f32(writer, 1);
}

static void odd_score(lc_gguf_writer *writer)
{
    two_tokens(writer, "t5");
    lc_gguf_put_array(writer, "tokenizer.ggml.scores", LC_GGUF_F32, 2);
    lc_gguf_add_f32(writer, 1);
    lc_gguf_add_f32(writer, __builtin_nanf(""));
}

static void odd_type(lc_gguf_writer *writer)
{
    two_tokens(writer, "bert");
    lc_gguf_put_array(writer, "tokenizer.ggml.token_type", LC_GGUF_I32, 2);
    lc_gguf_add_i32(writer, 1);
    lc_gguf_add_i32(writer, 77);
}

static void special_past_the_end(lc_gguf_writer *writer)
{
    two_tokens(writer, "bert");
    lc_gguf_put_u32(writer, "tokenizer.ggml.cls_token_id", 2);
}

static void text_for_a_map(lc_gguf_writer *writer)
{
    two_tokens(writer, "t5");
    lc_gguf_put_array(writer, "tokenizer.ggml.scores", LC_GGUF_F32, 2);
    lc_gguf_add_f32(writer, 1);
    lc_gguf_add_f32(writer, 1);
    lc_gguf_put_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
    lc_gguf_put_u32(writer, "tokenizer.ggml.eos_token_id", 0);
    lc_gguf_put_text(writer, "tokenizer.ggml.precompiled_charsmap", "x");
}

Test(tokenizer, files_that_have_none_of_ours)
{
    refuses(no_model, LLMCACHE_CORRUPT, "tokenizer.ggml.model");
    refuses(other_model, LLMCACHE_UNSUPPORTED, "tokenizer.ggml.model");
    refuses(no_scores, LLMCACHE_CORRUPT, "tokenizer.ggml.scores");
    refuses(few_scores, LLMCACHE_CORRUPT, "tokenizer.ggml.scores");
    refuses(odd_score, LLMCACHE_CORRUPT, "tokenizer.ggml.scores");
    refuses(odd_type, LLMCACHE_CORRUPT, "tokenizer.ggml.token_type");
    refuses(special_past_the_end, LLMCACHE_CORRUPT, "tokenizer.ggml.cls_token_id");
    refuses(text_for_a_map, LLMCACHE_CORRUPT, "tokenizer.ggml.precompiled_charsmap");
}

/* ---- Memory and threads ---------------------------------------------------------- */

Test(tokenizer, encoding_allocates_nothing)
{
    subject subjects[] = {subject_of(tiny_gguf(TINY_WORDPIECE)), packed()};
    for (int i = 0; i < 2; i++) {
        uint32_t ids[MAX_IDS];
        size_t count;
        static const char text[] = "What is unaffable? 快取 e\u0301\u0302 zzz";
        lc_memory_fail_at(1);
        lc_tokenizer_encode(subjects[i].tokenizer, subjects[i].scratch, text,
                            sizeof text - 1, ids, MAX_IDS, &count, NULL);
        cr_assert_not(lc_memory_failed());
        lc_memory_fail_at(0);
        cr_assert_gt(count, 5);
        subject_done(&subjects[i]);
    }
}

Test(tokenizer, every_failing_allocation_is_reported)
{
    const tiny_kind kinds[] = {TINY_WORDPIECE, TINY_UNIGRAM};
    for (int k = 0; k < 2; k++) {
        lc_span file = tiny_gguf(kinds[k]);
        int failed = 1;
        for (uint64_t n = 1; failed; n++) {
            lc_gguf *gguf = NULL;
            lc_tokenizer *tokenizer = NULL;
            lc_token_scratch *scratch = NULL;
            cr_assert_lt(n, 50);
            lc_memory_fail_at(n);
            int code = lc_gguf_open_memory(file.data, file.size, &gguf, NULL);
            if (code == 0)
                code = lc_tokenizer_new(gguf, &tokenizer, NULL);
            if (code == 0)
                code = lc_token_scratch_new(tokenizer, MAX_IDS, &scratch, NULL);
            failed = lc_memory_failed();
            lc_memory_fail_at(0);
            cr_assert_eq(code, failed ? LLMCACHE_MEMORY : 0);
            lc_token_scratch_free(scratch);
            lc_tokenizer_free(tokenizer);
            lc_gguf_close(gguf);
        }
    }
}

static void *encode_often(void *user)
{
    const lc_tokenizer *tokenizer = user;
    lc_token_scratch *scratch;
    static const char text[] = "what is a cache? 快取";
    uint32_t first[MAX_IDS], ids[MAX_IDS];
    size_t first_count, count;
    if (lc_token_scratch_new(tokenizer, MAX_IDS, &scratch, NULL))
        return user;
    lc_tokenizer_encode(tokenizer, scratch, text, sizeof text - 1, first, MAX_IDS,
                        &first_count, NULL);
    int wrong = 0;
    for (int i = 0; i < 2000 && !wrong; i++) {
        lc_tokenizer_encode(tokenizer, scratch, text, sizeof text - 1, ids, MAX_IDS,
                            &count, NULL);
        if (count != first_count || memcmp(ids, first, count * sizeof *ids))
            wrong = 1;
    }
    lc_token_scratch_free(scratch);
    return wrong ? user : NULL;
}

Test(tokenizer, many_threads_share_one)
{
    subject s = subject_of(tiny_gguf(TINY_UNIGRAM));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, encode_often, s.tokenizer), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        cr_assert_null(wrong, "other ids in thread %d", i);
    }
    subject_done(&s);
}

/* ---- Independent tokenizers ------------------------------------------------------ */

static void check_rows(const char *name, const subject *s)
{
    json_t *root = test_json(
        test_read_file(test_source_path("tests/unit/tokenizer_reference.json"), NULL));
    json_t *rows = json_object_get(root, name), *row;
    size_t i;
    cr_assert_gt(json_array_size(rows), 100, "%s", name);
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_array_get(row, 0));
        json_t *expected = json_array_get(row, 1);
        uint32_t ids[MAX_IDS];
        size_t count;
        lc_tokenizer_encode(s->tokenizer, s->scratch, text, strlen(text), ids, MAX_IDS,
                            &count, NULL);
        cr_assert_eq(count, json_array_size(expected), "%s row %zu: %s", name, i, text);
        for (size_t k = 0; k < count; k++)
            cr_assert_eq(ids[k], json_integer_value(json_array_get(expected, k)),
                         "%s row %zu: %s", name, i, text);
    }
}

Test(tokenizer, gives_the_ids_of_independent_ones)
{
    subject s = subject_of(tiny_gguf(TINY_WORDPIECE));
    check_rows("wordpiece", &s);
    subject_done(&s);
    s = subject_of(tiny_gguf(TINY_UNIGRAM));
    check_rows("unigram", &s);
    subject_done(&s);
}
