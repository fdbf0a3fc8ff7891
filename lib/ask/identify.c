/*
 * What is asked, and whether these very bytes were asked before.
 *
 * The raw digest covers everything the fingerprint covers, unread: target, credential, the headers
 * that change an answer, body. It can only tell apart more than the fingerprint does, never less, so
 * a hit on it needs no JSON parsing.
 */
#include "ask/cache.h"

#include "base/sha256.h"

#include <string.h>
#include <strings.h>

/* Headers that change the answer besides the credential; their values go into the keys. */
static const char *const shaping[] = {"openai-organization", "openai-project", "openai-beta",
                                      "anthropic-version", "anthropic-beta"};

const char *lc_shaping_header(size_t which)
{
    return which < sizeof shaping / sizeof *shaping ? shaping[which] : NULL;
}

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
        int which = lc_header_is_credential(name);
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
    int code = job->trusted_space ? 0 : lc_caller_check(job, err);
    if (!code)
        code = lc_request_controls(job->request, &job->controls, &any, err);
    if (code)
        return code;
    if (!any && !asks_more(&job->controls) && job->protocol != LC_PROTOCOL_NONE)
        digest_raw(job);
    return 0;
}
