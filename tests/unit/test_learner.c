/* The learner: what it never serves, what it learns, and how it lets go. The proof that
 * errors stay under the budget on real questions is bench_learning. */
#include "learner_streams.h"

#include "base/json.h"
#include "base/memory.h"

#include <string.h>

static const stream_law easy = {
    .middle = -5, .slope = -6, .record_spread = 1, .records = 300};
static const stream_law safe = {.middle = -12, .slope = -2, .records = 300};
static const stream_law usual = {
    .middle = -2, .slope = -10, .record_spread = 1, .records = 300};
static const stream_law hopeless = {
    .middle = 1, .slope = -1, .record_spread = 1, .records = 300};

static lc_learner_decision ask(lc_learner *learner, lc_learner_candidate candidate,
                               double draw)
{
    lc_learner_decision decision;
    lc_learner_ask(learner, &candidate, draw, 1000, &decision);
    return decision;
}

/* A learner that serves nearly everything. */
static lc_learner *trained(const lc_learner_options *options, const stream_law *law)
{
    lc_learner *learner = test_learner(options);
    uint64_t seed = 1;
    int64_t now = 1000;
    test_stream(learner, law, 6000, &seed, &now);
    return learner;
}

Test(learner, nothing_is_served_without_proof)
{
    lc_learner *learner = test_learner(NULL);
    uint64_t seed = 3;
    for (int i = 0; i < 1000; i++) {
        lc_learner_decision d = ask(learner, test_candidate(1, 7), test_draw(&seed));
        cr_assert_eq(d.action, LC_LEARNER_EXPLORE);
        cr_assert_str_eq(d.why, "unproven");
        cr_assert(d.chance > 0 && d.chance < 1 && d.low < d.high);
        cr_assert_eq(d.limit, 0);
    }
    lc_learner_free(learner);
}

Test(learner, what_rules_refuse_is_never_served)
{
    lc_learner *learner = trained(NULL, &easy);
    cr_assert_eq(ask(learner, test_candidate(0.95, 7), 0.9).action, LC_LEARNER_SERVE);
    lc_learner_candidate bad[] = {
        test_candidate(0.95, 7),     test_candidate(-0.001, 7), test_candidate(NAN, 7),
        test_candidate(INFINITY, 7), test_candidate(0.95, 7),   test_candidate(0.95, 7),
    };
    bad[0].refused = 1;
    bad[4].floor = 2;
    bad[5].top = NAN;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bad[i].fixed = 1;
        lc_learner_decision d = ask(learner, bad[i], 0.9);
        cr_expect_eq(d.action, LC_LEARNER_MISS, "%zu", i);
        cr_expect_str_eq(d.why, i == 1 ? "floor" : "refused", "%zu", i);
        int code = lc_learner_observe(learner, &bad[i], 1, 0, LC_LEARNED_EXPLORED, 1000);
        cr_expect_eq(code, i == 0 ? 0 : LLMCACHE_INVALID, "%zu", i);
    }
    lc_learner_free(learner);
}

/* In either mode, whatever is drawn: nothing below the floor, nothing refused. */
Test(learner, random_candidates_keep_the_rules)
{
    for (int mode = LC_LEARNER_VERIFIED; mode <= LC_LEARNER_GUARD; mode++) {
        lc_learner_options options;
        lc_learner_options_init(&options);
        options.mode = (lc_learner_mode)mode;
        lc_learner *learner = test_learner(&options);
        uint64_t seed = 11;
        int served = 0;
        for (int i = 0; i < 20000; i++) {
            lc_learner_candidate c =
                test_candidate(2 * test_draw(&seed) - 0.7, 1 + (uint64_t)i % 50);
            c.refused = test_draw(&seed) < 0.3;
            c.fixed = c.position > 0.6;
            lc_learner_decision d;
            lc_learner_ask(learner, &c, test_draw(&seed), 1000 + i, &d);
            served += d.action == LC_LEARNER_SERVE;
            cr_assert(d.action == LC_LEARNER_MISS || (c.position >= 0 && !c.refused));
            if (d.action != LC_LEARNER_MISS && c.position >= 0)
                lc_learner_observe(learner, &c, 1, d.by_lot, LC_LEARNED_EXPLORED,
                                   1000 + i);
        }
        cr_assert(served > 1000, "%d", served);
        lc_learner_free(learner);
    }
}

