/* Which entries a filter means: pure, the same for every store. */
#include "base/sha256.h"
#include "store/glob.h"
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

static int is_like(const char *pattern, const char *value)
{
    return !pattern || lc_glob_matches(pattern, value ? value : "");
}

/* Is one of the tags this one, or like the pattern? Tags are short: 512 bytes all together. */
static int has_tag(const char *wanted, const char *pattern, const char *tags)
{
    char one[513];
    if (!wanted && !pattern)
        return 1;
    for (const char *at = tags ? tags : ""; *at;) {
        at += strspn(at, ", ");
        size_t word = strcspn(at, ",");
        size_t trimmed = word;
        while (trimmed && at[trimmed - 1] == ' ')
            trimmed--;
        if (trimmed < sizeof one) {
            memcpy(one, at, trimmed);
            one[trimmed] = '\0';
            if (same(wanted, one) && is_like(pattern, one))
                return 1;
        }
        at += word;
    }
    return 0;
}

int lc_filter_matches(const llmcache_filter *filter, const llmcache_entry *entry, int64_t now_ms)
{
    if (!filter)
        return 1;
    return same(filter->space, entry->space) && id_matches(filter->id, entry->id) &&
           same(filter->model, entry->model) &&
           has_tag(filter->tag, filter->tag_pattern, entry->tags) &&
           is_like(filter->space_pattern, entry->space) && is_like(filter->model_pattern, entry->model) &&
           is_like(filter->pattern, entry->question) &&
           (!filter->newer_than_ms || now_ms - entry->created_ms <= filter->newer_than_ms) &&
           (!filter->contains || (entry->question && strstr(entry->question, filter->contains))) &&
           (!filter->older_than_ms || now_ms - entry->created_ms > filter->older_than_ms);
}
