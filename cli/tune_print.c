#include "cli_print.h"
#include "tune_show.h"

#include <string.h>

enum { PLOT_WIDTH = 60, PLOT_HEIGHT = 14 };

double tune_number(const json_t *object, const char *name, const char *inner)
{
    const json_t *value = json_object_get(object, name);
    return json_number_value(inner ? json_object_get(value, inner) : value);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

/* ---- The curve -------------------------------------------------------------------- */

/* Cells of the plot: x is the share of requests that are hits, y the share of wrong ones
 * among them. */
typedef struct plot {
    char cells[PLOT_HEIGHT][PLOT_WIDTH + 1];
    double most_x, most_y;
} plot;

static int column_of(const plot *p, double x)
{
    int column = (int)(x / p->most_x * (PLOT_WIDTH - 1) + 0.5);
    return column < 0 ? 0 : column >= PLOT_WIDTH ? PLOT_WIDTH - 1 : column;
}

/* -1: above the plot. */
static int row_of(const plot *p, double y)
{
    int row = PLOT_HEIGHT - 1 - (int)(y / p->most_y * (PLOT_HEIGHT - 1) + 0.5);
    return row < -1 ? -1 : row;
}

static void plot_point(plot *p, const json_t *point, char mark)
{
    int column = column_of(p, tune_number(point, "hits", "rate"));
    int top = row_of(p, tune_number(point, "wrong_among_hits", "high"));
    int bottom = row_of(p, tune_number(point, "wrong_among_hits", "low"));
    int middle = row_of(p, tune_number(point, "wrong_among_hits", "rate"));
    for (int row = top < 0 ? 0 : top; row <= bottom; row++)
        if (p->cells[row][column] == ' ' || p->cells[row][column] == '-')
            p->cells[row][column] = ':';
    if (middle >= 0)
        p->cells[middle][column] = mark;
}

static void scale(plot *p, const json_t *curve, double bound)
{
    size_t i;
    json_t *point;
    p->most_x = 0.01;
    p->most_y = 4 * bound;
    json_array_foreach((json_t *)(uintptr_t)curve, i, point)
    {
        double x = tune_number(point, "hits", "rate");
        double y = 1.2 * tune_number(point, "wrong_among_hits", "rate");
        p->most_x = x > p->most_x ? x : p->most_x;
        p->most_y = y > p->most_y ? y : p->most_y;
    }
    p->most_y = p->most_y > 1 ? 1 : p->most_y;
}

static void print_plot(const plot *p)
{
    for (int row = 0; row < PLOT_HEIGHT; row++) {
        double y = p->most_y * (PLOT_HEIGHT - 1 - row) / (PLOT_HEIGHT - 1);
        if (row % 4 == 1)
            printf("%7.2f %% |%s\n", 100 * y, p->cells[row]);
        else
            printf("          |%s\n", p->cells[row]);
    }
    printf("          +");
    for (int i = 0; i < PLOT_WIDTH; i++)
        putchar('-');
    printf("\n           0%*s%.1f %%\n", PLOT_WIDTH - 8, "", 100 * p->most_x);
    printf("           hits among requests; upwards: wrong among hits (* with its limits), "
           "the bound (-),\n           now (n), %s\n",
           "chosen (O)");
}

static void print_curve(const json_t *part, double bound)
{
    plot p;
    size_t i;
    json_t *point;
    const json_t *curve = json_object_get(part, "curve");
    if (!json_array_size(curve))
        return;
    scale(&p, curve, bound);
    for (int row = 0; row < PLOT_HEIGHT; row++)
        snprintf(p.cells[row], sizeof p.cells[row], "%*s", PLOT_WIDTH, "");
    int line = row_of(&p, bound);
    if (line >= 0)
        memset(p.cells[line], '-', PLOT_WIDTH);
    json_array_foreach((json_t *)(uintptr_t)curve, i, point) plot_point(&p, point, '*');
    plot_point(&p, json_object_get(part, "now"), 'n');
    if (json_object_get(part, "chosen"))
        plot_point(&p, json_object_get(part, "chosen"), 'O');
    print_plot(&p);
}

/* ---- Tables --------------------------------------------------------------------- */

static void print_share(const json_t *point, const char *name)
{
    const json_t *share = json_object_get(point, name);
    char text[64];
    if (json_is_null(json_object_get(share, "rate")))
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, "%.2f (%.2f to %.2f)",
                 100 * tune_number(share, "rate", NULL), 100 * tune_number(share, "low", NULL),
                 100 * tune_number(share, "high", NULL));
    printf(" %24s", text);
}