Test(learner, error_stays_under_the_budget)
{
    static const double budgets[] = {0.01, 0.02, 0.05};
    for (size_t b = 0; b < 3; b++) {
        int within = 0;
        uint64_t hits = 0;
        for (uint64_t run = 0; run < 20; run++) {
            lc_learner_options options;
            lc_learner_options_init(&options);
            options.max_error = budgets[b];
            options.missed = 0;
            lc_learner *learner = test_learner(&options);
            uint64_t seed = 1000 * run + b;
            int64_t now = 1000;
            stream_result r = test_stream(learner, &usual, 20000, &seed, &now);
            within += (double)r.wrong_hits <= budgets[b] * (double)r.hits;
            hits += r.hits;
            lc_learner_free(learner);
        }
        cr_expect(within >= 19, "budget %g: %d of 20", budgets[b], within);
        cr_expect(hits > 20 * 1000, "budget %g: %llu hits", budgets[b],
                  (unsigned long long)hits);
    }
}

Test(learner, nothing_good_nothing_served)
{
    lc_learner *learner = test_learner(NULL);
    uint64_t seed = 5;
    int64_t now = 1000;
    stream_result r = test_stream(learner, &hopeless, 20000, &seed, &now);
    cr_assert_eq(r.hits, 0);
    cr_assert_eq(r.explored, 20000);
    lc_learner_free(learner);
}

Test(learner, nearer_is_never_worse)
{
    const stream_law upside_down = {.middle = -3, .slope = 9, .records = 9},
                     laws[] = {easy, usual, hopeless, upside_down};
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        lc_learner *learner = trained(NULL, &laws[i]);
        lc_learner_freeze(learner, 1);
        double before = 1;
        int serves = 0;
        for (int step = 0; step <= 100; step++) {
            lc_learner_decision d = ask(learner, test_candidate(step / 100.0, 0), 0.999);
            cr_expect(d.chance <= before + 1e-12, "law %zu at %d", i, step);
            cr_expect(!serves || d.action == LC_LEARNER_SERVE, "law %zu at %d", i, step);
            before = d.chance;
            serves = d.action == LC_LEARNER_SERVE;
        }
        lc_learner_free(learner);
    }
}

Test(learner, a_stricter_budget_serves_no_more)
{
    double before = 2;
    for (double budget = 0.005; budget < 0.3; budget *= 1.7) {
        lc_learner_options options;
        lc_learner_options_init(&options);
        lc_learner *learner = trained(NULL, &usual);
        options.max_error = budget;
        cr_assert_eq(lc_learner_set(learner, &options, NULL), 0);
        lc_learner_view view;
        lc_learner_see(learner, 0, &view);
        cr_expect(view.threshold <= before, "%g: %g after %g", budget, view.threshold,
                  before);
        before = view.threshold;
        lc_learner_free(learner);
    }
    cr_assert(before < 0.8);
}

Test(learner, a_record_with_a_history_stands_for_itself)
{
    lc_learner *learner = trained(NULL, &usual);
    double fresh = ask(learner, test_candidate(0.7, 999999), 0.9).chance;
    lc_learner_candidate trap = test_candidate(0.7, 5000), good = test_candidate(0.7, 5001);
    for (int i = 0; i < 3; i++) {
        lc_learner_observe(learner, &trap, 0, 0, LC_LEARNED_EXPLORED, 1000);
        lc_learner_observe(learner, &good, 1, 0, LC_LEARNED_EXPLORED, 1000);
    }
    cr_expect(ask(learner, trap, 0.9).chance > 2 * fresh);
    cr_expect(ask(learner, good, 0.9).chance < fresh);
    /* One report of a person is enough for this record, and speaks for no other. */
    lc_learner_candidate told = test_candidate(0.7, 5002);
    lc_learner_observe(learner, &told, 0, 0, LC_LEARNED_TOLD, 1000);
    cr_expect(ask(learner, told, 0.9).chance > 1.5 * fresh);
    lc_learner_free(learner);
}

