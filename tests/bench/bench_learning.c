/*
 * Does the learner keep its promise? Traffic made from the labelled sets, 100 seeded runs
 * for each budget: in how many the error among semantic hits stayed under the budget over
 * the whole run, how many hits that were beside the shipped default, and what it cost.
 *
 *   LLMCACHE_BENCH_RUNS     seeded runs of each kind, 100 if not set
 *   LLMCACHE_BENCH_ONLY     only the kinds with this in their name
 *   LLMCACHE_MODELS_FOLDER  where the model is; unset: the usual folder
 */
#include "learning_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const plan plans[] = {
    {.name = "banking77", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000},
    {.name = "banking77, cold start", .traffic = TRAFFIC_GROUPS, .requests = 3000, .ttl = 4000},
    {.name = "banking77, few records", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .sparse = 1},
    {.name = "Zipf repeats", .traffic = TRAFFIC_ZIPF, .requests = 20000, .ttl = 4000},
    {.name = "TTL churn", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 1000},
    {.name = "pairs, English", .traffic = TRAFFIC_PAIRS_EN, .requests = 20000},
    {.name = "pairs, Chinese", .traffic = TRAFFIC_PAIRS_ZH, .requests = 20000},
    {.name = "topic drift", .traffic = TRAFFIC_DRIFT, .requests = 20000, .ttl = 4000},
    {.name = "abrupt change", .traffic = TRAFFIC_CHANGE, .requests = 20000, .ttl = 4000},
    {.name = "bursts of traps", .traffic = TRAFFIC_BURSTS, .requests = 20000, .ttl = 4000},
    {.name = "restart", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .restart = 1},
    {.name = "two servers", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .servers = 2},
    {.name = "two servers, merged", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .servers = 3},
    {.name = "two tenants, apart", .traffic = TRAFFIC_TENANTS, .requests = 20000, .ttl = 4000},
    {.name = "two tenants, pooled", .traffic = TRAFFIC_TENANTS, .requests = 20000, .ttl = 4000, .pooled = 1},
    {.name = "judge flips 2 %, told", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .flips = 0.02},
    {.name = "judge flips 5 %, told", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .flips = 0.05},
    {.name = "judge flips 2 %, untold", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .flips = 0.02, .untold = 1},
    {.name = "judge flips 5 %, untold", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .flips = 0.05, .untold = 1},
    {.name = "judge says right", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .always_right = 1},
    {.name = "judge says right, controls", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .always_right = 1, .controls = 20},
    {.name = "judge pauses", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .paused = 8000},
    {.name = "guard", .traffic = TRAFFIC_GROUPS, .requests = 20000, .ttl = 4000, .guard = 1, .lot = 0.02},
};
static const double budgets[] = {0.01, 0.02, 0.05};

#define RUNS_MAX 1000

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

#define THRESHOLDS 14

static void run_plan(const features *f, const plan *p, size_t runs)
{
    static total fixed[THRESHOLDS];
    total shipped = {0};
    memset(fixed, 0, sizeof fixed);
    size_t few = runs < 10 ? runs : 10;
    for (uint64_t seed = 1; seed <= few; seed++) {
        result r = run_fixed(f, p, seed, 1, 0);
        add(&shipped, &r, 1);
        for (int i = 0; i < THRESHOLDS; i++) {
            r = run_fixed(f, p, seed, 0, 0.4 + 0.25 * i);
            add(&fixed[i], &r, 1);
        }
    }
    for (size_t b = 0; b < 3; b++) {
        total t = {0};
        for (uint64_t seed = 1; seed <= runs; seed++) {
            result r = run_learner(f, p, seed, budgets[b]);
            add(&t, &r, budgets[b]);
        }
        double n = (double)t.sum.requests / 100, error = rate(t.sum.wrong, t.sum.hits);
        printf("%-27s | %g %% | %3zu | %3zu | %.2f | %.2f | %.1f | %.2f | %.1f | %.1f | %.1f | %.2f | "
               "%.1f | %.1f\n",
               p->name, 100 * budgets[b], t.within, t.within_requests, 100 * error,
               100 * t.highest, 100 * t.worst / (double)t.runs,
               100 * rate(t.sum.wrong, t.sum.requests), (double)t.sum.hits / n,
               100 * rate(shipped.sum.hits, shipped.sum.requests),
               100 * hits_at(fixed, THRESHOLDS, error), (double)t.sum.audited / n,
               (double)t.sum.explored / n, (double)t.sum.alarms / (double)t.runs);
        fflush(stdout);
    }
    printf("%-27s | default | wrong among hits %.2f %%, calls %.1f %%\n", p->name,
           100 * rate(shipped.sum.wrong, shipped.sum.hits),
           100 * rate(shipped.sum.calls, shipped.sum.requests));
}

int main(void)
{
    static features f;
    const char *only = getenv("LLMCACHE_BENCH_ONLY"), *count = getenv("LLMCACHE_BENCH_RUNS");
    size_t runs = count ? strtoul(count, NULL, 10) : 100;
    if (!features_get(&f))
        return 0;
    printf("name | budget | runs within | (among requests) | error %% | highest run | worst tenth | among requests | "
           "hits /100 | default's | fixed at same error | audits /100 | explored /100 | alarms a run\n");
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        if (!only || strstr(plans[i].name, only))
            run_plan(&f, &plans[i], runs > RUNS_MAX ? RUNS_MAX : runs);
    return 0;
}
