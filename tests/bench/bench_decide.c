/*
 * What the shipped decision does on labelled pairs, with the local encoder: per set and
 * for all of them, how many are served, how many of those and of all requests are wrong
 * with 95 % Clopper-Pearson limits, beside plain cosine at the same number of hits; what
 * each rule stops, and what happens without it.
 *
 *   LLMCACHE_MODELS_FOLDER  where the model is; unset: the usual folder
 *   LLMCACHE_BENCH_SCORES   two score thresholds to try instead of the shipped ones:
 * "1.2 1.6"
 */
#include "decide/decide.h"
#include "decide/interval.h"
#include "labelled_sets.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONFIDENCE 0.95

/* Rules that are no vetoes: what was not read, how near it is, and the second look. */
#define MEASURED                                                                       \
    (1u << LC_RULE_UNREAD | 1u << LC_RULE_SIMILARITY | 1u << LC_RULE_SCORE |           \
     1u << LC_RULE_EDIT)

static const char *const pair_sets[] = {
    "gptcache_mock_en", "checklist_mft_en", "gsc_traps_en", "fow_traps_en",
    "pawsx_zhtw",       "pawsx_zh",         "pawsx_mix",    "drcd_hardneg_zhtw",
};
static const char *const group_sets[] = {"banking77_en"};
static const char *const own_sets[] = {"own_traps_en", "own_traps_zh", "own_para_en",
                                       "own_para_zh"};

/* What was decided of one pair, every rule heard. */
typedef struct outcome {
    int label, set;
    int half; /* by the hash of its texts: 0 was looked at while rules were made */
    double similarity, score;
    lc_language language;
    uint32_t vetoes; /* bits of the rules */
} outcome;

typedef struct run {
    outcome *outcomes;
    size_t count;
    const char *names[16];
    int set_count;
    lc_policy policy;
    double decide_us; /* in all */
} run;

struct counts {
    size_t requests, positives, hits, wrong;
};

static void count_one(struct counts *counts, const outcome *o, int served)
{
    counts->requests++;
    counts->positives += (size_t)o->label;
    counts->hits += (size_t)served;
    counts->wrong += (size_t)(served && !o->label);
}

/* Both ways round the same, so that a pair's mirror is in its half. */
static int half_of(const labelled_pair *pair)
{
    const char *text = strcmp(pair->a, pair->b) < 0 ? pair->a : pair->b;
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return (int)(hash >> 16 & 1);
}

static int is_in(const outcome *o, int set)
{
    return set < 0 || o->set == set;
}

/* Processor time, which other programs on the machine leave alone. */
static double cpu_us(void)
{
    return (double)clock() * 1e6 / CLOCKS_PER_SEC;
}

/* ---- Deciding
 * ----------------------------------------------------------------------------------- */

static void decide_all(run *r, lc_embedder *embedder, const labelled_set *set)
{
    static seen_text a, b;
    r->outcomes = realloc(r->outcomes, (r->count + set->count) * sizeof *r->outcomes);
    if (!r->outcomes)
        test_give_up("out of memory");
    r->names[r->set_count] = set->name;
    for (size_t i = 0; i < set->count; i++) {
        lc_verdict verdict;
        see_text(embedder, set->pairs[i].a, &a);
        see_text(embedder, set->pairs[i].b, &b);
        double start = cpu_us();
        if (lc_decide(&a.side, &b.side, seen_cosine(&a, &b), &r->policy, &verdict))
            test_give_up("out of memory");
        r->decide_us += cpu_us() - start;
        outcome *o = &r->outcomes[r->count++];
        *o = (outcome){.label = set->pairs[i].label,
                       .set = r->set_count,
                       .half = half_of(&set->pairs[i]),
                       .similarity = verdict.similarity,
                       .score = verdict.score,
                       .language = verdict.language};
        for (int rule = 0; rule < LC_RULE_COUNT; rule++)
            o->vetoes |= (uint32_t)(verdict.words[rule].outcome == LC_VETO) << rule;
    }
    r->set_count++;
}