static void print_point(const char *name, const json_t *point)
{
    printf("%-10s %9.4f", name, tune_number(point, "threshold", NULL));
    print_share(point, "hits");
    print_share(point, "true_served");
    print_share(point, "wrong_among_hits");
    putchar('\n');
}

static void print_points(const cli_session *cli, const json_t *part)
{
    const json_t *curve = json_object_get(part, "curve");
    const json_t *chosen = json_object_get(part, "chosen");
    size_t count = json_array_size(curve);
    printf("%s%-10s %9s %24s %24s %24s%s\n", print_start(cli, PRINT_BOLD), "", "threshold",
           "hits, %", "true served, %", "wrong among hits, %", print_end(cli));
    for (size_t i = 3; i < count; i += 4)
        print_point("", json_array_get(curve, i));
    print_point("now", json_object_get(part, "now"));
    if (json_object_get(json_object_get(part, "refit"), "taken"))
        print_point("refitted", json_object_get(json_object_get(part, "refit"), "taken"));
    print_point(chosen ? "chosen" : "nearest",
                chosen ? chosen : json_object_get(part, "nearest"));
}

static void print_missing(const json_t *part)
{
    const json_t *missing = json_object_get(part, "missing");
    if (tune_number(part, "labels_missing", NULL) > 0) {
        printf("Too few labels: %.0f count, %.0f more are needed. All stays as it is.\n",
               tune_number(part, "counting", NULL), tune_number(part, "labels_missing", NULL));
        return;
    }
    double needed = tune_number(missing, "hits_needed", NULL);
    printf("The bound cannot be met: the upper limit is %.2f %% at best. ",
           100 * tune_number(part, "limit", NULL));
    if (needed > 0)
        printf("Each half has %.0f and %.0f hits there and needs about %.0f: about %.0f labels "
               "more of this kind.\n",
               tune_number(missing, "hits_choosing", NULL),
               tune_number(missing, "hits_confirming", NULL), needed,
               tune_number(missing, "labels", NULL));
    else
        printf("More labels would not help: too many are wrong even at the highest "
               "thresholds.\n");
}

/* ---- A refit ---------------------------------------------------------------------- */

static void print_numbers(const json_t *refit)
{
    const char *name;
    json_t *before;
    printf("%-18s %10s %10s\n", "number", "now", "fitted");
    json_object_foreach(json_object_get(refit, "before"), name, before)
        printf("%-18s %10.4f %10.4f\n", name, json_number_value(before),
               tune_number(json_object_get(refit, "after"), name, NULL));
}

static void print_refit(const json_t *part)
{
    const json_t *refit = json_object_get(part, "refit");
    const char *state = text_of(refit, "state");
    if (strcmp(state, "not-asked") == 0 || tune_number(part, "labels_missing", NULL) > 0)
        return;
    if (strcmp(state, "no-score") == 0 || strcmp(state, "few-labels") == 0) {
        printf("No refit: %s\n",
               strcmp(state, "no-score") == 0
                   ? "plain cosine decides here, there are no numbers to fit."
                   : "each half needs 200 pairs that no rule stops, 20 of each label.");
        return;
    }
    print_numbers(refit);
    printf("Fitted on %.0f labels of one half. On the other, with at most %.0f wrong hits each: true "
           "pairs served\nbefore %.2f %%, after %.2f %%; gain %.2f points (%.2f to %.2f, paired "
           "bootstrap). %s\n",
           tune_number(refit, "labels", NULL), tune_number(refit, "wrong_hits", NULL),
           100 * tune_number(refit, "true_served_before", "rate"),
           100 * tune_number(refit, "true_served_after", "rate"),
           100 * tune_number(refit, "gain", NULL), 100 * tune_number(refit, "gain_low", NULL),
           100 * tune_number(refit, "gain_high", NULL),
           strcmp(state, "better") == 0 ? "Better: the fitted numbers are taken."
                                        : "Not surely better: the numbers stay as they are.");
}

