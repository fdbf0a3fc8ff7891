/*
 * A Hugging Face tokenizer to GGUF's keys: tokenizer.json of WordPiece or unigram, or
 * WordPiece's vocab.txt.
 *
 * tokenizer.json describes a pipeline of arbitrary parts; those are taken that make up
 * BERT's and XLM-R's, everything else is refused by name, since a tokenizer that is
 * nearly right gives wrong vectors without anyone noticing.
 */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "embed/import.h"
#include "embed/tokenizer_inside.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 4 /* of sequences in sequences */

/* One token on its way; `text` is borrowed from the JSON document or vocab.txt. */
typedef struct hf_piece {
    lc_span text; /* size 0: no token has this id */
    float score;
    uint8_t type;
} hf_piece;

typedef struct hf_special {
    int there;
    uint32_t id;
} hf_special;

/* What is gathered before anything is written. */
typedef struct gathered {
    lc_tokenizer_kind kind;
    hf_piece *pieces;
    uint32_t rows;
    hf_special first, last, unknown, pad, mask;
    int lower, strip;               /* WordPiece */
    int mark_first, collapse, trim; /* unigram */
    lc_span charsmap;               /* base64 */
    llmcache_error *err;
} gathered;

static int refuse(const gathered *g, const char *what, const char *which)
{
    return lc_fail(g->err, LLMCACHE_UNSUPPORTED,
                   "tokenizer.json: %s %.60s is not supported", what,
                   which ? which : "(without a type)");
}

static const char *type_of(const lc_json *part)
{
    const char *type = lc_json_text(lc_json_get(part, "type"), NULL);
    return type ? type : "";
}

static int is(const lc_json *part, const char *type)
{
    return strcmp(type_of(part), type) == 0;
}

/* ---- Tokens ---------------------------------------------------------------------- */

static int put_piece(gathered *g, int64_t id, const char *text, size_t size, uint8_t type)
{
    if (id < 0 || id >= g->rows)
        return lc_fail(g->err, LLMCACHE_CORRUPT,
                       "tokenizer.json: token %lld is past the word table",
                       (long long)id);
    g->pieces[id].text = (lc_span){text, size};
    g->pieces[id].type = type;
    return 0;
}

static int put_member(void *user, const char *key, const lc_json *value)
{
    int64_t id = -1;
    lc_json_integer(value, &id);
    return put_piece(user, id, key, strlen(key), LC_TOKEN_NORMAL);
}

static void note(hf_special *special, uint32_t id)
{
    *special = (hf_special){1, id};
}

/* Special tokens by the names that all models of these families give them. */
static void note_names(gathered *g)
{
    for (uint32_t id = 0; id < g->rows; id++) {
        lc_span text = g->pieces[id].text;
        if (lc_span_is(text, "[PAD]") || lc_span_is(text, "<pad>"))
            note(&g->pad, id);
        else if (lc_span_is(text, "[MASK]") || lc_span_is(text, "<mask>"))
            note(&g->mask, id);
        else if (g->kind == LC_WORDPIECE && lc_span_is(text, "[CLS]") && !g->first.there)
            note(&g->first, id);
        else if (g->kind == LC_WORDPIECE && lc_span_is(text, "[SEP]") && !g->last.there)
            note(&g->last, id);
    }
}

static int read_added(gathered *g, const lc_json *added)
{
    for (size_t i = 0; i < lc_json_count(added); i++) {
        const lc_json *token = lc_json_at(added, i);
        size_t size = 0;
        int64_t id = -1;
        const char *text = lc_json_text(lc_json_get(token, "content"), &size);
        lc_json_integer(lc_json_get(token, "id"), &id);
        uint8_t type = lc_json_is_true(lc_json_get(token, "special"))
                           ? LC_TOKEN_CONTROL
                           : LC_TOKEN_USER_DEFINED;
        int rc = put_piece(g, id, text ? text : "", size, type);
        if (rc)
            return rc;
    }
    return 0;
}

static int note_unknown(gathered *g, int64_t id)
{
    if (id < 0 || id >= g->rows)
        return lc_fail(g->err, LLMCACHE_CORRUPT,
                       "tokenizer.json: the unknown token is missing");
    note(&g->unknown, (uint32_t)id);
    g->pieces[id].type = LC_TOKEN_UNKNOWN;
    return 0;
}

/* ---- WordPiece ------------------------------------------------------------------- */