/* ---- Tables
 * -------------------------------------------------------------------------------------
 */

static void print_rate(size_t hits, size_t trials)
{
    double low, high;
    lc_interval(hits, trials, CONFIDENCE, &low, &high);
    if (trials)
        printf(" %6.2f %% (%5.2f to %5.2f)", 100.0 * (double)hits / (double)trials,
               100 * low, 100 * high);
    else
        printf(" %27s", "-");
}

static void print_counts(const char *name, const struct counts *c)
{
    printf("%-20s %6zu %6zu %6.2f %% %7zu", name, c->requests, c->positives,
           100.0 * (double)c->hits / (double)(c->requests ? c->requests : 1), c->hits);
    print_rate(c->hits - c->wrong, c->positives);
    print_rate(c->wrong, c->hits);
    print_rate(c->wrong, c->requests);
    putchar('\n');
}

static struct counts served_by_default(const run *r, int set, uint32_t off)
{
    struct counts counts = {0};
    for (size_t i = 0; i < r->count; i++)
        if (is_in(&r->outcomes[i], set))
            count_one(&counts, &r->outcomes[i], (r->outcomes[i].vetoes & ~off) == 0);
    return counts;
}

static int by_similarity(const void *x, const void *y)
{
    double a = (*(const outcome *const *)x)->similarity,
           b = (*(const outcome *const *)y)->similarity;
    return (a < b) - (a > b);
}

/* Plain cosine that serves as many: the nearest ones. */
static struct counts served_by_cosine(const run *r, int set, size_t hits,
                                      double *threshold)
{
    struct counts counts = {0};
    size_t count = 0;
    const outcome **sorted = malloc((r->count + 1) * sizeof *sorted);
    if (!sorted)
        test_give_up("out of memory");
    for (size_t i = 0; i < r->count; i++)
        if (is_in(&r->outcomes[i], set))
            sorted[count++] = &r->outcomes[i];
    qsort(sorted, count, sizeof *sorted, by_similarity);
    for (size_t i = 0; i < count; i++)
        count_one(&counts, sorted[i], i < hits);
    *threshold = hits ? sorted[hits - 1]->similarity : 1;
    free(sorted);
    return counts;
}

static void print_head(const char *title)
{
    printf("\n%s\n%-20s %6s %6s %8s %7s %28s %28s %28s\n", title, "", "pairs", "true",
           "hit rate", "hits", "true pairs served", "wrong among hits",
           "wrong among requests");
}

static void print_sets(const run *r)
{
    print_head("The shipped decision");
    for (int set = 0; set <= r->set_count; set++) {
        int which = set < r->set_count ? set : -1;
        struct counts counts = served_by_default(r, which, 0);
        print_counts(which < 0 ? "all" : r->names[set], &counts);
    }
    print_head("Plain cosine with as many hits");
    for (int set = 0; set <= r->set_count; set++) {
        int which = set < r->set_count ? set : -1;
        double threshold;
        size_t hits = served_by_default(r, which, 0).hits;
        struct counts counts = served_by_cosine(r, which, hits, &threshold);
        print_counts(which < 0 ? "all" : r->names[set], &counts);
    }
}

/* Each half of a set by itself: rules that suit one half only are not worth keeping. */
static void print_halves(const run *r)
{
    print_head("Each half by itself");
    for (int set = 0; set < r->set_count; set++)
        for (int half = 0; half < 2; half++) {
            struct counts counts = {0};
            char name[64];
            snprintf(name, sizeof name, "%s %d", r->names[set], half);
            for (size_t i = 0; i < r->count; i++)
                if (r->outcomes[i].set == set && r->outcomes[i].half == half)
                    count_one(&counts, &r->outcomes[i], r->outcomes[i].vetoes == 0);
            print_counts(name, &counts);
        }
}

