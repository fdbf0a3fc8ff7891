/*
 * Safetensors with a config.json to GGUF. Names are those of transformers' BERT; RoBERTa
 * and XLM-R have the same under another prefix, and number positions from pad_token_id +
 * 1: those first rows are left away, as llama.cpp's converter does, so that positions
 * start at 0 for every model.
 */
#include "base/error.h"
#include "embed/import.h"
#include "embed/safetensors.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAME   128
#define MAX_LAYERS 256

typedef struct hf_model {
    lc_safetensors tensors;
    const char *prefix; /* before every name: "bert.", "roberta.", "" */
    lc_tensor_type matrices;
    uint32_t first_position; /* rows of the position table to leave away */
    lc_bert_shape shape;
    lc_gguf_writer *writer;
} hf_model;

typedef enum tensor_role {
    VECTOR,
    MATRIX,
    TABLE
} tensor_role; /* TABLE: small, kept as F32 */

typedef struct translation {
    const char *theirs;
    const char *ours;
    tensor_role role;
} translation;

static const translation whole_model[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight", MATRIX},
    {"embeddings.token_type_embeddings.weight", "token_types.weight", TABLE},
    {"embeddings.LayerNorm.weight", "token_embd_norm.weight", VECTOR},
    {"embeddings.LayerNorm.bias", "token_embd_norm.bias", VECTOR},
};

static const translation each_layer[] = {
    {"attention.self.query.weight", "attn_q.weight", MATRIX},
    {"attention.self.query.bias", "attn_q.bias", VECTOR},
    {"attention.self.key.weight", "attn_k.weight", MATRIX},
    {"attention.self.key.bias", "attn_k.bias", VECTOR},
    {"attention.self.value.weight", "attn_v.weight", MATRIX},
    {"attention.self.value.bias", "attn_v.bias", VECTOR},
    {"attention.output.dense.weight", "attn_output.weight", MATRIX},
    {"attention.output.dense.bias", "attn_output.bias", VECTOR},
    {"attention.output.LayerNorm.weight", "attn_output_norm.weight", VECTOR},
    {"attention.output.LayerNorm.bias", "attn_output_norm.bias", VECTOR},
    {"intermediate.dense.weight", "ffn_up.weight", MATRIX},
    {"intermediate.dense.bias", "ffn_up.bias", VECTOR},
    {"output.dense.weight", "ffn_down.weight", MATRIX},
    {"output.dense.bias", "ffn_down.bias", VECTOR},
    {"output.LayerNorm.weight", "layer_output_norm.weight", VECTOR},
    {"output.LayerNorm.bias", "layer_output_norm.bias", VECTOR},
};

/* The head of a cross-encoder; BERT's pooler and RoBERTa's dense layer do the same. */
static const translation bert_head[] = {
    {"pooler.dense.weight", "cls.weight", TABLE},
    {"pooler.dense.bias", "cls.bias", VECTOR},
};
static const translation bert_score[] = {
    {"classifier.weight", "cls.output.weight", TABLE},
    {"classifier.bias", "cls.output.bias", VECTOR},
};
static const translation roberta_score[] = {
    {"classifier.dense.weight", "cls.weight", TABLE},
    {"classifier.dense.bias", "cls.bias", VECTOR},
    {"classifier.out_proj.weight", "cls.output.weight", TABLE},
    {"classifier.out_proj.bias", "cls.output.bias", VECTOR},
};

/* ---- Tensors --------------------------------------------------------------------- */

/* Older files call the norms' weight and bias gamma and beta. */
static int find_tensor(const hf_model *model, const char *name, lc_safetensor *tensor,
                       llmcache_error *err)
{
    char older[MAX_NAME + 8];
    const char *norm = strstr(name, "LayerNorm.");
    if (norm && !lc_safetensors_has(&model->tensors, name)) {
        snprintf(older, sizeof older, "%.*s%s", (int)(norm + 10 - name), name,
                 strcmp(norm + 10, "bias") ? "gamma" : "beta");
        name = lc_safetensors_has(&model->tensors, older) ? older : name;
    }
    return lc_safetensors_get(&model->tensors, name, tensor, err);
}

static void put(const hf_model *model, const char *name, tensor_role role,
                const lc_safetensor *tensor)
{
    lc_tensor_type to = LC_TENSOR_F32;
    if (role == MATRIX &&
        tensor->length % lc_tensor_layout_of(model->matrices)->count == 0)
        to = model->matrices;
    lc_gguf_source row = {.name = name,
                          .from = tensor->type,
                          .to = to,
                          .n_dims = tensor->n_dims,
                          .dims = {tensor->length, tensor->rows},
                          .data = tensor->data};
    lc_gguf_put_tensor(model->writer, &row);
}

