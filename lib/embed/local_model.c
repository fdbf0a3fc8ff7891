#include "embed/local_model.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "embed/fold_han.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* Workspaces kept for the next call: as many as threads are likely to be in the encoder
 * at once. */
#define STOCK 64

/* Bytes of text a token may stand for, for the size of the fold buffer; beyond, a text is
 * too long. */
#define TOKEN_BYTES 48

struct lc_local_model {
    lc_model_file file;
    lc_gguf *gguf;
    lc_encoder *encoder;
    lc_tokenizer *tokenizer;
    lc_encoder_facts facts;
    _Atomic(lc_workspace *) stock[STOCK];
};

/* ---- Finding ---------------------------------------------------------------------- */

/* What a folder holds, for local:/some/folder. */
typedef struct only_model {
    char *path;
    size_t count;
} only_model;

static int note_model(void *user, const lc_model_file *file)
{
    only_model *only = user;
    if (only->count++)
        return 0;
    only->path = lc_strdup(file->path);
    return only->path ? 0 : LLMCACHE_MEMORY;
}

static int find_in_folder(const char *folder, lc_model_file *file, llmcache_error *err)
{
    only_model only = {NULL, 0};
    int rc = lc_models_each(folder, note_model, &only, err);
    if (rc == LLMCACHE_MEMORY)
        rc = lc_fail_memory(err);
    if (!rc && only.count != 1)
        rc = lc_fail(err, LLMCACHE_NOT_FOUND, "%zu models in %s: name one file",
                     only.count, folder);
    if (!rc)
        rc = lc_model_find(folder, only.path, 1, file, err);
    lc_free(only.path);
    return rc;
}

static int find(const char *folder, const char *name, lc_model_file *file,
                llmcache_error *err)
{
    struct stat about;
    if (name && strchr(name, '/') && stat(name, &about) == 0 && S_ISDIR(about.st_mode))
        return find_in_folder(name, file, err);
    return lc_model_find(folder, name, 1, file, err);
}

/* ---- Opening ---------------------------------------------------------------------- */

static int load(lc_local_model *model, lc_precision precision, llmcache_error *err)
{
    lc_encoder_options options = {.precision = precision};
    int rc = lc_gguf_open(model->file.path, &model->gguf, err);
    if (!rc)
        rc = lc_tokenizer_new(model->gguf, &model->tokenizer, err);
    if (!rc)
        rc = lc_encoder_new(model->gguf, &options, &model->encoder, err);
    if (rc)
        return rc;
    lc_encoder_facts_of(model->encoder, &model->facts);
    if (lc_tokenizer_count(model->tokenizer) > model->facts.words)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "model %s: more tokens than rows in token_embd.weight",
                       model->file.name);
    if (model->facts.max_tokens < 4)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "model %s: takes %zu tokens only",
                       model->file.name, model->facts.max_tokens);
    return 0;
}

int lc_local_model_open(const char *folder, const char *name, lc_precision precision,
                        lc_local_model **model, llmcache_error *err)
{
    lc_local_model *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    int rc = find(folder, name, &made->file, err);
    if (!rc)
        rc = load(made, precision, err);
    if (rc)
        lc_local_model_close(made);
    else
        *model = made;
    return rc;
}

static void free_workspace(lc_workspace *workspace)
{
    if (!workspace)
        return;
    lc_scratch_free(workspace->encoder);
    lc_token_scratch_free(workspace->tokens);
    lc_free(workspace->folded);
    lc_free(workspace->ids);
    lc_free(workspace->states);
    lc_free(workspace->picked);
    lc_free(workspace->vector);
    lc_free(workspace);
}

void lc_local_model_close(lc_local_model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < STOCK; i++)
        free_workspace(atomic_load(&model->stock[i]));
    lc_encoder_free(model->encoder);
    lc_tokenizer_free(model->tokenizer);
    lc_gguf_close(model->gguf);
    lc_model_file_done(&model->file);
    lc_free(model);
}

const lc_model_file *lc_local_model_file(const lc_local_model *model)
{
    return &model->file;
}

const lc_encoder *lc_local_model_encoder(const lc_local_model *model)
{
    return model->encoder;
}

const lc_tokenizer *lc_local_model_tokenizer(const lc_local_model *model)
{
    return model->tokenizer;
}

const lc_encoder_facts *lc_local_model_facts(const lc_local_model *model)
{
    return &model->facts;
}

/* ---- Workspaces ------------------------------------------------------------------- */

static size_t text_room(const lc_local_model *model)
{
    return model->facts.max_tokens * TOKEN_BYTES;
}

