/*
 * Text questions travel as the smallest protocol body that asks them, so that the same question through
 * llmcache_ask, the command line and the server's /v1/chat/completions shares one entry.
 */
#include "ask/text.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <string.h>

static const llmcache_ask_options no_options = {.struct_size = sizeof no_options, .ttl_ms = 0};

/* ---- Arguments ----------------------------------------------------------------------------- */

static int check_text(const char *name, const char *text, size_t max, llmcache_error *err)
{
    size_t size = strlen(text);
    if (size > max)
        return lc_fail(err, LLMCACHE_TOO_LARGE, "%s: %zu bytes, more than the %zu allowed", name, size,
                       max);
    if (!lc_utf8_valid(text, size))
        return lc_fail(err, LLMCACHE_INVALID, "%s: not UTF-8", name);
    return 0;
}

static int check(const llmcache *cache, const char *question, const llmcache_ask_options *options,
                 llmcache_error *err)
{
    size_t max = (size_t)cache->settings.max_question_bytes;
    if (!question || !question[strspn(question, " \t\r\n")])
        return lc_fail(err, LLMCACHE_INVALID, "question: empty");
    int code = check_text("question", question, max, err);
    if (!code && options->system)
        code = check_text("system", options->system, max, err);
    if (!code && options->model)
        code = check_text("model", options->model, 256, err);
    if (!code && options->space)
        code = check_text("namespace", options->space, LC_SPACE_SIZE - 1, err);
    if (!code && options->tags)
        code = check_text("tags", options->tags, 512, err);
    if (!code && (options->ttl_ms < -1 || !(options->threshold >= 0 && options->threshold <= 1)))
        code = lc_fail(err, LLMCACHE_INVALID, "ttl_ms must be -1 or more, threshold from 0 to 1");
    return code;
}

static const char *model_of(const llmcache *cache, const llmcache_ask_options *options)
{
    if (options->model && *options->model)
        return options->model;
    if (*cache->settings.model)
        return cache->settings.model;
    return cache->ask_protocol == LC_PROTOCOL_MESSAGES ? "claude-haiku-4-5" : "gpt-4o-mini";
}

/* Older programs hand in a shorter struct: the rest counts as zero. */
static llmcache_ask_options whole_options(const llmcache_ask_options *options)
{
    llmcache_ask_options whole = no_options;
    if (options) {
        size_t size = options->struct_size && options->struct_size < sizeof whole
                          ? options->struct_size
                          : sizeof whole;
        memcpy(&whole, options, size);
    }
    return whole;
}

/* ---- The sink ------------------------------------------------------------------------------ */

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    lc_text_ask *ask = user;
    ask->retry_after_ms = lc_retry_after_ms(headers, count, lc_wall_ms());
    if (!ask->on_text || status < 200 || status >= 300 || !lc_is_event_stream(headers, count))
        return 0;
    ask->assembler = lc_assembler_new(ask->job.protocol, 0);
    if (!ask->assembler)
        return LLMCACHE_MEMORY;
    lc_assembler_listen(ask->assembler, &ask->said);
    return 0;
}

static int tell(lc_text_ask *ask, const char *text, size_t size)
{
    ask->told += size;
    return size && ask->on_text(ask->on_text_user, text, size) ? LLMCACHE_ABORTED : 0;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    lc_text_ask *ask = user;
    if (!ask->assembler)
        return lc_buffer_add(&ask->reply, bytes, size);
    lc_buffer_clear(&ask->said);
    int code = lc_assembler_feed(ask->assembler, bytes, size);
    return code ? code : tell(ask, ask->said.data, ask->said.size);
}

/* The whole reply of a stream that has ended. */
static int put_together(lc_text_ask *ask, llmcache_error *err)
{
    const lc_entry *entry = ask->job.entry;
    llmcache_error why;
    if (entry)
        return lc_buffer_add(&ask->reply, entry->facts.body, entry->facts.body_size) ? lc_fail_memory(err)
                                                                                      : 0;
    int code = lc_assembler_finish(ask->assembler, &ask->reply, &why);
    if (code == LLMCACHE_INVALID)
        return lc_fail(err, LLMCACHE_UPSTREAM, "the model's answer broke off: %s", why.message);
    return code ? lc_fail(err, code, "%s", why.message) : 0;
}

