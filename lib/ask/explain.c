/* Explaining: the order of the steps, what would be kept, and the summary. */
#include "ask/explain.h"

#include "ask/text.h"
#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Writing --------------------------------------------------------------------------------------- */

void lc_explain_last(lc_buffer *out, const char *name, const char *value)
{
    lc_buffer_json_text(out, name);
    lc_buffer_byte(out, ':');
    lc_buffer_json_text(out, value);
}

void lc_explain_text(lc_buffer *out, const char *name, const char *value)
{
    lc_explain_last(out, name, value);
    lc_buffer_byte(out, ',');
}

void lc_explain_entry(const lc_job *job, const llmcache_entry *entry, lc_buffer *out)
{
    int64_t age_ms = job->now_ms - entry->created_ms;
    lc_explain_text(out, "id", entry->id);
    lc_buffer_format(out, "\"age_ms\":%" PRId64 ",", age_ms > 0 ? age_ms : 0);
    lc_explain_text(out, "model", entry->model);
    lc_explain_text(out, "question", entry->question);
}

/* ---- What would be kept ------------------------------------------------------------------------------ */

static const char *ttl_from(const lc_job *job)
{
    const lc_settings *settings = &job->cache->settings;
    if (job->controls.ttl_ms)
        return "request";
    return lc_ttl_ms(job) != settings->ttl_ms ? "setting volatile-ttl" : "setting ttl";
}

static void tell_store(const lc_job *job, lc_buffer *out)
{
    const char *unmatched = lc_not_matchable(job);
    int kept = !job->controls.no_store;
    lc_buffer_format(out, "\"stores\":{\"kept\":%s,", kept ? "true" : "false");
    lc_explain_text(out, "why", kept ? "" : "no-store");
    lc_buffer_format(out, "\"ttl_ms\":%" PRId64 ",", lc_ttl_ms(job));
    lc_explain_text(out, "ttl_from", ttl_from(job));
    lc_explain_text(out, "tags", job->controls.tags ? job->controls.tags : "");
    lc_buffer_format(out, "\"by_meaning\":%s,", kept && !unmatched ? "true" : "false");
    lc_explain_last(out, "why_not_by_meaning", unmatched ? unmatched : "");
    lc_buffer_byte(out, '}');
}

/* ---- The whole ----------------------------------------------------------------------------------------- */

static void tell_question(const lc_job *job, lc_buffer *out)
{
    lc_buffer_text(out, "\"question\":");
    lc_buffer_json(out, job->question.text ? job->question.text : "", job->question.text_size);
    lc_buffer_byte(out, ',');
    lc_explain_text(out, "namespace", job->space);
    lc_explain_text(out, "protocol", lc_protocol_name(job->protocol));
    lc_explain_text(out, "model", job->question.model);
    lc_explain_text(out, "base", lc_provider_base(job->cache, job->anthropic));
    lc_explain_text(out, "id", job->id);
}

/* `inner` has the members of the parts. */
static void close_up(const char *source, const char *summary, const lc_buffer *inner, lc_buffer *out)
{
    lc_buffer_byte(out, '{');
    lc_explain_text(out, "source", source);
    lc_explain_last(out, "summary", summary);
    if (inner->size)
        lc_buffer_byte(out, ',');
    lc_buffer_add(out, inner->data, inner->size);
    lc_buffer_byte(out, '}');
}

