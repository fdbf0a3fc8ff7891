/*
 * Who asks, what is asked, and whether these very bytes were asked before.
 *
 * The raw digest covers everything the fingerprint covers, unread: target, credential, the headers
 * that change an answer, body. It can only tell apart more than the fingerprint does, never less, so
 * a hit on it needs no JSON parsing.
 */
#include "ask/cache.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Headers that change the answer besides the credential; their values go into the keys. */
static const char *const shaping[] = {"openai-organization", "openai-project", "openai-beta",
                                      "anthropic-version", "anthropic-beta"};
static const char *const credentials[] = {"authorization", "x-api-key", "api-key"};

static int among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((name[0] | 0x20) == names[i][0] && strcasecmp(name, names[i]) == 0)
            return (int)i + 1;
    return 0;
}

#define AMONG(name, names) among(name, names, sizeof names / sizeof *names)

/* Adds the shaping headers in the order of the table, so that the client's order does not matter. */
void lc_hash_shaping(const llmcache_request *request, lc_sha256 *hash)
{
    for (size_t which = 0; which < sizeof shaping / sizeof *shaping; which++)
        for (size_t i = 0; i < request->header_count; i++)
            if (strcasecmp(request->headers[i].name, shaping[which]) == 0) {
                lc_sha256_add(hash, &which, sizeof which);
                lc_sha256_text(hash, request->headers[i].value);
            }
}

static const char *credential_of(const llmcache_request *request)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (AMONG(request->headers[i].name, credentials) && request->headers[i].value[0])
            return request->headers[i].value;
    return NULL;
}

/* All credential headers count: who sends two must not be taken for who sends one of them. */
static void derive_space(const lc_job *job, char *space)
{
    static const char label[] = "llmcache namespace 1";
    unsigned char digest[32];
    char hex[65];
    lc_sha256 hash;
    lc_sha256_init(&hash);
    for (size_t i = 0; i < job->request->header_count; i++) {
        int which = AMONG(job->request->headers[i].name, credentials);
        if (which && job->request->headers[i].value[0]) {
            lc_sha256_add(&hash, &which, sizeof which);
            lc_sha256_text(&hash, job->request->headers[i].value);
        }
    }
    lc_sha256_end(&hash, digest);
    const char *secret = job->cache->settings.namespace_secret;
    lc_hmac_sha256(*secret ? secret : label, strlen(*secret ? secret : label), digest,
                   sizeof digest, digest);
    lc_hex(digest, 16, hex);
    snprintf(space, LC_SPACE_SIZE, "key-%s", hex);
}

int lc_find_space(lc_job *job, llmcache_error *err)
{
    const char *chosen = job->controls.space;
    const char *fixed = job->cache->settings.space;
    if (job->trusted_space) {
        if (strlen(job->trusted_space) >= 64)
            return lc_fail(err, LLMCACHE_INVALID, "a namespace is at most 63 bytes");
        snprintf(job->space, sizeof job->space, "%s", job->trusted_space);
        return 0;
    }
    if (*fixed)
        snprintf(job->space, sizeof job->space, "%.63s", fixed);
    else if (credential_of(job->request))
        derive_space(job, job->space);
    else
        snprintf(job->space, sizeof job->space, "default");
    if (chosen) {
        size_t size = strlen(job->space);
        snprintf(job->space + size, sizeof job->space - size, "/%s", chosen);
    }
    return 0;
}

static void digest_raw(lc_job *job)
{
    const llmcache_request *request = job->request;
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_add(&hash, "raw 1", 5);
    lc_sha256_text(&hash, request->target);
    lc_sha256_text(&hash, job->trusted_space);
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        int which = AMONG(name, credentials);
        if (!which && !(which = AMONG(name, shaping) * 16))
            continue;
        lc_sha256_add(&hash, &which, sizeof which);
        lc_sha256_text(&hash, request->headers[i].value);
    }
    lc_sha256_field(&hash, request->body, request->body_size);
    lc_sha256_end(&hash, job->raw);
    job->has_raw = 1;
}

/* Directives that a known reply could not honour; how long and under what tags to keep play no part. */
static int asks_more(const lc_controls *controls)
{
    return controls->no_read || controls->exact_only || controls->threshold > 0 ||
           controls->max_age_ms >= 0 || controls->min_fresh_ms > 0;
}

int lc_identify(lc_job *job, llmcache_error *err)
{
    int any = 0;
    job->protocol = lc_protocol_of(job->request->method, job->request->target);
    job->anthropic = lc_protocol_is_anthropic(job->request->target, job->request->headers,
                                              job->request->header_count);
    int code = lc_request_controls(job->request, &job->controls, &any, err);
    if (code)
        return code;
    if (!any && !asks_more(&job->controls) && job->protocol != LC_PROTOCOL_NONE)
        digest_raw(job);
    return 0;
}
