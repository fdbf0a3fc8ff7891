/*
 * Who asks. Callers are told apart by their credential, and nothing is shared between them: the namespace is
 * an HMAC of all credential headers, or the name the operator gave to the caller's key. Keys are
 * kept and compared as digests, all of them each time, so that time tells nothing about them.
 */
#include "ask/caller.h"

#include "ask/cache.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 64

typedef struct caller {
    char name[NAME_SIZE]; /* "" : derived from the key */
    unsigned char digest[LC_SHA256_SIZE];
} caller;

struct lc_callers {
    size_t count;
    caller list[];
};

/* ---- The operator's list ----------------------------------------------------------------------- */

static size_t count_words(const char *list)
{
    size_t count = 1;
    for (; *list; list++)
        count += *list == ',';
    return count;
}

/* Names become namespaces: UTF-8, printable, short, never a derived namespace's form or a part of one. */
static int fits(const char *name, size_t size)
{
    if (size == 0 || size >= NAME_SIZE || strncmp(name, "key-", 4) == 0 || !lc_utf8_valid(name, size))
        return 0;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] <= 0x20 || name[i] == 0x7f || name[i] == '/')
            return 0;
    return 1;
}

static int read_word(const char *word, size_t size, caller *out, llmcache_error *err)
{
    const char *equals = memchr(word, '=', size);
    size_t name = equals ? (size_t)(equals - word) : 0;
    const char *key = equals ? equals + 1 : word;
    size_t key_size = size - (size_t)(key - word);
    if (equals && !fits(word, name))
        return lc_fail(err, LLMCACHE_SETTING,
                       "setting api-keys: a name is 1 to 63 printable characters without / and not key-...");
    if (key_size < 8)
        return lc_fail(err, LLMCACHE_SETTING, "setting api-keys: a key is at least 8 characters");
    snprintf(out->name, sizeof out->name, "%.*s", (int)name, word);
    lc_sha256_once(key, key_size, out->digest);
    return 0;
}

int lc_callers_new(const char *list, lc_callers **out, llmcache_error *err)
{
    *out = NULL;
    if (!*list)
        return 0;
    lc_callers *callers = lc_zalloc(sizeof *callers + count_words(list) * sizeof callers->list[0]);
    if (!callers)
        return lc_fail_memory(err);
    while (*list) {
        list += strspn(list, ", ");
        size_t size = strcspn(list, ",");
        size_t word = size;
        while (word && list[word - 1] == ' ')
            word--;
        int code = word ? read_word(list, word, &callers->list[callers->count++], err) : 0;
        if (code) {
            lc_callers_free(callers);
            return code;
        }
        list += size;
    }
    *out = callers;
    return 0;
}

void lc_callers_free(lc_callers *callers)
{
    lc_free(callers);
}

/* ---- A caller's headers ------------------------------------------------------------------------ */

int lc_header_is_credential(const char *name)
{
    static const char *const names[] = {"authorization", "x-api-key", "api-key"};
    for (int i = 0; i < 3; i++)
        if ((name[0] | 0x20) == names[i][0] && strcasecmp(name, names[i]) == 0)
            return i + 1;
    return 0;
}

static int has_credential(const llmcache_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (headers[i].value[0] && lc_header_is_credential(headers[i].name))
            return 1;
    return 0;
}

/* "Bearer KEY" -> "KEY" */
static const char *bare(const char *value)
{
    if (strncasecmp(value, "Bearer ", 7) == 0)
        value += 7 + strspn(value + 7, " ");
    return value;
}

static const caller *find(const lc_callers *callers, const llmcache_header *headers, size_t count)
{
    const caller *found = NULL;
    unsigned char digest[LC_SHA256_SIZE];
    for (size_t i = 0; i < count; i++) {
        if (!lc_header_is_credential(headers[i].name))
            continue;
        const char *key = bare(headers[i].value);
        lc_sha256_once(key, strlen(key), digest);
        for (size_t j = 0; j < callers->count; j++)
            if (lc_same_digest(callers->list[j].digest, digest))
                found = &callers->list[j];
    }
    return found;
}

/* All credential headers count: who sends two must not be taken for who sends one of them. */
static void derive(const llmcache *cache, const llmcache_header *headers, size_t count, char *space)
{
    static const char label[] = "llmcache namespace 1";
    unsigned char digest[LC_SHA256_SIZE];
    char hex[2 * LC_SHA256_SIZE + 1];
    lc_sha256 hash;
    lc_sha256_init(&hash);
    for (size_t i = 0; i < count; i++) {
        int which = lc_header_is_credential(headers[i].name);
        if (which && headers[i].value[0]) {
            lc_sha256_add(&hash, &which, sizeof which);
            lc_sha256_text(&hash, headers[i].value);
        }
    }
    lc_sha256_end(&hash, digest);
    const char *secret = cache->settings.namespace_secret;
    lc_hmac_sha256(*secret ? secret : label, strlen(*secret ? secret : label), digest,
                   sizeof digest, digest);
    lc_hex(digest, 16, hex);
    snprintf(space, LC_SPACE_SIZE, "key-%s", hex);
}

/* ---- The caller's namespace -------------------------------------------------------------------- */

static int denied(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_DENIED, "a key is needed: none was sent, or it is not known here");
}

/* The caller's own namespace; "" for one without a credential, who shares the server's. */
static int own_space(const llmcache *cache, const llmcache_header *headers, size_t count,
                     char space[LC_SPACE_SIZE], llmcache_error *err)
{
    const caller *known = cache->callers ? find(cache->callers, headers, count) : NULL;
    int bare_handed = !has_credential(headers, count);
    space[0] = '\0';
    if (cache->callers ? !known : bare_handed && cache->needs_credential)
        return denied(err);
    if (*cache->settings.space)
        snprintf(space, LC_SPACE_SIZE, "%.63s", cache->settings.space);
    else if (known && *known->name)
        snprintf(space, LC_SPACE_SIZE, "%s", known->name);
    else if (!bare_handed)
        derive(cache, headers, count, space);
    return 0;
}

int lc_caller_space(const llmcache *cache, const llmcache_header *headers, size_t count,
                    const char *chosen, char space[LC_SPACE_SIZE], llmcache_error *err)
{
    int code = own_space(cache, headers, count, space, err);
    if (code)
        return code;
    if (chosen && *chosen && !fits(chosen, strlen(chosen)))
        return lc_fail(err, LLMCACHE_INVALID,
                       "namespace: 1 to 63 printable characters without / and not key-...");
    size_t size = strlen(space);
    if (chosen && *chosen)
        snprintf(space + size, LC_SPACE_SIZE - size, "%s%s", size ? "/" : "", chosen);
    else if (!size)
        snprintf(space, LC_SPACE_SIZE, "default");
    return 0;
}

int lc_caller_check(const lc_job *job, llmcache_error *err)
{
    const llmcache *cache = job->cache;
    const llmcache_request *request = job->request;
    if (cache->callers && !find(cache->callers, request->headers, request->header_count))
        return denied(err);
    if (cache->needs_credential && !has_credential(request->headers, request->header_count))
        return denied(err);
    return 0;
}

int lc_find_space(lc_job *job, llmcache_error *err)
{
    if (!job->trusted_space)
        return lc_caller_space(job->cache, job->request->headers, job->request->header_count,
                               job->controls.space, job->space, err);
    if (strlen(job->trusted_space) >= sizeof job->space)
        return lc_fail(err, LLMCACHE_INVALID, "namespace: longer than %d bytes", LC_SPACE_SIZE - 1);
    snprintf(job->space, sizeof job->space, "%s", job->trusted_space);
    return 0;
}
