/* Explaining: the pipeline's steps without their effects, told as one JSON object. */
#include "ask/text.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define SHOWN 5

static void member(lc_buffer *out, const char *name, const char *value)
{
    lc_buffer_json_text(out, name);
    lc_buffer_byte(out, ':');
    lc_buffer_json_text(out, value);
    lc_buffer_byte(out, ',');
}

static void tell_rules(const lc_verdict *verdict, lc_buffer *out)
{
    static const char *const outcomes[] = {"silent", "pass", "veto"};
    const char *comma = "";
    lc_buffer_text(out, "\"rules\":[");
    for (int rule = 0; rule < LC_RULE_COUNT; rule++) {
        const lc_word *word = &verdict->words[rule];
        if (word->outcome == LC_SILENT)
            continue;
        lc_buffer_format(out, "%s{", comma);
        member(out, "rule", lc_rule_word((lc_rule)rule));
        member(out, "outcome", outcomes[word->outcome]);
        lc_buffer_text(out, "\"detail\":");
        lc_buffer_json_text(out, word->detail);
        lc_buffer_byte(out, '}');
        comma = ",";
    }
    lc_buffer_byte(out, ']');
}

/* With where its threshold and its numbers come from. */
static void tell_score(const llmcache *cache, const lc_verdict *verdict, lc_buffer *out)
{
    const char *from;
    lc_score_threshold(cache, verdict->language, &from);
    lc_buffer_format(out, "\"score\":%.4f,\"score_threshold\":%.4f,", verdict->score,
                     verdict->score_threshold);
    member(out, "score_threshold_from", from);
    if (lc_score_numbers(cache, verdict->language))
        lc_buffer_format(out, "\"score_numbers_from\":\"score-weights of %s\",", cache->score_weights->made);
    else
        member(out, "score_numbers_from", "default");
}

/* 1 when this candidate would be served. */
static int tell_candidate(const lc_job *job, const lc_neighbour *near, int first, lc_buffer *out)
{
    lc_entry *entry = NULL;
    lc_verdict verdict;
    llmcache_error err;
    char id[LLMCACHE_ID_SIZE];
    lc_entry_id(near->fingerprint, id);
    int code = lc_fetch_record(job->cache, job->space, near->fingerprint, job->now_ms, &entry, &err);
    lc_buffer_format(out, "%s{", first ? "" : ",");
    member(out, "id", id);
    lc_buffer_format(out, "\"similarity\":%.6f,", near->similarity);
    int serves = 0;
    if (code) {
        member(out, "why", code == LLMCACHE_NOT_FOUND ? "gone" : "store");
    } else {
        member(out, "question", entry->facts.question);
        serves = lc_judge(job, entry, near->similarity, 1, &verdict);
        member(out, "why", verdict.why);
        if (verdict.scored)
            tell_score(job->cache, &verdict, out);
        tell_rules(&verdict, out);
        lc_buffer_byte(out, ',');
    }
    lc_buffer_format(out, "\"serves\":%s}", serves ? "true" : "false");
    lc_entry_unref(entry);
    return serves;
}

/* Embeds and searches; NULL or the static word why there are no candidates. */
static const char *find_candidates(lc_job *job, lc_neighbour *near, size_t *count)
{
    llmcache *cache = job->cache;
    llmcache_error err;
    const char *why = lc_not_matchable(job);
    if (why)
        return why;
    if (!lc_background_wait_index(cache, cache->settings.embed_timeout_ms))
        return "index-loading";
    int code = lc_embed_question(cache, job->question.text, &job->vector, &job->dimension, &err);
    if (code)
        return code == LLMCACHE_UNSUPPORTED ? "unsuited-text" : "embedder";
    if (lc_vectors_search(job, near, SHOWN, count, &err))
        return "index";
    return *count ? NULL : "no-candidate";
}

static int tell_semantic(lc_job *job, lc_buffer *out)
{
    lc_neighbour near[SHOWN];
    size_t count = 0;
    int served = 0;
    const char *why = find_candidates(job, near, &count);
    const lc_settings *settings = &job->cache->settings;
    lc_buffer_format(out, "\"semantic\":{\"threshold\":%.6f,", lc_least_similarity(job));
    member(out, "threshold_from",
           settings->threshold > 0 ? "setting" : lc_uses_score(job->cache) ? "score" : "embedder");
    member(out, "why", why ? why : "");
    lc_buffer_text(out, "\"candidates\":[");
    for (size_t i = 0; i < count; i++)
        served |= tell_candidate(job, &near[i], i == 0, out);
    lc_buffer_format(out, "],\"hit\":%s}", served ? "true" : "false");
    return served;
}

static void tell(lc_job *job, lc_buffer *out)
{
    lc_buffer_byte(out, '{');
    member(out, "question", job->question.text);
    member(out, "namespace", job->space);
    member(out, "protocol", lc_protocol_name(job->protocol));
    member(out, "model", job->question.model);
    member(out, "base", lc_provider_base(job->cache, job->anthropic));
    member(out, "id", job->id);
    int exact = lc_find_exact(job);
    lc_buffer_format(out, "\"exact\":{\"hit\":%s},", exact ? "true" : "false");
    int semantic = tell_semantic(job, out);
    lc_buffer_byte(out, ',');
    lc_buffer_text(out, "\"source\":");
    lc_buffer_json_text(out, exact ? "exact" : semantic ? "semantic" : "model");
    lc_buffer_byte(out, '}');
}

int lc_text_explain(llmcache *cache, const char *question, const llmcache_ask_options *options,
                    char **json, llmcache_error *err)
{
    lc_text_ask ask;
    lc_buffer out;
    lc_buffer_init(&out, 0);
    int code = lc_text_init(&ask, cache, question, options, err);
    if (!code)
        code = lc_text_fingerprint(&ask, err);
    if (!code) {
        ask.job.has_raw = 0; /* an explanation must not leave an alias behind */
        tell(&ask.job, &out);
        char *text = lc_buffer_take(&out, NULL);
        if (text)
            *json = text;
        else
            code = lc_fail_memory(err);
    }
    lc_buffer_done(&out);
    lc_text_done(&ask);
    return code;
}
