/* Small model files, made in memory. */
#include "tiny_files.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "embed/import.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Tokenizers ------------------------------------------------------------------ */

static const char *const words[] = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a",        "b",      "c",    "##a",
    "##b",   "##c",   "cache", "##d",   "un",     "##aff",    "##able", "what", "is",
    "?",     "!",     ",",     "[",     "]",      "sep",      "cls",    "快",   "取",
    "##e",   "cafe",  "hello", "world", "1",      "2",        "##1",    "##2",  "ss",
    "i",     "the",   "##s",   "-",     "'",      "##\u0307",
};

/* Scores fall along the list, so that longer pieces must earn their place. */
static const char *const pieces[] = {
    "<s>", "<pad>",   "</s>",        "<unk>", "\u2581",      "a",   "b",
    "c",   "\u2581a", "ab",          "abc",   "\u2581cache", "ca",  "che",
    "s",   "<",       ">",           "/",     "un",          "k",   "快",
    "取",  "快取",    "\u2581快取",  "什麼",  "什",          "麼",  "é",
    "e",   "1",       "2",           "12",    "\u2581the",   "the", "t",
    "h",   "d",       "\u2581hello", "hello", "o",           "l",   "．",
    "?",   "!",       "<mask>",
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char *kept(lc_buffer *buffer)
{
    if (buffer->broken)
        test_give_up("out of memory");
    char *text = test_keep(buffer->data, buffer->size);
    lc_buffer_done(buffer);
    return text;
}

static lc_span kept_span(lc_buffer *buffer)
{
    size_t size = buffer->size;
    return (lc_span){kept(buffer), size};
}

static void add_special(lc_buffer *out, int id, const char *text)
{
    lc_buffer_format(out, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true}",
                     out->data[out->size - 1] == '[' ? "" : ",", id, text);
}

static const char *wordpiece_json(void)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_buffer_text(&out, "{\"added_tokens\":[");
    for (int id = 0; id < 5; id++)
        add_special(&out, id, words[id]);
    lc_buffer_text(
        &out, "],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
              "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
              "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
              "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
              "{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},"
              "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
              "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}}],\"pair\":[],"
              "\"special_tokens\":{\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[2],"
              "\"tokens\":[\"[CLS]\"]},\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":[3],"
              "\"tokens\":[\"[SEP]\"]}}},"
              "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
              "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,"
              "\"vocab\":{");
    for (size_t i = 0; i < COUNT(words); i++) {
        lc_buffer_text(&out, i ? "," : "");
        lc_buffer_json_text(&out, words[i]);
        lc_buffer_format(&out, ":%zu", i);
    }
    lc_buffer_text(&out, "}}}");
    return kept(&out);
}

static const char *unigram_json(void)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_buffer_text(&out, "{\"added_tokens\":[");
    for (int id = 0; id < 4; id++)
        add_special(&out, id, pieces[id]);
    add_special(&out, (int)COUNT(pieces) - 1, "<mask>");
    lc_buffer_text(
        &out, "],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
              "\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}]},"
              "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
              "\"add_prefix_space\":true},"
              "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],"
              "\"cls\":[\"<s>\",0],\"trim_offsets\":true,\"add_prefix_space\":true},"
              "\"model\":{\"type\":\"Unigram\",\"unk_id\":3,\"vocab\":[");
    for (size_t i = 0; i < COUNT(pieces); i++) {
        lc_buffer_text(&out, i ? ",[" : "[");
        lc_buffer_json_text(&out, pieces[i]);
        lc_buffer_format(&out, ",%.2f]",
                         i < 4 || i + 1 == COUNT(pieces) ? 0 : -2 - (double)i / 8);
    }
    lc_buffer_text(&out, "]}}");
    return kept(&out);
}

const char *tiny_tokenizer_json(tiny_kind kind)
{
    return kind == TINY_WORDPIECE ? wordpiece_json() : unigram_json();
}

const char *tiny_vocab_txt(void)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    for (size_t i = 0; i < COUNT(words); i++)
        lc_buffer_format(&out, "%s\n", words[i]);
    return kept(&out);
}

/* ---- Safetensors ----------------------------------------------------------------- */

