/* What people and programs see of the learning: policy and state as JSON, figures for Prometheus. */
#include "ask/learning_inside.h"
#include "ask/metrics.h"

#include "learn/sequence.h"

#include <math.h>
#include <string.h>

#define BANDS LC_LEARNER_VIEW_BANDS

/* ---- JSON ------------------------------------------------------------------------------------------ */

static unsigned long long read(const lc_count *count)
{
    return (unsigned long long)lc_count_read(count);
}

static void tell_counts(const lc_learning *learning, lc_buffer *out)
{
    lc_buffer_format(out, "\"compared\":{\"same\":%llu,\"different\":%llu,\"unknown\":%llu,\"controls\":%llu},",
                     read(&learning->same), read(&learning->different), read(&learning->unknown),
                     read(&learning->controls));
    lc_buffer_format(out,
                     "\"shadow\":{\"calls\":%llu,\"failed\":%llu,\"skipped\":%llu,\"input_tokens\":%llu,"
                     "\"output_tokens\":%llu,\"cost_nano\":%llu},",
                     read(&learning->shadow_calls), read(&learning->shadow_failed), read(&learning->shadow_skipped),
                     read(&learning->shadow_input), read(&learning->shadow_output),
                     read(&learning->shadow_cost_nano));
}

int lc_learning_tell(llmcache *cache, int names, lc_buffer *out)
{
    const lc_settings *settings = &cache->settings;
    lc_learning *learning = cache->learning;
    lc_buffer_text(out, "{\"policy\":");
    lc_buffer_json_text(out, settings->policy);
    lc_buffer_format(out, ",\"max_error\":%.6g,\"shadow_share\":%.6g,\"explore_share\":%.6g,\"embedder\":",
                     settings->max_error, settings->shadow_share, settings->explore_share);
    lc_buffer_json_text(out, cache->vector_space);
    lc_buffer_format(out, ",\"learns\":%s,", learning ? "true" : "false");
    if (learning)
        tell_counts(learning, out);
    if (!learning || !names)
        return lc_buffer_text(out, "\"learned\":null}");
    lc_buffer_format(out, "\"together\":%s,\"position\":\"%s\",\"learned\":",
                     settings->learning_pool ? "true" : "false", learning->by_score ? "score" : "similarity");
    pthread_mutex_lock(&learning->lock);
    lc_learner_tell(learning->learner, out);
    pthread_mutex_unlock(&learning->lock);
    return lc_buffer_byte(out, '}');
}

/* ---- Prometheus ------------------------------------------------------------------------------------ */

/* A language's curves, of all namespaces: their names are nobody's business here. */
typedef struct sums {
    uint64_t hits[BANDS], lots[BANDS], wrong[BANDS];
    uint64_t explored, alarms;
    double threshold; /* the lowest */
    size_t curves;
} sums;

static void add_up(const lc_learner_view *view, sums *sum)
{
    for (int i = 0; i < BANDS; i++) {
        sum->hits[i] += view->bands[i].hits;
        sum->lots[i] += view->bands[i].lots;
        sum->wrong[i] += view->bands[i].wrong;
    }
    sum->explored += view->explored;
    sum->alarms += view->alarms;
    sum->threshold = sum->curves++ ? fmin(sum->threshold, view->threshold) : view->threshold;
}

/* Curves of another embedder, which an import may have brought, are left out. */
static void look(llmcache *cache, sums by_language[LC_LANGUAGE_COUNT])
{
    lc_learning *learning = cache->learning;
    char embedder[LC_CURVE_EMBEDDER + 1];
    lc_learner_view view;
    lc_curve_embedder(cache, embedder);
    size_t size = strlen(embedder);
    pthread_mutex_lock(&learning->lock);
    for (size_t i = 0; i < lc_learner_curves(learning->learner); i++) {
        lc_learner_see(learning->learner, i, &view);
        size_t length = strlen(view.curve);
        if (length > size && strcmp(view.curve + length - size, embedder) == 0)
            add_up(&view, &by_language[strncmp(view.curve, "zh ", 3) == 0 ? LC_CHINESE : LC_ENGLISH]);
    }
    pthread_mutex_unlock(&learning->lock);
}

static void labels(const llmcache *cache, int language, lc_buffer *out)
{
    lc_buffer_text(out, "{embedder=");
    lc_buffer_json_text(out, cache->vector_space);
    lc_buffer_format(out, ",language=\"%s\"", lc_language_code((lc_language)language));
}

typedef double (*band_value)(const sums *sum, int band);

static double ratio(const sums *sum, int band)
{
    return (double)sum->wrong[band] / (double)sum->lots[band];
}

static double low(const sums *sum, int band)
{
    double least, most;
    lc_sequence_interval((double)sum->wrong[band], (double)sum->lots[band], .95, &least, &most);
    return least;
}

static double high(const sums *sum, int band)
{
    double least, most;
    lc_sequence_interval((double)sum->wrong[band], (double)sum->lots[band], .95, &least, &most);
    return most;
}

static double hits(const sums *sum, int band)
{
    return (double)sum->hits[band];
}

static double lots(const sums *sum, int band)
{
    return (double)sum->lots[band];
}

