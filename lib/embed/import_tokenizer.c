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
#include "embed/hf_tokenizer.h"
#include "embed/import.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 4 /* of sequences in sequences */

static int refuse(const lc_hf_tokenizer *g, const char *what, const char *which)
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

static int put_piece(lc_hf_tokenizer *g, int64_t id, const char *text, size_t size,
                     uint8_t type)
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

static void note(lc_hf_special *special, uint32_t id)
{
    *special = (lc_hf_special){1, id};
}

/* Special tokens by the names that all models of these families give them. */
static void note_names(lc_hf_tokenizer *g)
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

static int read_added(lc_hf_tokenizer *g, const lc_json *added)
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

static int note_unknown(lc_hf_tokenizer *g, int64_t id)
{
    if (id < 0 || id >= g->rows)
        return lc_fail(g->err, LLMCACHE_CORRUPT,
                       "tokenizer.json: the unknown token is missing");
    note(&g->unknown, (uint32_t)id);
    g->pieces[id].type = LC_TOKEN_UNKNOWN;
    return 0;
}

/* ---- WordPiece ------------------------------------------------------------------- */

static int read_bert_normalizer(lc_hf_tokenizer *g, const lc_json *part)
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

static int read_wordpiece(lc_hf_tokenizer *g, const lc_json *root, const lc_json *model)
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

static int read_replace(lc_hf_tokenizer *g, const lc_json *part)
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

static int read_normalizer(lc_hf_tokenizer *g, const lc_json *part, int depth)
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

static int read_metaspace(lc_hf_tokenizer *g, const lc_json *part)
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

static int read_pre_tokenizer(lc_hf_tokenizer *g, const lc_json *part, int depth)
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

static int read_pieces(lc_hf_tokenizer *g, const lc_json *vocab)
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

static int read_unigram(lc_hf_tokenizer *g, const lc_json *root, const lc_json *model)
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
static int read_processing(lc_hf_tokenizer *g, const lc_json *part)
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
static int read_template(lc_hf_tokenizer *g, const lc_json *part)
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
        lc_hf_special *place = behind ? &g->last : &g->first;
        if (name)
            lc_json_integer(lc_json_at(lc_json_get(lc_json_get(known, name), "ids"), 0),
                            &id);
        if (place->there || id < 0 || id >= g->rows)
            return refuse(g, "post_processor", "TemplateProcessing of this form");
        note(place, (uint32_t)id);
    }
    return 0;
}

static int read_post_processor(lc_hf_tokenizer *g, const lc_json *part)
{
    if (is(part, "TemplateProcessing"))
        return read_template(g, part);
    if (is(part, "BertProcessing") || is(part, "RobertaProcessing"))
        return read_processing(g, part);
    return part && type_of(part)[0] ? refuse(g, "post_processor", type_of(part)) : 0;
}

/* ---- Reading a repository -------------------------------------------------------- */

static int read_json(lc_hf_tokenizer *g, const lc_json *root, lc_gguf_writer *writer)
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
    return lc_hf_tokenizer_put(g, writer);
}

/* One token a line. What tokenizer_config.json says of case and accents counts. */
static int read_vocabulary(lc_hf_tokenizer *g, lc_span text, const lc_json *config,
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
    return lc_hf_tokenizer_put(g, writer);
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
    lc_hf_tokenizer g = {.rows = rows, .err = err};
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