const char *tiny_config_json(void)
{
    return test_format(
        "{\"model_type\":\"bert\",\"architectures\":[\"BertModel\"],"
        "\"hidden_act\":\"gelu\",\"hidden_size\":%d,\"intermediate_size\":%d,"
        "\"layer_norm_eps\":1e-12,\"max_position_embeddings\":%d,"
        "\"num_attention_heads\":2,\"num_hidden_layers\":1,"
        "\"pad_token_id\":0,\"type_vocab_size\":2}",
        TINY_HIDDEN, TINY_INNER, TINY_POSITIONS);
}

typedef struct tensor_shape {
    const char *name;
    int rows; /* 0: a vector */
    int length;
} tensor_shape;

#define LAYER "encoder.layer.0."

static const tensor_shape shapes[] = {
    {"embeddings.word_embeddings.weight", TINY_ROWS, TINY_HIDDEN},
    {"embeddings.position_embeddings.weight", TINY_POSITIONS, TINY_HIDDEN},
    {"embeddings.token_type_embeddings.weight", 2, TINY_HIDDEN},
    {"embeddings.LayerNorm.weight", 0, TINY_HIDDEN},
    {"embeddings.LayerNorm.bias", 0, TINY_HIDDEN},
    {LAYER "attention.self.query.weight", TINY_HIDDEN, TINY_HIDDEN},
    {LAYER "attention.self.query.bias", 0, TINY_HIDDEN},
    {LAYER "attention.self.key.weight", TINY_HIDDEN, TINY_HIDDEN},
    {LAYER "attention.self.key.bias", 0, TINY_HIDDEN},
    {LAYER "attention.self.value.weight", TINY_HIDDEN, TINY_HIDDEN},
    {LAYER "attention.self.value.bias", 0, TINY_HIDDEN},
    {LAYER "attention.output.dense.weight", TINY_HIDDEN, TINY_HIDDEN},
    {LAYER "attention.output.dense.bias", 0, TINY_HIDDEN},
    {LAYER "attention.output.LayerNorm.gamma", 0, TINY_HIDDEN}, /* as older files say */
    {LAYER "attention.output.LayerNorm.beta", 0, TINY_HIDDEN},
    {LAYER "intermediate.dense.weight", TINY_INNER, TINY_HIDDEN},
    {LAYER "intermediate.dense.bias", 0, TINY_INNER},
    {LAYER "output.dense.weight", TINY_HIDDEN, TINY_INNER},
    {LAYER "output.dense.bias", 0, TINY_HIDDEN},
    {LAYER "output.LayerNorm.weight", 0, TINY_HIDDEN},
    {LAYER "output.LayerNorm.bias", 0, TINY_HIDDEN},
};

static float next_number(uint32_t *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return (float)(*seed >> 8 & 0xffff) / 65536 - .5f;
}

static void add_numbers(lc_buffer *out, const char *type, size_t count, uint32_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        float value = next_number(seed);
        uint16_t half = lc_float_to_half(value);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits >>= 16;
        if (strcmp(type, "F32") == 0)
            lc_buffer_add(out, &value, 4);
        else
            lc_buffer_add(out, strcmp(type, "F16") ? (const void *)&bits : &half, 2);
    }
}

lc_span tiny_safetensors(const char *type)
{
    lc_buffer header, data, file;
    uint32_t seed = 7;
    lc_buffer_init(&header, 0);
    lc_buffer_init(&data, 0);
    lc_buffer_init(&file, 0);
    lc_buffer_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < COUNT(shapes); i++) {
        size_t start = data.size, rows = shapes[i].rows ? (size_t)shapes[i].rows : 1;
        add_numbers(&data, type, rows * (size_t)shapes[i].length, &seed);
        lc_buffer_format(&header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", shapes[i].name,
                         type);
        if (shapes[i].rows)
            lc_buffer_format(&header, "%d,", shapes[i].rows);
        lc_buffer_format(&header, "%d],\"data_offsets\":[%zu,%zu]}", shapes[i].length,
                         start, data.size);
    }
    lc_buffer_byte(&header, '}');
    uint64_t size = header.size;
    lc_buffer_add(&file, &size, sizeof size);
    lc_buffer_add(&file, header.data, header.size);
    lc_buffer_add(&file, data.data, data.size);
    lc_buffer_done(&header);
    lc_buffer_done(&data);
    return kept_span(&file);
}