static int read_bert_normalizer(gathered *g, const lc_json *part)
{
    const lc_json *strip = lc_json_get(part, "strip_accents");
    if (!is(part, "BertNormalizer"))
        return refuse(g, "normalizer", type_of(part));
    if (!lc_json_is_true(lc_json_get(part, "clean_text")) ||
        !lc_json_is_true(lc_json_get(part, "handle_chinese_chars")))
        return refuse(g, "BertNormalizer without", "clean_text or handle_chinese_chars");
    g->lower = lc_json_is_true(lc_json_get(part, "lowercase"));
    g->strip = lc_json_is_boolean(strip) ? lc_json_is_true(strip) : g->lower;
    return 0;
}

static int read_wordpiece(gathered *g, const lc_json *root, const lc_json *model)
{
    const char *prefix =
        lc_json_text(lc_json_get(model, "continuing_subword_prefix"), NULL);
    const char *unknown = lc_json_text(lc_json_get(model, "unk_token"), NULL);
    int64_t id = -1;
    if (!is(lc_json_get(root, "pre_tokenizer"), "BertPreTokenizer"))
        return refuse(g, "pre_tokenizer", type_of(lc_json_get(root, "pre_tokenizer")));
    if (!prefix || strcmp(prefix, "##"))
        return refuse(g, "continuing_subword_prefix", prefix);
    int rc = read_bert_normalizer(g, lc_json_get(root, "normalizer"));
    if (rc == 0)
        rc = lc_json_each(lc_json_get(model, "vocab"), put_member, g);
    if (rc == 0)
        rc = read_added(g, lc_json_get(root, "added_tokens"));
    if (rc)
        return rc;
    lc_json_integer(lc_json_get(lc_json_get(model, "vocab"), unknown ? unknown : "[UNK]"),
                    &id);
    return note_unknown(g, id);
}

/* ---- Unigram --------------------------------------------------------------------- */

static int read_replace(gathered *g, const lc_json *part)
{
    const char *pattern =
        lc_json_text(lc_json_get(lc_json_get(part, "pattern"), "Regex"), NULL);
    const char *content = lc_json_text(lc_json_get(part, "content"), NULL);
    if (!pattern || strcmp(pattern, " {2,}") || !content ||
        (strcmp(content, " ") && strcmp(content, LC_WORD_MARK)))
        return refuse(g, "normalizer Replace of", pattern);
    g->collapse = 1;
    return 0;
}

static int read_normalizer(gathered *g, const lc_json *part, int depth)
{
    int rc = 0;
    if (!part || type_of(part)[0] == '\0')
        return 0;
    if (is(part, "Sequence") && depth < MAX_DEPTH) {
        const lc_json *parts = lc_json_get(part, "normalizers");
        for (size_t i = 0; rc == 0 && i < lc_json_count(parts); i++)
            rc = read_normalizer(g, lc_json_at(parts, i), depth + 1);
        return rc;
    }
    if (is(part, "Precompiled")) {
        g->charsmap.data =
            lc_json_text(lc_json_get(part, "precompiled_charsmap"), &g->charsmap.size);
        return g->charsmap.data ? 0
                                : refuse(g, "normalizer", "Precompiled without its map");
    }
    if (is(part, "Replace"))
        return read_replace(g, part);
    if (is(part, "Strip")) {
        g->trim = 1;
        return 0;
    }
    return refuse(g, "normalizer", type_of(part));
}

static int read_metaspace(gathered *g, const lc_json *part)
{
    const char *mark = lc_json_text(lc_json_get(part, "replacement"), NULL);
    const char *scheme = lc_json_text(lc_json_get(part, "prepend_scheme"), NULL);
    const lc_json *prefix = lc_json_get(part, "add_prefix_space");
    if (!mark || strcmp(mark, LC_WORD_MARK))
        return refuse(g, "Metaspace with replacement", mark);
    g->mark_first =
        scheme ? strcmp(scheme, "never") != 0 : !prefix || lc_json_is_true(prefix);
    return 0;
}

static int read_pre_tokenizer(gathered *g, const lc_json *part, int depth)
{
    int rc = 0;
    if (is(part, "Metaspace"))
        return read_metaspace(g, part);
    if (is(part, "WhitespaceSplit")) {
        g->collapse = g->trim = 1;
        return 0;
    }
    if (!is(part, "Sequence") || depth >= MAX_DEPTH)
        return refuse(g, "pre_tokenizer", type_of(part));
    const lc_json *parts = lc_json_get(part, "pretokenizers");
    for (size_t i = 0; rc == 0 && i < lc_json_count(parts); i++)
        rc = read_pre_tokenizer(g, lc_json_at(parts, i), depth + 1);
    return rc;
}

