#include "learn/curve.h"

#include "decide/interval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is believed of an unknown embedding space: even odds in the middle, and nearer is
 * better. Wide, so that some dozen labels speak louder; finite, so that labels which a
 * threshold separates still have a fit (Gelman, Jakulin, Pittau, Su, "A weakly informative
 * default prior distribution for logistic and other regression models", Ann. Appl. Stat.
 * 2, 2008). */
#define MIDDLE_MEAN   0.0
#define MIDDLE_SPREAD 2.0
#define SLOPE_MEAN    -3.0
#define SLOPE_SPREAD  4.0
#define STEPS         25

#define RISK_LOWEST (-7.0) /* log odds at the upper end of the first band */
#define RISK_WIDTH  (1.0 / 3)

void lc_curve_init(lc_curve *curve, const char *name, double floor, double top)
{
    *curve = (lc_curve){.floor = floor, .top = top, .upper = 1};
    snprintf(curve->name, sizeof curve->name, "%s", name);
    lc_curve_fit(curve);
}

double lc_curve_place(const lc_curve *curve, double position)
{
    double place = (position - curve->floor) / (curve->top - curve->floor);
    return place < 0 ? 0 : place > 1 ? 1 : place;
}

static int bin_of(double place)
{
    int bin = (int)(place * LC_CURVE_BINS);
    return bin < LC_CURVE_BINS ? bin : LC_CURVE_BINS - 1;
}

