/* The learner as a thing: settings, curves, the judge's rates, what is proven. */
#include "learn/learner.h"

#include "base/error.h"
#include "base/memory.h"
#include "decide/interval.h"
#include "learn/learner_inside.h"

#include <math.h>
#include <string.h>

#define DAY_MS 86400000ll

#define WORST          5    /* no hit is served at more than so many budgets */
#define LABELS_WANTED  10.0 /* budgets' worth: enough to prove 0.4 of one */
#define CONTROLS_LEAST 10
#define CONTROLS_FADE  0.97 /* judges change, too */
#define FEW_HITS       10.0 /* budgets' worth */
#define FIRST_PART     0.02

void lc_learner_options_init(lc_learner_options *options)
{
    *options = (lc_learner_options){.max_error = 0.02,
                                    .confidence = 0.95,
                                    .lot_least = 0.01,
                                    .lot_most = 0.2,
                                    .explore = 1,
                                    .missed = 0.05,
                                    .half_life = 50000,
                                    .half_life_ms = 30 * DAY_MS,
                                    .records_max = 100000,
                                    .record_ttl_ms = 90 * DAY_MS,
                                    .curves_max = 64};
}

static int is_in(double value, double low, double high)
{
    return value >= low && value <= high; /* NaN is not */
}

static int check(const lc_learner_options *o, llmcache_error *err)
{
    if (!is_in(o->max_error, 1e-5, 0.5))
        return lc_fail(err, LLMCACHE_SETTING, "max-error: from 0.001 %% to 50 %%");
    if (!is_in(o->confidence, 0.5, 0.9999))
        return lc_fail(err, LLMCACHE_SETTING, "confidence: from 50 %% to 99.99 %%");
    if (!is_in(o->lot_least, 0, 1) || !is_in(o->lot_most, o->lot_least, 1) ||
        !is_in(o->explore, 0, 1))
        return lc_fail(err, LLMCACHE_SETTING, "shares to check are from 0 to 100 %%");
    if (!is_in(o->false_alarm, 0, 0.5) || !is_in(o->missed, 0, 0.5))
        return lc_fail(err, LLMCACHE_SETTING, "a judge's errors are from 0 to 50 %%");
    if (!is_in(o->half_life, 100, 1e12) || o->half_life_ms < 0 || o->record_ttl_ms < 0)
        return lc_fail(err, LLMCACHE_SETTING, "evidence lasts 100 candidates at least");
    return 0;
}

/* ---- The judge ---------------------------------------------------------------------- */

/* Rates of the options, unless the controls are sure of worse. A false alarm's lower limit
 * and a miss's upper one are the safe sides. */
void lc_learner_know(lc_learner *learner)
{
    lc_judge_rates rates = {learner->options.false_alarm, learner->options.missed, 0};
    double wrong = learner->controls[0][0] + learner->controls[0][1],
           right = learner->controls[1][0] + learner->controls[1][1];
    if (right >= CONTROLS_LEAST && learner->controls[1][0] > 0) {
        double alarms = learner->controls[1][0];
        rates.false_alarm = lc_beta_quantile(alarms, right - alarms + 1, 0.05);
    }
    if (wrong >= CONTROLS_LEAST && learner->controls[0][1] > 0) {
        double misses = learner->controls[0][1], found = wrong - misses;
        if (lc_beta_quantile(misses, found + 1, 0.05) > rates.missed)
            rates.missed = found > 0 ? lc_beta_quantile(misses + 1, found, 0.95) : 1;
    }
    rates.useless = rates.missed >= 0.5;
    rates.false_alarm = fmin(rates.false_alarm, 0.5);
    int lost = rates.useless && !learner->rates.useless;
    learner->rates = rates;
    for (size_t i = 0; i < learner->curve_count; i++) {
        if (lost) /* nobody knows since when its words are worth nothing */
            lc_curve_scale(&learner->curves[i], 0);
        lc_learner_make(learner, &learner->curves[i]);
    }
}

int lc_learner_new(const lc_learner_options *options, lc_learner **out,
                   llmcache_error *err)
{
    int code = check(options, err);
    if (code)
        return code;
    lc_learner *learner = lc_zalloc(sizeof *learner);
    if (!learner)
        return lc_fail_memory(err);
    learner->options = *options;
    lc_records_init(&learner->records, options->records_max);
    lc_learner_know(learner);
    *out = learner;
    return 0;
}

