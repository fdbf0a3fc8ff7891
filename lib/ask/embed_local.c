/*
 * /v1/embeddings for the model "local": answered by the configured embedder itself, in OpenAI's shape, so that
 * other tools can use the encoder that is here anyway. Nothing is asked upstream and nothing is kept.
 */
#include "ask/cache.h"

#include "base/error.h"
#include "base/memory.h"
#include "protocol/embeddings.h"

#include <string.h>

int lc_is_local_model(const lc_job *job)
{
    return job->question.model && strcmp(job->question.model, "local") == 0;
}

/* One input's answer, as a service would give it for this input alone. */
static int write_one(const float *vector, size_t dimension, size_t text_size, lc_buffer *body)
{
    lc_buffer_text(body, "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[");
    for (size_t i = 0; i < dimension; i++)
        lc_buffer_format(body, "%s%.9g", i ? "," : "", (double)vector[i]);
    /* The encoder's tokens are not counted; about four bytes make one. */
    size_t tokens = text_size / 4 + 1;
    return lc_buffer_format(body,
                            "]}],\"model\":\"local\",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}",
                            tokens, tokens);
}

static int embed_one(lc_job *job, const lc_embeddings *inputs, size_t position, lc_buffer *body,
                     llmcache_error *err)
{
    size_t size = 0, dimension = 0;
    const char *text = lc_embeddings_text(inputs, position, &size);
    if (!text || memchr(text, '\0', size))
        return lc_fail(err, LLMCACHE_INVALID, "input: the model local takes text");
    char *copy = lc_strndup(text, size);
    float *vector = NULL;
    int code = copy ? lc_embed_text(job->cache, job->space, copy, &vector, &dimension, err) : lc_fail_memory(err);
    if (!code && write_one(vector, dimension, size, body))
        code = lc_fail_memory(err);
    lc_free(vector);
    lc_free(copy);
    return code == LLMCACHE_UNSUPPORTED ? LLMCACHE_INVALID : code;
}

static int reply(lc_job *job, const lc_buffer *body, llmcache_error *err)
{
    llmcache_header headers[LC_REPLY_HEADERS + 1];
    char room[LC_REPLY_ROOM];
    size_t count = lc_reply_headers(job, headers, room);
    headers[count++] = (llmcache_header){"Content-Type", "application/json"};
    job->status = 200;
    job->begun = 1;
    if (job->sink->begin(job->sink->user, 200, headers, count, (int64_t)body->size) ||
        job->sink->write(job->sink->user, body->data, body->size))
        return lc_fail(err, LLMCACHE_ABORTED, "the receiver stopped");
    return 0;
}

int lc_embed_here(lc_job *job, const lc_embeddings *inputs, llmcache_error *err)
{
    size_t count = lc_embeddings_count(inputs);
    lc_buffer *bodies = lc_zalloc_array(count, sizeof *bodies);
    lc_embedding *answers = lc_alloc_array(count, sizeof *answers);
    lc_buffer joined;
    int code = bodies && answers ? 0 : lc_fail_memory(err);
    lc_buffer_init(&joined, 0);
    for (size_t i = 0; !code && i < count; i++) {
        lc_buffer_init(&bodies[i], 0);
        code = embed_one(job, inputs, i, &bodies[i], err);
        answers[i] = (lc_embedding){bodies[i].data, bodies[i].size};
    }
    if (!code)
        code = lc_embeddings_join(inputs, answers, &joined, NULL, err);
    if (!code && joined.broken)
        code = lc_fail_memory(err);
    job->ended = LC_END_BYPASS;
    if (!code)
        code = reply(job, &joined, err);
    for (size_t i = 0; bodies && i < count; i++)
        lc_buffer_done(&bodies[i]);
    lc_free(bodies);
    lc_free(answers);
    lc_buffer_done(&joined);
    return code;
}
