/* Confidence limits and the incomplete beta function against values of scipy 1.x
 * (beta.ppf, beta.cdf). */
#include "decide/interval.h"

#include <criterion/criterion.h>
#include <math.h>

#define NEAR 1e-9

static int is_near(double value, double wanted)
{
    return fabs(value - wanted) <= NEAR * (fabs(wanted) > 1e-3 ? 1 : 1e-3);
}

Test(interval, limits)
{
    static const struct {
        uint64_t hits, trials;
        double confidence, low, high, upper;
    } rows[] = {
        {0, 100, 0.95, 0, 0.0362166926452, 0.029513049607},
        {1, 10, 0.95, 0.00252857854446, 0.445016117028, 0.394163302437},
        {5, 10, 0.95, 0.187086028447, 0.812913971553, 0.777558898992},
        {10, 10, 0.95, 0.691502892181, 1, 1},
        {10, 100, 0.99, 0.0381956532051, 0.201953520781, 0.191330285386},
        {3, 1000, 0.95, 0.00061909993165, 0.00874202323848, 0.00773524471848},
        {115, 3082, 0.95, 0.0309024303136, 0.0446205887752, 0.0434273347713},
        {1, 100000, 0.95, 2.53178047793e-07, 5.57151603477e-05, 4.74377571739e-05},
        {50000, 100000, 0.95, 0.496896062492, 0.503103937508, 0.50260571774},
        {999999, 1000000, 0.9, 0.999995256144, 0.999999948707, 0.999999894639},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double low, high;
        lc_interval(rows[i].hits, rows[i].trials, rows[i].confidence, &low, &high);
        cr_expect(is_near(low, rows[i].low), "%zu: %.15g", i, low);
        cr_expect(is_near(high, rows[i].high), "%zu: %.15g", i, high);
        double upper =
            lc_interval_upper(rows[i].hits, rows[i].trials, rows[i].confidence);
        cr_expect(is_near(upper, rows[i].upper), "%zu: %.15g", i, upper);
    }
}

Test(interval, nothing_is_known_without_trials)
{
    double low, high;
    lc_interval(0, 0, 0.95, &low, &high);
    cr_assert_eq(low, 0);
    cr_assert_eq(high, 1);
    cr_assert_eq(lc_interval_upper(0, 0, 0.95), 1);
}

/* No hit in n trials: the limit is 1 - (1 - confidence)^(1/n), the "rule of three". */
Test(interval, no_hits_has_a_closed_form)
{
    for (uint64_t n = 1; n < 3000; n = n * 2 + 1)
        cr_expect(is_near(lc_interval_upper(0, n, 0.95), 1 - pow(0.05, 1.0 / (double)n)));
}

Test(interval, beta)
{
    static const struct {
        double a, b, x, wanted;
    } rows[] = {
        {1, 1, 0.3, 0.3},
        {2, 3, 0.5, 0.6875},
        {0.5, 0.5, 0.2, 0.295167235300867},
        {30, 700, 0.04, 0.46287985319731},
        {1000, 5, 0.99, 0.027948558419431},
        {2.5, 100000, 2e-05, 0.45059412701706},
        {3, 4, 0, 0},
        {3, 4, 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double value = lc_beta(rows[i].a, rows[i].b, rows[i].x);
        cr_expect(is_near(value, rows[i].wanted), "%zu: %.15g", i, value);
    }
}