static int put_rows(const hf_model *model, const translation *rows, size_t count,
                    const char *there, const char *here, llmcache_error *err)
{
    for (size_t i = 0; i < count; i++) {
        char theirs[MAX_NAME], ours[LC_GGUF_NAME_SIZE];
        lc_safetensor tensor;
        snprintf(theirs, sizeof theirs, "%s%s", there, rows[i].theirs);
        snprintf(ours, sizeof ours, "%s%s", here, rows[i].ours);
        int rc = find_tensor(model, theirs, &tensor, err);
        if (rc)
            return rc;
        if ((rows[i].role == VECTOR) != (tensor.n_dims == 1))
            return lc_fail(err, LLMCACHE_CORRUPT,
                           "safetensors: tensor %s has an unexpected shape", theirs);
        put(model, ours, rows[i].role, &tensor);
    }
    return 0;
}

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static int put_positions(const hf_model *model, llmcache_error *err)
{
    char name[MAX_NAME];
    lc_safetensor table;
    snprintf(name, sizeof name, "%sembeddings.position_embeddings.weight", model->prefix);
    int rc = lc_safetensors_get(&model->tensors, name, &table, err);
    if (rc)
        return rc;
    uint64_t first = model->first_position, positions = model->shape.positions;
    if (table.n_dims != 2 || table.rows < first || table.rows - first < positions)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "safetensors: tensor %s has an unexpected shape", name);
    table.data += first * lc_tensor_row_bytes(table.type, table.length);
    table.rows = positions;
    put(model, "position_embd.weight", TABLE, &table);
    return 0;
}

static int put_head(const hf_model *model, llmcache_error *err)
{
    char there[MAX_NAME];
    if (model->shape.pooling != LC_POOLING_RANK)
        return 0;
    if (model->first_position)
        return put_rows(model, roberta_score, COUNT(roberta_score), "", "", err);
    snprintf(there, sizeof there, "%s", model->prefix);
    int rc = put_rows(model, bert_head, COUNT(bert_head), there, "", err);
    return rc ? rc : put_rows(model, bert_score, COUNT(bert_score), "", "", err);
}

static int put_tensors(const hf_model *model, llmcache_error *err)
{
    int rc = put_rows(model, whole_model, COUNT(whole_model), model->prefix, "", err);
    if (rc == 0)
        rc = put_positions(model, err);
    for (uint32_t layer = 0; rc == 0 && layer < model->shape.layers; layer++) {
        char there[48], here[16];
        snprintf(there, sizeof there, "%sencoder.layer.%u.", model->prefix,
                 (unsigned)layer);
        snprintf(here, sizeof here, "blk.%u.", (unsigned)layer);
        rc = put_rows(model, each_layer, COUNT(each_layer), there, here, err);
    }
    return rc ? rc : put_head(model, err);
}

/* ---- Configuration --------------------------------------------------------------- */

static int parse(lc_span text, const char *what, lc_json **json, llmcache_error *err)
{
    llmcache_error why;
    int rc = lc_json_parse(text.data, text.size, json, &why);
    return rc ? lc_fail(err, rc == LLMCACHE_MEMORY ? rc : LLMCACHE_CORRUPT, "%s is %s",
                        what, why.message)
              : 0;
}

static int read_count(const lc_json *config, const char *key, int64_t most,
                      uint32_t *value, llmcache_error *err)
{
    int64_t wide;
    if (!lc_json_integer(lc_json_get(config, key), &wide) || wide < 1 || wide > most)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "config.json: %s is missing or out of range", key);
    *value = (uint32_t)wide;
    return 0;
}

/* bert, roberta or xlm-roberta, with the graph of the plain one. */
static int read_family(const lc_json *config, hf_model *model, llmcache_error *err)
{
    const char *type = lc_json_text(lc_json_get(config, "model_type"), NULL);
    const char *positions =
        lc_json_text(lc_json_get(config, "position_embedding_type"), NULL);
    const char *act = lc_json_text(lc_json_get(config, "hidden_act"), NULL);
    const char *made =
        lc_json_text(lc_json_at(lc_json_get(config, "architectures"), 0), NULL);
    int64_t pad = 1;
    int roberta = type && (!strcmp(type, "roberta") || !strcmp(type, "xlm-roberta"));
    if (!type || (!roberta && strcmp(type, "bert")))
        return lc_fail(
            err, LLMCACHE_UNSUPPORTED,
            "config.json: model_type %.60s; bert, roberta and xlm-roberta are supported",
            type ? type : "is missing");
    if ((positions && strcmp(positions, "absolute")) || (act && strcmp(act, "gelu")))
        return lc_fail(
            err, LLMCACHE_UNSUPPORTED,
            "config.json: only absolute positions and exact GELU are supported");
    if (roberta) {
        lc_json_integer(lc_json_get(config, "pad_token_id"), &pad);
        if (pad < 0 || pad > 1000)
            return lc_fail(err, LLMCACHE_CORRUPT,
                           "config.json: pad_token_id is out of range");
        model->first_position = (uint32_t)pad + 1;
    }
    if (made && strstr(made, "ForSequenceClassification"))
        model->shape.pooling = LC_POOLING_RANK;
    return 0;
}

