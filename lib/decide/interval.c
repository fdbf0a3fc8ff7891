/*
 * The limits are quantiles of beta distributions, found by bisection on the regularised
 * incomplete beta function, which its continued fraction gives (DLMF 8.17.22, evaluated
 * by the modified Lentz method: Thompson and Barnett, J. Comput. Phys. 64, 1986).
 * Bisection because it cannot fail to converge and nobody waits for it.
 */
#include "decide/interval.h"

#include <math.h>

#define STEPS_MAX 100000 /* the fraction needs about sqrt(max(a, b)) */
#define ENOUGH    1e-15
#define TINY      1e-300
#define HALVINGS  60

static double away_from_zero(double value)
{
    return fabs(value) < TINY ? TINY : value;
}

/* Converges fast for x < (a + 1) / (a + b + 2). */
static double fraction(double a, double b, double x)
{
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), result = d;
    for (int m = 1; m < STEPS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / away_from_zero(1 + even * d);
        c = away_from_zero(1 + even / c);
        result *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / away_from_zero(1 + odd * d);
        c = away_from_zero(1 + odd / c);
        result *= d * c;
        if (fabs(d * c - 1) < ENOUGH)
            break;
    }
    return result;
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

double lc_beta(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x >= 1;
    double front =
        exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * fraction(a, b, x) / a;
    return 1 - front * fraction(b, a, 1 - x) / b;
}

double lc_beta_quantile(double a, double b, double p)
{
    double low = 0, high = 1;
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (lc_beta(a, b, middle) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

double lc_interval_upper(uint64_t hits, uint64_t trials, double confidence)
{
    if (hits >= trials)
        return 1;
    return lc_beta_quantile((double)hits + 1, (double)(trials - hits), confidence);
}

void lc_interval(uint64_t hits, uint64_t trials, double confidence, double *low,
                 double *high)
{
    double tail = (1 - confidence) / 2;
    *low = hits == 0 || hits > trials
               ? 0
               : lc_beta_quantile((double)hits, (double)(trials - hits + 1), tail);
    *high = lc_interval_upper(hits, trials, 1 - tail);
}
