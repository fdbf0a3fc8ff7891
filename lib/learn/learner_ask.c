/* Asking and observing: the order of things that learner.h promises. */
#include "learn/learner.h"

#include "base/memory.h"
#include "learn/learner_inside.h"

#include <math.h>
#include <string.h>

#define RECORD_PRIOR  0.3 /* labels' worth of "as the curve says": see learner.h */
#define FADE_EVERY    32  /* candidates */
#define FADE_MS       3600000
#define SWEEP_MINUTES 1440
#define AFTER_ALARM   0.2  /* of the evidence that is left */
#define ALARM_LEVEL   1e-2 /* a false alarm in a hundred labels at the very budget */
#define WARY          2.0  /* evidence from which only known records are served */

#define SHARE_NOW    (1.0 / 30) /* weight of one candidate in the running shares */
#define SHARE_LATELY (1.0 / 1000)

/* ---- Curves ------------------------------------------------------------------------- */

static lc_curve *curve_for(lc_learner *learner, const lc_learner_candidate *candidate)
{
    lc_curve *curve = lc_learner_find(learner, candidate->curve);
    if (curve && curve->floor == candidate->floor && curve->top == candidate->top)
        return curve;
    if (!curve)
        curve = lc_learner_add_curve(learner);
    if (curve)
        lc_curve_init(curve, candidate->curve, candidate->floor, candidate->top);
    return curve;
}

/* ---- Fading ------------------------------------------------------------------------- */

static void fade(lc_learner *learner, lc_curve *curve, int64_t now_ms)
{
    const lc_learner_options *options = &learner->options;
    double halvings = curve->fading / options->half_life;
    int64_t passed = curve->faded_ms ? now_ms - curve->faded_ms : 0;
    if (curve->fading < FADE_EVERY && passed < FADE_MS && curve->faded_ms)
        return;
    if (options->half_life_ms && passed > 0)
        halvings += (double)passed / (double)options->half_life_ms;
    lc_curve_scale(curve, exp2(-halvings));
    curve->fading = 0;
    if (now_ms > curve->faded_ms || !curve->faded_ms)
        curve->faded_ms = now_ms;
    curve->changes += halvings > 0.01 ? LC_REFRESH_EVERY : 1;
}

static void note_threshold(lc_curve *curve, int64_t now_ms)
{
    double threshold = lc_curve_threshold(curve);
    size_t count = curve->history_count;
    if (count && curve->history[count - 1].threshold == threshold)
        return;
    if (count == LC_LEARNER_HISTORY) {
        memmove(curve->history, curve->history + 1,
                (count - 1) * sizeof curve->history[0]);
        count--;
    }
    curve->history[count] = (struct lc_learner_step){now_ms, threshold};
    curve->history_count = count + 1;
}

static void move_on(lc_learner *learner, lc_curve *curve, int64_t now_ms)
{
    if (!learner->frozen)
        fade(learner, curve, now_ms);
    if (curve->changes < LC_REFRESH_EVERY)
        return;
    lc_learner_make(learner, curve);
    curve->alarmed = curve->alarmed && !curve->all_proven;
    note_threshold(curve, now_ms);
}

/* ---- Asking ------------------------------------------------------------------------- */

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/* Log odds that this candidate is wrong. */
static double risk_of(const lc_learner *learner, const lc_curve *curve, double place,
                      uint64_t key, double *spread)
{
    double risk = lc_curve_risk(curve, place, spread);
    const lc_record *record = lc_records_find(&learner->records, key);
    if (record)
        risk += log((RECORD_PRIOR + (double)record->wrong) /
                    (RECORD_PRIOR + (double)record->expected));
    return risk;
}

static const char *unfit(const lc_learner_candidate *candidate)
{
    if (candidate->refused || !isfinite(candidate->position) ||
        !isfinite(candidate->floor) || !isfinite(candidate->top) ||
        candidate->floor >= candidate->top)
        return "refused";
    return candidate->position < candidate->floor ? "floor" : NULL;
}

/* The guard proves nothing but what the fixed threshold serves. */
static int counts(const lc_learner *learner, const lc_learner_candidate *candidate)
{
    return learner->options.mode == LC_LEARNER_VERIFIED || candidate->fixed;
}

/* Whether it would be served, and by what word. */
static int would_serve(const lc_learner *learner, const lc_curve *curve, int band,
                       const lc_learner_candidate *candidate, const char **why)
{
    int proven = band < curve->limit;
    *why = proven ? "proven" : learner->rates.useless ? "judge" : "unproven";
    if (learner->options.mode == LC_LEARNER_VERIFIED)
        return proven;
    if (candidate->fixed && !curve->alarmed)
        *why = "fixed";
    return candidate->fixed && (proven || !curve->alarmed);
}

