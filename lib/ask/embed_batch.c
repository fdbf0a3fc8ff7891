/*
 * /v1/embeddings: every input of a batch is an entry of its own. What is known is taken from the cache, the
 * rest is asked for in one call, and the reply is put together in the order and form asked for. Those who ask
 * for the same batch at once share the work: the leader does it in its own thread and lands with the reply.
 */
#include "ask/cache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "protocol/embeddings.h"

#include <string.h>

#define INPUTS_MAX 65536

typedef struct batch {
    lc_job *job;
    lc_embeddings *inputs;
    size_t count;
    unsigned char (*fingerprints)[32];
    lc_entry **entries; /* NULL where the input is not known */
    size_t *missing;
    size_t missing_count;
    llmcache_header *up; /* headers for the upstream */
    int status;          /* of the upstream's reply */
    llmcache_header *down; /* of the upstream's reply; owned */
    size_t down_count;
    lc_buffer reply; /* what the upstream said */
    lc_buffer body;  /* what the client gets */
    int64_t model_ms;
} batch;

static void batch_done(batch *b)
{
    for (size_t i = 0; b->entries && i < b->count; i++)
        lc_entry_unref(b->entries[i]);
    lc_free(b->entries);
    lc_free(b->fingerprints);
    lc_free(b->missing);
    lc_free(b->up);
    lc_headers_free(b->down, b->down_count);
    lc_embeddings_free(b->inputs);
    lc_buffer_done(&b->reply);
    lc_buffer_done(&b->body);
}

static int batch_init(batch *b, lc_job *job, llmcache_error *err)
{
    const lc_question *question = &job->question;
    memset(b, 0, sizeof *b);
    b->job = job;
    lc_buffer_init(&b->reply, (size_t)job->cache->settings.max_reply_bytes);
    lc_buffer_init(&b->body, 0);
    int code = lc_embeddings_read(question->forward ? question->forward : job->request->body,
                                  question->forward ? question->forward_size : job->request->body_size,
                                  job->cache->key_fields, &b->inputs, err);
    if (code)
        return code;
    b->count = lc_embeddings_count(b->inputs);
    if (b->count > INPUTS_MAX)
        return lc_fail(err, LLMCACHE_INVALID, "input: more than %d texts", INPUTS_MAX);
    b->fingerprints = lc_alloc_array(b->count, sizeof *b->fingerprints);
    b->entries = lc_zalloc_array(b->count, sizeof *b->entries);
    b->missing = lc_alloc_array(b->count, sizeof *b->missing);
    if (!b->fingerprints || !b->entries || !b->missing)
        return lc_fail_memory(err);
    for (size_t i = 0; i < b->count; i++)
        lc_fingerprint_of(job, lc_embeddings_shape(b->inputs, i), b->fingerprints[i]);
    return 0;
}

/* ---- Looking up -------------------------------------------------------------------------------- */

static void look_up(batch *b)
{
    lc_job *job = b->job;
    for (size_t i = 0; i < b->count; i++) {
        if (!job->controls.no_read)
            b->entries[i] = lc_find_entry(job, b->fingerprints[i]);
        if (!b->entries[i])
            b->missing[b->missing_count++] = i;
    }
}

/* ---- Asking ------------------------------------------------------------------------------------ */

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    batch *b = user;
    b->status = status;
    return lc_headers_down(headers, count, &b->down, &b->down_count);
}

static int on_write(void *user, const void *bytes, size_t size)
{
    batch *b = user;
    return lc_buffer_add(&b->reply, bytes, size);
}

