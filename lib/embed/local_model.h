/*
 * A model of the models folder, opened for use: file, tokenizer and encoder, and a stock
 * of workspaces so that any number of threads can use it without locks and, in the steady
 * state, without allocating.
 */
#ifndef LC_EMBED_LOCAL_MODEL_H
#define LC_EMBED_LOCAL_MODEL_H

#include "embed/encoder.h"
#include "embed/local_embedder.h"
#include "embed/model_folder.h"
#include "embed/tokenizer.h"

/* Texts that go through the encoder in one call. */
#define LC_LOCAL_BATCH 16

/* What one call works in. */
typedef struct lc_workspace {
    lc_scratch *encoder;
    lc_token_scratch *tokens;
    char *folded;                    /* of one text */
    uint32_t *ids;                   /* LC_LOCAL_BATCH x max_tokens */
    lc_tokens texts[LC_LOCAL_BATCH]; /* whose ids those are */
    lc_token_info info[LC_LOCAL_BATCH];
    float *states; /* max_tokens x dimension: last layer of one text */
    float *picked; /* LC_STATES_MAX x dimension: those that are handed on */
    float *vector; /* dimension */
} lc_workspace;

typedef struct lc_local_model lc_local_model;

/*
 * name: as lc_model_find takes it, or a folder with one model in it. folder: the setting
 * models-folder. The model's hash of weights is known.
 */
int lc_local_model_open(const char *folder, const char *name, lc_precision precision,
                        lc_local_model **model, llmcache_error *err);
void lc_local_model_close(lc_local_model *model); /* accepts NULL */

const lc_model_file *lc_local_model_file(const lc_local_model *model);
const lc_encoder *lc_local_model_encoder(const lc_local_model *model);
const lc_tokenizer *lc_local_model_tokenizer(const lc_local_model *model);
const lc_encoder_facts *lc_local_model_facts(const lc_local_model *model);

/* One of the stock, or a new one; give it back after the call. */
int lc_workspace_borrow(lc_local_model *model, lc_workspace **workspace,
                        llmcache_error *err);
void lc_workspace_return(lc_local_model *model, lc_workspace *workspace);

/*
 * Folds (fold_han.h) and tokenises a text into place `slot` of the workspace. A text far
 * too long to fit is not looked at further: it counts as cut and has no tokens.
 */
void lc_workspace_read(const lc_local_model *model, lc_workspace *workspace, size_t slot,
                       const char *text, size_t size);

/* The same for a pair, as cross-encoders take it. */
void lc_workspace_read_pair(const lc_local_model *model, lc_workspace *workspace,
                            size_t slot, lc_span left, lc_span right);

/*
 * 0, or LLMCACHE_UNSUPPORTED with the reason why what was read into `slot` must not be
 * compared by meaning: it has characters that the model does not know, or does not fit
 * into it.
 */
int lc_workspace_judge(const lc_local_model *model, const lc_workspace *workspace,
                       size_t slot, llmcache_error *err);

#endif