static int band_of_view(double place)
{
    int band = (int)(place * LC_LEARNER_VIEW_BANDS);
    return band < LC_LEARNER_VIEW_BANDS ? band : LC_LEARNER_VIEW_BANDS - 1;
}

/* A record is checked before it serves a second time, then after 4 hits, 16, ...: whoever
 * has found one trap that works does not work it twice. */
static int is_due(const lc_record *record)
{
    unsigned doubled = record && record->labels < 7 ? record->labels * 2u : 14;
    return record && record->served >= 1u << doubled;
}

static void note_hit(lc_learner *learner, uint64_t key, int64_t now_ms)
{
    lc_record *record = learner->frozen ? NULL : lc_records_get(&learner->records, key);
    if (!record)
        return;
    record->served += record->served < UINT16_MAX;
    record->minute = lc_minute_of(now_ms);
}

/* Of the last thirty candidates far more than of the last thousand would be served: the
 * proof was made on another mix of questions. Four standard deviations, and one hit. */
static int is_surge(const lc_curve *curve)
{
    double share = curve->share_lately;
    double spread = sqrt(share * (1 - share) * SHARE_NOW / 2);
    return curve->share_now > share + 4 * spread + SHARE_NOW;
}

/* Whether what would be served is checked instead, since it is not known well enough. */
static const char *held_back(const lc_learner *learner, const lc_curve *curve,
                             uint64_t key, int by_lot)
{
    const lc_record *record = lc_records_find(&learner->records, key);
    int unknown = !record || record->labels == 0;
    if (learner->options.mode == LC_LEARNER_GUARD)
        return NULL;
    if (unknown && by_lot)
        return "lot";
    if (unknown && is_surge(curve))
        return "surge";
    if (unknown && lc_detector_value(&curve->detector) >= WARY)
        return "wary";
    return is_due(record) && !learner->frozen ? "due" : NULL;
}

static void choose(const lc_learner *learner, const lc_curve *curve, int band,
                   const lc_learner_candidate *candidate, double draw,
                   lc_learner_decision *decision)
{
    if (!would_serve(learner, curve, band, candidate, &decision->why)) {
        if (draw < learner->options.explore && counts(learner, candidate))
            decision->action = LC_LEARNER_EXPLORE;
        return;
    }
    decision->by_lot = draw < lc_learner_lot(learner, curve);
    const char *why = held_back(learner, curve, candidate->record, decision->by_lot);
    decision->action = why ? LC_LEARNER_EXPLORE : LC_LEARNER_SERVE;
    decision->why = why ? why : decision->why;
}

/* The decision as things stand, and the risk band it fell into. */
static int look(const lc_learner *learner, const lc_curve *curve,
                const lc_learner_candidate *candidate, double draw,
                lc_learner_decision *decision)
{
    double spread, place = lc_curve_place(curve, candidate->position);
    double risk = risk_of(learner, curve, place, candidate->record, &spread);
    int band = lc_risk_band(risk);
    decision->chance = logistic(risk);
    decision->low = logistic(risk - 1.96 * spread);
    decision->high = logistic(risk + 1.96 * spread);
    decision->limit = curve->limit ? lc_risk_chance(curve->limit - 1) : 0;
    decision->needed = curve->needed;
    decision->upper = curve->upper;
    choose(learner, curve, band, candidate, draw, decision);
    return band;
}

static void count(lc_curve *curve, double place, const lc_learner_candidate *candidate,
                  const lc_learner_decision *decision)
{
    int served = decision->action == LC_LEARNER_SERVE;
    curve->requests++;
    curve->candidates++;
    curve->fixed_hits += candidate->fixed != 0;
    curve->hits += (uint64_t)served;
    curve->explored += decision->action == LC_LEARNER_EXPLORE;
    curve->audited += served && decision->by_lot;
    curve->band_hits[band_of_view(place)] += (uint64_t)served;
}

static void note_share(lc_curve *curve, int band)
{
    double served = band < curve->limit;
    curve->share_now += (served - curve->share_now) * SHARE_NOW;
    curve->share_lately += (served - curve->share_lately) * SHARE_LATELY;
}

static const lc_learner_decision nothing = {.chance = 1, .high = 1, .upper = 1};

