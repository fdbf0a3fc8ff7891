#include "ask/grey.h"

#include "ask/header_lists.h"
#include "ask/metrics.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* ---- Opening ----------------------------------------------------------------------------------------- */

int lc_grey_open(llmcache *cache, llmcache_error *err)
{
    const lc_settings *settings = &cache->settings;
    if (!*settings->judge)
        return 0;
    const lc_referee_options options = {.uri = settings->judge,
                                        .openai = &cache->openai,
                                        .anthropic = &cache->anthropic,
                                        .prices = cache->prices,
                                        .models_folder = settings->models_folder,
                                        .cutoff = settings->judge_cutoff,
                                        .timeout_ms = settings->judge_timeout_ms,
                                        .per_minute = settings->judge_per_minute};
    return lc_referee_new(&options, &cache->referee, err);
}

/* One step of the score is worth so much cosine as its weight says: the zone is as wide for both. */
double lc_grey_width(const llmcache *cache)
{
    return cache->referee ? cache->settings.judge_band / lc_feature_weight(LC_FEATURE_COS) : 0;
}

/* ---- Is it grey? ---------------------------------------------------------------------------------------- */

/* Every rule passes when the threshold is as much lower: those behind it have then been heard too. */
static int is_grey(const lc_job *job, const lc_entry *entry, double similarity, const lc_verdict *verdict,
                   lc_verdict *grey)
{
    const char *why = verdict->why;
    if (!job->cache->referee || (strcmp(why, "score") != 0 && strcmp(why, "similarity") != 0))
        return 0;
    return similarity >= job->controls.threshold &&
           lc_judge_leniently(job, entry->facts.question, similarity, job->cache->settings.judge_band, grey);
}

/* ---- Asking the referee ----------------------------------------------------------------------------------- */

static lc_ruling rule(llmcache *cache, const lc_referee_caller *caller, const lc_observation *pair)
{
    lc_referee_bill bill;
    lc_ruling ruling = lc_referee_questions(cache->referee, caller, pair->candidate, pair->asked, &bill);
    lc_count_add(&cache->counts.cost_nano, (uint64_t)bill.cost_nano);
    if (ruling == LC_RULING_NONE)
        return ruling;
    lc_observation said = *pair;
    said.verdict = ruling == LC_RULING_SAME ? LLMCACHE_RIGHT : LLMCACHE_WRONG;
    said.observer = LLMCACHE_BY_JUDGE;
    said.time_ms = lc_now_ms(cache);
    lc_observe(cache, &said, NULL); /* what cannot be kept is asked again */
    return ruling;
}

/* A pair to ask about later: copies of all it needs. */
typedef struct later {
    llmcache *cache;
    llmcache_header *headers;
    lc_referee_caller caller;
    lc_observation pair;
    char *texts[6]; /* space, asked, candidate, embedder, model, protocol */
} later;

static void free_later(later *l)
{
    for (int i = 0; i < 6; i++)
        lc_free(l->texts[i]);
    lc_headers_free(l->headers, l->caller.header_count);
    lc_free(l);
}

static void rule_later(void *argument)
{
    later *l = argument;
    rule(l->cache, &l->caller, &l->pair);
    free_later(l);
}

static later *copy_case(const lc_job *job, const lc_observation *pair)
{
    const char *const from[6] = {pair->space, pair->asked, pair->candidate,
                                 pair->embedder, pair->model, pair->protocol};
    later *l = lc_zalloc(sizeof *l);
    int failed = !l || lc_headers_copy_up(job->request, job->cache->keeps_credential, &l->headers,
                                          &l->caller.header_count);
    for (int i = 0; i < 6 && !failed; i++)
        failed = !(l->texts[i] = lc_strdup(from[i]));
    if (failed) {
        if (l)
            free_later(l);
        return NULL;
    }
    l->cache = job->cache;
    l->caller.headers = l->headers;
    l->caller.anthropic = job->anthropic;
    l->pair = *pair;
    l->pair.space = l->texts[0];
    l->pair.asked = l->texts[1];
    l->pair.candidate = l->texts[2];
    l->pair.embedder = l->texts[3];
    l->pair.model = l->texts[4];
    l->pair.protocol = l->texts[5];
    return l;
}

static void ask_later(const lc_job *job, const lc_observation *pair)
{
    later *l = copy_case(job, pair);
    if (l && lc_workers_run(job->cache->workers, rule_later, l, NULL))
        free_later(l);
}