static double middle_of(int bin)
{
    return (bin + 0.5) / LC_CURVE_BINS - 0.5;
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

double lc_curve_risk(const lc_curve *curve, double place, double *spread)
{
    double x = place - 0.5;
    double variance = curve->covariance[0] + 2 * x * curve->covariance[1] +
                      x * x * curve->covariance[2];
    *spread = sqrt(fmax(variance, 0));
    return curve->at_middle + x * curve->slope;
}

int lc_risk_band(double log_odds)
{
    double band = ceil((log_odds - RISK_LOWEST) / RISK_WIDTH);
    return band > 0 ? band < LC_RISK_BANDS ? (int)band : LC_RISK_BANDS - 1 : 0;
}

double lc_risk_chance(int band)
{
    return logistic(RISK_LOWEST + band * RISK_WIDTH);
}

void lc_curve_label(lc_curve *curve, double place, int band, int wrong)
{
    curve->labels[bin_of(place)]++;
    curve->wrong[bin_of(place)] += wrong;
    curve->risk_labels[band]++;
    curve->risk_wrong[band] += wrong;
}

static void scale(double *values, size_t count, double factor)
{
    for (size_t i = 0; i < count; i++)
        values[i] *= factor;
}

void lc_curve_scale(lc_curve *curve, double factor)
{
    scale(curve->labels, LC_CURVE_BINS, factor);
    scale(curve->wrong, LC_CURVE_BINS, factor);
    scale(curve->risk_seen, LC_RISK_BANDS, factor);
    scale(curve->risk_labels, LC_RISK_BANDS, factor);
    scale(curve->risk_wrong, LC_RISK_BANDS, factor);
    curve->requests_recent *= factor;
}

/* Slope and curvature of the log posterior. */
struct fit {
    double gradient[2];
    double h00, h01, h11;
};

static struct fit look(const lc_curve *c, double middle, double slope)
{
    const double p0 = 1 / (MIDDLE_SPREAD * MIDDLE_SPREAD),
                 p1 = 1 / (SLOPE_SPREAD * SLOPE_SPREAD);
    struct fit fit = {.gradient = {(MIDDLE_MEAN - middle) * p0, (SLOPE_MEAN - slope) * p1},
                      .h00 = p0,
                      .h11 = p1};
    for (int i = 0; i < LC_CURVE_BINS; i++) {
        double x = middle_of(i), chance = logistic(middle + slope * x);
        double left = c->wrong[i] - c->labels[i] * chance;
        double weight = c->labels[i] * chance * (1 - chance);
        fit.gradient[0] += left;
        fit.gradient[1] += left * x;
        fit.h00 += weight;
        fit.h01 += weight * x;
        fit.h11 += weight * x * x;
    }
    return fit;
}

/* The log posterior is concave with one top; each is
 * bounded in length. Always from the same start: equal sums, equal fit. */
void lc_curve_fit(lc_curve *c)
{
    double middle = MIDDLE_MEAN, slope = SLOPE_MEAN;
    struct fit fit;
    for (int step = 0; step < STEPS; step++) {
        fit = look(c, middle, slope);
        double det = fit.h00 * fit.h11 - fit.h01 * fit.h01;
        double by0 = (fit.h11 * fit.gradient[0] - fit.h01 * fit.gradient[1]) / det;
        double by1 = (fit.h00 * fit.gradient[1] - fit.h01 * fit.gradient[0]) / det;
        double longest = fmax(fabs(by0), fabs(by1) / 2);
        double part = longest > 1 ? 1 / longest : 1;
        middle += part * by0;
        slope += part * by1;
        if (longest < 1e-9)
            break;
    }
    if (slope > 0) { /* nearer is never taken as worse */
        slope = 0;
        for (int step = 0; step < STEPS; step++) {
            fit = look(c, middle, 0);
            middle += fmax(-1, fmin(1, fit.gradient[0] / fit.h00));
        }
    }
    fit = look(c, middle, slope);
    double det = fit.h00 * fit.h11 - fit.h01 * fit.h01;
    c->at_middle = middle;
    c->slope = slope;
    c->covariance[0] = fit.h11 / det;
    c->covariance[1] = -fit.h01 / det;
    c->covariance[2] = fit.h00 / det;
}

/* The share of wrong labels in a set of bands, as so many of so many. */
struct sample {
    double wrong, labels;
};

static struct sample sample_of(const lc_curve *c, int end, double seen)
{
    double mean = 0, spread = 0;
    for (int i = 0; i < end; i++) {
        double part = c->risk_seen[i] / seen;
        if (c->risk_labels[i] < 0.5) { /* nothing speaks for it */
            mean += part;
            continue;
        }
        mean += part * c->risk_wrong[i] / c->risk_labels[i];
        spread += part * part / c->risk_labels[i];
    }
    double labels = spread > 0 ? 1 / spread : 0;
    return (struct sample){fmin(mean, 1) * labels, labels};
}

/* Whether the upper limit is within what is needed, without looking for the limit. */
static int is_within(struct sample s, double needed, double confidence)
{
    return s.wrong < s.labels * needed &&
           lc_beta(s.wrong + 1, s.labels - s.wrong, needed) >= confidence;
}

static double allowed(const lc_curve *c, const lc_allowance *allowance, double seen)
{
    if (!allowance->among_requests)
        return allowance->error;
    return fmin(1, allowance->error * fmax(1, c->requests_recent / seen));
}

void lc_curve_prove(lc_curve *c, const lc_allowance *allowance)
{
    double seen = 0;
    struct sample proven = {0, 0};
    c->limit = 0;
    c->set_seen = 0;
    c->all_proven = 0;
    c->needed = allowance->error;
    for (int end = 1; end <= LC_RISK_BANDS; end++) {
        seen += c->risk_seen[end - 1];
        if (!(seen > 0))
            continue;
        double needed = allowed(c, allowance, seen);
        struct sample sample = sample_of(c, end, seen);
        c->all_proven = is_within(sample, needed, allowance->confidence);
        if (!c->all_proven || lc_risk_chance(end - 1) > allowance->ceiling)
            continue;
        proven = sample;
        c->limit = end;
        c->needed = needed;
        c->set_seen = seen;
    }
    c->upper = c->limit ? lc_beta_quantile(proven.wrong + 1, proven.labels - proven.wrong,
                                           allowance->confidence)
                        : 1;
}

double lc_curve_threshold(const lc_curve *c)
{
    double spread, above = c->top + (c->top - c->floor) / LC_CURVE_BINS;
    for (int i = 0; i < LC_CURVE_BINS && c->limit; i++) {
        double place = (double)i / LC_CURVE_BINS;
        if (lc_risk_band(lc_curve_risk(c, place, &spread)) < c->limit)
            return c->floor + place * (c->top - c->floor);
    }
    return above;
}
