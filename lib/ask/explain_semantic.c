/* Explaining the semantic cache: the nearest candidates, and what every rule said of each. */
#include "ask/explain.h"
#include "ask/learning.h"

#include "ask/grey.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 4 }; /* as many as an ask looks at */

/* Why a question is not looked up by meaning. */
static const struct reason {
    const char *word, *says;
} reasons[] = {
    {"image", "the question holds an image"},
    {"file", "the question holds a file"},
    {"audio", "the question holds audio"},
    {"video", "the question holds a video"},
    {"part", "the question holds a part that is no text"},
    {"n", "more than one answer is asked for"},
    {"logprobs", "probabilities of tokens are asked for"},
    {"tool-result", "the last message is a tool's result"},
    {"no-user", "the last message is not the user's"},
    {"no-text", "there is no question in words"},
    {"not-text", "there is no question in words"},
    {"nul", "the question holds a NUL"},
    {"refusal", "the last message holds a refusal"},
    {"completions", "completions are matched exactly only"},
    {"volatile", "the question is about now (volatile), so its answers change"},
    {"exact-only", "only exact matching was asked for, or is configured"},
    {"no-embedder", "no embedder is configured"},
    {"index-loading", "the index is still being loaded"},
    {"unsuited-text", "the encoder cannot judge this text: too long, or signs it does not know"},
    {"memory", "there was no memory to judge it"},
    {"embedder", "the embedder failed"},
    {"index", "the search failed"},
    {"no-candidate", "no kept question shares model, system prompt and settings"},
};

static const char *says_why(const char *word)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].word, word) == 0)
            return reasons[i].says;
    return word;
}

/* ---- One candidate ------------------------------------------------------------------------------- */

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
        lc_explain_text(out, "rule", lc_rule_word((lc_rule)rule));
        lc_explain_text(out, "outcome", outcomes[word->outcome]);
        lc_explain_last(out, "detail", word->detail);
        lc_buffer_byte(out, '}');
        comma = ",";
    }
    lc_buffer_text(out, "],");
}

/* With where its threshold and its numbers come from. */
static void tell_score(const llmcache *cache, const lc_verdict *verdict, lc_buffer *out)
{
    const char *from;
    lc_score_threshold(cache, verdict->language, &from);
    lc_buffer_format(out, "\"score\":%.4f,\"score_threshold\":%.4f,", verdict->score,
                     verdict->score_threshold);
    lc_explain_text(out, "score_threshold_from", from);
    if (lc_score_numbers(cache, verdict->language))
        lc_buffer_format(out, "\"score_numbers_from\":\"score-weights of %s\",", cache->score_weights->made);
    else
        lc_explain_text(out, "score_numbers_from", "default");
}

/* What stopped it, in words. */
static void say_verdict(const lc_job *job, const lc_verdict *verdict, double similarity, int serves,
                        char says[256])
{
    const char *detail = "", *rule = verdict->why;
    for (int i = 0; i < LC_RULE_COUNT; i++)
        if (verdict->words[i].outcome == LC_VETO && strcmp(lc_rule_word((lc_rule)i), rule) == 0)
            detail = verdict->words[i].detail;
    if (serves)
        snprintf(says, 256, "its answer would be served");
    else if (strcmp(rule, "similarity") == 0 || strcmp(rule, "threshold") == 0)
        snprintf(says, 256, "similarity %.4f is below the %.4f needed", similarity,
                 lc_least_similarity(job));
    else if (strcmp(rule, "score") == 0 && verdict->scored)
        snprintf(says, 256, "score %.2f is below the %.2f needed", verdict->score,
                 verdict->score_threshold);
    else if (strcmp(rule, "learned") == 0)
        snprintf(says, 256, "it is not proven that answers so near are right often enough");
    else
        snprintf(says, 256, "stopped by the rule %s%s%.200s", rule, *detail ? ": " : "", detail);
}

