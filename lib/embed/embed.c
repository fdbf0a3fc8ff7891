/* Opening an embedder by URI. */
#include "embed/embed.h"

#include "base/error.h"

#include <string.h>

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
        return lc_embedder_open_local(uri + 6, options, embedder, err);
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
