/*
 * Metrics in the Prometheus text format 0.0.4 and as JSON. One table names every plain number; histograms
 * and counts by word follow it.
 */
#include "ask/metrics.h"

#include "ask/grey.h"
#include "ask/learning.h"
#include "base/clock.h"
#include "base/error.h"

#include <stddef.h>
#include <string.h>

void lc_counters_read(llmcache *cache, llmcache_counters *out)
{
    const lc_counts *counts = &cache->counts;
    lc_memory_stats memory;
    lc_index_stats index;
    llmcache_store_stats store = {0};
    lc_memory_cache_stats(cache->memory, &memory);
    cache->index.ops.stats(cache->index.self, &index);
    cache->store.ops.stats(cache->store.self, &store);
    memset(out, 0, sizeof *out);
    for (int end = 0; end < LC_END_COUNT; end++)
        out->requests += lc_count_read(&counts->ends[end]);
    out->misses = lc_count_read(&counts->ends[LLMCACHE_SOURCE_MODEL]);
    out->hits_exact = lc_count_read(&counts->ends[LLMCACHE_SOURCE_EXACT]);
    out->hits_semantic = lc_count_read(&counts->ends[LLMCACHE_SOURCE_SEMANTIC]);
    out->hits_shared = lc_count_read(&counts->ends[LLMCACHE_SOURCE_SHARED]);
    out->hits_stale = lc_count_read(&counts->ends[LLMCACHE_SOURCE_STALE]);
    out->bypassed = lc_count_read(&counts->ends[LC_END_BYPASS]);
    out->errors = lc_count_read(&counts->ends[LC_END_ERROR]);
    out->stored = lc_count_read(&counts->stored);
    out->not_stored = lc_count_words(&counts->not_stored);
    out->store_errors = lc_count_read(&counts->store_errors);
    out->embed_errors = lc_count_read(&counts->embed_errors);
    out->embeds = lc_count_read(&counts->embeds);
    out->rejected = lc_count_read(&counts->rejected);
    out->tokens_saved_input = lc_count_read(&counts->tokens_saved_input);
    out->tokens_saved_output = lc_count_read(&counts->tokens_saved_output);
    out->saved_ms = lc_count_read(&counts->saved_ms);
    out->cost_nano = lc_count_read(&counts->cost_nano);
    out->cost_saved_nano = lc_count_read(&counts->cost_saved_nano);
    out->invalidations = lc_count_read(&counts->invalidations);
    out->upstream_calls = lc_count_read(&counts->upstream_calls);
    out->leases_taken = lc_count_read(&counts->leases_taken);
    out->leases_waited = lc_count_read(&counts->leases_waited);
    out->leases_answered = lc_count_read(&counts->leases_answered);
    out->leases_taken_over = lc_count_read(&counts->leases_taken_over);
    out->leases_given_up = lc_count_read(&counts->leases_given_up);
    out->evictions = memory.evictions;
    out->memory_bytes = memory.bytes;
    out->entries = store.entries;
    out->records = index.records;
    out->in_flight = lc_flights_count(cache->flights);
}

/* ---- The table ------------------------------------------------------------------------------- */

typedef struct metric {
    const char *name, *labels, *help;
    int gauge;
    size_t offset; /* in llmcache_counters */
    double scale;
} metric;