static int keep_one(void *user, size_t position, const char *body, size_t size)
{
    batch *b = user;
    lc_job *job = b->job;
    size_t text_size = 0;
    const char *text = lc_embeddings_text(b->inputs, position, &text_size);
    char *question = lc_strndup(text ? text : "", text_size);
    if (!question)
        return LLMCACHE_MEMORY;
    llmcache_entry facts = {.struct_size = sizeof facts,
                            .space = job->space,
                            .protocol = lc_protocol_name(job->protocol),
                            .model = job->question.model ? job->question.model : "",
                            .question = question,
                            .tags = job->controls.tags ? job->controls.tags : "",
                            .body = body,
                            .body_size = size,
                            .created_ms = job->now_ms,
                            .model_ms = b->model_ms,
                            .embedder = ""};
    memcpy(facts.fingerprint, b->fingerprints[position], sizeof facts.fingerprint);
    lc_entry_id(facts.fingerprint, facts.id);
    lc_set_life(job->cache, lc_ttl_ms(job), &facts);
    b->entries[position] = lc_entry_new(&facts);
    lc_free(question);
    if (!b->entries[position])
        return LLMCACHE_MEMORY;
    if (job->controls.no_store || size > (size_t)job->cache->settings.max_answer_bytes)
        return 0;
    lc_remember(job->cache, b->entries[position], "", NULL, 0, NULL);
    lc_count_add(&job->cache->counts.stored, 1);
    return 0;
}

static int ask_service(batch *b, const char *body, size_t size, llmcache_error *err)
{
    lc_job *job = b->job;
    llmcache_request request = *job->request;
    llmcache_sink sink = {b, on_begin, on_write};
    lc_headers_free(b->down, b->down_count);
    b->down = NULL;
    b->down_count = 0;
    lc_buffer_clear(&b->reply);
    request.headers = b->up;
    request.header_count = lc_headers_up(job->request, job->cache->keeps_credential, b->up);
    request.body = body;
    request.body_size = size;
    int64_t start_us = lc_mono_us();
    int code = lc_ask_provider(job, &request, (size_t)job->cache->settings.max_reply_bytes, &sink,
                               &b->status, err);
    b->model_ms = (lc_mono_us() - start_us) / 1000;
    /* The receiver that stopped it is this batch. */
    if (code == LLMCACHE_ABORTED)
        code = lc_fail(err, b->reply.broken ? b->reply.broken : LLMCACHE_MEMORY, "%s",
                       lc_code_text(b->reply.broken ? b->reply.broken : LLMCACHE_MEMORY));
    return code;
}

static int ask_missing(batch *b, llmcache_error *err)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    int code = lc_embeddings_ask(b->inputs, b->missing, b->missing_count, &body, err);
    if (!code && body.broken)
        code = lc_fail_memory(err);
    if (!code)
        code = ask_service(b, body.data, body.size, err);
    lc_buffer_done(&body);
    return code;
}

/*
 * Asks for what is missing. 0: all entries are there, or the upstream's own reply is to be passed on. A reply
 * that cannot be taken apart is no reply to the caller unless it is to all that the caller asked.
 */
static int ask(batch *b, llmcache_error *err)
{
    const lc_question *question = &b->job->question;
    const llmcache_request *request = b->job->request;
    b->up = lc_alloc_array(request->header_count, sizeof *b->up);
    if (!b->up)
        return lc_fail_memory(err);
    int code = ask_missing(b, err);
    if (code || b->status != 200)
        return code;
    if (lc_embeddings_split(b->inputs, b->missing, b->missing_count, b->reply.data, b->reply.size,
                            keep_one, b, NULL) == 0)
        b->missing_count = 0;
    else if (b->missing_count < b->count)
        code = ask_service(b, question->forward ? question->forward : request->body,
                           question->forward ? question->forward_size : request->body_size, err);
    return code;
}

/* ---- The reply ----------------------------------------------------------------------------------- */

static int join(batch *b, llmcache_error *err)
{
    lc_embedding *answers = lc_alloc_array(b->count, sizeof *answers);
    if (!answers)
        return lc_fail_memory(err);
    for (size_t i = 0; i < b->count; i++)
        answers[i] = (lc_embedding){b->entries[i]->facts.body, b->entries[i]->facts.body_size};
    int code = lc_embeddings_join(b->inputs, answers, &b->body, NULL, err);
    lc_free(answers);
    if (!code && b->body.broken)
        code = lc_fail_memory(err);
    return code;
}