static int read_config(lc_span text, hf_model *model, llmcache_error *err)
{
    lc_json *config;
    lc_bert_shape *shape = &model->shape;
    double epsilon = 1e-12;
    int rc = parse(text, "config.json", &config, err);
    if (rc)
        return rc;
    rc = read_family(config, model, err);
    if (rc == 0)
        rc = read_count(config, "num_hidden_layers", MAX_LAYERS, &shape->layers, err);
    if (rc == 0)
        rc = read_count(config, "max_position_embeddings", 1 << 20, &shape->positions,
                        err);
    if (rc == 0)
        rc = read_count(config, "hidden_size", 1 << 16, &shape->hidden, err);
    if (rc == 0)
        rc = read_count(config, "intermediate_size", 1 << 18, &shape->inner, err);
    if (rc == 0)
        rc = read_count(config, "num_attention_heads", 1 << 10, &shape->heads, err);
    lc_json_number(lc_json_get(config, "layer_norm_eps"), &epsilon);
    lc_json_free(config);
    if (rc)
        return rc;
    if (shape->positions <= model->first_position || shape->hidden % shape->heads ||
        !(epsilon > 0 && epsilon < 1))
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "config.json: the sizes do not fit each other");
    shape->epsilon = (float)epsilon;
    shape->positions -= model->first_position;
    return 0;
}

/* The length the model was made for may be less than it has positions. */
static int read_sentence(lc_span text, hf_model *model, llmcache_error *err)
{
    lc_json *config;
    int64_t most;
    int rc = text.size ? parse(text, "sentence_bert_config.json", &config, err) : 0;
    if (rc || text.size == 0)
        return rc;
    if (lc_json_integer(lc_json_get(config, "max_seq_length"), &most) && most >= 4 &&
        most < model->shape.positions)
        model->shape.positions = (uint32_t)most;
    lc_json_free(config);
    return 0;
}

static int read_pooling(lc_span text, hf_model *model, llmcache_error *err)
{
    lc_json *config;
    if (model->shape.pooling == LC_POOLING_RANK)
        return 0;
    model->shape.pooling = LC_POOLING_MEAN;
    int rc = text.size ? parse(text, "1_Pooling/config.json", &config, err) : 0;
    if (rc || text.size == 0)
        return rc;
    int mean = lc_json_is_true(lc_json_get(config, "pooling_mode_mean_tokens"));
    int cls = lc_json_is_true(lc_json_get(config, "pooling_mode_cls_token"));
    lc_json_free(config);
    if (mean == cls)
        return lc_fail(
            err, LLMCACHE_UNSUPPORTED,
            "1_Pooling/config.json: only pooling by mean or by CLS is supported");
    model->shape.pooling = mean ? LC_POOLING_MEAN : LC_POOLING_CLS;
    return 0;
}

/* Finds out under which prefix the model's tensors are, and how many words it has. */
static int find_words(hf_model *model, uint32_t *rows, llmcache_error *err)
{
    static const char *const prefixes[] = {"bert.", "roberta.", "model.", ""};
    char name[MAX_NAME];
    lc_safetensor words;
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        model->prefix = prefixes[i];
        snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", prefixes[i]);
        if (lc_safetensors_has(&model->tensors, name))
            break;
    }
    int rc = lc_safetensors_get(&model->tensors, name, &words, err);
    if (rc)
        return rc;
    if (words.n_dims != 2 || words.rows > 1 << 22 || words.length != model->shape.hidden)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "safetensors: the word table does not fit config.json");
    *rows = (uint32_t)words.rows;
    return 0;
}

static lc_file_type file_type(lc_tensor_type matrices)
{
    return matrices == LC_TENSOR_F32   ? LC_FILE_F32
           : matrices == LC_TENSOR_F16 ? LC_FILE_F16
                                       : LC_FILE_Q8_0;
}

int lc_import_safetensors(const lc_hf_files *files, const char *name, const char *license,
                          lc_tensor_type matrices, lc_gguf_writer *writer,
                          llmcache_error *err)
{
    hf_model model = {.matrices = matrices, .writer = writer};
    uint32_t rows = 0;
    model.shape.name = name;
    model.shape.license = license;
    model.shape.file_type = file_type(matrices);
    int rc = read_config(files->config, &model, err);
    if (rc == 0)
        rc = read_sentence(files->sentence, &model, err);
    if (rc == 0)
        rc = read_pooling(files->pooling, &model, err);
    if (rc == 0)
        rc = lc_safetensors_open(files->weights, &model.tensors, err);
    if (rc == 0)
        rc = find_words(&model, &rows, err);
    if (rc == 0) {
        lc_import_put_shape(writer, &model.shape);
        rc = lc_import_tokenizer(files, rows, writer, err);
    }
    if (rc == 0)
        rc = put_tensors(&model, err);
    lc_safetensors_done(&model.tensors);
    return rc;
}
