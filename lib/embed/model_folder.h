/*
 * The models folder: which files are there, what is known of each, and putting a new one
 * in place.
 *
 * NAME.gguf is the model, NAME.json its manifest (facts that are not in the file, and its
 * hashes), NAME.LICENSE.txt its licence. A file without a manifest is a model too: people
 * may drop in what they have. Nothing here keeps state; each call looks at the folder
 * anew.
 */
#ifndef LC_EMBED_MODEL_FOLDER_H
#define LC_EMBED_MODEL_FOLDER_H

#include "embed/gguf.h"
#include "embed/model_registry.h"

#define LC_HASH_TEXT 65 /* SHA-256 in hexadecimal, and its NUL */

/* One model of the folder, or of a path. Texts belong to it, none is NULL. */
typedef struct lc_model_file {
    char *name;
    char *path;
    char *license;
    char *languages;
    char *source;
    char weights[LC_HASH_TEXT]; /* the identity: lc_gguf_weights_hash */
    char sha256[LC_HASH_TEXT];  /* of the file as placed; "" without a manifest */
    uint64_t bytes;
    double threshold; /* 0: no advice */
    int known;        /* of the registry */
} lc_model_file;

void lc_model_file_done(lc_model_file *file); /* accepts a zeroed one */

/* The folder: `setting` unless it is empty, otherwise llmcache/models under the XDG data
 * folder. */
int lc_models_folder(const char *setting, char **folder, llmcache_error *err);

/*
 * The model of that name, without case; of that path, if it has a slash or ends in .gguf;
 * "" or NULL: the default. LLMCACHE_NOT_FOUND says how to get one.
 *
 * With `weights` the hash of the weights is always there: from the manifest, or else by
 * reading the whole file (some 50 ms for 70 MB); otherwise it may be "".
 */
int lc_model_find(const char *setting, const char *name, int weights, lc_model_file *file,
                  llmcache_error *err);

/*
 * The hashes that the manifest of a found model states, even where the file was changed
 * since: what it should be. Both stay "" without a manifest.
 */
int lc_model_recorded(const lc_model_file *file, char weights[LC_HASH_TEXT],
                      char sha256[LC_HASH_TEXT], llmcache_error *err);

/* Calls `fn` for each model of the folder, by name. A folder that is not there is empty.
 */
int lc_models_each(const char *setting, int (*fn)(void *user, const lc_model_file *file),
                   void *user, llmcache_error *err);

/* 1 if a model may have this name: letters, digits, . _ - ; not first a dot or dash; up
 * to 96. */
int lc_model_name_ok(const char *name);

/* ---- Placing --------------------------------------------------------------------- */

/* A file on its way into the folder: written under another name until it is whole. */
typedef struct lc_model_draft {
    char *folder;
    char *path; /* of the temporary file */
    int file;   /* its descriptor; the caller writes it */
} lc_model_draft;

/* Makes the folder if need be. `done` removes what was not placed; accepts a zeroed one.
 */
int lc_model_draft_new(const char *setting, lc_model_draft *draft, llmcache_error *err);
void lc_model_draft_done(lc_model_draft *draft);

/*
 * Puts the finished file in place atomically, with its manifest and the licence text
 * (`notice`, may be empty). `file` has the facts; its path is set here, hashes and size
 * are the caller's.
 */
int lc_model_draft_place(lc_model_draft *draft, lc_model_file *file, const char *notice,
                         llmcache_error *err);

/* SHA-256 of a whole file, read, not mapped. `tick` (may be NULL) may stop it:
 * LLMCACHE_ABORTED. */
typedef struct lc_ticker {
    int (*tick)(void *user, const char *step, uint64_t done, uint64_t total);
    void *user;
} lc_ticker;

int lc_tick(const lc_ticker *ticker, const char *step, uint64_t done, uint64_t total,
            llmcache_error *err);
int lc_file_hash(const char *path, const char *step, const lc_ticker *ticker,
                 char text[LC_HASH_TEXT], llmcache_error *err);

#endif