static lc_span span_of(const char *text)
{
    return (lc_span){text, strlen(text)};
}

lc_hf_files tiny_repository(tiny_kind kind)
{
    return (lc_hf_files){.weights = tiny_safetensors("F32"),
                         .config = span_of(tiny_config_json()),
                         .tokenizer = span_of(tiny_tokenizer_json(kind))};
}

void tiny_write_repository(const char *folder, tiny_kind kind)
{
    lc_span weights = tiny_safetensors("F32");
    test_write_file(test_format("%s/model.safetensors", folder), weights.data,
                    weights.size);
    test_write_text(test_format("%s/config.json", folder), tiny_config_json());
    test_write_text(test_format("%s/tokenizer.json", folder), tiny_tokenizer_json(kind));
    mkdir(test_format("%s/1_Pooling", folder), 0777);
    test_write_text(
        test_format("%s/1_Pooling/config.json", folder),
        "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
}

/* ---- GGUF ------------------------------------------------------------------------ */

lc_span tiny_written(lc_gguf_writer *writer)
{
    llmcache_error err;
    int file = memfd_create("tiny", MFD_CLOEXEC);
    if (file < 0 || lc_gguf_write(writer, file, &err))
        test_give_up("the file cannot be written");
    size_t size = (size_t)lseek(file, 0, SEEK_END);
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED)
        test_give_up("the file cannot be mapped");
    return (lc_span){bytes, size};
}

lc_span tiny_gguf(tiny_kind kind)
{
    lc_gguf_writer writer;
    llmcache_error err;
    lc_hf_files files = tiny_repository(kind);
    lc_gguf_writer_init(&writer);
    if (lc_import_safetensors(&files, "tiny", "mit", LC_TENSOR_Q8_0, &writer, &err))
        test_give_up("%s", err.message);
    lc_span file = tiny_written(&writer);
    lc_gguf_writer_done(&writer);
    return file;
}

/* ---- E5S1 ------------------------------------------------------------------------ */

/* Code points and what they become; U+0001 is dropped. */
static const uint32_t rules[][4] = {
    {0x01, 0},          {0x09, 1, ' '},        {0xa0, 1, ' '},
    {0x2126, 1, 0x3c9}, {0xfb01, 2, 'f', 'i'}, {0xff41, 1, 'a'},
};

static void put_u32(lc_buffer *out, uint32_t value)
{
    lc_buffer_add(out, &value, sizeof value);
}

static void put_vocabulary(lc_buffer *out)
{
    uint32_t at = 0;
    for (size_t i = 0; i <= COUNT(pieces); i++) {
        put_u32(out, at);
        at += i < COUNT(pieces) ? (uint32_t)strlen(pieces[i]) : 0;
    }
    for (size_t i = 0; i < COUNT(pieces); i++) {
        float score = i < 4 ? 0 : -2 - (float)i / 8;
        lc_buffer_add(out, &score, sizeof score);
    }
    for (size_t i = 0; i < COUNT(pieces); i++)
        lc_buffer_text(out, pieces[i]);
    lc_buffer rows;
    lc_buffer_init(&rows, 0);
    for (size_t i = 0; i < COUNT(rules); i++) {
        put_u32(&rows, rules[i][0]);
        lc_buffer_byte(&rows, (char)rules[i][1]);
        for (uint32_t k = 0; k < rules[i][1]; k++)
            put_u32(&rows, rules[i][2 + k]);
    }
    put_u32(out, COUNT(rules));
    put_u32(out, (uint32_t)rows.size);
    lc_buffer_add(out, rows.data, rows.size);
    lc_buffer_done(&rows);
}

