/* llmcache-cli judge: what would be done with each of a list of labelled pairs, and the
 * totals. */
#include "cli_pairs.h"
#include "cli_print.h"
#include "shown_judgement.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_GROUPS = 64 };

/* The pairs of one source or kind; the last one counts all that did not find a place. */
typedef struct judge_group {
    const char *by; /* "source", "kind" */
    const char *name;
    judged_count count;
} judge_group;

typedef struct judge_run {
    cli_session *cli;
    const cli_pairs *pairs;
    int totals_only;
    double confidence;
    judged_count all;
    judge_group groups[MAX_GROUPS];
    int group_count;
} judge_run;

/* ---- Counting ------------------------------------------------------------------- */

static judge_group *group_of(judge_run *run, const char *by, const char *name)
{
    for (int i = 0; i < run->group_count; i++)
        if (strcmp(run->groups[i].by, by) == 0 && strcmp(run->groups[i].name, name) == 0)
            return &run->groups[i];
    if (run->group_count == MAX_GROUPS)
        return &run->groups[MAX_GROUPS - 1];
    judge_group *group = &run->groups[run->group_count++];
    int last = run->group_count == MAX_GROUPS;
    *group = (judge_group){.by = last ? "other" : by, .name = last ? "(others)" : name};
    return group;
}

static void count(judge_run *run, const llmcache_pair *pair,
                  const llmcache_judgement *judgement)
{
    const char *kind = run->pairs->kinds[judgement->pair];
    judged_count_add(&run->all, pair, judgement);
    if (pair->source)
        judged_count_add(&group_of(run, "source", pair->source)->count, pair, judgement);
    if (kind)
        judged_count_add(&group_of(run, "kind", kind)->count, pair, judgement);
}

/* ---- Showing a pair --------------------------------------------------------------- */

static void print_words(const llmcache_judgement *judgement)
{
    const char *comma = "";
    for (size_t i = 0; i < judgement->rule_count; i++) {
        const llmcache_rule_word *word = &judgement->rules[i];
        if (!word->veto)
            continue;
        printf("%s%s", comma, word->rule);
        if (*word->detail) {
            putchar(' ');
            print_cell(word->detail, 0);
        }
        comma = ", ";
    }
    if (!*comma && *judgement->why)
        printf("%s", judgement->why);
}

static void print_pair(const judge_run *run, const llmcache_pair *pair,
                       const llmcache_judgement *judgement)
{
    const cli_session *cli = run->cli;
    int wrong = judgement->served && pair->label == 0;
    const char *outcome = !judgement->served ? "-"
                          : wrong            ? "WRONG"
                          : judgement->source == LLMCACHE_SOURCE_EXACT ? "exact"
                                                                       : "served";
    printf("%s%-6s%s %6.4f ",
           print_start(cli, wrong               ? PRINT_RED
                            : judgement->served ? PRINT_GREEN
                                                : PRINT_PLAIN),
           outcome, print_end(cli), judgement->similarity);
    if (judgement->scored)
        printf("%7.3f ", judgement->score);
    else
        printf("%7s ", "");
    printf("%c %s  ", pair->label < 0 ? '?' : '0' + pair->label, judgement->language);
    print_cell(pair->a, 0);
    printf("  |  ");
    print_cell(pair->b, 0);
    if (!judgement->served) {
        printf("  %s[", print_start(cli, PRINT_DIM));
        print_words(judgement);
        printf("]%s", print_end(cli));
    }
    putchar('\n');
}

static int print_pair_json(const judge_run *run, const llmcache_pair *pair,
                           const llmcache_judgement *judgement)
{
    json_t *shown = shown_judgement(pair, judgement);
    const char *kind = run->pairs->kinds[judgement->pair];
    json_object_set_new(shown, "line",
                        json_integer((json_int_t)run->pairs->lines[judgement->pair]));
    if (pair->source)
        json_object_set_new(shown, "set", json_string(pair->source));
    if (kind)
        json_object_set_new(shown, "kind", json_string(kind));
    return print_json(shown);
}

static int take(void *user, const llmcache_judgement *judgement)
{
    judge_run *run = user;
    const llmcache_pair *pair = &run->pairs->pairs[judgement->pair];
    count(run, pair, judgement);
    if (run->totals_only)
        return 0;
    if (run->cli->json)
        return print_pair_json(run, pair, judgement);
    print_pair(run, pair, judgement);
    return ferror(stdout);
}

