/*
 * The exported functions: argument checks, then one call into the rooms below. Everything a program can
 * reach goes through here, so that the rooms may assert what they need.
 */
#include "api/answer.h"
#include "api/options.h"
#include "ask/explain.h"
#include "ask/lint_traffic.h"
#include "ask/manage.h"
#include "ask/metrics.h"
#include "ask/open.h"
#include "ask/text.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

static int missing(llmcache_error *err, const char *what)
{
    return lc_fail(err, LLMCACHE_INVALID, "%s must not be NULL", what);
}

const char *llmcache_version(void)
{
    return LLMCACHE_VERSION;
}

void llmcache_free(void *memory)
{
    lc_free(memory);
}

int llmcache_open(const llmcache_options *options, llmcache **cache, llmcache_error *err)
{
    if (!cache)
        return missing(err, "cache");
    if (options)
        return lc_cache_open(&options->settings, &options->brought, cache, err);
    llmcache_options *own;
    int code = llmcache_options_new(&own, err);
    if (code)
        return code;
    code = lc_cache_open(&own->settings, &own->brought, cache, err);
    llmcache_options_free(own);
    return code;
}

void llmcache_close(llmcache *cache)
{
    lc_cache_close(cache);
}

static int make_answer(lc_text_ask *ask, llmcache_answer **out, llmcache_error *err)
{
    llmcache_answer *answer;
    int code = lc_answer_make(ask, &answer, err);
    if (code)
        return code;
    code = lc_text_tell_rest(ask, llmcache_answer_text(answer), err);
    if (code)
        llmcache_answer_free(answer);
    else
        *out = answer;
    return code;
}

int llmcache_ask(llmcache *cache, const char *question, const llmcache_ask_options *options,
                 llmcache_answer **answer, llmcache_error *err)
{
    lc_text_ask ask;
    if (!cache || !question || !answer)
        return missing(err, !cache ? "cache" : !question ? "question" : "answer");
    int code = lc_text_init(&ask, cache, question, options, err);
    if (!code)
        code = lc_text_run(&ask, err);
    if (!code)
        code = make_answer(&ask, answer, err);
    lc_text_done(&ask);
    return code;
}

static int lacks_part(const llmcache_request *request)
{
    return !request->method || !request->target || (request->body_size && !request->body) ||
           (request->header_count && !request->headers);
}

int llmcache_call(llmcache *cache, const llmcache_request *request, const llmcache_sink *sink,
                  llmcache_error *err)
{
    lc_job job;
    if (!cache || !request || !sink || !sink->begin || !sink->write)
        return missing(err, !cache ? "cache" : !request ? "request" : "sink, begin and write");
    if (lacks_part(request))
        return missing(err, "method, target, headers and body");
    lc_job_init(&job, cache, request, sink);
    int code = lc_job_run(&job, err);
    lc_job_done(&job);
    return code;
}

int llmcache_admit(llmcache *cache, const llmcache_header *headers, size_t header_count,
                   const char *chosen, char space[LLMCACHE_SPACE_SIZE], llmcache_error *err)
{
    if (!cache || !space || (header_count && !headers))
        return missing(err, !cache ? "cache" : !space ? "space" : "headers");
    return lc_caller_space(cache, headers, header_count, chosen, space, err);
}

int llmcache_stats(llmcache *cache, llmcache_counters *counters, size_t size)
{
    llmcache_counters all;
    if (!cache || !counters)
        return LLMCACHE_INVALID;
    lc_counters_read(cache, &all);
    memcpy(counters, &all, size < sizeof all ? size : sizeof all);
    if (size > sizeof all)
        memset((char *)counters + sizeof all, 0, size - sizeof all);
    return 0;
}

int llmcache_metrics(llmcache *cache, llmcache_format format, char **text, llmcache_error *err)
{
    if (!cache || !text)
        return missing(err, !cache ? "cache" : "text");
    if (format != LLMCACHE_PROMETHEUS && format != LLMCACHE_JSON)
        return lc_fail(err, LLMCACHE_INVALID, "format must be LLMCACHE_PROMETHEUS or LLMCACHE_JSON");
    return format == LLMCACHE_JSON ? lc_metrics_json(cache, text, err)
                                   : lc_metrics_prometheus(cache, text, err);
}

int llmcache_health(llmcache *cache, llmcache_status *status, char **json, llmcache_error *err)
{
    if (!cache || !status)
        return missing(err, !cache ? "cache" : "status");
    return lc_health_read(cache, status, json, err);
}

int llmcache_doctor(llmcache *cache, char **json, llmcache_error *err)
{
    if (!cache || !json)
        return missing(err, !cache ? "cache" : "json");
    return lc_doctor(cache, json, err);
}

int llmcache_explain(llmcache *cache, const char *question, const llmcache_ask_options *options,
                     char **json, llmcache_error *err)
{
    if (!cache || !question || !json)
        return missing(err, !cache ? "cache" : !question ? "question" : "json");
    return lc_text_explain(cache, question, options, json, err);
}

int llmcache_explain_call(llmcache *cache, const llmcache_request *request, const char *space,
                          char **json, llmcache_error *err)
{
    if (!cache || !request || !json)
        return missing(err, !cache ? "cache" : !request ? "request" : "json");
    if (lacks_part(request))
        return missing(err, "method, target, headers and body");
    return lc_explain_call(cache, request, space, json, err);
}

int llmcache_each(llmcache *cache, const llmcache_filter *filter, llmcache_entry_fn fn, void *user,
                  llmcache_error *err)
{
    if (!cache || !fn)
        return missing(err, !cache ? "cache" : "fn");
    return lc_manage_each(cache, filter, fn, user, err);
}

int llmcache_lint(llmcache *cache, const llmcache_filter *filter, char **json, llmcache_error *err)
{
    if (!cache || !json)
        return missing(err, !cache ? "cache" : "json");
    return lc_lint_traffic(cache, filter, json, err);
}

int llmcache_get(llmcache *cache, const char *id, llmcache_entry_fn fn, void *user,
                 llmcache_error *err)
{
    if (!cache || !id || !fn)
        return missing(err, !cache ? "cache" : !id ? "id" : "fn");
    return lc_manage_get(cache, id, fn, user, err);
}

int llmcache_purge(llmcache *cache, const llmcache_filter *filter, uint64_t *removed,
                   llmcache_error *err)
{
    if (!cache)
        return missing(err, "cache");
    return lc_manage_purge(cache, filter, removed, err);
}

int llmcache_put(llmcache *cache, const char *question, const char *answer,
                 const llmcache_ask_options *options, llmcache_error *err)
{
    if (!cache || !question || !answer)
        return missing(err, !cache ? "cache" : !question ? "question" : "answer");
    return lc_text_put(cache, question, answer, options, err);
}

int llmcache_rebuild(llmcache *cache, llmcache_rebuild_report *report, llmcache_error *err)
{
    llmcache_rebuild_report unused;
    if (!cache)
        return missing(err, "cache");
    return lc_manage_rebuild(cache, report ? report : &unused, err);
}

int llmcache_embed(llmcache *cache, const char *const *texts, size_t count, float **vectors,
                   size_t *dimension, llmcache_error *err)
{
    if (!cache || !texts || !vectors || !dimension)
        return missing(err, "cache, texts, vectors and dimension");
    return lc_embed_texts(cache, texts, count, vectors, dimension, err);
}