/* One trap that works is not worked twice. */
Test(learner, a_record_is_checked_before_it_serves_again)
{
    lc_learner *learner = trained(NULL, &easy);
    lc_learner_candidate c = test_candidate(0.95, 4711);
    cr_expect_eq(ask(learner, c, 0.9).action, LC_LEARNER_SERVE);
    for (int i = 0; i < 5; i++) { /* until a label comes, however late */
        lc_learner_decision d = ask(learner, c, 0.9);
        cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
        cr_expect_str_eq(d.why, "due");
    }
    lc_learner_observe(learner, &c, 1, 0, LC_LEARNED_EXPLORED, 1000);
    int served = 0;
    while (served < 100 && ask(learner, c, 0.9).action == LC_LEARNER_SERVE)
        served++;
    cr_expect_eq(served, 4);
    lc_learner_free(learner);
}

/* The proof was made on another mix: new records wait while it lasts. */
Test(learner, a_surge_of_would_be_hits_is_held_back)
{
    lc_learner *learner = trained(NULL, &usual);
    for (int i = 0; i < 3000; i++) /* few are near in quiet times */
        ask(learner, test_candidate(0.1, 1), 0.9);
    int served = 0, surging = 0;
    for (uint64_t i = 0; i < 200; i++) {
        lc_learner_decision d = ask(learner, test_candidate(0.99, 900000 + i), 0.9);
        served += d.action == LC_LEARNER_SERVE;
        surging += strcmp(d.why, "surge") == 0;
    }
    cr_expect(served > 0 && served < 60, "%d", served);
    cr_expect(surging > 140, "%d", surging);
    lc_learner_free(learner);
}

Test(learner, doubt_holds_new_records_back)
{
    lc_learner *learner = trained(NULL, &safe);
    lc_learner_candidate known = test_candidate(0.95, 3), fresh = test_candidate(0.95, 888);
    cr_assert_eq(ask(learner, fresh, 0.9).action, LC_LEARNER_SERVE);
    lc_learner_candidate other = test_candidate(0.95, 777);
    lc_learner_observe(learner, &other, 0, 1, LC_LEARNED_EXPLORED, 1000);
    fresh.record = 889;
    lc_learner_decision d = ask(learner, fresh, 0.9);
    cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
    cr_expect_str_eq(d.why, "wary");
    cr_expect_eq(ask(learner, known, 0.9).action, LC_LEARNER_SERVE);
    for (int i = 0; i < 50; i++)
        lc_learner_observe(learner, &known, 1, 1, LC_LEARNED_EXPLORED, 1000);
    cr_expect_eq(ask(learner, fresh, 0.9).action, LC_LEARNER_SERVE);
    lc_learner_free(learner);
}

Test(learner, explaining_changes_nothing)
{
    lc_learner *learner = trained(NULL, &usual);
    lc_buffer before, after;
    lc_buffer_init(&before, 0);
    lc_buffer_init(&after, 0);
    cr_assert_eq(lc_learner_save(learner, &before), 0);
    for (int i = -5; i < 100; i++) {
        lc_learner_candidate c = test_candidate(i / 100.0, 1000 + (uint64_t)i);
        lc_learner_decision told;
        lc_learner_explain(learner, &c, &told);
        cr_expect(told.why && !told.by_lot);
        cr_expect_eq(told.action == LC_LEARNER_MISS, i < 0);
    }
    lc_learner_candidate elsewhere = test_candidate(0.5, 1);
    elsewhere.curve = "elsewhere";
    lc_learner_decision told, done;
    lc_learner_explain(learner, &elsewhere, &told);
    cr_expect_str_eq(told.why, "unproven");
    cr_assert_eq(lc_learner_save(learner, &after), 0);
    cr_assert_eq(before.size, after.size);
    cr_assert_eq(memcmp(before.data, after.data, before.size), 0);
    lc_learner_candidate c = test_candidate(0.9, 3);
    lc_learner_explain(learner, &c, &told);
    done = ask(learner, c, 0.999);
    cr_expect_eq(told.action, done.action);
    cr_expect_eq(told.chance, done.chance);
    lc_buffer_done(&before);
    lc_buffer_done(&after);
    lc_learner_free(learner);
}

