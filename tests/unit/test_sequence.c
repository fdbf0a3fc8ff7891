/* Intervals that hold whenever one looks, the detector of change, the table of records. */
#include "learner_streams.h"

#include "learn/record_table.h"
#include "learn/sequence.h"

Test(sequence, interval)
{
    static const struct {
        double wrong, labels, low, high;
    } rows[] = {
        {0, 0, 0, 1},
        {0, 1, 0, 0.975},
        {1, 1, 0.025, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double low, high;
        lc_sequence_interval(rows[i].wrong, rows[i].labels, 0.95, &low, &high);
        cr_expect(fabs(low - rows[i].low) < 1e-9, "%zu: %g", i, low);
        cr_expect(fabs(high - rows[i].high) < 1e-9, "%zu: %g", i, high);
    }
}

/* The limits are where the mixture's evidence is 20: checked against its definition. */
Test(sequence, limits_solve_their_equation)
{
    for (int n = 1; n < 3000; n = n * 3 + 1)
        for (int k = 0; k <= n; k += n / 4 + 1) {
            double low, high;
            lc_sequence_interval(k, n, 0.95, &low, &high);
            for (int side = 0; side < 2; side++) {
                double p = side ? high : low;
                if (p <= 0 || p >= 1)
                    continue;
                double mixed = lgamma(k + 0.5) + lgamma(n - k + 0.5) - lgamma(n + 1) -
                               log(acos(-1));
                double evidence = mixed - k * log(p) - (n - k) * log1p(-p);
                cr_expect(fabs(evidence - log(20)) < 1e-6, "%d of %d: %g", k, n, evidence);
            }
            cr_expect(low <= (double)k / n && high >= (double)k / n);
        }
}

/* Looked at after every label of 2,000, it is ever wrong in at most one run of twenty. */
Test(sequence, interval_holds_at_any_time)
{
    static const double rates[] = {0.005, 0.02, 0.2};
    for (size_t r = 0; r < 3; r++) {
        int missed = 0;
        for (uint64_t run = 0; run < 300; run++) {
            uint64_t seed = run * 31 + r;
            double wrong = 0, low, high;
            int out = 0;
            for (int n = 1; n <= 2000 && !out; n++) {
                wrong += test_draw(&seed) < rates[r];
                if (n % 5)
                    continue;
                lc_sequence_interval(wrong, n, 0.95, &low, &high);
                out = rates[r] < low || rates[r] > high;
            }
            missed += out;
        }
        cr_expect(missed <= 15, "%g: %d of 300", rates[r], missed);
    }
}

Test(sequence, detector)
{
    uint64_t seed = 5;
    lc_detector detector = {{0}};
    int alarms = 0, delay = 0;
    for (int i = 0; i < 100000; i++)
        alarms += lc_detector_add(&detector, test_draw(&seed) < 0.02, 0.02, 1e-3);
    cr_expect(alarms <= 100, "%d alarms in 100000 labels at the budget", alarms);
    detector = (lc_detector){{0}};
    while (delay < 1000 && !lc_detector_add(&detector, test_draw(&seed) < 0.3, 0.02, 1e-3))
        delay++;
    cr_expect_eq(lc_detector_value(&detector), 1);
    cr_expect(delay < 60, "%d labels until 30 %% were noticed", delay);
}

Test(record_table, keeps_the_ones_seen_last)
{
    lc_record_table table;
    lc_records_init(&table, 64);
    cr_assert_eq(table.room_max, 64);
    for (uint64_t key = 1; key <= 1000; key++) {
        lc_record *record = lc_records_get(&table, key);
        record->minute = (uint32_t)key;
        record->wrong = (float)key;
        cr_assert_eq(lc_records_find(&table, key), record);
        cr_assert(table.count <= 64);
    }
    int recent = 0;
    for (uint64_t key = 937; key <= 1000; key++)
        recent += lc_records_find(&table, key) != NULL;
    cr_expect(recent > 32, "%d", recent);
    cr_expect_null(lc_records_find(&table, 1));
    cr_expect_null(lc_records_find(&table, 0));
    cr_expect_null(lc_records_get(&table, 0));
    size_t count = table.count;
    cr_expect_eq(lc_records_drop(&table, 2000), count);
    cr_expect_eq(table.count, 0);
    lc_records_done(&table);
}

Test(record_table, grows_without_losing_any)
{
    lc_record_table table;
    lc_records_init(&table, 1 << 16);
    for (uint64_t key = 1; key <= 5000; key++)
        lc_records_get(&table, key)->labels = (uint32_t)key;
    cr_expect_eq(table.count, 5000);
    for (uint64_t key = 1; key <= 5000; key++)
        cr_assert_eq(lc_records_find(&table, key)->labels, key);
    lc_records_done(&table);
}
