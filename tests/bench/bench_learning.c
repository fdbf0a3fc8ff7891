/*
 * Does the learner keep its promise? Traffic made from the labelled sets, 100 seeded runs
 * for each budget: in how many the error among semantic hits stayed under the budget over
 * the whole run, how many hits that were beside the shipped default, and what it cost.
 *
 *   LLMCACHE_BENCH_RUNS     seeded runs of each kind, 100 if not set
 *   LLMCACHE_BENCH_ONLY     only the kind of this name
 *   LLMCACHE_BENCH_KEPT     set: take what the pipeline saw from the last time, however old
 *   LLMCACHE_MODELS_FOLDER  where the model is; unset: the usual folder
 */
#include "learning_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS(count) .traffic = TRAFFIC_GROUPS, .requests = (count), .ttl = 4000
#define OF(kind)      .traffic = TRAFFIC_##kind, .requests = 20000, .ttl = 4000

static const plan plans[] = {
    {.name = "banking77", GROUPS(20000)},
    {.name = "banking77, cold start", GROUPS(3000)},
    {.name = "banking77, long", GROUPS(100000)},
    {.name = "banking77, few records", GROUPS(20000), .sparse = 1},
    {.name = "Zipf repeats", OF(ZIPF)},
    {.name = "TTL churn", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 1000},
    {.name = "pairs, English", OF(PAIRS_EN)},
    {.name = "pairs, Chinese", OF(PAIRS_ZH)},
    {.name = "topic drift", OF(DRIFT)},
    {.name = "abrupt change", OF(CHANGE)},
    {.name = "bursts of traps", OF(BURSTS)},
    {.name = "restart", GROUPS(20000), .restart = 1},
    {.name = "two servers", GROUPS(20000), .servers = 2},
    {.name = "two servers, merged", GROUPS(20000), .servers = 3},
    {.name = "two tenants, apart", OF(TENANTS)},
    {.name = "two tenants, pooled", OF(TENANTS), .pooled = 1},
    {.name = "judge flips 2 %, told", GROUPS(20000), .flips = 0.02},
    {.name = "judge flips 5 %, told", GROUPS(20000), .flips = 0.05},
    {.name = "judge flips 2 %, untold", GROUPS(20000), .flips = 0.02, .untold = 1},
    {.name = "judge flips 5 %, untold", GROUPS(20000), .flips = 0.05, .untold = 1},
    {.name = "judge says right", GROUPS(20000), .always_right = 1},
    {.name = "the same, controls", GROUPS(20000), .always_right = 1, .controls = 20},
    {.name = "judge pauses", GROUPS(20000), .paused = 8000},
    {.name = "guard, 5 % lot", GROUPS(40000), .guard = 1, .lot = 0.05},
};
static const double budgets[] = {0.01, 0.02, 0.05};