/* Labels that a threshold separates have no finite maximum likelihood. */
Test(learner, separable_labels_have_a_finite_fit)
{
    lc_learner *learner = test_learner(NULL);
    for (int i = 0; i < 5000; i++) {
        lc_learner_candidate c = test_candidate((i % 100) / 100.0, 0);
        lc_learner_observe(learner, &c, i % 100 >= 50, 0, LC_LEARNED_EXPLORED, 1000);
    }
    double near = ask(learner, test_candidate(1, 0), 0.9).chance,
           far = ask(learner, test_candidate(0, 0), 0.9).chance;
    cr_assert(near > 1e-12 && near < 0.02, "%g", near);
    cr_assert(far < 1 - 1e-12 && far > 0.98, "%g", far);
    lc_learner_free(learner);
}

Test(learner, without_labels_the_evidence_fades)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    options.half_life = 1000;
    lc_learner *by_traffic = trained(&options, &easy), *by_time = trained(&options, &easy);
    lc_learner_candidate c = test_candidate(0.9, 3);
    lc_learner_decision d = ask(by_traffic, c, 0.9);
    cr_assert_eq(d.action, LC_LEARNER_SERVE);
    for (int i = 0; i < 30000; i++)
        d = ask(by_traffic, c, 0.9); /* the judge is paused: nothing comes back */
    cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
    cr_assert_eq(ask(by_time, c, 0.9).action, LC_LEARNER_SERVE);
    lc_learner_ask(by_time, &c, 0.9, 400ll * 86400000, &d);
    cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
    lc_learner_free(by_traffic);
    lc_learner_free(by_time);
}

Test(learner, a_change_for_the_worse_sets_off_the_alarm)
{
    lc_learner *learner = trained(NULL, &safe);
    lc_learner_view view;
    uint64_t seed = 9;
    int64_t now = 1000;
    lc_learner_see(learner, 0, &view);
    cr_assert_eq(view.alarms, 0);
    stream_result worse = test_stream(learner, &hopeless, 3000, &seed, &now);
    lc_learner_see(learner, 0, &view);
    cr_expect(view.alarms >= 1);
    cr_expect(view.threshold > 1, "%g", view.threshold);
    cr_expect(worse.hits < 600, "%llu", (unsigned long long)worse.hits);
    cr_expect(view.history_count > 1);
    lc_learner_free(learner);
}

Test(learner, the_guard_trusts_the_fixed_threshold_until_labels_speak)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    options.mode = LC_LEARNER_GUARD;
    options.lot_least = options.lot_most = 0.1;
    lc_learner *learner = test_learner(&options);
    lc_learner_candidate c = test_candidate(0.5, 0);
    cr_assert_eq(ask(learner, c, 0.9).action, LC_LEARNER_MISS);
    c.fixed = 1;
    cr_assert_str_eq(ask(learner, c, 0.9).why, "fixed");
    int reports = 0;
    for (; ask(learner, c, 0.05).by_lot && reports < 20; reports++)
        lc_learner_observe(learner, &c, 0, 1, LC_LEARNED_EXPLORED, 1000);
    cr_expect(reports > 1 && reports < 6, "%d", reports);
    lc_learner_decision d = ask(learner, c, 0.9);
    cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
    cr_expect_str_eq(d.why, "unproven");
    /* Back only by evidence: some hundred right ones. */
    int needed = 0;
    for (; needed < 5000 && ask(learner, c, 0.9).action != LC_LEARNER_SERVE; needed++)
        lc_learner_observe(learner, &c, 1, 0, LC_LEARNED_EXPLORED, 1000);
    cr_expect(needed > 100 && needed < 2000, "%d", needed);
    lc_learner_free(learner);
}

