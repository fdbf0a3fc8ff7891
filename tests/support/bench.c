/* Pairs of medians, a table and JSON. */
#include "bench.h"

#include "support.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 101

struct bench_report {
    json_t *root, *rows;
};

bench_report *bench_new(const char *title)
{
    bench_report *report = malloc(sizeof *report);
    if (!report)
        abort();
    report->rows = json_array();
    report->root = json_pack("{s:s, s:o}", "title", title, "rows", report->rows);
    printf("%s\n%-52s %12s %12s %8s %8s\n", title, "", "us", "bound us", "ratio", "aim");
    return report;
}

int bench_quick(void)
{
    const char *quick = getenv("LLMCACHE_BENCH_QUICK");
    return quick && *quick;
}

static double round_us(bench_fn fn, void *user, size_t count)
{
    double start = test_now_us();
    fn(user, count);
    return (test_now_us() - start) / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

double bench_compare(bench_report *report, const char *name, const char *bound_name, bench_fn fn,
                     bench_fn bound, void *user, size_t count, int rounds, double aim)
{
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
    rounds = rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    if (bench_quick()) {
        rounds = rounds > 5 ? 5 : rounds;
        count = count / 4 + 1;
    }
    for (int i = -1; i < rounds; i++) {
        double us = round_us(fn, user, count);
        double bound_us = bound ? round_us(bound, user, count) : 0;
        if (i >= 0) {
            ours[i] = us;
            theirs[i] = bound_us;
        }
    }
    return bench_pair(report, name, bound ? bound_name : NULL, median(ours, rounds),
                      bound ? median(theirs, rounds) : 0, aim);
}

double bench_pair(bench_report *report, const char *name, const char *bound_name, double us, double bound_us,
                  double aim)
{
    double ratio = bound_us > 0 ? us / bound_us : 0;
    json_array_append_new(report->rows,
                          json_pack("{s:s, s:f, s:s, s:f, s:f, s:f}", "name", name, "us", us, "bound",
                                    bound_name ? bound_name : "", "bound_us", bound_us, "ratio", ratio,
                                    "aim", aim));
    if (bound_us > 0)
        printf("%-52s %12.2f %12.2f %8.2f ", name, us, bound_us, ratio);
    else
        printf("%-52s %12.2f %12s %8s ", name, us, "", "");
    if (aim > 0)
        printf("%8.2f%s", aim, ratio > aim ? "  missed" : "");
    printf("   %s\n", bound_name ? bound_name : "");
    fflush(stdout);
    return ratio;
}

void bench_note(bench_report *report, const char *name, double value, const char *unit)
{
    bench_value(report, name, value, unit, 0);
}

void bench_value(bench_report *report, const char *name, double value, const char *unit, double aim)
{
    json_array_append_new(report->rows, json_pack("{s:s, s:f, s:s, s:f}", "name", name, "value", value, "unit",
                                                  unit, "aim", aim));
    printf("%-52s %12.2f %s", name, value, unit);
    if (aim > 0)
        printf(", aim %.2f%s", aim, value > aim ? "  missed" : "");
    printf("\n");
    fflush(stdout);
}

/* A line a report: a program may make several. */
static int append(const json_t *report, const char *path)
{
    FILE *file = fopen(path, "a");
    int failed = !file || json_dumpf(report, file, JSON_COMPACT) || fputc('\n', file) == EOF;
    if (file)
        failed |= fclose(file);
    return failed;
}

int bench_done(bench_report *report)
{
    const char *path = getenv("LLMCACHE_BENCH_JSON");
    int failed = path && *path && append(report->root, path);
    json_decref(report->root);
    free(report);
    return failed ? 1 : 0;
}

typedef struct share {
    void (*one)(void *user, uint64_t number);
    void *user;
    uint64_t first, last;
} share;

static void *do_share(void *user)
{
    share *s = user;
    for (uint64_t number = s->first; number < s->last; number++)
        s->one(s->user, number);
    return NULL;
}

void bench_share_out(uint64_t count, int threads, void (*one)(void *user, uint64_t number), void *user)
{
    enum { MOST = 64 };
    pthread_t running[MOST];
    share shares[MOST];
    uint64_t parts = (uint64_t)(threads < MOST ? threads : MOST);
    for (uint64_t i = 0; i < parts; i++) {
        shares[i] = (share){one, user, count * i / parts, count * (i + 1) / parts};
        if (pthread_create(&running[i], NULL, do_share, &shares[i]))
            test_give_up("no thread");
    }
    for (uint64_t i = 0; i < parts; i++)
        pthread_join(running[i], NULL);
}