#define AT(field) offsetof(llmcache_counters, field)
static const metric metrics[] = {
    {"llmcache_requests_total", "source=\"exact\"", "Questions by how they were answered.", 0, AT(hits_exact), 1},
    {"llmcache_requests_total", "source=\"semantic\"", NULL, 0, AT(hits_semantic), 1},
    {"llmcache_requests_total", "source=\"shared\"", NULL, 0, AT(hits_shared), 1},
    {"llmcache_requests_total", "source=\"stale\"", NULL, 0, AT(hits_stale), 1},
    {"llmcache_requests_total", "source=\"model\"", NULL, 0, AT(misses), 1},
    {"llmcache_requests_total", "source=\"bypass\"", NULL, 0, AT(bypassed), 1},
    {"llmcache_requests_total", "source=\"error\"", NULL, 0, AT(errors), 1},
    {"llmcache_stored_total", NULL, "Answers kept.", 0, AT(stored), 1},
    {"llmcache_store_errors_total", NULL, "Store operations that failed or timed out.", 0, AT(store_errors), 1},
    {"llmcache_embeds_total", NULL, "Texts embedded.", 0, AT(embeds), 1},
    {"llmcache_embed_errors_total", NULL, "Texts that could not be embedded in time.", 0, AT(embed_errors), 1},
    {"llmcache_tokens_saved_total", "kind=\"input\"", "Tokens that hits did not cost.", 0, AT(tokens_saved_input), 1},
    {"llmcache_tokens_saved_total", "kind=\"output\"", NULL, 0, AT(tokens_saved_output), 1},
    {"llmcache_model_seconds_saved_total", NULL, "Time of the model that hits did not wait for.", 0, AT(saved_ms), 1e-3},
    {"llmcache_cost_dollars_total", NULL, "Cost of the model by the price table, in US dollars.", 0, AT(cost_nano), 1e-9},
    {"llmcache_cost_saved_dollars_total", NULL, "Cost that hits saved by the price table, in US dollars.", 0, AT(cost_saved_nano), 1e-9},
    {"llmcache_evictions_total", NULL, "Answers evicted from memory.", 0, AT(evictions), 1},
    {"llmcache_invalidations_total", NULL, "Entries the store said had changed.", 0, AT(invalidations), 1},
    {"llmcache_upstream_requests_total", NULL, "Calls to the model's service.", 0, AT(upstream_calls), 1},
    {"llmcache_leases_total", "event=\"taken\"", "Questions of a shared store: leases taken for a call, and what came of other servers' leases.", 0, AT(leases_taken), 1},
    {"llmcache_leases_total", "event=\"waited\"", NULL, 0, AT(leases_waited), 1},
    {"llmcache_leases_total", "event=\"answered\"", NULL, 0, AT(leases_answered), 1},
    {"llmcache_leases_total", "event=\"taken_over\"", NULL, 0, AT(leases_taken_over), 1},
    {"llmcache_leases_total", "event=\"given_up\"", NULL, 0, AT(leases_given_up), 1},
    {"llmcache_entries", NULL, "Entries in the store, as last seen.", 1, AT(entries), 1},
    {"llmcache_records", NULL, "Records searchable by meaning.", 1, AT(records), 1},
    {"llmcache_memory_bytes", NULL, "Bytes held by the memory cache.", 1, AT(memory_bytes), 1},
    {"llmcache_in_flight", NULL, "Calls to the model under way.", 1, AT(in_flight), 1},
};
#undef AT

static double value_of(const metric *m, const llmcache_counters *counters)
{
    uint64_t value;
    memcpy(&value, (const char *)counters + m->offset, sizeof value);
    return (double)value * m->scale;
}

void lc_metrics_head(lc_buffer *out, const char *name, const char *help, const char *type)
{
    lc_buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_table(const llmcache_counters *counters, lc_buffer *out)
{
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const metric *m = &metrics[i];
        if (m->help)
            lc_metrics_head(out, m->name, m->help, m->gauge ? "gauge" : "counter");
        if (m->labels)
            lc_buffer_format(out, "%s{%s} %.15g\n", m->name, m->labels, value_of(m, counters));
        else
            lc_buffer_format(out, "%s %.15g\n", m->name, value_of(m, counters));
    }
}

void lc_metrics_words(const char *name, const char *label, const char *help, const lc_word_counts *words,
                      lc_buffer *out)
{
    lc_metrics_head(out, name, help, "counter");
    for (int i = 0; i < LC_WORDS; i++) {
        const char *word = atomic_load(&words->words[i]);
        if (word)
            lc_buffer_format(out, "%s{%s=\"%s\"} %llu\n", name, label, word,
                             (unsigned long long)lc_count_read(&words->counts[i]));
    }
}