/* Questions of which one word was changed, so that the answer changes. */
static void print_traps(const run *r)
{
    static const char *const names[] = {"checklist_mft_en", "gsc_traps_en",
                                        "fow_traps_en"};
    size_t traps = 0, served = 0;
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (!r->outcomes[i].label &&
                strcmp(r->names[r->outcomes[i].set], names[k]) == 0) {
                traps++;
                served += r->outcomes[i].vetoes == 0;
            }
    printf("\none-word traps served: %zu of %zu", served, traps);
    print_rate(served, traps);
    putchar('\n');
}

/* True pairs a veto costs, false pairs it stops, and what all would be without it. */
static void print_rules(const run *r)
{
    printf("\n%-14s %26s %26s %34s\n", "rule", "true pairs it stops",
           "false pairs it stops", "without it: hits, wrong among them");
    size_t total[2] = {0, 0}, any[2] = {0, 0};
    for (size_t i = 0; i < r->count; i++) {
        total[r->outcomes[i].label]++;
        any[r->outcomes[i].label] += (r->outcomes[i].vetoes & ~MEASURED) != 0;
    }
    for (int rule = 0; rule < LC_RULE_COUNT; rule++) {
        size_t stopped[2] = {0, 0};
        for (size_t i = 0; i < r->count; i++)
            stopped[r->outcomes[i].label] += r->outcomes[i].vetoes >> rule & 1;
        struct counts without = served_by_default(r, -1, 1u << rule);
        printf("%-14s %10zu (%6.2f %% of all) %10zu (%6.2f %% of all) %7zu",
               lc_rule_word((lc_rule)rule), stopped[1],
               100.0 * (double)stopped[1] / (double)total[1], stopped[0],
               100.0 * (double)stopped[0] / (double)total[0], without.hits);
        print_rate(without.wrong, without.hits);
        putchar('\n');
    }
    printf("%-14s %10zu (%6.2f %% of all) %10zu (%6.2f %% of all)\n", "all vetoes",
           any[1], 100.0 * (double)any[1] / (double)total[1], any[0],
           100.0 * (double)any[0] / (double)total[0]);
}

/* Vetoes a set by a set: what they cost there. */
static void print_veto_costs(const run *r)
{
    printf("\n%-20s %30s %30s\n", "all vetoes", "true pairs they stop",
           "false pairs they stop");
    for (int set = 0; set < r->set_count; set++) {
        size_t total[2] = {0, 0}, stopped[2] = {0, 0};
        for (size_t i = 0; i < r->count; i++) {
            const outcome *o = &r->outcomes[i];
            total[o->label] += o->set == set;
            stopped[o->label] += o->set == set && (o->vetoes & ~MEASURED) != 0;
        }
        printf("%-20s", r->names[set]);
        print_rate(stopped[1], total[1]);
        print_rate(stopped[0], total[0]);
        putchar('\n');
    }
}

/* The project's own edits and paraphrases, apart from what others labelled. */
static void print_own(const run *r, lc_embedder *embedder)
{
    labelled_set set;
    run own = {.policy = r->policy};
    for (size_t i = 0; i < sizeof own_sets / sizeof own_sets[0]; i++) {
        labelled_own(own_sets[i], &set);
        decide_all(&own, embedder, &set);
    }
    print_head("The project's own pairs");
    for (int i = 0; i < own.set_count; i++) {
        struct counts counts = served_by_default(&own, i, 0);
        print_counts(own.names[i], &counts);
    }
    free(own.outcomes);
}

/* ---- Speed
 * --------------------------------------------------------------------------------------
 */