static void tell_verdict(const lc_job *job, const lc_entry *entry, double similarity, lc_buffer *out,
                         int *serves, char says[256])
{
    lc_verdict verdict;
    *serves = lc_judge(job, entry, similarity, 1, &verdict);
    int fits = lc_entry_serves(job, entry);
    const char *who, *judged = *serves ? "" : lc_grey_explain(job, entry, similarity, &verdict, &who);
    *serves |= strcmp(judged, "right") == 0;
    if (*judged)
        lc_explain_text(out, "judge", judged);
    if (*serves && !fits)
        verdict.why = "unfit";
    *serves = *serves && fits;
    if (*serves && job->cache->learning) {
        *serves = lc_learning_explain(job, &entry->facts, similarity, &verdict, out);
        verdict.why = *serves ? verdict.why : "learned";
    }
    lc_explain_text(out, "why", verdict.why);
    if (verdict.scored)
        tell_score(job->cache, &verdict, out);
    tell_rules(&verdict, out);
    say_verdict(job, &verdict, similarity, *serves, says);
    if (strcmp(judged, "right") == 0)
        snprintf(says, 256, "in the grey zone, and said to be right by %s", who);
    else if (strcmp(judged, "unknown") == 0)
        snprintf(says, 256, "in the grey zone: the judge would be asked");
    if (!fits)
        snprintf(says, 256, "it is stale, too old for this request, or lacks the usage it asks for");
}

/* 1 when this candidate would be served. */
static int tell_candidate(const lc_job *job, const lc_neighbour *near, lc_buffer *out, char says[256])
{
    lc_entry *entry = NULL;
    llmcache_error err;
    char id[LLMCACHE_ID_SIZE];
    int serves = 0;
    lc_buffer_byte(out, '{');
    int code = lc_fetch_record(job->cache, job->space, near->fingerprint, job->now_ms, &entry, &err);
    if (code) {
        lc_entry_id(near->fingerprint, id);
        lc_explain_text(out, "id", id);
        lc_explain_text(out, "why", code == LLMCACHE_NOT_FOUND ? "gone" : "store");
        snprintf(says, 256, code == LLMCACHE_NOT_FOUND ? "it is gone" : "the store failed");
    } else {
        lc_explain_entry(job, &entry->facts, out);
        tell_verdict(job, entry, near->similarity, out, &serves, says);
    }
    lc_buffer_format(out, "\"similarity\":%.6f,\"serves\":%s,", near->similarity,
                     serves ? "true" : "false");
    lc_explain_last(out, "says", says);
    lc_buffer_byte(out, '}');
    lc_entry_unref(entry);
    return serves;
}

/* ---- All of them ----------------------------------------------------------------------------------- */

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
    int code = lc_embed_question(cache, job->space, job->question.text, &job->vector, &job->dimension, &err);
    if (code)
        return code == LLMCACHE_UNSUPPORTED ? "unsuited-text" : "embedder";
    if (lc_vectors_search(job, near, SHOWN, count, &err))
        return "index";
    return *count ? NULL : "no-candidate";
}

static const char *threshold_from(const lc_job *job)
{
    const llmcache *cache = job->cache;
    double asked = job->controls.threshold;
    if (asked > 0 && lc_least_similarity(job) <= asked)
        return "request";
    if (cache->settings.threshold > 0)
        return "setting";
    if (lc_uses_score(cache))
        return "score";
    const lc_embedder *embedder = &cache->embedder;
    int own = embedder->ops.embed && embedder->ops.threshold &&
              embedder->ops.threshold(embedder->self) > 0;
    return own ? "embedder" : "default";
}

void lc_explain_semantic(lc_job *job, lc_buffer *out, lc_explained *explained)
{
    lc_neighbour near[SHOWN];
    size_t count = 0;
    char says[256] = "";
    const char *why = find_candidates(job, near, &count);
    lc_buffer_format(out, "\"semantic\":{\"threshold\":%.6f,", lc_least_similarity(job));
    lc_explain_text(out, "threshold_from", threshold_from(job));
    lc_explain_text(out, "why", why ? why : "");
    lc_buffer_text(out, "\"candidates\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            lc_buffer_byte(out, ',');
        int serves = tell_candidate(job, &near[i], out, says);
        if (i == 0 || (serves && !explained->semantic))
            snprintf(explained->nearly, sizeof explained->nearly, "%s", says);
        explained->semantic |= serves;
    }
    if (why)
        snprintf(explained->nearly, sizeof explained->nearly, "%s", says_why(why));
    lc_buffer_format(out, "],\"hit\":%s,", explained->semantic ? "true" : "false");
    lc_explain_last(out, "says", explained->nearly);
    lc_buffer_byte(out, '}');
}
