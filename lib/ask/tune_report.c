/* What tuning found, as one JSON object: for llmcache_tune's caller, who draws and writes. */
#include "ask/tuning.h"

#include "ask/score_weights.h"
#include "base/error.h"
#include "base/memory.h"
#include "decide/interval.h"
#include "decide/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURVE_POINTS 40

/* ---- Small members ------------------------------------------------------------------------------- */

static void rate(const lc_tuning *tuning, const char *name, uint64_t hits, uint64_t trials, lc_buffer *out)
{
    double low, high;
    lc_interval(hits, trials, tuning->options.confidence, &low, &high);
    lc_buffer_format(out, ",\"%s\":{\"count\":%llu,\"of\":%llu,\"low\":%.6f,\"high\":%.6f,\"rate\":", name,
                     (unsigned long long)hits, (unsigned long long)trials, low, high);
    if (trials)
        lc_buffer_format(out, "%.6f}", (double)hits / (double)trials);
    else
        lc_buffer_text(out, "null}");
}

/* A threshold and what it does on the half that confirms. */
static void point(const lc_tuning *tuning, const lc_tuned_part *part, double threshold, lc_served served,
                  lc_buffer *out)
{
    lc_buffer_format(out, "{\"threshold\":%.4f", threshold);
    rate(tuning, "hits", served.hits, part->requests[LC_CONFIRMING], out);
    rate(tuning, "true_served", served.hits - served.wrong, part->positive[LC_CONFIRMING], out);
    rate(tuning, "wrong_among_hits", served.wrong, served.hits, out);
    rate(tuning, "wrong_among_requests", served.wrong, part->requests[LC_CONFIRMING], out);
    lc_buffer_byte(out, '}');
}

/* ---- The curve ------------------------------------------------------------------------------------- */

static int falling(const void *x, const void *y)
{
    double a = ((const lc_graded *)x)->value, b = ((const lc_graded *)y)->value;
    return (a < b) - (a > b);
}

/* Points with about the same number of hits between them; each at the end of its equals. */
static void curve(const lc_tuning *tuning, size_t at, lc_buffer *out)
{
    const lc_tuned_part *part = &tuning->parts[at];
    const double *numbers = part->refit == LC_REFIT_BETTER ? part->fit.numbers : NULL;
    size_t all = lc_tuning_grade(tuning, at, numbers), count = 0, shown = 0;
    lc_served served = {0, 0};
    for (size_t i = 0; i < all; i++)
        if (tuning->graded[i].half == LC_CONFIRMING)
            tuning->graded[count++] = tuning->graded[i];
    qsort(tuning->graded, count, sizeof *tuning->graded, falling);
    for (size_t i = 0; i < count; i++) {
        served.hits++;
        served.wrong += !tuning->graded[i].right;
        int same = i + 1 < count && tuning->graded[i + 1].value == tuning->graded[i].value;
        if (same || (i + 1 < count && (i + 1) * CURVE_POINTS < (shown + 1) * count))
            continue;
        lc_buffer_text(out, shown++ ? "," : "");
        point(tuning, part, floor(tuning->graded[i].value * 1e4) / 1e4, served, out);
    }
}

/* ---- A part ---------------------------------------------------------------------------------------- */

/* How many labels more there should be, by the share of hits among those there are. */
static void missing(const lc_tuning *tuning, const lc_tuned_part *part, lc_buffer *out)
{
    const lc_bound *bound = &part->bound;
    const int smaller = bound->choosing.hits < bound->confirming.hits ? LC_CHOOSING : LC_CONFIRMING;
    double hits = (double)(smaller == LC_CHOOSING ? bound->choosing.hits : bound->confirming.hits);
    double have = (double)(part->requests[0] + part->requests[1]);
    lc_buffer_text(out, ",\"missing\":");
    if (bound->met) {
        lc_buffer_text(out, "null");
        return;
    }
    lc_buffer_format(out, "{\"hits_choosing\":%llu,\"hits_confirming\":%llu,\"hits_needed\":",
                     (unsigned long long)bound->choosing.hits, (unsigned long long)bound->confirming.hits);
    if (!bound->hits_needed) {
        lc_buffer_text(out, "null,\"labels\":null}");
        return;
    }
    double needed = hits > 0 ? 2 * (double)bound->hits_needed * (double)part->requests[smaller] / hits - have
                             : 2 * (double)bound->hits_needed;
    lc_buffer_format(out, "%llu,\"labels\":%.0f}", (unsigned long long)bound->hits_needed, fmax(needed, 0));
}