static lc_ruling ask_now(const lc_job *job, const lc_observation *pair)
{
    const lc_referee_caller caller = {.headers = job->request->headers,
                                      .header_count = job->cache->keeps_credential ? 0 : job->request->header_count,
                                      .anthropic = job->anthropic};
    return rule(job->cache, &caller, pair);
}

int lc_grey_serves(lc_job *job, const lc_entry *entry, double similarity, lc_verdict *verdict)
{
    lc_verdict grey;
    const char *who;
    if (!is_grey(job, entry, similarity, verdict, &grey))
        return 0;
    lc_observation pair;
    lc_observation_fill(job, entry, similarity, &grey, &pair);
    int verdict_known = lc_known_before(job->cache, job->space, pair.asked, pair.candidate, &who);
    int right = verdict_known == LLMCACHE_RIGHT;
    if (verdict_known == LLMCACHE_UNJUDGED && !job->asked_referee) {
        job->asked_referee = 1;
        if (job->cache->settings.judge_later)
            ask_later(job, &pair);
        else
            right = ask_now(job, &pair) == LC_RULING_SAME;
    }
    if (right)
        *verdict = grey;
    return right;
}

/* ---- Telling ------------------------------------------------------------------------------------------------ */

const char *lc_grey_explain(const lc_job *job, const lc_entry *entry, double similarity,
                            const lc_verdict *verdict, const char **who)
{
    lc_verdict grey;
    *who = "";
    if (!is_grey(job, entry, similarity, verdict, &grey))
        return "";
    int known = lc_known_before(job->cache, job->space, job->question.text, entry->facts.question, who);
    return known == LLMCACHE_RIGHT ? "right" : known == LLMCACHE_WRONG ? "wrong" : "unknown";
}

void lc_grey_metrics(const llmcache *cache, lc_buffer *out)
{
    if (!cache->referee)
        return;
    const lc_referee_counts *counts = lc_referee_count(cache->referee);
    lc_metrics_head(out, "llmcache_judge_total", "Pairs the judge was asked about, by what it said.", "counter");
    const struct {
        const char *name;
        const lc_count *count;
    } said[] = {{"same", &counts->same}, {"other", &counts->other}, {"none", &counts->none}};
    for (int i = 0; i < 3; i++)
        lc_buffer_format(out, "llmcache_judge_total{said=\"%s\"} %llu\n", said[i].name,
                         (unsigned long long)lc_count_read(said[i].count));
    lc_metrics_words("llmcache_judge_silent_total", "reason", "Pairs the judge said nothing about, by reason.",
                     &counts->unclear, out);
    lc_metrics_head(out, "llmcache_judge_tokens_total", "Tokens the judge cost.", "counter");
    lc_buffer_format(out, "llmcache_judge_tokens_total{kind=\"input\"} %llu\n",
                     (unsigned long long)lc_count_read(&counts->input_tokens));
    lc_buffer_format(out, "llmcache_judge_tokens_total{kind=\"output\"} %llu\n",
                     (unsigned long long)lc_count_read(&counts->output_tokens));
    lc_metrics_head(out, "llmcache_judge_cost_dollars_total",
                    "Cost of the judge by the price table, in US dollars; part of llmcache_cost_dollars_total.",
                    "counter");
    lc_buffer_format(out, "llmcache_judge_cost_dollars_total %.9g\n",
                     (double)lc_count_read(&counts->cost_nano) * 1e-9);
    lc_metrics_head(out, "llmcache_judge_duration_seconds", "Time of one word of the judge.", "histogram");
    lc_metrics_histogram("llmcache_judge_duration_seconds", "judge", lc_referee_name(cache->referee),
                         &counts->latency, out);
}

void lc_grey_metrics_json(const llmcache *cache, lc_buffer *out)
{
    if (!cache->referee)
        return;
    const lc_referee_counts *counts = lc_referee_count(cache->referee);
    lc_buffer_text(out, ",\"judge\":{\"name\":");
    lc_buffer_json_text(out, lc_referee_name(cache->referee));
    lc_buffer_format(out,
                     ",\"same\":%llu,\"other\":%llu,\"none\":%llu,\"input_tokens\":%llu,\"output_tokens\":%llu,"
                     "\"cost_nano\":%llu}",
                     (unsigned long long)lc_count_read(&counts->same),
                     (unsigned long long)lc_count_read(&counts->other),
                     (unsigned long long)lc_count_read(&counts->none),
                     (unsigned long long)lc_count_read(&counts->input_tokens),
                     (unsigned long long)lc_count_read(&counts->output_tokens),
                     (unsigned long long)lc_count_read(&counts->cost_nano));
}
