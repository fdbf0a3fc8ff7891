#include "learn/sequence.h"

#include <math.h>

#define HALVINGS 60
#define PRIOR    0.5

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static double log_beta(double a, double b)
{
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

static double times_log(double count, double x)
{
    return count > 0 ? count * log(x) : 0;
}

/* Log of the mixed likelihood over the likelihood of p. */
static double evidence(double wrong, double right, double mixed, double p)
{
    return mixed - times_log(wrong, p) - times_log(right, 1 - p);
}

/* Between `inside` and `outside`, where the evidence crosses the limit. */
static double crossing(double wrong, double right, double mixed, double limit,
                       double inside, double outside)
{
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (inside + outside) / 2;
        if (evidence(wrong, right, mixed, middle) < limit)
            inside = middle;
        else
            outside = middle;
    }
    return outside;
}

void lc_sequence_interval(double wrong, double labels, double confidence, double *low,
                          double *high)
{
    *low = 0;
    *high = 1;
    if (!(labels > 0))
        return;
    wrong = wrong < 0 ? 0 : wrong > labels ? labels : wrong;
    double right = labels - wrong, limit = -log(1 - confidence);
    double mixed = log_beta(PRIOR + wrong, PRIOR + right) - log_beta(PRIOR, PRIOR);
    double middle = wrong / labels;
    if (wrong > 0)
        *low = crossing(wrong, right, mixed, limit, middle, 0);
    if (right > 0)
        *high = crossing(wrong, right, mixed, limit, middle, 1);
}

/* Twice the budget, five times, and half of all: slow leaks and sudden breaks. */
static double rate_of(int i, double budget)
{
    double far = 1 - (1 - budget) / 2;
    double rate = i == 0 ? 2 * budget : i == 1 ? 5 * budget : 0.5;
    return rate < far ? (rate > budget ? rate : far) : far;
}

double lc_detector_value(const lc_detector *detector)
{
    double sum = 0;
    for (int i = 0; i < LC_DETECTOR_RATES; i++)
        sum += exp(fmin(fmax(detector->log_ratio[i], 0), 500));
    return sum / LC_DETECTOR_RATES;
}

int lc_detector_add(lc_detector *detector, int wrong, double budget, double level)
{
    for (int i = 0; i < LC_DETECTOR_RATES; i++) {
        double rate = rate_of(i, budget), *ratio = &detector->log_ratio[i];
        *ratio = fmax(*ratio, 0) +
                 (wrong ? log(rate / budget) : log((1 - rate) / (1 - budget)));
    }
    if (lc_detector_value(detector) < 1 / level)
        return 0;
    *detector = (lc_detector){{0}};
    return 1;
}
