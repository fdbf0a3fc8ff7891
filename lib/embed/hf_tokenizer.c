/* Writing a tokenizer as GGUF's keys: WordPiece with its phantom spaces, unigram with its
 * character map. */
#include "embed/hf_tokenizer.h"

#include "base/error.h"

#include <string.h>

static void add_token(lc_gguf_writer *writer, const lc_hf_tokenizer *g, uint32_t id,
                      lc_buffer *made)
{
    const lc_hf_piece *piece = &g->pieces[id];
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

static int put_tokens(lc_gguf_writer *writer, const lc_hf_tokenizer *g)
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

static int put_charsmap(lc_gguf_writer *writer, const lc_hf_tokenizer *g)
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
                        const lc_hf_special *special)
{
    if (special->there)
        lc_gguf_put_u32(writer, key, special->id);
}

int lc_hf_tokenizer_put(const lc_hf_tokenizer *g, lc_gguf_writer *writer)
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
