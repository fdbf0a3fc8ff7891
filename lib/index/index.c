/* Indexes by URI. */
#include "index/index.h"

#include "base/error.h"
#include "index/faiss_index.h"
#include "index/flat_index.h"
#include "index/postgres_index.h"
#include "index/redis_index.h"
#include "net/redis_uri.h"

#include <string.h>

static int open_flat(const char *rest, const lc_index_options *options, lc_index *index, llmcache_error *err)
{
    lc_flat *flat;
    int code = *rest ? lc_fail(err, LLMCACHE_SETTING, "setting index: flat: takes nothing more")
                     : lc_flat_new(&flat, err);
    if (!code)
        *index = (lc_index){lc_flat_ops, flat};
    return code;
}

#ifndef LC_HAVE_FAISS
int lc_faiss_open(const char *rest, const lc_index_options *options, lc_index *index, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_UNSUPPORTED,
                   "setting index: this build is without FAISS, which searches partitions of very many records "
                   "faster than flat: (build with libfaiss-dev and -Dfaiss=enabled)");
}
#endif

#ifndef LC_HAS_POSTGRESQL
int lc_postgres_index_open(const char *rest, const lc_index_options *options, lc_index *index, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_UNSUPPORTED,
                   "setting index: this build is without PostgreSQL (build with libpq-dev and -Dpostgresql=enabled)");
}
#endif

static const struct {
    const char *scheme;
    int (*open)(const char *rest, const lc_index_options *options, lc_index *index, llmcache_error *err);
} kinds[] = {
    {"flat", open_flat},
    {"faiss", lc_faiss_open},
    {"redis", lc_redis_index_open},
    {"pgvector", lc_postgres_index_open},
};

int lc_index_open(const char *uri, const lc_index_options *options, lc_index *index, llmcache_error *err)
{
    static const lc_index_options none = {.vector_space = ""};
    if (lc_redis_is_sentinel(uri))
        return lc_redis_index_open(uri, options ? options : &none, index, err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].scheme);
        if (strncmp(uri, kinds[i].scheme, length) == 0 && (!uri[length] || uri[length] == ':'))
            return kinds[i].open(uri[length] ? uri + length + 1 : "", options ? options : &none, index, err);
    }
    return lc_fail(err, LLMCACHE_SETTING, "setting index: \"%.60s\" is not one of flat:, faiss:, redis:, pgvector:", uri);
}

void lc_index_close(lc_index *index)
{
    if (index->ops.close)
        index->ops.close(index->self);
    *index = (lc_index){0};
}