/* ---- Totals --------------------------------------------------------------------- */

static void print_rate(const judge_run *run, uint64_t hits, uint64_t trials)
{
    double low, high;
    char text[64];
    llmcache_interval(hits, trials, run->confidence, &low, &high);
    if (trials)
        snprintf(text, sizeof text, "%.2f (%.2f to %.2f)",
                 100 * (double)hits / (double)trials, 100 * low, 100 * high);
    else
        snprintf(text, sizeof text, "-");
    printf(" %24s", text);
}

static void print_count(const judge_run *run, const char *name, const judged_count *c)
{
    uint64_t wrong = c->labelled_hits - c->positive_hits;
    print_cell(name, 26);
    printf(" %7llu %7llu %7llu", (unsigned long long)c->pairs,
           (unsigned long long)c->positive, (unsigned long long)c->hits);
    print_rate(run, c->positive_hits, c->positive);
    print_rate(run, wrong, c->labelled_hits);
    print_rate(run, wrong, c->labelled);
    putchar('\n');
}

static void print_totals(const judge_run *run)
{
    printf("%s%s%-26s %7s %7s %7s %24s %24s %24s%s\n", run->totals_only ? "" : "\n",
           print_start(run->cli, PRINT_BOLD), "", "pairs", "true", "hits",
           "true served, %", "wrong among hits, %", "wrong among requests, %",
           print_end(run->cli));
    for (int i = 0; i < run->group_count; i++)
        print_count(run, run->groups[i].name, &run->groups[i].count);
    print_count(run, "all", &run->all);
    printf("%sIn brackets: exact %.4g %% limits (Clopper and Pearson).%s\n",
           print_start(run->cli, PRINT_DIM), 100 * run->confidence, print_end(run->cli));
}

static int print_totals_json(const judge_run *run)
{
    json_t *groups = json_array();
    for (int i = 0; i < run->group_count; i++) {
        json_t *group = shown_judged_count(&run->groups[i].count, run->confidence);
        json_object_set_new(group, "by", json_string(run->groups[i].by));
        json_object_set_new(group, "name", shown_string(run->groups[i].name));
        json_array_append_new(groups, group);
    }
    json_t *totals = shown_judged_count(&run->all, run->confidence);
    json_object_set_new(totals, "groups", groups);
    return print_json(json_pack("{s:o}", "totals", totals));
}

/* ---- The command ---------------------------------------------------------------- */

static int judge(judge_run *run)
{
    llmcache_error err;
    const cli_pairs *pairs = run->pairs;
    int code = cli_open(run->cli);
    if (code)
        return code;
    if (llmcache_judge(run->cli->cache, pairs->pairs, pairs->count, take, run, &err))
        return err.code == LLMCACHE_ABORTED && ferror(stdout) ? CLI_OK
                                                              : cli_fail(run->cli, &err);
    if (run->cli->json)
        return print_totals_json(run);
    print_totals(run);
    return CLI_OK;
}

static int run(cli_session *cli)
{
    cli_pairs pairs;
    judge_run run = {.cli = cli,
                     .pairs = &pairs,
                     .confidence = 0.95,
                     .totals_only = cli_value(cli, "totals") != NULL};
    int code = cli_share(cli, "confidence", &run.confidence);
    if (code)
        return code;
    code = cli_pairs_read(cli, &pairs);
    if (!code)
        code = judge(&run);
    cli_pairs_done(&pairs);
    return code;
}

static const cli_flag flags[] = {
    {"totals", NULL, "no line for each pair"},
    {"confidence", "SHARE", "of the limits [95%]"},
    {NULL, NULL, NULL},
};

const cli_command cmd_judge = {
    .name = "judge",
    .arguments = "FILE...",
    .summary = "Show what the cache would do with labelled pairs, and how often it is wrong",
    .detail =
        "A line of FILE is {\"a\": QUESTION, \"b\": QUESTION, \"label\": 0 or 1}: would `a` get "
        "the answer that\n"
        "was kept for `b`, and would that be right (label 1)? The label may be absent. Members "
        "`set` (or\n"
        "`source`) and `kind` give totals of their own. - is standard input. Nothing is asked "
        "or kept.",
    .flags = flags,
    .minimum = 1,
    .maximum = -1,
    .run = run,
};
