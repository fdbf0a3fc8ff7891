/*
 * The exact key and the partition key. Both start with everything that says whose question it is and
 * whom it would be put to; the shape (or the context) of the body comes last.
 */
#include "ask/cache.h"

#include "base/sha256.h"

#include <string.h>

const char *lc_provider_base(const llmcache *cache, int anthropic)
{
    const lc_provider *provider = anthropic ? &cache->anthropic : &cache->openai;
    return provider->ops.base(provider->self);
}

static void start(const lc_job *job, const char *tag, lc_sha256 *hash)
{
    lc_sha256_init(hash);
    lc_sha256_text(hash, tag);
    lc_sha256_text(hash, job->space);
    lc_sha256_text(hash, lc_protocol_name(job->protocol));
    lc_sha256_text(hash, lc_provider_base(job->cache, job->anthropic));
    lc_sha256_text(hash, job->request->target);
    lc_hash_shaping(job->request, hash);
}

void lc_fingerprint_of(const lc_job *job, const unsigned char shape[32], unsigned char out[32])
{
    lc_sha256 hash;
    start(job, "llmcache exact 1", &hash);
    lc_sha256_field(&hash, shape, 32);
    lc_sha256_end(&hash, out);
}

void lc_fingerprint(lc_job *job)
{
    lc_sha256 hash;
    lc_fingerprint_of(job, job->question.shape, job->fingerprint);
    start(job, "llmcache partition 1", &hash);
    lc_sha256_field(&hash, job->question.context, sizeof job->question.context);
    lc_sha256_end(&hash, job->partition);
    lc_entry_id(job->fingerprint, job->id);
}