void lc_learner_ask(lc_learner *learner, const lc_learner_candidate *candidate,
                    double draw, int64_t now_ms, lc_learner_decision *decision)
{
    *decision = nothing;
    decision->why = unfit(candidate);
    if (decision->why)
        return;
    lc_curve *curve = curve_for(learner, candidate);
    if (!curve) {
        decision->why = "memory";
        return;
    }
    move_on(learner, curve, now_ms);
    int band = look(learner, curve, candidate, draw, decision);
    if (!learner->frozen) {
        curve->requests_recent++;
        curve->risk_seen[band] += counts(learner, candidate);
        curve->fading++;
        note_share(curve, band);
    }
    count(curve, lc_curve_place(curve, candidate->position), candidate, decision);
    if (decision->action == LC_LEARNER_SERVE)
        note_hit(learner, candidate->record, now_ms);
}

void lc_learner_explain(const lc_learner *learner, const lc_learner_candidate *candidate,
                        lc_learner_decision *decision)
{
    *decision = nothing;
    decision->why = unfit(candidate);
    if (decision->why)
        return;
    lc_curve fresh;
    const lc_curve *curve = lc_learner_find(learner, candidate->curve);
    if (!curve || curve->floor != candidate->floor || curve->top != candidate->top) {
        lc_curve_init(&fresh, candidate->curve, candidate->floor, candidate->top);
        curve = &fresh;
    }
    look(learner, curve, candidate, 1, decision);
    if (decision->action == LC_LEARNER_MISS && counts(learner, candidate) &&
        learner->options.explore > 0)
        decision->action = LC_LEARNER_EXPLORE;
}

void lc_learner_pass(lc_learner *learner, const char *name)
{
    lc_curve *curve = lc_learner_find(learner, name);
    if (!curve)
        return;
    curve->requests++;
    if (!learner->frozen)
        curve->requests_recent++;
}

/* ---- Observing ---------------------------------------------------------------------- */

/* A label of the lot: what is shown, and whether it is time for an alarm. */
static void count_lot(lc_learner *learner, lc_curve *curve, double place, int wrong)
{
    curve->band_lots[band_of_view(place)]++;
    curve->band_wrong[band_of_view(place)] += (uint64_t)wrong;
    if (learner->frozen)
        return;
    double budget = lc_as_judged(learner->rates, learner->options.max_error);
    if (!lc_detector_add(&curve->detector, wrong, fmin(budget, 0.9), ALARM_LEVEL))
        return;
    curve->alarms++;
    curve->alarmed = 1;
    lc_curve_scale(curve, AFTER_ALARM);
    curve->changes = LC_REFRESH_EVERY;
}

static int know_record(lc_learner *learner, uint64_t key, double chance, int wrong,
                       int64_t now_ms)
{
    if (key == 0)
        return 0;
    lc_record *record = lc_records_get(&learner->records, key);
    if (!record)
        return LLMCACHE_MEMORY;
    record->wrong += (float)wrong;
    record->expected += (float)chance;
    record->labels += record->labels < UINT16_MAX;
    record->served = 0;
    record->minute = lc_minute_of(now_ms);
    return 0;
}

static void sweep(lc_learner *learner, int64_t now_ms)
{
    uint32_t minute = lc_minute_of(now_ms);
    uint32_t lasts = lc_minute_of(learner->options.record_ttl_ms);
    if (!learner->options.record_ttl_ms || minute < lasts ||
        minute - learner->swept_minute < SWEEP_MINUTES)
        return;
    learner->swept_minute = minute;
    lc_records_drop(&learner->records, minute - lasts);
}

int lc_learner_observe(lc_learner *learner, const lc_learner_candidate *candidate,
                       int right, int by_lot, lc_learner_source source, int64_t now_ms)
{
    if (unfit(candidate))
        return candidate->refused ? 0 : LLMCACHE_INVALID;
    lc_curve *curve = curve_for(learner, candidate);
    if (!curve)
        return LLMCACHE_MEMORY;
    double spread, place = lc_curve_place(curve, candidate->position);
    int wrong = !right;
    curve->told_wrong += source == LC_LEARNED_TOLD && wrong;
    if (by_lot && source != LC_LEARNED_TOLD)
        count_lot(learner, curve, place, wrong);
    if (learner->frozen)
        return 0;
    double risk = risk_of(learner, curve, place, candidate->record, &spread);
    if (counts(learner, candidate))
        lc_curve_label(curve, place, lc_risk_band(risk), wrong);
    curve->changes++;
    sweep(learner, now_ms);
    double expected = logistic(lc_curve_risk(curve, place, &spread));
    return know_record(learner, candidate->record, expected, wrong, now_ms);
}