static int read_pieces(gathered *g, const lc_json *vocab)
{
    for (size_t i = 0; i < lc_json_count(vocab); i++) {
        size_t size = 0;
        double score;
        const char *text = lc_json_text(lc_json_at(lc_json_at(vocab, i), 0), &size);
        if (!text || !lc_json_number(lc_json_at(lc_json_at(vocab, i), 1), &score))
            return lc_fail(g->err, LLMCACHE_CORRUPT,
                           "tokenizer.json: token %zu is damaged", i);
        int rc = put_piece(g, (int64_t)i, text, size, LC_TOKEN_NORMAL);
        if (rc)
            return rc;
        g->pieces[i].score = (float)score;
    }
    return 0;
}

static int read_unigram(gathered *g, const lc_json *root, const lc_json *model)
{
    int64_t unknown = -1;
    lc_json_integer(lc_json_get(model, "unk_id"), &unknown);
    if (lc_json_is_true(lc_json_get(model, "byte_fallback")))
        return refuse(g, "unigram with", "byte_fallback");
    int rc = read_normalizer(g, lc_json_get(root, "normalizer"), 0);
    if (rc == 0)
        rc = read_pre_tokenizer(g, lc_json_get(root, "pre_tokenizer"), 0);
    if (rc == 0)
        rc = read_pieces(g, lc_json_get(model, "vocab"));
    if (rc == 0)
        rc = read_added(g, lc_json_get(root, "added_tokens"));
    return rc ? rc : note_unknown(g, unknown);
}

/* ---- Special tokens around a text ------------------------------------------------ */

/* {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}, and
 * RoBERTa's. */
static int read_processing(gathered *g, const lc_json *part)
{
    int64_t first = -1, last = -1;
    lc_json_integer(lc_json_at(lc_json_get(part, "cls"), 1), &first);
    lc_json_integer(lc_json_at(lc_json_get(part, "sep"), 1), &last);
    if (first < 0 || first >= g->rows || last < 0 || last >= g->rows)
        return refuse(g, "post_processor", type_of(part));
    note(&g->first, (uint32_t)first);
    note(&g->last, (uint32_t)last);
    return 0;
}

/* A list of special tokens and one text: at most one special before it and one behind. */
static int read_template(gathered *g, const lc_json *part)
{
    const lc_json *list = lc_json_get(part, "single"),
                  *known = lc_json_get(part, "special_tokens");
    int behind = 0;
    for (size_t i = 0; i < lc_json_count(list); i++) {
        int64_t id = -1;
        if (lc_json_get(lc_json_at(list, i), "Sequence")) {
            behind = 1;
            continue;
        }
        const lc_json *token = lc_json_get(lc_json_at(list, i), "SpecialToken");
        const char *name = lc_json_text(lc_json_get(token, "id"), NULL);
        hf_special *place = behind ? &g->last : &g->first;
        if (name)
            lc_json_integer(lc_json_at(lc_json_get(lc_json_get(known, name), "ids"), 0),
                            &id);
        if (place->there || id < 0 || id >= g->rows)
            return refuse(g, "post_processor", "TemplateProcessing of this form");
        note(place, (uint32_t)id);
    }
    return 0;
}

static int read_post_processor(gathered *g, const lc_json *part)
{
    if (is(part, "TemplateProcessing"))
        return read_template(g, part);
    if (is(part, "BertProcessing") || is(part, "RobertaProcessing"))
        return read_processing(g, part);
    return part && type_of(part)[0] ? refuse(g, "post_processor", type_of(part)) : 0;
}

/* ---- Writing --------------------------------------------------------------------- */

static void add_token(lc_gguf_writer *writer, const gathered *g, uint32_t id,
                      lc_buffer *made)
{
    const hf_piece *piece = &g->pieces[id];
    lc_buffer_clear(made);
    if (piece->text.size == 0)
        lc_buffer_format(made, "[PAD%u]", (unsigned)id);
    else if (g->kind == LC_UNIGRAM || (piece->text.data[0] == '[' &&
                                       piece->text.data[piece->text.size - 1] == ']'))
        lc_buffer_add(made, piece->text.data, piece->text.size);
    else if (piece->text.size > 2 && !memcmp(piece->text.data, "##", 2))
        lc_buffer_add(made, piece->text.data + 2, piece->text.size - 2);
    else {
        lc_buffer_text(made, LC_WORD_MARK);
        lc_buffer_add(made, piece->text.data, piece->text.size);
    }
    lc_gguf_add_text(writer, (lc_span){made->data ? made->data : "", made->size});
}

