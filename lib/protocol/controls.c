/* LiteLLM's `cache` object and the setting `key-fields`. */
#include "protocol/controls.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* ---- Fields that do not shape the answer ----------------------------------------- */

static const struct key_field {
    const char *name;
    unsigned bit;
} key_fields_table[] = {
    {"user", LC_KEY_USER},
    {"metadata", LC_KEY_METADATA},
    {"prompt_cache_key", LC_KEY_PROMPT_CACHE_KEY},
    {"safety_identifier", LC_KEY_SAFETY_IDENTIFIER},
    {"stream", LC_KEY_STREAM},
    {"stream_options", LC_KEY_STREAM_OPTIONS},
};

enum { KEY_FIELDS = sizeof key_fields_table / sizeof *key_fields_table };

int lc_key_fields_read(const char *names, unsigned *bits, llmcache_error *err)
{
    static const char between[] = ", \t";
    unsigned found = 0;
    for (const char *at = names + strspn(names, between); *at;
         at += strspn(at, between)) {
        size_t size = strcspn(at, between), i = 0;
        while (i < KEY_FIELDS && (strlen(key_fields_table[i].name) != size ||
                                  memcmp(key_fields_table[i].name, at, size) != 0))
            i++;
        if (i == KEY_FIELDS)
            return lc_fail(
                err, LLMCACHE_SETTING,
                "key-fields: \"%.*s\" is none of user, metadata, "
                "prompt_cache_key, safety_identifier, stream, stream_options",
                size > 40 ? 40 : (int)size, at);
        found |= key_fields_table[i].bit;
        at += size;
    }
    *bits = found;
    return 0;
}

int lc_member_counts(const lc_tree *member, unsigned key_fields)
{
    /* "stream": false says what its absence says. */
    if (lc_tree_named(member, "stream"))
        return (key_fields & LC_KEY_STREAM) && lc_tree_is_true(member);
    if (lc_tree_named(member, "cache"))
        return !lc_tree_is_type(member, LC_TREE_OBJECT);
    for (size_t i = 0; i < KEY_FIELDS; i++)
        if (lc_tree_named(member, key_fields_table[i].name))
            return (key_fields & key_fields_table[i].bit) != 0;
    return 1;
}

/* ---- The `cache` object ---------------------------------------------------------- */

lc_tree *lc_controls_find(const lc_tree *body)
{
    lc_tree *cache = lc_tree_find(body, "cache");
    return lc_tree_is_type(cache, LC_TREE_OBJECT) ? cache : NULL;
}

/* Seconds, with up to three decimals, as milliseconds; -1 for what is no such number. */
static int64_t read_seconds(const lc_tree *value)
{
    const int64_t most = INT64_MAX / 2000;
    int64_t seconds, ms = 0, digit = 100;
    if (!lc_tree_is_type(value, LC_TREE_NUMBER))
        return -1;
    if (*value->text == '-')
        return 0;
    if (lc_tree_integer(value, &seconds) == 0)
        return seconds > most ? most * 1000 : seconds * 1000;
    const char *point = memchr(value->text, '.', value->size),
               *end = value->text + value->size;
    lc_tree whole = {.type = LC_TREE_NUMBER, .text = value->text};
    if (!point || memchr(value->text, 'e', value->size) ||
        memchr(value->text, 'E', value->size))
        return -1;
    whole.size = (uint32_t)(point - value->text);
    if (lc_tree_integer(&whole, &seconds) || seconds > most)
        return -1;
    for (const char *at = point + 1; at < end && digit; at++, digit /= 10)
        ms += (*at - '0') * digit;
    return seconds * 1000 + ms;
}

static int says_no(const lc_tree *value)
{
    return !lc_tree_is_nothing(value) && !lc_tree_is_type(value, LC_TREE_FALSE);
}

int lc_controls_read(const lc_tree *cache, lc_body_controls *controls)
{
    const lc_tree *age = lc_tree_find(cache, "s-maxage");
    const lc_tree *space = lc_tree_find(cache, "namespace");
    *controls = (lc_body_controls){
        .ttl_ms = read_seconds(lc_tree_find(cache, "ttl")),
        .max_age_ms = read_seconds(age ? age : lc_tree_find(cache, "s-max-age")),
        .no_cache = says_no(lc_tree_find(cache, "no-cache")),
        .no_store = says_no(lc_tree_find(cache, "no-store")),
    };
    if (!lc_tree_is_type(space, LC_TREE_STRING) || !space->size ||
        memchr(space->text, '\0', space->size))
        return 0;
    controls->space = lc_strndup(space->text, space->size);
    return controls->space ? 0 : LLMCACHE_MEMORY;
}