int lc_text_tell_rest(lc_text_ask *ask, const char *text, llmcache_error *err)
{
    size_t size = strlen(text);
    if (!ask->on_text || size <= ask->told)
        return 0;
    int code = tell(ask, text + ask->told, size - ask->told);
    return code ? lc_fail(err, code, "the receiver stopped") : 0;
}

/* ---- Making and running ---------------------------------------------------------------------- */

static void set_controls(lc_text_ask *ask, const llmcache_ask_options *options)
{
    lc_controls *controls = &ask->job.controls;
    controls->no_read = options->no_read != 0;
    controls->no_store = options->no_store != 0;
    controls->only_cached = options->only_cached != 0;
    controls->exact_only = options->exact_only != 0;
    controls->ttl_ms = options->ttl_ms;
    controls->threshold = options->threshold;
    controls->tags = options->tags;
    const char *fixed = ask->job.cache->settings.space;
    ask->job.trusted_space = options->space && *options->space ? options->space
                             : *fixed                          ? fixed
                                                               : "default";
}

int lc_text_init(lc_text_ask *ask, llmcache *cache, const char *question,
                 const llmcache_ask_options *given, llmcache_error *err)
{
    llmcache_ask_options options = whole_options(given);
    memset(ask, 0, sizeof *ask);
    lc_buffer_init(&ask->body, 0);
    lc_buffer_init(&ask->reply, 0);
    lc_buffer_init(&ask->said, 0);
    ask->on_text = options.on_text;
    ask->on_text_user = options.on_text_user;
    ask->retry_after_ms = -1;
    ask->sink = (llmcache_sink){ask, on_begin, on_write};
    lc_job_init(&ask->job, cache, &ask->request, &ask->sink);
    int code = check(cache, question, &options, err);
    if (code)
        return code;
    int messages = cache->ask_protocol == LC_PROTOCOL_MESSAGES;
    code = lc_body_write(cache->ask_protocol, model_of(cache, &options), options.system, question,
                         messages ? cache->settings.max_tokens : 0, &ask->body, err);
    if (code)
        return code;
    ask->request = (llmcache_request){.struct_size = sizeof ask->request,
                                      .method = "POST",
                                      .target = messages ? "/v1/messages" : "/v1/chat/completions",
                                      .body = ask->body.data,
                                      .body_size = ask->body.size};
    set_controls(ask, &options);
    return 0;
}

void lc_text_done(lc_text_ask *ask)
{
    lc_job_done(&ask->job);
    lc_buffer_done(&ask->body);
    lc_buffer_done(&ask->reply);
    lc_buffer_done(&ask->said);
    lc_assembler_free(ask->assembler);
}

static int upstream_error(const lc_text_ask *ask, llmcache_error *err)
{
    int status = ask->job.status;
    const char *hint = status == 401 || status == 403   ? "; check the key"
                       : status == 404                  ? "; check the model and the base URL"
                       : status == 429                  ? "; too many requests or no credit"
                       : status == 400 || status == 422 ? "; the request was refused"
                                                        : "";
    int code = lc_fail(err, LLMCACHE_UPSTREAM, "the model's service answered %d%s", status, hint);
    if (err) {
        err->upstream_status = status;
        err->retry_after_ms = ask->retry_after_ms;
    }
    return code;
}

static int ask_to_stream(lc_text_ask *ask, llmcache_error *err)
{
    int code = lc_body_stream(ask->job.cache->ask_protocol, &ask->body, err);
    ask->request.body = ask->body.data;
    ask->request.body_size = ask->body.size;
    return code;
}

