/*
 * Embedders by URI. All are llmcache_embedder_ops (backend.h) over an opaque self.
 */
#ifndef LC_EMBED_EMBED_H
#define LC_EMBED_EMBED_H

#include <llmcache/backend.h>

typedef struct lc_embedder {
    llmcache_embedder_ops ops; /* embed NULL: no embedder, nothing is matched by meaning */
    void *self;
} lc_embedder;

typedef struct lc_embedder_options {
    struct lc_http *http;       /* borrowed */
    const char *base_url;       /* of openai: */
    const char *api_key;        /* of openai:, "" for none */
    const char *models_folder;  /* of local:, "" for the XDG data folder */
} lc_embedder_options;

/* local:[name or path], openai:<model>, none. */
int lc_embedder_open(const char *uri, const lc_embedder_options *options, lc_embedder *embedder,
                     llmcache_error *err);
int lc_embedder_open_openai(const char *model, const lc_embedder_options *options,
                            lc_embedder *embedder, llmcache_error *err);
int lc_embedder_open_local(const char *model, const lc_embedder_options *options,
                           lc_embedder *embedder, llmcache_error *err);
void lc_embedder_close(lc_embedder *embedder); /* accepts a zeroed one */

#endif
