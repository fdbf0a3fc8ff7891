/* What the setting index says behind "pgvector:". */
#include "index/postgres_index_inside.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FROM_DEFAULT = 1000, EF_DEFAULT = 100 };

static int read_number(const char *text, size_t length, int64_t least, int64_t most, int64_t *number,
                       llmcache_error *err)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (!length || end != text + length || value < least || value > most)
        return lc_fail(err, LLMCACHE_SETTING, "setting index: \"%.40s\" is not a number from %lld to %lld", text,
                       (long long)least, (long long)most);
    *number = value;
    return 0;
}

static int read_scan(const char *text, size_t length, enum lc_pgi_scan *scan, llmcache_error *err)
{
    static const char *const names[] = {"off", "strict", "relaxed"};
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == length && strncmp(text, names[i], length) == 0) {
            *scan = (enum lc_pgi_scan)i;
            return 0;
        }
    return lc_fail(err, LLMCACHE_SETTING, "setting index: iterative is off, strict or relaxed, not \"%.20s\"", text);
}

/* What follows the #: from=N, ef=N, iterative=..., joined by &. */
static int read_options(lc_pgi *index, const char *text, llmcache_error *err)
{
    int rc = 0;
    while (*text && !rc) {
        size_t length = strcspn(text, "&");
        if (strncmp(text, "from=", 5) == 0)
            rc = read_number(text + 5, length - 5, 0, 1000000000, &index->from, err);
        else if (strncmp(text, "ef=", 3) == 0)
            rc = read_number(text + 3, length - 3, 1, 1000, &index->ef, err);
        else if (strncmp(text, "iterative=", 10) == 0)
            rc = read_scan(text + 10, length - 10, &index->scan, err);
        else
            rc = lc_fail(err, LLMCACHE_SETTING,
                         "setting index: \"%.40s\" is none of from=N, ef=N, iterative=off|strict|relaxed", text);
        text += length + (text[length] == '&');
    }
    return rc;
}

static int is_uri(const char *uri)
{
    return strncmp(uri, "postgresql://", 13) == 0 || strncmp(uri, "postgres://", 11) == 0;
}

/* The database's URI, allocated: what stands before the #, or the store's. */
static int read_uri(const char *rest, size_t length, const char *store, char **uri, llmcache_error *err)
{
    if (length && !is_uri(rest))
        return lc_fail(err, LLMCACHE_SETTING, "setting index: pgvector: may be followed by postgresql://...");
    if (!length && !(store && is_uri(store)))
        return lc_fail(err, LLMCACHE_SETTING,
                       "setting index: pgvector: by itself means the database of a store postgresql://; for another "
                       "say pgvector:postgresql://...");
    *uri = length ? lc_strndup(rest, length) : lc_strdup(store);
    return *uri ? 0 : lc_fail_memory(err);
}

int lc_pgi_read_setting(lc_pgi *index, const char *rest, const char *store, char **uri, llmcache_error *err)
{
    size_t length = strcspn(rest, "#");
    index->from = FROM_DEFAULT;
    index->ef = EF_DEFAULT;
    index->scan = LC_PGI_RELAXED;
    int rc = read_options(index, rest + length + (rest[length] == '#'), err);
    return rc ? rc : read_uri(rest, length, store, uri, err);
}
