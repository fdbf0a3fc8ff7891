/*
 * Benchmarks: each measures a thing beside its bound in the same run, round by round in turn, so that a
 * machine whose speed drifts drifts for both. What counts is the ratio of the medians.
 *
 * A program makes a report, adds rows, and prints it: a table for people on standard output, and a line of JSON
 * appended to the file named by LLMCACHE_BENCH_JSON, if it is set. script/bench makes pages and charts of those.
 * LLMCACHE_BENCH_QUICK, if set, asks for fewer rounds.
 */
#ifndef TEST_BENCH_H
#define TEST_BENCH_H

#include <stddef.h>
#include <stdint.h>

typedef struct bench_report bench_report;

bench_report *bench_new(const char *title);

/* One round of work: `count` operations. */
typedef void (*bench_fn)(void *user, size_t count);

/*
 * Runs `fn` and `bound` (NULL: none) in turn, `rounds` times with `count` operations each, after one round of
 * warm-up, and adds a row: medians in microseconds an operation and their ratio. `aim` is the ratio hoped for, at
 * most (0: none); a missed aim is said, never a failure. Returns the ratio (0 without a bound).
 */
double bench_compare(bench_report *report, const char *name, const char *bound_name, bench_fn fn,
                     bench_fn bound, void *user, size_t count, int rounds, double aim);

/* The same row for two numbers that were measured otherwise, in the same run. Returns the ratio. */
double bench_pair(bench_report *report, const char *name, const char *bound_name, double us, double bound_us,
                  double aim);

/* A row for a number that was measured otherwise; with an aim, at most which it should be. */
void bench_note(bench_report *report, const char *name, double value, const char *unit);
void bench_value(bench_report *report, const char *name, double value, const char *unit, double aim);

int bench_quick(void);

/* Each number below `count` once, shared out among so many threads, each in order. */
void bench_share_out(uint64_t count, int threads, void (*one)(void *user, uint64_t number), void *user);

/* Prints and frees. Returns the program's exit code. */
int bench_done(bench_report *report);

#endif