/* One pair that nothing stops, so that every step is taken. */
static void print_speed(const run *r, lc_embedder *embedder)
{
    static seen_text a, b;
    lc_policy policy = r->policy;
    lc_verdict verdict;
    policy.explain = 0;
    see_text(embedder, "How can I get a refund for the shoes I bought in your shop?", &a);
    see_text(embedder,
             "What do I have to do to get my money back for shoes from your shop?", &b);
    const int rounds = 2000;
    double similarity = seen_cosine(&a, &b), best = INFINITY;
    for (int turn = 0; turn < 9; turn++) {
        double start = cpu_us();
        for (int i = 0; i < rounds; i++)
            if (lc_decide(&a.side, &b.side, similarity, &policy, &verdict))
                test_give_up("out of memory");
        double us = (cpu_us() - start) / rounds;
        best = us < best ? us : best;
    }
    printf("\none verdict: %.1f us (two questions of 13 and 16 words, score included); "
           "with every rule heard, "
           "as above: %.1f us on average\n",
           best, r->decide_us / (double)r->count);
}

/* Two texts of this many bytes with no word in common, every rule heard: the best of 5. */
static double long_us(size_t size)
{
    char left[LC_TEXT_MAX], right[LC_TEXT_MAX];
    for (size_t i = 0; i < size; i++) {
        left[i] = i % 5 == 4 ? ' ' : (char)('a' + i * i / 7 % 13);
        right[i] = i % 5 == 4 ? ' ' : (char)('n' + i * i / 7 % 13);
    }
    lc_side a = {.text = left, .size = size}, b = {.text = right, .size = size};
    lc_policy policy = {.explain = 1};
    lc_verdict verdict;
    double best = INFINITY;
    for (int turn = 0; turn < 5; turn++) {
        double start = cpu_us();
        for (int i = 0; i < 20; i++)
            if (lc_decide(&a, &b, 1, &policy, &verdict))
                test_give_up("out of memory");
        double us = (cpu_us() - start) / 20;
        best = us < best ? us : best;
    }
    return best;
}

/* Eight times as long may cost eight times as much, and half as much again; not the
 * square. */
static int length_costs(void)
{
    double one = long_us(1024), eight = long_us(8192);
    int fine = eight < 12 * one;
    printf("texts of 1 KiB: %.0f us, of 8 KiB: %.0f us, %.1f times as much: %s\n", one,
           eight, eight / one, fine ? "fine" : "MORE THAN 12 TIMES");
    return fine;
}

static void read_scores(lc_policy *policy)
{
    const char *scores = getenv("LLMCACHE_BENCH_SCORES");
    if (scores && sscanf(scores, "%lf %lf", &policy->score_threshold[LC_ENGLISH],
                         &policy->score_threshold[LC_CHINESE]) != 2)
        test_give_up("LLMCACHE_BENCH_SCORES has no two numbers");
}

int main(void)
{
    lc_embedder embedder;
    llmcache_error err;
    labelled_set set;
    run r = {0};
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    lc_embedder_options options = {.models_folder = folder ? folder : ""};
    if (lc_embedder_open_local("", &options, &embedder, &err))
        test_give_up("%s", err.message);
    if (lc_local_problem(embedder.self)[0]) {
        printf("skipped: %s\n", lc_local_problem(embedder.self));
        return 0;
    }
    lc_policy_init(&r.policy);
    read_scores(&r.policy);
    r.policy.explain = 1;
    for (size_t i = 0; i < sizeof pair_sets / sizeof pair_sets[0]; i++)
        if (labelled_pairs(pair_sets[i], &set))
            decide_all(&r, &embedder, &set);
    for (size_t i = 0; i < sizeof group_sets / sizeof group_sets[0]; i++)
        if (labelled_groups(group_sets[i], &embedder, &set))
            decide_all(&r, &embedder, &set);
    if (r.count == 0) {
        printf("skipped: no labelled sets in ../shared/data/eval\n");
        return 0;
    }
    printf("score from %.3f (English), %.3f (Chinese), similarity from %.3f\n",
           r.policy.score_threshold[LC_ENGLISH], r.policy.score_threshold[LC_CHINESE],
           r.policy.floor);
    print_sets(&r);
    print_halves(&r);
    print_traps(&r);
    print_veto_costs(&r);
    print_rules(&r);
    print_own(&r, &embedder);
    print_speed(&r, &embedder);
    int fine = length_costs();
    lc_embedder_close(&embedder);
    return !fine;
}