static void numbers_of(const double *numbers, lc_buffer *out)
{
    lc_buffer_format(out, "{\"bias\":%.10g", numbers ? numbers[LC_FEATURE_COUNT] : LC_SCORE_BIAS);
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        lc_buffer_format(out, ",\"%s\":%.10g", lc_feature_name((lc_feature)i),
                         numbers ? numbers[i] : lc_feature_weight((lc_feature)i));
    lc_buffer_byte(out, '}');
}

static void refit(const lc_tuning *tuning, size_t at, lc_buffer *out)
{
    static const char *const states[] = {"not-asked", "no-score", "few-labels", "not-better", "better"};
    const lc_tuned_part *part = &tuning->parts[at];
    const lc_gain *gain = &part->gain;
    lc_buffer_format(out, ",\"refit\":{\"state\":\"%s\"", states[part->refit]);
    if (part->refit >= LC_REFIT_NOT_BETTER) {
        lc_buffer_format(out, ",\"labels\":%zu,\"right\":%zu,\"sources\":%zu,\"wrong_hits\":%zu",
                         part->fit.right + part->fit.wrong, part->fit.right, part->fit.sources, gain->wrong_hits);
        rate(tuning, "true_served_before", gain->hits_before, gain->right, out);
        rate(tuning, "true_served_after", gain->hits_after, gain->right, out);
        lc_buffer_format(out, ",\"gain\":%.6f,\"gain_low\":%.6f,\"gain_high\":%.6f,\"before\":", gain->gain,
                         gain->low, gain->high);
        numbers_of(lc_score_numbers(tuning->cache, (lc_language)at), out);
        lc_buffer_text(out, ",\"after\":");
        numbers_of(part->fit.numbers, out);
    }
    if (part->refit == LC_REFIT_BETTER) {
        lc_buffer_text(out, ",\"taken\":");
        point(tuning, part, part->threshold, part->taken, out);
    }
    lc_buffer_byte(out, '}');
}

static void tell_part(const lc_tuning *tuning, size_t at, lc_buffer *out)
{
    const lc_tuned_part *part = &tuning->parts[at];
    const lc_bound *bound = &part->bound;
    lc_buffer_format(out, "{\"part\":\"%s\",\"setting\":\"%s\",\"labels\":%zu,\"choosing\":%zu,\"confirming\":%zu,"
                          "\"current\":%.4f,\"current_from\":\"%s\",\"met\":%s,\"confidence\":%.6g,\"now\":",
                     part->name, part->setting, part->requests[0] + part->requests[1], part->requests[0],
                     part->requests[1], part->current, part->current_from, bound->met ? "true" : "false",
                     tuning->part_confidence);
    point(tuning, part, part->current, part->now, out);
    lc_buffer_text(out, bound->met ? ",\"chosen\":" : ",\"nearest\":");
    point(tuning, part, bound->threshold, bound->confirming, out);
    lc_buffer_format(out, ",\"limit\":%.6f,\"limit_choosing\":%.6f", bound->confirming_limit,
                     bound->choosing_limit);
    missing(tuning, part, out);
    lc_buffer_format(out, ",\"counting\":%zu,\"labels_missing\":%zu", part->counting,
                     part->too_few ? tuning->min_labels - part->counting : 0);
    refit(tuning, at, out);
    lc_buffer_text(out, ",\"curve\":[");
    curve(tuning, at, out);
    lc_buffer_text(out, "]}");
}

/* ---- What is to be written ------------------------------------------------------------------------- */

