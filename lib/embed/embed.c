/* Opening an embedder by URI. */
#include "embed/embed.h"

#include "base/error.h"

#include <string.h>

/* ---- A seat kept: an embedder that says why it cannot ---------------------------------------------- */

static int embed_nothing(void *self, const char *const *texts, size_t count, float *vectors,
                         int64_t deadline_ms, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_UNSUPPORTED,
                   "this build has no encoder of its own: set --embedder openai:<model> or none");
}

static size_t no_dimension(void *self)
{
    return 0;
}

static int discover_nothing(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return embed_nothing(self, NULL, 0, NULL, deadline_ms, err);
}

static const char *no_space(void *self)
{
    return "local:";
}

static double no_threshold(void *self)
{
    return 0;
}

static void close_nothing(void *self)
{
}

static int open_without_encoder(lc_embedder *embedder)
{
    *embedder = (lc_embedder){
        .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "local", .embed = embed_nothing,
                .dimension = no_dimension, .discover = discover_nothing, .space = no_space,
                .threshold = no_threshold, .close = close_nothing}};
    return 0;
}

/* ---- Opening ---------------------------------------------------------------------------------------- */

int lc_embedder_open(const char *uri, const lc_embedder_options *options, lc_embedder *embedder,
                     llmcache_error *err)
{
    if (strcmp(uri, "none") == 0 || strcmp(uri, "none:") == 0) {
        *embedder = (lc_embedder){.ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "none"}};
        return 0;
    }
    if (strncmp(uri, "openai:", 7) == 0)
        return lc_embedder_open_openai(uri + 7, options, embedder, err);
    if (strncmp(uri, "local:", 6) == 0)
        return open_without_encoder(embedder);
    return lc_fail(err, LLMCACHE_SETTING,
                   "embedder: '%.60s' is none of local:, local:<model or folder>, openai:<model>, "
                   "none", uri);
}

void lc_embedder_close(lc_embedder *embedder)
{
    if (embedder->ops.close)
        embedder->ops.close(embedder->self);
    *embedder = (lc_embedder){0};
}
