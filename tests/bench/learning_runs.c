#include "learning_runs.h"

#include "learning_traffic.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

#define CANDIDATES 4 /* of the nearest, as the pipeline takes */

typedef struct label {
    lc_learner_candidate candidate;
    int said_right, by_lot, learner;
} label;

typedef struct world {
    const features *f;
    const plan *plan;
    traffic_source source;
    uint64_t seed;       /* of the policy's own draws */
    /* Of each text, the request at which it was kept, + 1; 0: never. */
    size_t *asked;  /* by exact key */
    size_t *cached; /* as a record that others may be near to */
    result result;
    lc_learner *learners[2];
    label waiting[DELAY];
    size_t labels;
} world;

static void open_world(world *w, const features *f, const plan *p, uint64_t seed)
{
    *w = (world){.f = f, .plan = p, .seed = ~seed};
    traffic_open(&w->source, f, p, seed);
    w->asked = calloc(f->text_count, sizeof *w->asked);
    w->cached = calloc(f->text_count, sizeof *w->cached);
    if (!w->asked || !w->cached)
        test_give_up("out of memory");
}

static void close_world(world *w)
{
    traffic_close(&w->source);
    free(w->asked);
    free(w->cached);
}

static int is_alive(const world *w, size_t since, size_t number)
{
    return since && (w->plan->ttl == 0 || number - (since - 1) < w->plan->ttl);
}

/* The nearest cached text that the rules let through; NULL: there is none. */
static const seen_pair *find(const world *w, const request *r, size_t number)
{
    if (r->pair)
        return r->pair;
    const seen_pair *near = w->f->near + r->text * NEAR_MAX;
    int seen = 0;
    for (int i = 0; i < NEAR_MAX && seen < CANDIDATES && near[i].cosine > 0; i++) {
        if (!is_alive(w, w->cached[near[i].other], number))
            continue;
        if (!near[i].refused)
            return &near[i];
        seen++;
    }
    return NULL;
}

static void count_hit(world *w, size_t number, int right)
{
    size_t tenth = number * 10 / w->plan->requests;
    w->result.hits++;
    w->result.wrong += !right;
    w->result.tenth_hits[tenth]++;
    w->result.tenth_wrong[tenth] += !right;
}

static void keep(world *w, const request *r, size_t number, int as_record)
{
    if (r->pair)
        return;
    w->asked[r->text] = number + 1;
    if (as_record)
        w->cached[r->text] = number + 1;
}

/* 1: an exact hit, nobody's decision. */
static int is_exact(world *w, const request *r, size_t number)
{
    w->result.requests++;
    if (r->pair || !is_alive(w, w->asked[r->text], number))
        return 0;
    w->result.exact++;
    return 1;
}

static void finish(result *of)
{
    for (int i = 0; i < 10; i++)
        if (of->tenth_hits[i] >= 100) {
            double error =
                (double)of->tenth_wrong[i] / (double)of->tenth_hits[i];
            of->worst = error > of->worst ? error : of->worst;
        }
}

result run_fixed(const features *f, const plan *p, uint64_t seed, int shipped,
                 double threshold)
{
    world w;
    open_world(&w, f, p, seed);
    for (size_t i = 0; i < p->requests; i++) {
        request r = traffic_next(&w.source, i);
        if (is_exact(&w, &r, i))
            continue;
        const seen_pair *pair = find(&w, &r, i);
        int serve = pair && !pair->refused &&
                    (shipped ? pair->fixed : (double)pair->score >= threshold);
        if (serve)
            count_hit(&w, i, pair->right);
        else
            keep(&w, &r, i, 1);
        w.result.calls += (size_t)!serve;
    }
    finish(&w.result);
    close_world(&w);
    return w.result;
}

/* ---- The learner -------------------------------------------------------------------- */

static void set_options(const plan *p, double budget, lc_learner_options *options)
{
    lc_learner_options_init(options);
    options->max_error = budget;

    if (p->flips > 0 && !p->untold)
        options->false_alarm = options->missed = p->flips;
    if (p->guard)
        options->mode = LC_LEARNER_GUARD;
    if (p->lot > 0)
        options->lot_least = options->lot_most = p->lot;
}

static lc_learner *open_learner(const plan *p, double budget)
{
    lc_learner_options options;
    lc_learner *learner;
    llmcache_error err;
    set_options(p, budget, &options);
    if (lc_learner_new(&options, &learner, &err))
        test_give_up("%s", err.message);
    return learner;
}

