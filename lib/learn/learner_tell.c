/* What people and programs see of a learner. */
#include "learn/learner_inside.h"

#include <math.h>
#include <string.h>

size_t lc_learner_curves(const lc_learner *learner)
{
    return learner->curve_count;
}

size_t lc_learner_records(const lc_learner *learner)
{
    return learner->records.count;
}

size_t lc_learner_memory(const lc_learner *learner)
{
    return sizeof *learner + learner->curve_room * sizeof *learner->curves +
           learner->records.room * sizeof *learner->records.records;
}

/* From the rate of the judge's word to that of the truth. */
static double true_rate(lc_judge_rates rates, double judged)
{
    double span = 1 - rates.false_alarm - rates.missed;
    if (span <= 0)
        return 1;
    double rate = (judged - rates.false_alarm) / span;
    return rate < 0 ? 0 : rate > 1 ? 1 : rate;
}

/* The lower limit takes every word of the judge's as true: a miss only raises the truth. */
static void set_limits(const lc_learner *learner, lc_learner_band *band)
{
    lc_judge_rates rates = learner->rates, no_misses = {rates.false_alarm, 0, 0};
    double low, high;
    lc_sequence_interval((double)band->wrong, (double)band->lots,
                         learner->options.confidence, &low, &high);
    band->low = true_rate(no_misses, low);
    band->high = true_rate(rates, high);
}

static void see_bands(const lc_learner *learner, const lc_curve *curve,
                      lc_learner_view *view)
{
    view->all = (lc_learner_band){.from = curve->floor};
    for (int i = 0; i < LC_LEARNER_VIEW_BANDS; i++) {
        lc_learner_band *band = &view->bands[i];
        band->from =
            curve->floor + i * (curve->top - curve->floor) / LC_LEARNER_VIEW_BANDS;
        view->all.hits += band->hits = curve->band_hits[i];
        view->all.lots += band->lots = curve->band_lots[i];
        view->all.wrong += band->wrong = curve->band_wrong[i];
        set_limits(learner, band);
    }
    set_limits(learner, &view->all);
}

void lc_learner_see(const lc_learner *learner, size_t number, lc_learner_view *view)
{
    const lc_curve *curve = &learner->curves[number];
    double spread;
    *view = (lc_learner_view){.requests = curve->requests,
                              .candidates = curve->candidates,
                              .hits = curve->hits,
                              .fixed_hits = curve->fixed_hits,
                              .explored = curve->explored,
                              .audited = curve->audited,
                              .told_wrong = curve->told_wrong,
                              .limit = curve->limit ? lc_risk_chance(curve->limit - 1) : 0,
                              .needed = curve->needed,
                              .upper = curve->upper,
                              .threshold = lc_curve_threshold(curve),
                              .share = lc_learner_lot(learner, curve),
                              .slope = curve->slope,
                              .at_floor = lc_curve_risk(curve, 0, &spread),
                              .alarms = curve->alarms,
                              .alarmed = curve->alarmed,
                              .history_count = curve->history_count};
    memcpy(view->curve, curve->name, sizeof view->curve);
    memcpy(view->history, curve->history, sizeof view->history);
    see_bands(learner, curve, view);
    double share = curve->requests ? (double)curve->hits / (double)curve->requests : 0;
    view->requests_high = view->all.high * share;
}

/* ---- JSON --------------------------------------------------------------------------- */

static void tell_band(lc_buffer *out, const char *before, const lc_learner_band *band)
{
    lc_buffer_format(out,
                     "%s{\"from\": %.6g, \"hits\": %llu, \"checked\": %llu, \"wrong\": "
                     "%llu, \"error_low\": %.6g, \"error_high\": %.6g}",
                     before, band->from, (unsigned long long)band->hits,
                     (unsigned long long)band->lots, (unsigned long long)band->wrong,
                     band->low, band->high);
}

static void tell_history(lc_buffer *out, const lc_learner_view *view)
{
    lc_buffer_text(out, "], \"history\": [");
    for (size_t i = 0; i < view->history_count; i++)
        lc_buffer_format(out, "%s{\"at_ms\": %lld, \"threshold\": %.6g}", i ? ", " : "",
                         (long long)view->history[i].at_ms, view->history[i].threshold);
    lc_buffer_text(out, "]}");
}

static void tell_curve(lc_buffer *out, const lc_learner_view *view)
{
    lc_buffer_text(out, "{\"curve\": ");
    lc_buffer_json_text(out, view->curve);
    lc_buffer_format(
        out,
        ", \"requests\": %llu, \"candidates\": %llu, \"hits\": %llu, \"fixed_hits\": %llu, "
        "\"explored\": %llu, \"audited\": %llu, \"told_wrong\": %llu, \"alarms\": %llu, "
        "\"alarmed\": %s, ",
        (unsigned long long)view->requests, (unsigned long long)view->candidates,
        (unsigned long long)view->hits, (unsigned long long)view->fixed_hits,
        (unsigned long long)view->explored, (unsigned long long)view->audited,
        (unsigned long long)view->told_wrong, (unsigned long long)view->alarms,
        view->alarmed ? "true" : "false");
    lc_buffer_format(
        out,
        "\"threshold\": %.6g, \"limit\": %.6g, \"needed\": %.6g, \"upper\": %.6g, "
        "\"share\": %.6g, \"at_floor\": %.6g, \"slope\": %.6g, "
        "\"error_among_requests_high\": %.6g, \"all\": ",
        view->threshold, view->limit, view->needed, view->upper, view->share,
        view->at_floor, view->slope, view->requests_high);
    tell_band(out, "", &view->all);
    for (int i = 0; i < LC_LEARNER_VIEW_BANDS; i++)
        tell_band(out, i ? ", " : ", \"bands\": [", &view->bands[i]);
    tell_history(out, view);
}

int lc_learner_tell(const lc_learner *learner, lc_buffer *out)
{
    lc_learner_view view;
    const lc_learner_options *options = &learner->options;
    lc_buffer_format(out,
                     "{\"mode\": \"%s\", \"among\": \"%s\", \"max_error\": %.6g, "
                     "\"confidence\": %.6g, \"frozen\": %s, \"records\": %zu, \"bytes\": "
                     "%zu, \"judge\": {\"false_alarm\": %.6g, \"missed\": %.6g, "
                     "\"useless\": %s}, \"curves\": [",
                     options->mode == LC_LEARNER_GUARD ? "guard" : "verified",
                     options->among == LC_AMONG_REQUESTS ? "requests" : "hits",
                     options->max_error, options->confidence,
                     learner->frozen ? "true" : "false", lc_learner_records(learner),
                     lc_learner_memory(learner), learner->rates.false_alarm,
                     learner->rates.missed, learner->rates.useless ? "true" : "false");
    for (size_t i = 0; i < learner->curve_count; i++) {
        lc_learner_see(learner, i, &view);
        lc_buffer_text(out, i ? ", " : "");
        tell_curve(out, &view);
    }
    return lc_buffer_text(out, "]}");
}