static int put_tokens(lc_gguf_writer *writer, const gathered *g)
{
    lc_buffer made;
    lc_buffer_init(&made, 0);
    lc_gguf_put_array(writer, "tokenizer.ggml.tokens", LC_GGUF_TEXT, g->rows);
    for (uint32_t id = 0; id < g->rows; id++)
        add_token(writer, g, id, &made);
    int rc = made.broken;
    lc_buffer_done(&made);
    if (g->kind == LC_UNIGRAM) {
        lc_gguf_put_array(writer, "tokenizer.ggml.scores", LC_GGUF_F32, g->rows);
        for (uint32_t id = 0; id < g->rows; id++)
            lc_gguf_add_f32(writer,
                            g->pieces[id].text.size ? g->pieces[id].score : -1000);
    }
    lc_gguf_put_array(writer, "tokenizer.ggml.token_type", LC_GGUF_I32, g->rows);
    for (uint32_t id = 0; id < g->rows; id++)
        lc_gguf_add_i32(writer,
                        g->pieces[id].text.size ? g->pieces[id].type : LC_TOKEN_UNUSED);
    return rc ? lc_fail_memory(g->err) : 0;
}

static int base64_value(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int decode_base64(lc_span text, lc_buffer *out)
{
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = 0; i < text.size && text.data[i] != '='; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0)
            return LLMCACHE_CORRUPT;
        bits = bits << 6 | (uint32_t)value;
        if ((count += 6) >= 8)
            lc_buffer_byte(out, (char)(bits >> (count -= 8)));
    }
    return out->broken;
}

static int put_charsmap(lc_gguf_writer *writer, const gathered *g)
{
    lc_buffer blob;
    lc_charsmap map;
    if (g->charsmap.size == 0)
        return 0;
    lc_buffer_init(&blob, 0);
    int rc = decode_base64(g->charsmap, &blob);
    if (rc)
        rc = lc_fail(g->err, rc, "tokenizer.json: precompiled_charsmap is damaged");
    else
        rc = lc_charsmap_open((lc_span){blob.data, blob.size}, &map, g->err);
    if (rc == 0) {
        lc_gguf_put_array(writer, "tokenizer.ggml.precompiled_charsmap", LC_GGUF_U8,
                          blob.size);
        lc_gguf_add_bytes(writer, blob.data, blob.size);
    }
    lc_buffer_done(&blob);
    return rc;
}

static void put_special(lc_gguf_writer *writer, const char *key,
                        const hf_special *special)
{
    if (special->there)
        lc_gguf_put_u32(writer, key, special->id);
}

static int put_all(lc_gguf_writer *writer, const gathered *g)
{
    int wordpiece = g->kind == LC_WORDPIECE;
    lc_gguf_put_text(writer, "tokenizer.ggml.model", wordpiece ? "bert" : "t5");
    lc_gguf_put_text(writer, "tokenizer.ggml.pre", "default");
    int rc = put_tokens(writer, g);
    put_special(writer, "tokenizer.ggml.bos_token_id", &g->first);
    put_special(writer, "tokenizer.ggml.eos_token_id", &g->last);
    put_special(writer, "tokenizer.ggml.cls_token_id", &g->first);
    put_special(writer, "tokenizer.ggml.seperator_token_id", &g->last);
    put_special(writer, "tokenizer.ggml.unknown_token_id", &g->unknown);
    put_special(writer, "tokenizer.ggml.padding_token_id", &g->pad);
    put_special(writer, "tokenizer.ggml.mask_token_id", &g->mask);
    lc_gguf_put_bool(writer, "tokenizer.ggml.add_bos_token", g->first.there);
    lc_gguf_put_bool(writer, "tokenizer.ggml.add_eos_token", g->last.there);
    if (wordpiece) {
        lc_gguf_put_bool(writer, "tokenizer.ggml.normalizer.lowercase", g->lower);
        lc_gguf_put_bool(writer, "tokenizer.ggml.normalizer.strip_accents", g->strip);
        return rc;
    }
    lc_gguf_put_bool(writer, "tokenizer.ggml.add_space_prefix", g->mark_first);
    lc_gguf_put_bool(writer, "tokenizer.ggml.remove_extra_whitespaces", g->collapse);
    lc_gguf_put_bool(writer, "llmcache.tokenizer.trim", g->trim);
    return rc ? rc : put_charsmap(writer, g);
}

