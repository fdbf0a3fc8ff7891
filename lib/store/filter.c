/* Which entries a filter means: pure, the same for every store. */
#include "base/sha256.h"
#include "store/store.h"

#include <string.h>
#include <strings.h>

void lc_entry_id(const unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE],
                 char id[LLMCACHE_ID_SIZE])
{
    lc_hex(fingerprint, (LLMCACHE_ID_SIZE - 1) / 2, id);
}

static int same(const char *wanted, const char *value)
{
    return !wanted || (value && strcmp(wanted, value) == 0);
}

/* A whole id or its first digits; fewer than 6 would match by accident. */
static int id_matches(const char *wanted, const char *id)
{
    if (!wanted)
        return 1;
    size_t size = strlen(wanted);
    return size >= 6 && size < LLMCACHE_ID_SIZE && strncasecmp(wanted, id, size) == 0;
}

static int has_tag(const char *wanted, const char *tags)
{
    if (!wanted)
        return 1;
    size_t size = strlen(wanted);
    for (const char *at = tags ? tags : ""; *at;) {
        at += strspn(at, ", ");
        size_t word = strcspn(at, ",");
        size_t trimmed = word;
        while (trimmed && at[trimmed - 1] == ' ')
            trimmed--;
        if (trimmed == size && memcmp(at, wanted, size) == 0)
            return 1;
        at += word;
    }
    return 0;
}

int lc_filter_matches(const llmcache_filter *filter, const llmcache_entry *entry, int64_t now_ms)
{
    if (!filter)
        return 1;
    return same(filter->space, entry->space) && id_matches(filter->id, entry->id) &&
           same(filter->model, entry->model) && has_tag(filter->tag, entry->tags) &&
           (!filter->contains || (entry->question && strstr(entry->question, filter->contains))) &&
           (!filter->older_than_ms || now_ms - entry->created_ms > filter->older_than_ms);
}