Test(learner, a_judge_that_always_says_right_is_caught_by_controls)
{
    lc_learner *learner = trained(NULL, &easy);
    lc_learner_candidate c = test_candidate(0.9, 3);
    cr_assert_eq(ask(learner, c, 0.9).action, LC_LEARNER_SERVE);
    for (int i = 0; i < 20; i++)
        lc_learner_control(learner, 1, 1);
    cr_assert_eq(ask(learner, c, 0.9).action, LC_LEARNER_SERVE);
    for (int i = 0; i < 12; i++)
        lc_learner_control(learner, 0, 1);
    lc_learner_decision d = ask(learner, c, 0.9);
    cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
    cr_expect_str_eq(d.why, "judge");
    for (int i = 0; i < 500; i++)
        lc_learner_control(learner, 0, 0);
    /* It is believed again, but not what it said. */
    d = ask(learner, c, 0.9);
    cr_expect_eq(d.action, LC_LEARNER_EXPLORE);
    cr_expect_str_eq(d.why, "unproven");
    uint64_t seed = 8;
    int64_t now = 2000;
    cr_expect(test_stream(learner, &easy, 6000, &seed, &now).hits > 1000);
    lc_learner_free(learner);
}

Test(learner, among_requests_is_the_looser_bound)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    lc_learner *hits = trained(&options, &usual);
    lc_learner_view strict, loose;
    lc_learner_see(hits, 0, &strict);
    for (int i = 0; i < 6000; i++)
        lc_learner_pass(hits, "space/en");
    options.among = LC_AMONG_REQUESTS;
    cr_assert_eq(lc_learner_set(hits, &options, NULL), 0);
    lc_learner_see(hits, 0, &loose);
    cr_expect(loose.threshold < strict.threshold);
    cr_expect(loose.needed > strict.needed);
    cr_expect(strict.requests_high <= strict.all.high);
    lc_learner_free(hits);
}

Test(learner, frozen_it_stays_as_it_is)
{
    lc_learner *learner = trained(NULL, &usual);
    lc_learner_freeze(learner, 1);
    lc_learner_view before, after;
    lc_learner_see(learner, 0, &before);
    uint64_t seed = 77;
    int64_t now = 1000;
    test_stream(learner, &hopeless, 3000, &seed, &now);
    lc_learner_see(learner, 0, &after);
    cr_expect_eq(before.threshold, after.threshold);
    cr_expect_eq(before.upper, after.upper);
    cr_expect(after.all.wrong > before.all.wrong); /* it is seen all the same */
    lc_learner_freeze(learner, 0);
    test_stream(learner, &hopeless, 3000, &seed, &now);
    lc_learner_see(learner, 0, &after);
    cr_expect(after.threshold > before.threshold);
    lc_learner_free(learner);
}

Test(learner, reset_begins_anew)
{
    lc_learner *learner = trained(NULL, &easy);
    lc_learner_reset(learner, "another");
    cr_expect_eq(ask(learner, test_candidate(0.9, 3), 0.9).action, LC_LEARNER_SERVE);
    lc_learner_reset(learner, "space/en");
    cr_expect_eq(ask(learner, test_candidate(0.9, 3), 0.9).action, LC_LEARNER_EXPLORE);
    cr_expect(lc_learner_records(learner) > 0);
    lc_learner_reset(learner, NULL);
    cr_expect_eq(lc_learner_records(learner), 0);
    cr_expect_eq(lc_learner_curves(learner), 0);
    lc_learner_free(learner);
}

Test(learner, curves_learn_apart_and_are_bounded)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    options.curves_max = 3;
    lc_learner *learner = trained(&options, &easy);
    lc_learner_candidate c = test_candidate(0.95, 3);
    static const char *const names[] = {"b/en", "c/zh", "d/zh"};
    for (int i = 0; i < 3; i++) {
        c.curve = names[i];
        lc_learner_decision d = ask(learner, c, 0.9);
        cr_expect_eq(d.action, i < 2 ? LC_LEARNER_EXPLORE : LC_LEARNER_MISS);
        cr_expect_str_eq(d.why, i < 2 ? "unproven" : "memory");
    }
    lc_learner_free(learner);
}