/* ---- All of it -------------------------------------------------------------------- */

static void print_part(const cli_session *cli, const json_t *report, const json_t *part)
{
    double bound = tune_number(report, "max_wrong", NULL);
    printf("\n%s%s%s: %.0f labels, %.0f to choose on, %.0f to confirm on; %s now %.4f (%s)\n",
           print_start(cli, PRINT_BOLD), text_of(part, "part"), print_end(cli),
           tune_number(part, "labels", NULL), tune_number(part, "choosing", NULL),
           tune_number(part, "confirming", NULL), text_of(part, "setting"),
           tune_number(part, "current", NULL), text_of(part, "current_from"));
    print_refit(part);
    print_curve(part, bound);
    print_points(cli, part);
    if (is_true(part, "met"))
        printf("Confirmed: with %.4g %% confidence at most %.2f %% of hits are wrong (bound "
               "%.4g %%).\n",
               100 * tune_number(part, "confidence", NULL),
               100 * tune_number(part, "limit", NULL), 100 * bound);
    else
        print_missing(part);
}

/* Where the labels come from, when it is the store. */
static void print_observed(const cli_session *cli, const json_t *observed)
{
    const char *source;
    json_t *verdicts;
    if (!observed)
        return;
    print_fact(cli, "observations judged", "%.0f", tune_number(observed, "judged", NULL));
    print_fact(cli, "  doubtful", "%.0f", tune_number(observed, "doubtful", NULL));
    print_fact(cli, "  outvoted", "%.0f", tune_number(observed, "outvoted", NULL));
    print_fact(cli, "  of other sources", "%.0f", tune_number(observed, "of_others", NULL));
    print_fact(cli, "  of no use here", "%.0f",
               tune_number(observed, "unusable", NULL) + tune_number(observed, "unreadable", NULL));
    print_fact(cli, "  with text, without", "%.0f, %.0f", tune_number(observed, "by_text", NULL),
               tune_number(observed, "by_features", NULL));
    print_fact(cli, "  namespaces", "%.0f, the largest has %.0f", tune_number(observed, "namespaces", NULL),
               tune_number(observed, "largest_namespace", NULL));
    json_object_foreach(json_object_get(observed, "sources"), source, verdicts)
        print_fact(cli, source, "%.0f right, %.0f wrong", tune_number(verdicts, "right", NULL),
                   tune_number(verdicts, "wrong", NULL));
    double used = tune_number(observed, "by_text", NULL) + tune_number(observed, "by_features", NULL);
    if (tune_number(observed, "namespaces", NULL) > 1 &&
        2 * tune_number(observed, "largest_namespace", NULL) > used)
        printf("More than half of the labels are of one namespace, and the numbers hold for all.\n");
}

void tune_print(const cli_session *cli, const json_t *report)
{
    size_t i;
    json_t *part;
    print_fact(cli, "embedder", "%s", text_of(report, "embedder"));
    print_fact(cli, "decides", "%s", text_of(report, "decides"));
    print_observed(cli, json_object_get(report, "observed"));
    print_fact(cli, "labelled pairs", "%.0f", tune_number(report, "labelled", NULL));
    print_fact(cli, "  the same question", "%.0f", tune_number(report, "exact", NULL));
    print_fact(cli, "  stopped before that", "%.0f", tune_number(report, "stopped", NULL));
    print_fact(cli, "  between the halves", "%.0f", tune_number(report, "across", NULL));
    json_array_foreach(json_object_get(report, "parts"), i, part)
    {
        if (tune_number(part, "labels", NULL) > 0)
            print_part(cli, report, part);
    }
}