/* Whole: from the entries; else the upstream's own words, an error or what could not be split. */
static int make_reply(batch *b, int *status, const char **body, size_t *size, llmcache_error *err)
{
    int code = b->missing_count ? 0 : join(b, err);
    *status = b->missing_count ? b->status : 200;
    *body = b->missing_count ? b->reply.data : b->body.data;
    *size = b->missing_count ? b->reply.size : b->body.size;
    return code;
}

static int work(batch *b, lc_flight *flight, lc_landing *landing)
{
    static const llmcache_header json = {"Content-Type", "application/json"};
    lc_job *job = b->job;
    llmcache_error *err = &landing->error;
    const char *body = NULL;
    size_t size = 0;
    int status = 0, code = 0;
    look_up(b);
    size_t asked = b->missing_count;
    if (asked && job->controls.only_cached)
        return lc_fail(err, LLMCACHE_NOT_FOUND, "not all inputs are cached and only-if-cached was asked for");
    if (asked)
        code = ask(b, err);
    if (!code)
        code = make_reply(b, &status, &body, &size, err);
    if (!code && (lc_flight_begin(flight, status, b->down ? b->down : &json, b->down ? b->down_count : 1, 0) ||
                  (size && lc_flight_add(flight, body, size))))
        code = lc_fail_memory(err);
    landing->stored = asked && !b->missing_count && !job->controls.no_store;
    landing->source = asked ? LLMCACHE_SOURCE_MODEL : LLMCACHE_SOURCE_EXACT;
    landing->similarity = 1;
    landing->status = status;
    if (!asked)
        landing->entry = lc_entry_ref(b->entries[0]);
    return code;
}

static void batch_key(const batch *b, unsigned char key[32])
{
    int terms[] = {b->job->controls.no_read, b->job->controls.no_store, b->job->controls.only_cached};
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_add(&hash, "embeddings", 10);
    lc_sha256_add(&hash, b->job->question.shape, sizeof b->job->question.shape);
    lc_sha256_field(&hash, b->job->request->body, b->job->request->body_size);
    for (size_t i = 0; i < b->count; i++)
        lc_sha256_add(&hash, b->fingerprints[i], sizeof b->fingerprints[i]);
    lc_sha256_add(&hash, terms, sizeof terms);
    lc_sha256_end(&hash, key);
}

int lc_ask_embeddings(lc_job *job, llmcache_error *err)
{
    batch b;
    unsigned char key[32];
    lc_flight *flight = NULL;
    lc_landing landing = {.why = ""};
    int leads = 0;
    int code = batch_init(&b, job, err);
    if (!code && lc_is_local_model(job)) {
        code = lc_embed_here(job, b.inputs, err);
        batch_done(&b);
        return code;
    }
    if (!code) {
        batch_key(&b, key);
        memcpy(job->fingerprint, b.fingerprints[0], sizeof job->fingerprint);
        lc_entry_id(job->fingerprint, job->id);
        code = lc_flight_join(job->cache->flights, key, LC_WANTS_WHOLE, SIZE_MAX / 4, &flight, &leads, err);
    }
    if (!code) {
        job->ended = leads ? LLMCACHE_SOURCE_MODEL : LLMCACHE_SOURCE_SHARED;
        if (leads) {
            landing.code = work(&b, flight, &landing);
            lc_flight_finish(flight, &landing);
        }
        code = lc_job_follow(job, flight, err);
        lc_flight_leave(flight);
    }
    batch_done(&b);
    if (code == LLMCACHE_INVALID && !job->begun && !job->controls.only_cached) {
        job->why = "unreadable";
        return lc_pass_through(job, err);
    }
    return code;
}