Test(learner, another_scale_begins_anew)
{
    lc_learner *learner = trained(NULL, &easy);
    lc_learner_candidate c = test_candidate(0.95, 3);
    cr_assert_eq(ask(learner, c, 0.9).action, LC_LEARNER_SERVE);
    c.top = 2;
    cr_expect_eq(ask(learner, c, 0.9).action, LC_LEARNER_EXPLORE);
    lc_learner_free(learner);
}

Test(learner, a_million_records_fit_the_bound)
{
    lc_learner_options options;
    lc_learner_options_init(&options);
    options.records_max = 1000000;
    lc_learner *learner = test_learner(&options);
    for (uint64_t i = 1; i <= 1500000; i++) {
        lc_learner_candidate c = test_candidate(0.9, i * 0x9e3779b97f4a7c15u);
        lc_learner_observe(learner, &c, 1, 0, LC_LEARNED_EXPLORED, (int64_t)i * 60000);
    }
    cr_expect(lc_learner_records(learner) <= 1000000);
    cr_expect(lc_learner_records(learner) > 100000);
    cr_expect(lc_learner_memory(learner) < 26u * 1000000);
    lc_learner_free(learner);
}

Test(learner, settings_have_ranges)
{
    lc_learner_options usual_options, bad;
    lc_learner_options_init(&usual_options);
    llmcache_error err;
    for (int i = 0; i < 9; i++) {
        bad = usual_options;
        double *fields[] = {&bad.max_error, &bad.confidence, &bad.lot_least,
                            &bad.lot_most,  &bad.explore,    &bad.missed,
                            &bad.false_alarm, &bad.half_life};
        if (i < 8)
            *fields[i] = i % 2 ? NAN : -1;
        else
            bad.half_life_ms = -1;
        lc_learner *learner = NULL;
        cr_expect_eq(lc_learner_new(&bad, &learner, &err), LLMCACHE_SETTING, "%d", i);
        cr_expect(err.message[0]);
    }
}

Test(learner, tells_json)
{
    lc_learner *learner = trained(NULL, &usual);
    lc_buffer out;
    lc_json *root;
    lc_buffer_init(&out, 0);
    cr_assert_eq(lc_learner_tell(learner, &out), 0);
    cr_assert_eq(lc_json_parse(out.data, out.size, &root, NULL), 0);
    const lc_json *curve = lc_json_at(lc_json_get(root, "curves"), 0);
    cr_expect_str_eq(lc_json_text(lc_json_get(curve, "curve"), NULL), "space/en");
    double high = 0;
    cr_expect(lc_json_number(lc_json_get(lc_json_get(curve, "all"), "error_high"), &high));
    cr_expect(high > 0 && high < 0.2, "%g", high);
    cr_expect_eq(lc_json_count(lc_json_get(curve, "bands")), LC_LEARNER_VIEW_BANDS);
    lc_json_free(root);
    lc_buffer_done(&out);
    lc_learner_free(learner);
}

/* Without memory it serves nothing and says so; what it had stays. */
Test(learner, allocations_that_fail)
{
    for (uint64_t n = 1; n < 8; n++) {
        lc_learner_options options;
        lc_learner_options_init(&options);
        lc_learner *learner = NULL;
        lc_memory_fail_at(n);
        int code = lc_learner_new(&options, &learner, NULL);
        if (!code) {
            lc_learner_candidate c = test_candidate(0.9, 5);
            lc_learner_decision d;
            lc_learner_ask(learner, &c, 0.5, 1000, &d);
            cr_expect(d.action != LC_LEARNER_SERVE);
            if (strcmp(d.why, "memory") == 0)
                cr_expect(lc_memory_failed());
            lc_memory_fail_at(n);
            code = lc_learner_observe(learner, &c, 1, 0, LC_LEARNED_EXPLORED, 1000);
        }
        cr_expect(code == LLMCACHE_MEMORY || !lc_memory_failed(), "%d", (int)n);
        lc_memory_fail_at(0);
        lc_learner_free(learner);
    }
}