static void explain_question(lc_job *job, lc_buffer *out)
{
    lc_buffer inner;
    lc_explained explained = {0};
    char summary[700];
    int no_read = job->controls.no_read;
    lc_buffer_init(&inner, 0);
    tell_question(job, &inner);
    lc_explain_exact(job, &inner, &explained);
    lc_buffer_byte(&inner, ',');
    lc_explain_semantic(job, &inner, &explained);
    lc_buffer_byte(&inner, ',');
    tell_store(job, &inner);
    const char *source = no_read ? "model" : explained.exact ? "exact" : explained.semantic ? "semantic" : "model";
    if (no_read)
        snprintf(summary, sizeof summary, "The model would be asked: the request says no-cache.");
    else if (explained.exact)
        snprintf(summary, sizeof summary, "An exact hit: the same request is kept.");
    else if (explained.semantic)
        snprintf(summary, sizeof summary, "A hit by meaning. Not exactly: %s.", explained.exactly);
    else
        snprintf(summary, sizeof summary, "The model would be asked. Exactly: %s. By meaning: %s.",
                 explained.exactly, explained.nearly);
    close_up(source, summary, &inner, out);
    if (inner.broken)
        out->broken = inner.broken;
    lc_buffer_done(&inner);
}

/* What never reaches the cache: why, in the summary. */
static void explain_bypass(const lc_job *job, const char *why, const char *detail, lc_buffer *out)
{
    lc_buffer inner;
    char summary[400];
    lc_buffer_init(&inner, 0);
    lc_explain_text(&inner, "protocol", lc_protocol_name(job->protocol));
    lc_explain_text(&inner, "target", job->request->target);
    lc_buffer_text(&inner, "\"cacheable\":false,");
    lc_explain_last(&inner, "why", why);
    snprintf(summary, sizeof summary, "Passed on uncached: %s.", detail);
    close_up("model", summary, &inner, out);
    if (inner.broken)
        out->broken = inner.broken;
    lc_buffer_done(&inner);
}

static const char *why_uncacheable(const char *word)
{
    if (strcmp(word, "background") == 0)
        return "a response made in the background is fetched later, by another request";
    if (strcmp(word, "conversation") == 0)
        return "a conversation that the service keeps changes with every use";
    if (strcmp(word, "container") == 0)
        return "a container that the service keeps changes with every use";
    return word;
}

static int tell(lc_job *job, lc_buffer *out, llmcache_error *err)
{
    int code = lc_identify(job, err);
    job->has_raw = 0; /* an explanation must not leave an alias behind */
    if (code)
        return code;
    if (job->protocol == LC_PROTOCOL_NONE) {
        explain_bypass(job, "path", "only POST requests to the five known endpoints are cached", out);
        return 0;
    }
    llmcache_error unread;
    code = lc_job_read(job, &unread);
    if (code == LLMCACHE_MEMORY)
        return lc_fail_memory(err);
    if (code) {
        explain_bypass(job, "unreadable", unread.message, out);
        return 0;
    }
    if (!job->question.cacheable) {
        explain_bypass(job, job->why, why_uncacheable(job->why), out);
        return 0;
    }
    code = lc_find_space(job, err);
    if (code)
        return code;
    if (job->protocol == LC_PROTOCOL_EMBEDDINGS) {
        explain_bypass(job, "embeddings", "each input of an embeddings request is kept by itself, exactly", out);
        return 0;
    }
    lc_fingerprint(job);
    explain_question(job, out);
    return 0;
}

int lc_explain(lc_job *job, char **json, llmcache_error *err)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    int code = tell(job, &out, err);
    char *text = code ? NULL : lc_buffer_take(&out, NULL);
    if (text)
        *json = text;
    else if (!code)
        code = lc_fail_memory(err);
    lc_buffer_done(&out);
    return code;
}

int lc_explain_call(llmcache *cache, const llmcache_request *request, const char *space, char **json,
                    llmcache_error *err)
{
    lc_job job;
    lc_job_init(&job, cache, request, NULL);
    job.trusted_space = space && *space ? space : NULL;
    int code = lc_explain(&job, json, err);
    lc_job_done(&job);
    return code;
}

int lc_text_explain(llmcache *cache, const char *question, const llmcache_ask_options *options,
                    char **json, llmcache_error *err)
{
    lc_text_ask ask;
    int code = lc_text_init(&ask, cache, question, options, err);
    if (!code)
        code = lc_explain(&ask.job, json, err);
    lc_text_done(&ask);
    return code;
}
