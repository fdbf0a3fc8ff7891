#include "decide/fit.h"

#include "base/memory.h"
#include "decide/score.h"
#include "decide/weights.h"

#include <llmcache/llmcache.h>
#include <math.h>

#define LEAST_DEVIATION  0.25   /* of a weight whose shipped value is near zero */
#define INTERCEPT_RIDGE  0.0025 /* hardly any: a source may lie anywhere */
#define SWEEPS_MAX       5000
#define ENOUGH           1e-9 /* a step that moves no pair's log odds by more */

/* One number that is sought, with its belief, its bounds and how far a step may go. */
typedef struct coordinate {
    double value, belief, ridge, low, high, region;
} coordinate;

/* Features are taken from their means, so that weights and intercepts hardly depend on each other. */
typedef struct fitting {
    const lc_labelled *list;
    size_t count;
    double *odds; /* log odds of each pair with the numbers as they are */
    double means[LC_FEATURE_COUNT];
    coordinate weights[LC_FEATURE_COUNT];
    coordinate intercepts[LC_SOURCES_MAX];
    size_t labels[LC_SOURCES_MAX][2];
} fitting;

static double chance(double odds)
{
    return odds >= 0 ? 1 / (1 + exp(-odds)) : exp(odds) / (1 + exp(odds));
}

/* The largest p (1 - p) within `reach` of these odds. */
static double steepest(double odds, double reach)
{
    double away = fabs(odds) - reach;
    return away <= 0 ? 0.25 : 1 / (2 + exp(away) + exp(-away));
}

/* ---- One step ------------------------------------------------------------------------------------ */

typedef struct slope {
    double first, second;
} slope;

static void add_pair(slope *s, const fitting *f, size_t i, double x, double region)
{
    s->first += (chance(f->odds[i]) - f->list[i].right) * x;
    s->second += x * x * steepest(f->odds[i], region * fabs(x));
}

/* How far the coordinate goes; it has gone there. */
static double step(coordinate *c, const slope *s)
{
    double before = c->value;
    double move = -(s->first + c->ridge * (c->value - c->belief)) / (s->second + c->ridge);
    move = fmin(fmax(move, -c->region), c->region);
    c->value = fmin(fmax(before + move, c->low), c->high);
    move = c->value - before;
    c->region = fmax(2 * fabs(move), c->region / 2);
    return move;
}

static double step_weight(fitting *f, int feature)
{
    coordinate *c = &f->weights[feature];
    slope s = {0, 0};
    double most = 0;
    for (size_t i = 0; i < f->count; i++)
        add_pair(&s, f, i, f->list[i].features[feature] - f->means[feature], c->region);
    double move = step(c, &s);
    for (size_t i = 0; move != 0 && i < f->count; i++) {
        double change = move * (f->list[i].features[feature] - f->means[feature]);
        f->odds[i] += change;
        most = fmax(most, fabs(change));
    }
    return most;
}

static double step_intercepts(fitting *f)
{
    slope slopes[LC_SOURCES_MAX] = {{0, 0}};
    double moves[LC_SOURCES_MAX], most = 0;
    for (size_t i = 0; i < f->count; i++) {
        uint32_t source = f->list[i].source;
        add_pair(&slopes[source], f, i, 1, f->intercepts[source].region);
    }
    for (int s = 0; s < LC_SOURCES_MAX; s++) {
        moves[s] = f->labels[s][0] + f->labels[s][1] ? step(&f->intercepts[s], &slopes[s]) : 0;
        most = fmax(most, fabs(moves[s]));
    }
    for (size_t i = 0; i < f->count; i++)
        f->odds[i] += moves[f->list[i].source];
    return most;
}

/* ---- Beginning and end --------------------------------------------------------------------------- */

static int count_labels(fitting *f, lc_fit *fit)
{
    for (size_t i = 0; i < f->count; i++) {
        const lc_labelled *one = &f->list[i];
        if (one->source >= LC_SOURCES_MAX)
            return LLMCACHE_INVALID;
        f->labels[one->source][one->right != 0]++;
        fit->right += one->right != 0;
        for (int k = 0; k < LC_FEATURE_COUNT; k++) {
            if (!isfinite(one->features[k]))
                return LLMCACHE_INVALID;
            f->means[k] += one->features[k] / (double)f->count;
        }
    }
    fit->wrong = f->count - fit->right;
    return fit->right && fit->wrong ? 0 : LLMCACHE_INVALID;
}

/* At the shipped numbers. */
static void begin(fitting *f, double ridge, lc_fit *fit)
{
    double bias = LC_SCORE_BIAS;
    for (int k = 0; k < LC_FEATURE_COUNT; k++) {
        double shipped = lc_feature_weight((lc_feature)k);
        double deviation = fmax(fabs(shipped) / 2, LEAST_DEVIATION);
        f->weights[k] = (coordinate){.value = shipped, .belief = shipped,
                                     .ridge = ridge / (deviation * deviation), .region = 1};
        lc_weight_bounds((lc_feature)k, &f->weights[k].low, &f->weights[k].high);
        bias += shipped * f->means[k];
    }
    for (int s = 0; s < LC_SOURCES_MAX; s++) {
        f->intercepts[s] = (coordinate){.value = bias, .belief = bias, .ridge = INTERCEPT_RIDGE,
                                        .low = -INFINITY, .high = INFINITY, .region = 1};
        fit->sources += f->labels[s][0] + f->labels[s][1] > 0;
    }
    for (size_t i = 0; i < f->count; i++)
        f->odds[i] = lc_score(f->list[i].features, NULL);
}

/* The intercepts' mean, over sources that have labels of both kinds where there are such: what a source
 * of one kind alone says of its intercept is "far away". */
static double bias_of(const fitting *f)
{
    double sum = 0, weight = 0;
    for (int both = 1; both >= 0 && weight == 0; both--)
        for (int s = 0; s < LC_SOURCES_MAX; s++) {
            size_t labels = f->labels[s][0] + f->labels[s][1];
            if (!labels || (both && (!f->labels[s][0] || !f->labels[s][1])))
                continue;
            sum += (double)labels * f->intercepts[s].value;
            weight += (double)labels;
        }
    double bias = sum / weight;
    for (int k = 0; k < LC_FEATURE_COUNT; k++)
        bias -= f->weights[k].value * f->means[k];
    return bias;
}

static void run(fitting *f, lc_fit *fit)
{
    double moved = INFINITY;
    while (moved > ENOUGH && fit->sweeps < SWEEPS_MAX) {
        moved = step_intercepts(f);
        for (int k = 0; k < LC_FEATURE_COUNT; k++)
            moved = fmax(moved, step_weight(f, k));
        fit->sweeps++;
    }
    for (int k = 0; k < LC_FEATURE_COUNT; k++)
        fit->numbers[k] = f->weights[k].value;
    fit->numbers[LC_FEATURE_COUNT] = bias_of(f);
}

int lc_fit_numbers(const lc_labelled *list, size_t count, double ridge, lc_fit *out)
{
    lc_fit fit = {.sweeps = 0};
    fitting *f = lc_zalloc(sizeof *f);
    int code = f ? 0 : LLMCACHE_MEMORY;
    if (!code) {
        f->list = list;
        f->count = count;
        f->odds = lc_alloc_array(count ? count : 1, sizeof *f->odds);
        code = f->odds ? count_labels(f, &fit) : LLMCACHE_MEMORY;
    }
    if (!code) {
        begin(f, ridge, &fit);
        run(f, &fit);
        *out = fit;
    }
    if (f)
        lc_free(f->odds);
    lc_free(f);
    return code;
}