static int make_workspace(const lc_local_model *model, lc_workspace **workspace,
                          llmcache_error *err)
{
    lc_workspace *made = lc_zalloc(sizeof *made);
    size_t tokens = model->facts.max_tokens;
    if (!made)
        return lc_fail_memory(err);
    made->folded =
        lc_alloc(LC_FOLD_HAN_ROOM(text_room(model)) + 1); /* of a pair: two ends */
    made->ids = lc_alloc_array(LC_LOCAL_BATCH * tokens, sizeof *made->ids);
    made->states = lc_alloc_array(tokens * model->facts.dimension, sizeof *made->states);
    made->picked =
        lc_alloc_array(LC_STATES_MAX * model->facts.dimension, sizeof *made->picked);
    made->vector = lc_alloc_array(model->facts.dimension, sizeof *made->vector);
    int rc = made->folded && made->ids && made->states && made->picked && made->vector
                 ? 0
                 : lc_fail_memory(err);
    if (!rc)
        rc = lc_scratch_new(&made->encoder, err);
    if (!rc)
        rc = lc_token_scratch_new(model->tokenizer, tokens, &made->tokens, err);
    if (rc)
        free_workspace(made);
    else
        *workspace = made;
    return rc;
}

int lc_workspace_borrow(lc_local_model *model, lc_workspace **workspace,
                        llmcache_error *err)
{
    for (size_t i = 0; i < STOCK; i++) {
        lc_workspace *found = NULL;
        if (atomic_load_explicit(&model->stock[i], memory_order_relaxed))
            found = atomic_exchange(&model->stock[i], NULL);
        if (found) {
            *workspace = found;
            return 0;
        }
    }
    return make_workspace(model, workspace, err);
}

void lc_workspace_return(lc_local_model *model, lc_workspace *workspace)
{
    for (size_t i = 0; i < STOCK; i++) {
        lc_workspace *empty = NULL;
        if (atomic_compare_exchange_strong(&model->stock[i], &empty, workspace))
            return;
    }
    free_workspace(workspace);
}

/* ---- Reading ---------------------------------------------------------------------- */

static uint32_t *ids_of(const lc_local_model *model, lc_workspace *workspace, size_t slot)
{
    return workspace->ids + slot * model->facts.max_tokens;
}

/*
 * Writing that a model of English alone cannot have learned: Cyrillic to the Indic and Semitic scripts, kana, Han,
 * Hangul. Its vocabulary has single characters of them all the same, so nothing would be unknown and
 * what it makes of them is noise. Greek stays: it stands in English texts.
 */
static int is_foreign(uint32_t cp)
{
    return (cp >= 0x0400 && cp < 0x1e00) || (cp >= 0x2e80 && cp < 0xd800) ||
           (cp >= 0xf900 && cp < 0xfb00) || (cp >= 0xff66 && cp < 0xffe0) ||
           (cp >= 0x20000 && cp < 0x40000);
}

static unsigned count_foreign(const lc_local_model *model, const char *text, size_t size)
{
    unsigned count = 0;
    if (strcmp(model->file.languages, "English") != 0)
        return 0;
    for (size_t at = 0, length; at < size; at += length)
        count += is_foreign(lc_utf8_decode(text + at, size - at, &length)) != 0;
    return count;
}

void lc_workspace_read(const lc_local_model *model, lc_workspace *workspace, size_t slot,
                       const char *text, size_t size)
{
    uint32_t *ids = ids_of(model, workspace, slot);
    lc_tokens *tokens = &workspace->texts[slot];
    *tokens = (lc_tokens){ids, 0, 0};
    workspace->info[slot] = (lc_token_info){0, 1};
    if (size > text_room(model))
        return;
    size_t folded = lc_fold_han(model->tokenizer, text, size, workspace->folded);
    lc_tokenizer_encode(model->tokenizer, workspace->tokens, workspace->folded, folded,
                        ids, model->facts.max_tokens, &tokens->count,
                        &workspace->info[slot]);
    workspace->info[slot].unknown += count_foreign(model, text, size);
}

/* Both sides are folded into halves of the one buffer. */
void lc_workspace_read_pair(const lc_local_model *model, lc_workspace *workspace,
                            size_t slot, lc_span left, lc_span right)
{
    uint32_t *ids = ids_of(model, workspace, slot);
    lc_tokens *tokens = &workspace->texts[slot];
    size_t first;
    *tokens = (lc_tokens){ids, 0, 0};
    workspace->info[slot] = (lc_token_info){0, 1};
    if (left.size > text_room(model) || right.size > text_room(model) - left.size)
        return;
    char *second = workspace->folded + LC_FOLD_HAN_ROOM(left.size);
    left.size = lc_fold_han(model->tokenizer, left.data, left.size, workspace->folded);
    right.size = lc_fold_han(model->tokenizer, right.data, right.size, second);
    left.data = workspace->folded;
    right.data = second;
    lc_tokenizer_encode_pair(model->tokenizer, workspace->tokens, left, right, ids,
                             model->facts.max_tokens, &tokens->count, &first,
                             &workspace->info[slot]);
    tokens->second = lc_tokenizer_pair_types(model->tokenizer) ? first : 0;
}

int lc_workspace_judge(const lc_local_model *model, const lc_workspace *workspace,
                       size_t slot, llmcache_error *err)
{
    const lc_token_info *info = &workspace->info[slot];
    if (info->unknown)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "the text has what the model %s knows no token for (%u places)",
                       model->file.name, (unsigned)info->unknown);
    if (info->cut)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "the text is longer than the %zu tokens that the model %s takes",
                       model->facts.max_tokens, model->file.name);
    return 0;
}