static double rate(size_t part, size_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

typedef struct total {
    size_t runs, within, within_requests, served_any;
    result sum;
    double worst, highest;
} total;

static void add(total *t, const result *r, double budget)
{
    double error = rate(r->wrong, r->hits);
    t->runs++;
    t->within += error <= budget;
    t->within_requests += rate(r->wrong, r->requests) <= budget;
    t->served_any += r->hits > 0;
    t->sum.requests += r->requests;
    t->sum.exact += r->exact;
    t->sum.hits += r->hits;
    t->sum.wrong += r->wrong;
    t->sum.explored += r->explored;
    t->sum.audited += r->audited;
    t->sum.controls += r->controls;
    t->sum.calls += r->calls;
    t->sum.alarms += r->alarms;
    t->sum.tenth_hits[9] += r->tenth_hits[9];
    t->sum.tenth_wrong[9] += r->tenth_wrong[9];
    t->worst += r->worst;
    t->highest = fmax(t->highest, error);
}

/* Hits of the fixed threshold that is wrong as often: between two thresholds of a row. */
static double hits_at(const total *row, size_t count, double error)
{
    double best = 0;
    for (size_t i = 0; i < count; i++) {
        double here = rate(row[i].sum.wrong, row[i].sum.hits);
        double hits = rate(row[i].sum.hits, row[i].sum.requests);
        if (here <= error)
            return fmax(best, hits);
        if (i + 1 < count) {
            double next = rate(row[i + 1].sum.wrong, row[i + 1].sum.hits);
            double fewer = rate(row[i + 1].sum.hits, row[i + 1].sum.requests);
            if (next <= error && here > next)
                return fewer + (hits - fewer) * (error - next) / (here - next);
        }
    }
    return best;
}

#define THRESHOLDS   14
#define FIXED_RUNS   10
#define PERCENT(a,b) (100 * rate((a), (b)))

static void print_head(void)
{
    printf("| traffic | budget | runs within it: of hits, of requests | wrong among hits, %%: "
           "all, highest run, worst tenth, last tenth | among requests, %% | hits of 100: "
           "learner, default (wrong %%), fixed at the same error | calls of 100: learner, "
           "default | extra calls of 100 | compared of 100 | alarms a run |\n"
           "|-|-|-|-|-|-|-|-|-|-|\n");
}

static void print_row(const plan *p, double budget, const total *t, const total *shipped,
                      double same)
{
    const result *s = &t->sum;
    printf("| %s | %g %% | %zu, %zu of %zu | %.2f, %.2f, %.1f, %.1f | %.2f | %.1f, %.1f "
           "(%.1f), %.1f | %.1f, %.1f | %.2f | %.1f | %.2f |\n",
           p->name, 100 * budget, t->within, t->within_requests, t->runs,
           PERCENT(s->wrong, s->hits), 100 * t->highest, 100 * t->worst / (double)t->runs,
           PERCENT(s->tenth_wrong[9], s->tenth_hits[9]), PERCENT(s->wrong, s->requests),
           PERCENT(s->hits, s->requests), PERCENT(shipped->sum.hits, shipped->sum.requests),
           PERCENT(shipped->sum.wrong, shipped->sum.hits), 100 * same,
           PERCENT(s->calls, s->requests), PERCENT(shipped->sum.calls, shipped->sum.requests),
           PERCENT(s->audited, s->requests), PERCENT(s->explored + s->audited, s->requests),
           (double)s->alarms / (double)t->runs);
    fflush(stdout);
}

static void run_plan(const features *f, const plan *p, size_t runs)
{
    static total fixed[THRESHOLDS];
    total shipped = {0};
    memset(fixed, 0, sizeof fixed);
    for (uint64_t seed = 1; seed <= runs && seed <= FIXED_RUNS; seed++) {
        result r = run_fixed(f, p, seed, 1, 0);
        add(&shipped, &r, 1);
        for (int i = 0; i < THRESHOLDS; i++) {
            r = run_fixed(f, p, seed, 0, 0.4 + 0.25 * i);
            add(&fixed[i], &r, 1);
        }
    }
    for (size_t b = 0; b < sizeof budgets / sizeof budgets[0]; b++) {
        total t = {0};
        for (uint64_t seed = 1; seed <= runs; seed++) {
            result r = run_learner(f, p, seed, budgets[b]);
            add(&t, &r, budgets[b]);
        }
        double same = hits_at(fixed, THRESHOLDS, rate(t.sum.wrong, t.sum.hits));
        print_row(p, budgets[b], &t, &shipped, same);
    }
}

int main(void)
{
    static features f;
    const char *only = getenv("LLMCACHE_BENCH_ONLY"), *count = getenv("LLMCACHE_BENCH_RUNS");
    size_t runs = count ? strtoul(count, NULL, 10) : 100;
    if (!features_get(&f))
        return 0;
    print_head();
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        if (!only || strcmp(plans[i].name, only) == 0)
            run_plan(&f, &plans[i], runs);
    return 0;
}