int lc_text_run(lc_text_ask *ask, llmcache_error *err)
{
    int code = ask->on_text ? ask_to_stream(ask, err) : 0;
    if (!code)
        code = lc_job_run(&ask->job, err);
    ask->latency_us = lc_mono_us() - ask->job.start_us;
    if (code == LLMCACHE_ABORTED && !ask->on_text)
        return lc_fail_memory(err); /* nobody else could have stopped it */
    if (code)
        return code;
    if (ask->reply.broken)
        return lc_fail_memory(err);
    if (ask->job.code) {
        if (err)
            *err = ask->job.error;
        return ask->job.code;
    }
    if (ask->job.status < 200 || ask->job.status >= 300)
        return upstream_error(ask, err);
    return ask->assembler ? put_together(ask, err) : 0;
}

int lc_text_fingerprint(lc_text_ask *ask, llmcache_error *err)
{
    lc_job *job = &ask->job;
    int code = lc_identify(job, err);
    if (!code)
        code = lc_find_space(job, err);
    if (!code)
        code = lc_question_read(job->protocol, ask->body.data, ask->body.size,
                                job->cache->key_fields, &job->question, err);
    if (code)
        return code;
    job->has_question = 1;
    lc_fingerprint(job);
    return 0;
}

/* ---- Putting ------------------------------------------------------------------------------- */

static lc_entry *make_entry(const lc_text_ask *ask, const lc_buffer *body)
{
    const lc_job *job = &ask->job;
    int64_t ttl_ms = lc_ttl_ms(job);
    llmcache_entry facts = {.struct_size = sizeof facts,
                            .space = job->space,
                            .protocol = lc_protocol_name(job->protocol),
                            .model = job->question.model,
                            .question = job->question.text ? job->question.text : "",
                            .tags = job->controls.tags ? job->controls.tags : "",
                            .body = body->data,
                            .body_size = body->size,
                            .created_ms = job->now_ms,
                            .embedder = ""};
    lc_set_life(job->cache, ttl_ms, &facts);
    memcpy(facts.fingerprint, job->fingerprint, sizeof facts.fingerprint);
    if (!lc_unsuited(job))
        memcpy(facts.partition, job->partition, sizeof facts.partition);
    memcpy(facts.id, job->id, sizeof facts.id);
    return lc_entry_new(&facts);
}

/* The vector when there can be one; without it the answer is kept for exact questions only. */
static void embed(lc_job *job)
{
    llmcache_error err;
    if (!lc_not_matchable(job) &&
        lc_embed_question(job->cache, job->space, job->question.text, &job->vector, &job->dimension, &err))
        lc_count_add(&job->cache->counts.embed_errors, 1);
}

static int put(lc_text_ask *ask, const char *answer, llmcache_error *err)
{
    lc_job *job = &ask->job;
    lc_buffer body, shape;
    lc_entry *entry = NULL;
    lc_buffer_init(&shape, 0);
    lc_buffer_init(&body, (size_t)job->cache->settings.max_answer_bytes);
    int code = lc_text_fingerprint(ask, err);
    if (!code)
        code = lc_answer_write(job->protocol, job->question.model, answer, job->id,
                               job->now_ms / 1000, 0, 0, &body, err);
    if (!code && body.broken)
        code = lc_fail(err, body.broken, "the answer is larger than max-answer-bytes");
    if (!code && !(entry = make_entry(ask, &body)))
        code = lc_fail_memory(err);
    if (!code) {
        embed(job);
        lc_request_shape(job->cache, job->protocol, job->anthropic, job->request, &shape);
        code = lc_remember(job->cache, entry, shape.broken || !shape.data ? "" : shape.data, job->vector,
                           job->dimension, err);
    }
    if (!code)
        lc_count_add(&job->cache->counts.stored, 1);
    lc_entry_unref(entry);
    lc_buffer_done(&shape);
    lc_buffer_done(&body);
    return code;
}

int lc_text_put(llmcache *cache, const char *question, const char *answer,
                const llmcache_ask_options *options, llmcache_error *err)
{
    lc_text_ask ask;
    int code = lc_text_init(&ask, cache, question, options, err);
    if (!code && (!answer || !*answer))
        code = lc_fail(err, LLMCACHE_INVALID, "answer: empty");
    if (!code)
        code = check_text("answer", answer, (size_t)cache->settings.max_answer_bytes, err);
    if (!code)
        code = put(&ask, answer, err);
    lc_text_done(&ask);
    return code;
}