/* ---- Reading a repository -------------------------------------------------------- */

static int read_json(gathered *g, const lc_json *root, lc_gguf_writer *writer)
{
    const lc_json *model = lc_json_get(root, "model");
    int rc;
    if (is(model, "WordPiece")) {
        g->kind = LC_WORDPIECE;
        rc = read_wordpiece(g, root, model);
    } else if (is(model, "Unigram")) {
        g->kind = LC_UNIGRAM;
        rc = read_unigram(g, root, model);
    } else {
        rc = refuse(g, "model", type_of(model));
    }
    if (rc == 0)
        rc = read_post_processor(g, lc_json_get(root, "post_processor"));
    if (rc)
        return rc;
    note_names(g);
    if (g->kind == LC_WORDPIECE && (!g->first.there || !g->last.there))
        return refuse(g, "WordPiece without", "[CLS] and [SEP]");
    return put_all(writer, g);
}

/* One token a line. What tokenizer_config.json says of case and accents counts. */
static int read_vocabulary(gathered *g, lc_span text, const lc_json *config,
                           lc_gguf_writer *writer)
{
    const lc_json *lower = lc_json_get(config, "do_lower_case");
    const lc_json *strip = lc_json_get(config, "strip_accents");
    int64_t id = 0;
    g->kind = LC_WORDPIECE;
    g->lower = lower ? lc_json_is_true(lower) : 1;
    g->strip = lc_json_is_boolean(strip) ? lc_json_is_true(strip) : g->lower;
    for (size_t at = 0; at < text.size; id++) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.size - at);
        size_t size = end ? (size_t)(end - line) : text.size - at;
        at += size + 1;
        size -= size && line[size - 1] == '\r';
        int special = size > 2 && (lc_span_is((lc_span){line, size}, "[PAD]") ||
                                   lc_span_is((lc_span){line, size}, "[CLS]") ||
                                   lc_span_is((lc_span){line, size}, "[SEP]") ||
                                   lc_span_is((lc_span){line, size}, "[MASK]"));
        int rc =
            put_piece(g, id, line, size, special ? LC_TOKEN_CONTROL : LC_TOKEN_NORMAL);
        if (rc == 0 && lc_span_is((lc_span){line, size}, "[UNK]"))
            rc = note_unknown(g, id);
        if (rc)
            return rc;
    }
    note_names(g);
    if (!g->first.there || !g->last.there || !g->unknown.there)
        return lc_fail(g->err, LLMCACHE_UNSUPPORTED,
                       "vocab.txt: [CLS], [SEP] or [UNK] is missing");
    return put_all(writer, g);
}

static int parse(lc_span text, const char *what, lc_json **json, llmcache_error *err)
{
    llmcache_error why;
    *json = NULL;
    if (text.size == 0)
        return 0;
    int rc = lc_json_parse(text.data, text.size, json, &why);
    return rc ? lc_fail(err, rc == LLMCACHE_MEMORY ? rc : LLMCACHE_CORRUPT, "%s is %s",
                        what, why.message)
              : 0;
}

int lc_import_tokenizer(const lc_hf_files *files, uint32_t rows, lc_gguf_writer *writer,
                        llmcache_error *err)
{
    gathered g = {.rows = rows, .err = err};
    lc_json *json = NULL;
    int whole = files->tokenizer.size > 0;
    if (!whole && files->vocabulary.size == 0)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "neither tokenizer.json nor vocab.txt is there");
    int rc = whole ? parse(files->tokenizer, "tokenizer.json", &json, err)
                   : parse(files->tokenizer_config, "tokenizer_config.json", &json, err);
    if (rc)
        return rc;
    g.pieces = lc_zalloc_array(rows, sizeof *g.pieces);
    if (!g.pieces)
        rc = lc_fail_memory(err);
    else if (whole)
        rc = read_json(&g, json, writer);
    else
        rc = read_vocabulary(&g, files->vocabulary, json, writer);
    lc_free(g.pieces);
    lc_json_free(json);
    return rc;
}