static void restart(lc_learner **learner, const plan *p, double budget)
{
    lc_buffer state;
    llmcache_error err;
    lc_buffer_init(&state, 0);
    lc_learner *again = open_learner(p, budget);
    if (lc_learner_save(*learner, &state) ||
        lc_learner_load(again, state.data, state.size, &err))
        test_give_up("a state that was saved cannot be loaded");
    lc_buffer_done(&state);
    lc_learner_free(*learner);
    *learner = again;
}

static const char *curve_of(const world *w, const request *r, const seen_pair *pair)
{
    if (w->plan->traffic == TRAFFIC_TENANTS && !w->plan->pooled)
        return r->tenant ? "b/en" : "a/en";
    return pair->chinese ? "zh" : "en";
}

static void deliver(world *w, size_t number)
{
    label *due = &w->waiting[number % DELAY];
    if (!due->candidate.curve)
        return;
    int both = w->plan->servers == 2;
    for (int i = 0; i < 2; i++)
        if (w->learners[i] && (both || i == due->learner))
            lc_learner_observe(w->learners[i], &due->candidate, due->said_right,
                               due->by_lot, LC_LEARNED_EXPLORED, (int64_t)number * 1000);
    due->candidate.curve = NULL;
}

static int judge(world *w, int right, size_t number)
{
    if (w->plan->always_right && number >= w->plan->requests / 2)
        return 1;
    return draw(&w->seed) < w->plan->flips ? !right : right;
}

static void label_later(world *w, const lc_learner_candidate *candidate, int right,
                        int by_lot, int learner, size_t number)
{
    if (w->plan->paused && number >= w->plan->paused)
        return;
    w->waiting[number % DELAY] =
        (label){*candidate, judge(w, right, number), by_lot, learner};
    w->labels++;
    if (w->plan->controls && w->labels % (size_t)w->plan->controls == 0) {
        int known = (w->labels / (size_t)w->plan->controls) % 2 != 0;
        lc_learner_control(w->learners[learner], known, judge(w, known, number));
        w->result.controls++;
    }
}

static void serve_or_ask(world *w, const request *r, const seen_pair *pair, size_t number)
{
    int which = w->plan->servers ? (int)(number % 2) : 0;
    lc_learner_candidate candidate = {
        .curve = curve_of(w, r, pair),
        .record = r->pair ? r->record : pair->other + 1,
        .position = (double)pair->score,
        .floor = FLOOR,
        .top = TOP,
        .refused = pair->refused,
        .fixed = pair->fixed};
    lc_learner_decision d;
    lc_learner_ask(w->learners[which], &candidate, draw(&w->seed), (int64_t)number * 1000,
                   &d);
    int serve = d.action == LC_LEARNER_SERVE;
    int checked = d.action == LC_LEARNER_EXPLORE || d.by_lot;
    if (serve && (pair->refused || pair->score < FLOOR))
        test_give_up("a refused answer was served");
    if (serve)
        count_hit(w, number, pair->right);
    if (checked)
        label_later(w, &candidate, pair->right, d.by_lot, which, number);
    w->result.explored += d.action == LC_LEARNER_EXPLORE;
    w->result.audited += serve && d.by_lot;
    w->result.calls += (size_t)!serve + (size_t)(serve && d.by_lot);
    if (!serve)
        keep(w, r, number,
             !w->plan->sparse || d.action != LC_LEARNER_EXPLORE || !pair->right);
}

static void end_learners(world *w)
{
    for (int i = 0; i < 2; i++) {
        for (size_t c = 0; w->learners[i] && c < lc_learner_curves(w->learners[i]); c++) {
            lc_learner_view view;
            lc_learner_see(w->learners[i], c, &view);
            w->result.alarms += view.alarms;
        }
        lc_learner_free(w->learners[i]);
    }
}

result run_learner(const features *f, const plan *p, uint64_t seed, double budget)
{
    world w;
    llmcache_error err;
    open_world(&w, f, p, seed);
    for (int i = 0; i < (p->servers ? 2 : 1); i++)
        w.learners[i] = open_learner(p, budget);
    for (size_t i = 0; i < p->requests; i++) {
        request r = traffic_next(&w.source, i);
        deliver(&w, i);
        if (i == p->requests / 2 && p->restart)
            restart(&w.learners[0], p, budget);
        if (i == p->requests / 2 && p->servers == 3 &&
            (lc_learner_merge(w.learners[0], w.learners[1], &err) ||
             (restart(&w.learners[1], p, budget), 0)))
            test_give_up("%s", err.message);
        if (is_exact(&w, &r, i))
            continue;
        const seen_pair *pair = find(&w, &r, i);
        if (pair) {
            serve_or_ask(&w, &r, pair, i);
        } else {
            keep(&w, &r, i, 1);
            w.result.calls++;
        }
    }
    finish(&w.result);
    end_learners(&w);
    close_world(&w);
    return w.result;
}