void lc_metrics_histogram(const char *name, const char *label, const char *value,
                          const lc_histogram *histogram, lc_buffer *out)
{
    uint64_t sum = 0;
    for (int i = 0; i <= LC_BUCKETS; i++) {
        sum += lc_count_read(&histogram->buckets[i]);
        if (i < LC_BUCKETS)
            lc_buffer_format(out, "%s_bucket{%s=\"%s\",le=\"%.9g\"} %llu\n", name, label, value,
                             (double)lc_bucket_us[i] * 1e-6, (unsigned long long)sum);
        else
            lc_buffer_format(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %llu\n", name, label, value,
                             (unsigned long long)sum);
    }
    lc_buffer_format(out, "%s_sum{%s=\"%s\"} %.9g\n", name, label, value,
                     (double)lc_count_read(&histogram->sum_us) * 1e-6);
    lc_buffer_format(out, "%s_count{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)sum);
}

static void write_index(llmcache *cache, lc_buffer *out)
{
    lc_index_stats index;
    cache->index.ops.stats(cache->index.self, &index);
    lc_metrics_head(out, "llmcache_index_up", "1 if vectors can be searched.", "gauge");
    lc_buffer_format(out, "llmcache_index_up{index=\"%s\"} %d\n", cache->index.ops.name, !index.lost);
    lc_metrics_head(out, "llmcache_index_fell_back",
                    "1 if the index's server cannot do it, and vectors are searched in this process.", "gauge");
    lc_buffer_format(out, "llmcache_index_fell_back{index=\"%s\"} %d\n", cache->index.ops.name, index.fell_back);
}

static void write_rest(llmcache *cache, lc_buffer *out)
{
    const lc_counts *counts = &cache->counts;
    llmcache_store_stats store = {0};
    cache->store.ops.stats(cache->store.self, &store);
    lc_metrics_words("llmcache_not_stored_total", "reason", "Answers not worth keeping, by reason.",
                &counts->not_stored, out);
    lc_metrics_words("llmcache_rejected_total", "rule", "Near candidates that a rule refused.",
                &counts->refused, out);
    lc_metrics_words("llmcache_unmatched_total", "reason", "Questions not looked up by meaning, by reason.",
                &counts->unmatched, out);
    lc_metrics_head(out, "llmcache_upstream_replies_total", "Replies of the model's service by status class.",
         "counter");
    for (int i = 0; i < 6; i++)
        lc_buffer_format(out, i ? "llmcache_upstream_replies_total{status=\"%dxx\"} %llu\n"
                                : "llmcache_upstream_replies_total{status=\"none%.0d\"} %llu\n",
                         i, (unsigned long long)lc_count_read(&counts->upstream_status[i]));
    lc_metrics_head(out, "llmcache_request_duration_seconds", "Time from question to answer.", "histogram");
    for (int i = 0; i < LC_END_COUNT; i++)
        lc_metrics_histogram("llmcache_request_duration_seconds", "source", lc_end_names[i],
                        &counts->latency[i], out);
    lc_metrics_head(out, "llmcache_step_duration_seconds", "Time of one step of a question.", "histogram");
    for (int i = 0; i < LC_STEP_COUNT; i++)
        lc_metrics_histogram("llmcache_step_duration_seconds", "step", lc_step_names[i], &counts->steps[i], out);
    lc_usage_write(&cache->usage, out);
    lc_grey_metrics(cache, out);
    lc_learning_metrics(cache, out);
    lc_metrics_head(out, "llmcache_store_up", "1 if the store's last operation worked.", "gauge");
    lc_buffer_format(out, "llmcache_store_up{store=\"%s\"} %d\n", cache->store.ops.name,
                     store.connected != 0);
    write_index(cache, out);
    lc_metrics_head(out, "llmcache_uptime_seconds", "Time since the cache was opened.", "gauge");
    lc_buffer_format(out, "llmcache_uptime_seconds %.3f\n",
                     (double)(lc_mono_ms() - cache->opened_ms) * 1e-3);
    lc_metrics_head(out, "llmcache_build_info", "The library's version.", "gauge");
    lc_buffer_format(out, "llmcache_build_info{version=\"%s\"} 1\n", LLMCACHE_VERSION);
}

static int finish(lc_buffer *out, char **text, llmcache_error *err)
{
    char *taken = lc_buffer_take(out, NULL);
    lc_buffer_done(out);
    if (!taken)
        return lc_fail_memory(err);
    *text = taken;
    return 0;
}

int lc_metrics_prometheus(llmcache *cache, char **text, llmcache_error *err)
{
    llmcache_counters counters;
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_counters_read(cache, &counters);
    write_table(&counters, &out);
    write_rest(cache, &out);
    return finish(&out, text, err);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void words_json(const char *name, const lc_word_counts *words, lc_buffer *out)
{
    const char *comma = "";
    lc_buffer_format(out, ",\"%s\":{", name);
    for (int i = 0; i < LC_WORDS; i++) {
        const char *word = atomic_load(&words->words[i]);
        if (!word)
            continue;
        lc_buffer_format(out, "%s\"%s\":%llu", comma, word,
                         (unsigned long long)lc_count_read(&words->counts[i]));
        comma = ",";
    }
    lc_buffer_byte(out, '}');
}

/* The value below which a share of the observations lies: the upper bound of its bucket, in ms. */
static double quantile_ms(const lc_histogram *histogram, double share)
{
    uint64_t all = 0, sum = 0;
    for (int i = 0; i <= LC_BUCKETS; i++)
        all += lc_count_read(&histogram->buckets[i]);
    for (int i = 0; i < LC_BUCKETS; i++) {
        sum += lc_count_read(&histogram->buckets[i]);
        if (all && (double)sum >= share * (double)all)
            return (double)lc_bucket_us[i] * 1e-3;
    }
    return all ? (double)lc_bucket_us[LC_BUCKETS - 1] * 1e-3 : 0;
}

static void histogram_json(const char *name, const lc_histogram *histogram, const char *comma,
                           lc_buffer *out)
{
    uint64_t all = 0;
    for (int i = 0; i <= LC_BUCKETS; i++)
        all += lc_count_read(&histogram->buckets[i]);
    double sum_ms = (double)lc_count_read(&histogram->sum_us) * 1e-3;
    lc_buffer_format(out,
                     "%s\"%s\":{\"count\":%llu,\"mean_ms\":%.6g,\"p50_ms\":%.6g,\"p99_ms\":%.6g}", comma,
                     name, (unsigned long long)all, all ? sum_ms / (double)all : 0.0,
                     quantile_ms(histogram, .5), quantile_ms(histogram, .99));
}

static void numbers_json(const llmcache_counters *c, lc_buffer *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
#define FIELD(name) {#name, offsetof(llmcache_counters, name)}
        FIELD(requests),       FIELD(hits_exact),         FIELD(hits_semantic),
        FIELD(hits_shared),    FIELD(hits_stale),         FIELD(misses),
        FIELD(errors),         FIELD(bypassed),           FIELD(stored),
        FIELD(not_stored),     FIELD(store_errors),       FIELD(embeds),
        FIELD(embed_errors),   FIELD(rejected),           FIELD(tokens_saved_input),
        FIELD(tokens_saved_output), FIELD(saved_ms),      FIELD(evictions),
        FIELD(cost_nano),      FIELD(cost_saved_nano),
        FIELD(invalidations),  FIELD(upstream_calls),     FIELD(entries),
        FIELD(records),        FIELD(memory_bytes),       FIELD(in_flight),
        FIELD(leases_taken),   FIELD(leases_waited),      FIELD(leases_answered),
        FIELD(leases_taken_over), FIELD(leases_given_up),
#undef FIELD
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint64_t value;
        memcpy(&value, (const char *)c + fields[i].offset, sizeof value);
        lc_buffer_format(out, "\"%s\":%llu,", fields[i].name, (unsigned long long)value);
    }
    uint64_t hits = c->hits_exact + c->hits_semantic + c->hits_shared + c->hits_stale;
    uint64_t answered = hits + c->misses;
    lc_buffer_format(out, "\"hit_ratio\":%.6f", answered ? (double)hits / (double)answered : 0.0);
}

int lc_metrics_json(llmcache *cache, char **text, llmcache_error *err)
{
    llmcache_counters counters;
    lc_buffer out;
    const lc_counts *counts = &cache->counts;
    lc_buffer_init(&out, 0);
    lc_counters_read(cache, &counters);
    lc_buffer_format(&out, "{\"version\":\"%s\",\"uptime_s\":%.3f,", LLMCACHE_VERSION,
                     (double)(lc_mono_ms() - cache->opened_ms) * 1e-3);
    numbers_json(&counters, &out);
    words_json("not_stored_by_reason", &counts->not_stored, &out);
    words_json("rejected_by_rule", &counts->refused, &out);
    words_json("unmatched_by_reason", &counts->unmatched, &out);
    lc_buffer_text(&out, ",\"latency\":{");
    for (int i = 0; i < LC_END_COUNT; i++)
        histogram_json(lc_end_names[i], &counts->latency[i], i ? "," : "", &out);
    lc_buffer_text(&out, "},\"steps\":{");
    for (int i = 0; i < LC_STEP_COUNT; i++)
        histogram_json(lc_step_names[i], &counts->steps[i], i ? "," : "", &out);
    lc_buffer_byte(&out, '}');
    lc_grey_metrics_json(cache, &out);
    lc_buffer_text(&out, ",\"learning\":");
    lc_learning_tell(cache, 0, &out);
    lc_buffer_byte(&out, '}');
    return finish(&out, text, err);
}