/* Days since 1970 as a date: H. Hinnant, "chrono-compatible low-level date algorithms". */
static void date_of(int64_t wall_ms, char out[11])
{
    int64_t days = wall_ms / 86400000 + 719468, era = days / 146097, day = days % 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    unsigned shown_day = (unsigned)(of_year - (153 * month + 2) / 5 + 1) % 100;
    unsigned shown_month = (unsigned)(month < 10 ? month + 3 : month - 9) % 100;
    unsigned shown_year = (unsigned)(year + era * 400 + (month >= 10)) % 10000;
    snprintf(out, 11, "%04u-%02u-%02u", shown_year, shown_month, shown_day);
}

static void settings(const lc_tuning *tuning, lc_buffer *out)
{
    const char *comma = "";
    lc_buffer_text(out, ",\"settings\":{");
    for (size_t i = 0; i < tuning->part_count; i++) {
        if (!tuning->parts[i].changes)
            continue;
        lc_buffer_format(out, "%s\"%s\":\"%.4f\"", comma, tuning->parts[i].setting, tuning->parts[i].threshold);
        comma = ",";
    }
    lc_buffer_byte(out, '}');
}

/* The new numbers, and for languages without such those in force, if they are somebody's own. */
static void weights(const lc_tuning *tuning, lc_buffer *out)
{
    const llmcache *cache = tuning->cache;
    lc_weights file = {.made = ""};
    int news = 0;
    if (cache->score_weights)
        file = *cache->score_weights;
    for (size_t i = 0; i < tuning->part_count; i++) {
        const lc_tuned_part *part = &tuning->parts[i];
        if (part->refit != LC_REFIT_BETTER)
            continue;
        news = 1;
        file.rows[i] = (lc_weights_row){.present = 1, .has_threshold = 1, .threshold = part->threshold,
                                        .labels = (int64_t)(part->fit.right + part->fit.wrong)};
        memcpy(file.rows[i].numbers, part->fit.numbers, sizeof part->fit.numbers);
    }
    date_of(lc_now_ms(cache), file.made);
    snprintf(file.space, sizeof file.space, "%s", cache->vector_space);
    lc_buffer_text(out, ",\"score_weights\":");
    if (news)
        lc_score_weights_write(&file, out);
    else
        lc_buffer_text(out, "null");
}

static int all_met(const lc_tuning *tuning)
{
    int met = 0;
    for (size_t i = 0; i < tuning->part_count; i++) {
        const lc_tuned_part *part = &tuning->parts[i];
        if (!part->bound.met && part->requests[0] + part->requests[1])
            return 0;
        met |= part->bound.met;
    }
    return met;
}

int lc_tuning_report(const lc_tuning *tuning, char **json, llmcache_error *err)
{
    const llmcache_tune_options *options = &tuning->options;
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_buffer_text(&out, "{\"embedder\":");
    lc_buffer_json_text(&out, tuning->cache->vector_space);
    lc_buffer_format(&out, ",\"decides\":\"%s\",\"max_wrong\":%.6g,\"confidence\":%.6g,\"seed\":%llu,"
                           "\"labelled\":%zu,\"unlabelled\":%zu,\"exact\":%zu,\"across\":%zu,\"stopped\":%zu,"
                           "\"met\":%s,\"parts\":[",
                     tuning->by_score ? "score" : "similarity", options->max_wrong, options->confidence,
                     (unsigned long long)options->seed, tuning->count, tuning->unlabelled, tuning->exact,
                     tuning->across, tuning->stopped, all_met(tuning) ? "true" : "false");
    for (size_t i = 0; i < tuning->part_count; i++) {
        lc_buffer_text(&out, i ? "," : "");
        tell_part(tuning, i, &out);
    }
    lc_buffer_byte(&out, ']');
    if (tuning->labels) {
        lc_buffer_format(&out, ",\"min_labels\":%zu,\"observed\":", tuning->min_labels);
        lc_labels_report(tuning->labels, &out);
    }
    settings(tuning, &out);
    weights(tuning, &out);
    lc_buffer_byte(&out, '}');
    char *text = lc_buffer_take(&out, NULL);
    lc_buffer_done(&out);
    if (!text)
        return lc_fail_memory(err);
    *json = text;
    return 0;
}