/* Bands nobody has seen anything of are left out. */
static void tell_bands(const llmcache *cache, const sums *by_language, int only_checked, band_value value,
                       const char *name, lc_buffer *out)
{
    double step = (cache->learning->top - cache->learning->floor) / BANDS;
    for (int language = 0; language < LC_LANGUAGE_COUNT; language++)
        for (int band = 0; band < BANDS; band++) {
            const sums *sum = &by_language[language];
            if (!sum->lots[band] && (only_checked || !sum->hits[band]))
                continue;
            lc_buffer_text(out, name);
            labels(cache, language, out);
            lc_buffer_format(out, ",band=\"%.4g\"} %.9g\n", cache->learning->floor + band * step, value(sum, band));
        }
}

static void tell_all_bands(const llmcache *cache, const sums *by_language, lc_buffer *out)
{
    static const struct family {
        const char *name, *help, *type;
        int only_checked;
        band_value value;
    } families[] = {
        {"llmcache_false_hit_ratio", "Share of the checked hits by meaning that was wrong, by where the band of scores "
                                     "(or similarities) begins.",
         "gauge", 1, ratio},
        {"llmcache_false_hit_ratio_low", "Lower end of its 95 % interval, valid whenever one looks.", "gauge", 1, low},
        {"llmcache_false_hit_ratio_high", "Upper end of it.", "gauge", 1, high},
        {"llmcache_learned_hits_total", "Hits by meaning that the learner let through.", "counter", 0, hits},
        {"llmcache_checked_hits_total", "Hits by meaning, or would-be ones, checked by lot.", "counter", 1, lots},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        lc_metrics_head(out, families[i].name, families[i].help, families[i].type);
        tell_bands(cache, by_language, families[i].only_checked, families[i].value, families[i].name, out);
    }
}

static void tell_languages(const llmcache *cache, const sums *by_language, lc_buffer *out)
{
    static const char *const names[] = {"llmcache_learned_threshold", "llmcache_explorations_total",
                                        "llmcache_learner_alarms_total"};
    static const char *const helps[] = {
        "Least score (or similarity) that is proven to be within max-error; above the highest one: none.",
        "Misses whose answer was to be compared with a candidate's.",
        "Changes for the worse that were found; each raises the threshold."};
    for (int i = 0; i < 3; i++) {
        lc_metrics_head(out, names[i], helps[i], i ? "counter" : "gauge");
        for (int language = 0; language < LC_LANGUAGE_COUNT; language++) {
            const sums *sum = &by_language[language];
            if (!sum->curves)
                continue;
            lc_buffer_text(out, names[i]);
            labels(cache, language, out);
            lc_buffer_format(out, "} %.9g\n",
                             i == 0   ? sum->threshold
                             : i == 1 ? (double)sum->explored
                                      : (double)sum->alarms);
        }
    }
}

static void tell_comparing(const lc_learning *learning, lc_buffer *out)
{
    lc_metrics_head(out, "llmcache_answers_compared_total", "Answers compared with a candidate's, by what came out.", "counter");
    lc_buffer_format(out,
                     "llmcache_answers_compared_total{verdict=\"same\"} %llu\n"
                     "llmcache_answers_compared_total{verdict=\"different\"} %llu\n"
                     "llmcache_answers_compared_total{verdict=\"unknown\"} %llu\n",
                     read(&learning->same), read(&learning->different), read(&learning->unknown));
    lc_metrics_head(out, "llmcache_shadow_calls_total", "Calls to the model behind the back of a hit.", "counter");
    lc_buffer_format(out,
                     "llmcache_shadow_calls_total{outcome=\"answered\"} %llu\n"
                     "llmcache_shadow_calls_total{outcome=\"failed\"} %llu\n"
                     "llmcache_shadow_calls_total{outcome=\"skipped\"} %llu\n",
                     read(&learning->shadow_calls), read(&learning->shadow_failed), read(&learning->shadow_skipped));
    lc_metrics_head(out, "llmcache_shadow_tokens_total", "Tokens of these calls.", "counter");
    lc_buffer_format(out,
                     "llmcache_shadow_tokens_total{kind=\"input\"} %llu\n"
                     "llmcache_shadow_tokens_total{kind=\"output\"} %llu\n",
                     read(&learning->shadow_input), read(&learning->shadow_output));
    lc_metrics_head(out, "llmcache_shadow_cost_dollars_total", "Their cost by the price table, in US dollars.", "counter");
    lc_buffer_format(out, "llmcache_shadow_cost_dollars_total %.9g\n",
                     (double)lc_count_read(&learning->shadow_cost_nano) * 1e-9);
}

void lc_learning_metrics(llmcache *cache, lc_buffer *out)
{
    sums by_language[LC_LANGUAGE_COUNT] = {0};
    if (!cache->learning)
        return;
    look(cache, by_language);
    lc_metrics_head(out, "llmcache_max_error_ratio", "The budget: wrong hits allowed (setting max-error).", "gauge");
    lc_buffer_format(out, "llmcache_max_error_ratio %.9g\n", cache->settings.max_error);
    tell_all_bands(cache, by_language, out);
    tell_languages(cache, by_language, out);
    tell_comparing(cache->learning, out);
}