void lc_learner_free(lc_learner *learner)
{
    if (!learner)
        return;
    lc_records_done(&learner->records);
    lc_free(learner->curves);
    lc_free(learner);
}

int lc_learner_set(lc_learner *learner, const lc_learner_options *options,
                   llmcache_error *err)
{
    int code = check(options, err);
    if (code)
        return code;
    size_t records_max = learner->options.records_max,
           curves_max = learner->options.curves_max;
    learner->options = *options;
    learner->options.records_max = records_max;
    learner->options.curves_max = curves_max;
    lc_learner_know(learner);
    return 0;
}

uint32_t lc_minute_of(int64_t now_ms)
{
    int64_t minute = now_ms / 60000;
    return minute < 0 ? 0 : minute > UINT32_MAX ? UINT32_MAX : (uint32_t)minute;
}

/* ---- Curves ------------------------------------------------------------------------- */

lc_curve *lc_learner_find(const lc_learner *learner, const char *name)
{
    for (size_t i = 0; i < learner->curve_count; i++)
        if (strncmp(learner->curves[i].name, name, LC_CURVE_NAME_SIZE - 1) == 0)
            return &learner->curves[i];
    return NULL;
}

lc_curve *lc_learner_add_curve(lc_learner *learner)
{
    if (learner->curve_count >= learner->options.curves_max)
        return NULL;
    if (learner->curve_count == learner->curve_room) {
        size_t room = learner->curve_room ? learner->curve_room * 2 : 2;
        lc_curve *curves = lc_realloc_array(learner->curves, room, sizeof *curves);
        if (!curves)
            return NULL;
        learner->curves = curves;
        learner->curve_room = room;
    }
    return &learner->curves[learner->curve_count++];
}

void lc_learner_control(lc_learner *learner, int known_right, int said_right)
{
    if (learner->frozen)
        return;
    for (int i = 0; i < 2; i++)
        learner->controls[!!known_right][i] *= CONTROLS_FADE;
    learner->controls[!!known_right][!!said_right]++;
    lc_learner_know(learner);
}

/* The share the judge calls wrong where so much is wrong (Rogan and Gladen, "Estimating
 * prevalence from the results of a screening test", Am. J. Epidemiology 107, 1978). */
double lc_as_judged(lc_judge_rates rates, double error)
{
    return rates.false_alarm + error * fmax(0, 1 - rates.false_alarm - rates.missed);
}

void lc_learner_make(const lc_learner *learner, lc_curve *curve)
{
    const lc_learner_options *options = &learner->options;
    lc_judge_rates rates = learner->rates;
    /* Error is a share of hits: among the first ones, one wrong outweighs any budget. So
     * the proof is strict in the beginning. */
    double part = (double)curve->hits * options->max_error / FEW_HITS;
    double confidence = 1 - (1 - options->confidence) * fmin(1, fmax(FIRST_PART, part));
    curve->changes = 0;
    lc_curve_fit(curve);
    lc_allowance allowance = {.error = lc_as_judged(rates, options->max_error),
                              .among_requests = options->among == LC_AMONG_REQUESTS,
                              .confidence = confidence,
                              .ceiling = lc_as_judged(rates, options->max_error) * WORST};
    lc_curve_prove(curve, &allowance);
    if (rates.useless)
        curve->limit = 0;
}

double lc_learner_lot(const lc_learner *learner, const lc_curve *curve)
{
    const lc_learner_options *options = &learner->options;
    double wanted = LABELS_WANTED / options->max_error / fmax(curve->set_seen, 1);
    return fmin(options->lot_most, fmax(options->lot_least, wanted));
}

void lc_learner_freeze(lc_learner *learner, int frozen)
{
    if (frozen)
        lc_learner_know(learner); /* what is seen now is what stays */
    learner->frozen = frozen != 0;
}

void lc_learner_reset(lc_learner *learner, const char *name)
{
    if (!name) {
        learner->curve_count = 0;
        memset(learner->controls, 0, sizeof learner->controls);
        lc_records_reserve(&learner->records, 0);
        lc_learner_know(learner);
        return;
    }
    lc_curve *curve = lc_learner_find(learner, name);
    if (curve)
        lc_curve_init(curve, name, curve->floor, curve->top);
}