static const tensor_shape pack_shapes[] = {
    {"emb.word", TINY_ROWS, TINY_HIDDEN}, {"emb.pos", TINY_POSITIONS, TINY_HIDDEN},
    {"emb.type", 2, TINY_HIDDEN},         {"emb.ln.w", 0, TINY_HIDDEN},
    {"emb.ln.b", 0, TINY_HIDDEN},         {"l0.q.w", TINY_HIDDEN, TINY_HIDDEN},
    {"l0.q.b", 0, TINY_HIDDEN},           {"l0.k.w", TINY_HIDDEN, TINY_HIDDEN},
    {"l0.k.b", 0, TINY_HIDDEN},           {"l0.v.w", TINY_HIDDEN, TINY_HIDDEN},
    {"l0.v.b", 0, TINY_HIDDEN},           {"l0.ao.w", TINY_HIDDEN, TINY_HIDDEN},
    {"l0.ao.b", 0, TINY_HIDDEN},          {"l0.aln.w", 0, TINY_HIDDEN},
    {"l0.aln.b", 0, TINY_HIDDEN},         {"l0.fi.w", TINY_INNER, TINY_HIDDEN},
    {"l0.fi.b", 0, TINY_INNER},           {"l0.fo.w", TINY_HIDDEN, TINY_INNER},
    {"l0.fo.b", 0, TINY_HIDDEN},          {"l0.oln.w", 0, TINY_HIDDEN},
    {"l0.oln.b", 0, TINY_HIDDEN},
};

/* Matrices of a layer and the word table are Q4_0, as in the real one. */
static int is_packed(const tensor_shape *shape)
{
    return shape->rows > 2 && strcmp(shape->name, "emb.pos") != 0;
}

static void add_blocks(lc_buffer *out, size_t count, uint32_t *seed)
{
    for (size_t i = 0; i < count; i += 32) {
        uint16_t scale = lc_float_to_half(next_number(seed) / 8);
        lc_buffer_add(out, &scale, sizeof scale);
        for (int k = 0; k < 16; k++)
            lc_buffer_byte(out, (char)(int)(next_number(seed) * 255));
    }
}

/* The directory's size does not depend on its numbers: it is made twice, the second time
 * with the places. */
static void put_directory(lc_buffer *out, uint64_t start, lc_buffer *data)
{
    uint32_t seed = 11;
    put_u32(out, COUNT(pack_shapes));
    for (size_t i = 0; i < COUNT(pack_shapes); i++) {
        const tensor_shape *shape = &pack_shapes[i];
        uint16_t size = (uint16_t)strlen(shape->name);
        size_t count = (size_t)shape->length * (shape->rows ? (size_t)shape->rows : 1);
        while (data->size % 64)
            lc_buffer_byte(data, 0);
        uint64_t offset = start + data->size, bytes;
        if (is_packed(shape))
            add_blocks(data, count, &seed);
        else
            add_numbers(data, "F32", count, &seed);
        bytes = start + data->size - offset;
        lc_buffer_add(out, &size, sizeof size);
        lc_buffer_add(out, shape->name, size);
        lc_buffer_byte(out, (char)is_packed(shape));
        put_u32(out, (uint32_t)count);
        lc_buffer_add(out, &offset, sizeof offset);
        lc_buffer_add(out, &bytes, sizeof bytes);
    }
}

lc_span tiny_pack(void)
{
    const uint32_t head[] = {1,         TINY_HIDDEN,    1, 2, TINY_INNER,
                             TINY_ROWS, TINY_POSITIONS, 2};
    const uint32_t tail[] = {32, COUNT(pieces), 0, 2, 1, 3};
    float epsilon = 1e-12f;
    uint64_t text = 0;
    lc_buffer out, directory, data;
    lc_buffer_init(&out, 0);
    lc_buffer_init(&directory, 0);
    lc_buffer_init(&data, 0);
    for (size_t i = 0; i < COUNT(pieces); i++)
        text += strlen(pieces[i]);
    lc_buffer_text(&out, "E5S1");
    lc_buffer_add(&out, head, sizeof head);
    lc_buffer_add(&out, &epsilon, sizeof epsilon);
    lc_buffer_add(&out, tail, sizeof tail);
    lc_buffer_add(&out, &text, sizeof text);
    put_vocabulary(&out);
    put_directory(&directory, 0, &data);
    uint64_t start = (out.size + directory.size + 63) / 64 * 64;
    lc_buffer_clear(&directory);
    lc_buffer_clear(&data);
    put_directory(&directory, start, &data);
    lc_buffer_add(&out, directory.data, directory.size);
    while (out.size < start)
        lc_buffer_byte(&out, 0);
    lc_buffer_add(&out, data.data, data.size);
    lc_buffer_done(&directory);
    lc_buffer_done(&data);
    return kept_span(&out);
}
