/* Asking the learner, and feeding it: which curve a pair belongs to, which observation was counted already. */
#include "ask/learning_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "decide/score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SCORE_TOP    4.0
#define COSINE_FLOOR .85
#define COSINE_TOP   1.0
#define CURVES_MAX   1024  /* two languages of five hundred namespaces */
#define RECORDS_MAX  50000
#define LOT_MOST     .2    /* where little is known, with policy verified */
#define LOT_LEAST    .01
#define OLD_MS       INT64_C(2592000000) /* the learner's own half-life */
#define LATE_MS 10000 /* from observing to what others hear of it */
#define CONTROL_SHARE (1.0 / 16)

/* ---- Life ------------------------------------------------------------------------------------------ */

static double cosine_floor(const llmcache *cache)
{
    double threshold = lc_threshold(cache);
    if (cache->settings.threshold > 0) /* a person's own: never below it */
        return fmin(threshold, .999);
    return fmin(threshold, COSINE_FLOOR);
}

static void options_of(const llmcache *cache, int decides, lc_learner_options *options)
{
    const lc_settings *settings = &cache->settings;
    double share = settings->shadow_share;
    lc_learner_options_init(options);
    options->mode = decides ? LC_LEARNER_VERIFIED : LC_LEARNER_GUARD;
    options->among = strcmp(settings->max_error_among, "requests") == 0 ? LC_AMONG_REQUESTS : LC_AMONG_HITS;
    options->max_error = settings->max_error;
    options->explore = settings->explore_share;
    /* With the fixed threshold the share is what was asked for, no more: each check is a call. */
    options->lot_least = decides ? fmax(share, LOT_LEAST) : share;
    options->lot_most = decides ? fmax(share, LOT_MOST) : share;
    options->curves_max = CURVES_MAX;
    options->records_max = RECORDS_MAX;
}

static uint64_t seed(void)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != (ssize_t)sizeof value)
        value = (uint64_t)lc_mono_ns();
    return value;
}

void lc_learning_free(lc_learning *learning)
{
    if (!learning)
        return;
    lc_learner_free(learning->learner);
    lc_free(learning->seen);
    pthread_mutex_destroy(&learning->lock);
    lc_free(learning);
}

int lc_learning_decides(const llmcache *cache)
{
    return cache->learning && cache->learning->decides;
}

double lc_learning_floor(const llmcache *cache)
{
    return cache->learning->floor;
}

/* ---- Curves ---------------------------------------------------------------------------------------- */

/* At most `room` bytes, the rest as a digest, so that two never become one. */
static void shorten(const char *text, size_t room, char *out)
{
    unsigned char digest[LC_SHA256_SIZE];
    size_t size = strlen(text);
    if (size <= room) {
        memcpy(out, text, size + 1);
        return;
    }
    lc_sha256_once(text, size, digest);
    memcpy(out, text, room - 17);
    out[room - 17] = '~';
    lc_hex(digest, 8, out + room - 16);
}

/* Positions made with other numbers are other positions. */
void lc_curve_embedder(const llmcache *cache, char out[LC_CURVE_EMBEDDER + 1])
{
    char name[512];
    const lc_weights *weights = cache->learning->by_score ? cache->score_weights : NULL;
    snprintf(name, sizeof name, "%.400s%s%s", cache->vector_space, weights ? "+" : "",
             weights ? weights->made : "");
    shorten(name, LC_CURVE_EMBEDDER, out);
}

/* A tenant must not be able to teach the cache what is served to others, so each namespace learns for itself. */
static void curve_name(const llmcache *cache, const char *space, lc_language language,
                       char name[LC_CURVE_NAME_SIZE])
{
    char whose[LC_CURVE_SPACE + 1], embedder[LC_CURVE_EMBEDDER + 1];
    shorten(cache->settings.learning_pool ? "*" : space, LC_CURVE_SPACE, whose);
    lc_curve_embedder(cache, embedder);
    snprintf(name, LC_CURVE_NAME_SIZE, "%s %s %s", lc_language_code(language), whose, embedder);
}

static uint64_t record_of(const unsigned char *fingerprint)
{
    uint64_t key = 0;
    for (int i = 0; i < 8; i++)
        key = key << 8 | fingerprint[i];
    return key;
}

/* What the fixed thresholds would do with it. */
static int is_fixed(const llmcache *cache, lc_language language, double position)
{
    double least = cache->learning->by_score ? lc_score_threshold(cache, language, NULL) : lc_threshold(cache);
    return position >= least;
}

static void set_candidate(const llmcache *cache, const char *space, lc_language language, double position,
                          char name[LC_CURVE_NAME_SIZE], lc_learner_candidate *candidate)
{
    curve_name(cache, space, language, name);
    *candidate = (lc_learner_candidate){.curve = name,
                                        .position = position,
                                        .floor = cache->learning->floor,
                                        .top = cache->learning->top,
                                        .fixed = is_fixed(cache, language, position)};
}

/* The candidate of a verdict; a verdict without the score that is to decide is refused. */
static void candidate_of(const lc_job *job, const llmcache_entry *entry, double similarity,
                         const lc_verdict *verdict, char name[LC_CURVE_NAME_SIZE],
                         lc_learner_candidate *candidate)
{
    int by_score = job->cache->learning->by_score;
    set_candidate(job->cache, job->space, verdict->language, by_score ? verdict->score : similarity, name,
                  candidate);
    candidate->record = record_of(entry->fingerprint);
    candidate->refused = !verdict->serve || (by_score && !verdict->scored);
}

/* ---- Asking ---------------------------------------------------------------------------------------- */

/* From 0 to below 1 (splitmix64). Lock held. */
static double draw(lc_learning *learning)
{
    uint64_t z = learning->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* More namespaces than there is room for go on as they were under a fixed threshold. */
static int is_unknown_curve(const lc_learning *learning, const lc_learner_decision *decision)
{
    return !learning->decides && strcmp(decision->why, "memory") == 0;
}

int lc_learning_ask(lc_job *job, const lc_entry *entry, double similarity, const lc_verdict *verdict)
{
    lc_learning *learning = job->cache->learning;
    char name[LC_CURVE_NAME_SIZE];
    lc_learner_candidate candidate;
    lc_learner_decision decision;
    candidate_of(job, &entry->facts, similarity, verdict, name, &candidate);
    pthread_mutex_lock(&learning->lock);
    lc_learner_ask(learning->learner, &candidate, draw(learning), job->now_ms, &decision);
    learning->changes++;
    pthread_mutex_unlock(&learning->lock);
    int serve = decision.action == LC_LEARNER_SERVE || is_unknown_curve(learning, &decision);
    lc_check_free(job->check);
    job->check = NULL;
    if (decision.action == LC_LEARNER_EXPLORE || (serve && decision.by_lot))
        job->check = lc_check_new(job, entry, similarity, verdict,
                                  serve             ? LC_CHECK_SHADOW
                                  : decision.by_lot ? LC_CHECK_LOT
                                                    : LC_CHECK_EXPLORED);
    if (!serve)
        job->why = decision.why;
    return serve;
}

int lc_learning_explain(const lc_job *job, const llmcache_entry *entry, double similarity,
                        const lc_verdict *verdict, lc_buffer *out)
{
    static const char *const actions[] = {"ask", "compare", "serve"};
    lc_learning *learning = job->cache->learning;
    char name[LC_CURVE_NAME_SIZE];
    lc_learner_candidate candidate;
    lc_learner_decision decision;
    candidate_of(job, entry, similarity, verdict, name, &candidate);
    pthread_mutex_lock(&learning->lock);
    lc_learner_explain(learning->learner, &candidate, &decision);
    pthread_mutex_unlock(&learning->lock);
    int serve = decision.action == LC_LEARNER_SERVE || is_unknown_curve(learning, &decision);
    lc_buffer_format(out,
                     "\"learned\":{\"action\":\"%s\",\"why\":\"%s\",\"position\":%.6g,\"chance_wrong\":%.6g,"
                     "\"low\":%.6g,\"high\":%.6g,\"served_up_to\":%.6g,\"budget\":%.6g,\"proven\":%.6g},",
                     serve ? "serve" : actions[decision.action], decision.why, candidate.position, decision.chance,
                     decision.low, decision.high, decision.limit, decision.needed, decision.upper);
    return serve;
}

/* By its bytes: a text with one Han character is Chinese, as for the rules. */
static lc_language language_of(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0xe4 && (unsigned char)*text <= 0xe9)
            return LC_CHINESE;
    return LC_ENGLISH;
}

void lc_learning_pass(lc_job *job)
{
    lc_learning *learning = job->cache->learning;
    char name[LC_CURVE_NAME_SIZE];
    curve_name(job->cache, job->space, language_of(job->question.text), name);
    pthread_mutex_lock(&learning->lock);
    lc_learner_pass(learning->learner, name);
    pthread_mutex_unlock(&learning->lock);
}

void lc_learning_refused(lc_job *job, const lc_entry *entry, double similarity, const lc_verdict *verdict)
{
    lc_learning *learning = job->cache->learning;
    lc_rule rule = lc_rule_find(verdict->why);
    if (job->check || rule <= LC_RULE_SIMILARITY || rule >= LC_RULE_SCORE || rule == LC_RULE_VOLATILE)
        return;
    pthread_mutex_lock(&learning->lock);
    int drawn = draw(learning) < CONTROL_SHARE;
    pthread_mutex_unlock(&learning->lock);
    if (drawn)
        job->check = lc_check_new(job, entry, similarity, verdict, LC_CHECK_CONTROL);
}

/* ---- Learning -------------------------------------------------------------------------------------- */

static uint64_t key_of(const lc_observation *o)
{
    unsigned char head[(LLMCACHE_ID_SIZE - 1) / 2];
    uint64_t key;
    if (lc_unhex(o->id, head, sizeof head))
        return 0;
    key = record_of(head) ^ (uint64_t)o->time_ms * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)o->verdict;
    return key ? key : 1;
}

/* Counted already? From now on it is. Lock held. */
static int was_seen(lc_learning *learning, uint64_t key)
{
    uint64_t *set = learning->seen + (key >> 32) % LC_SEEN_SETS * LC_SEEN_WAYS;
    for (int i = 0; i < LC_SEEN_WAYS; i++)
        if (set[i] == key)
            return 1;
    memmove(set + 1, set, (LC_SEEN_WAYS - 1) * sizeof *set);
    set[0] = key;
    return 0;
}

static uint64_t all_alarms(const lc_learner *learner)
{
    lc_learner_view view;
    uint64_t alarms = 0;
    for (size_t i = 0; i < lc_learner_curves(learner); i++) {
        lc_learner_see(learner, i, &view);
        alarms += view.alarms;
    }
    return alarms;
}

/* 0 when this is nothing to learn from. */
static int read_candidate(const llmcache *cache, const lc_observation *o, char name[LC_CURVE_NAME_SIZE],
                          lc_learner_candidate *candidate)
{
    int by_score = cache->learning->by_score;
    unsigned char head[(LLMCACHE_ID_SIZE - 1) / 2];
    lc_language language = strcmp(o->language, "zh") == 0 ? LC_CHINESE : LC_ENGLISH;
    if (o->verdict == LLMCACHE_UNJUDGED || o->doubtful || strcmp(o->embedder, cache->vector_space) != 0 ||
        !*o->language || (by_score && !o->scored))
        return 0;
    double position = by_score ? lc_score(o->features, lc_score_numbers(cache, language)) : o->similarity;
    set_candidate(cache, o->space, language, position, name, candidate);
    if (*o->candidate_id && lc_unhex(o->candidate_id, head, sizeof head) == 0)
        candidate->record = record_of(head);
    return position >= candidate->floor;
}

static lc_learner_source source_of(const lc_observation *o)
{
    return o->observer == LLMCACHE_BY_JUDGE ? LC_LEARNED_JUDGED
           : o->observer == LLMCACHE_BY_EXPLORATION || o->observer == LLMCACHE_BY_SHADOW ? LC_LEARNED_EXPLORED
                                                                                          : LC_LEARNED_TOLD;
}

/* Lock held. A sample by lot is what BY_SHADOW means, whether the hit was given out or held back. */
static void learn(lc_learning *learning, const lc_learner_candidate *candidate, const lc_observation *o)
{
    lc_learner_observe(learning->learner, candidate, o->verdict == LLMCACHE_RIGHT,
                       o->observer == LLMCACHE_BY_SHADOW, source_of(o), o->time_ms);
}

/* The limit rose: what was given out under the old one is looked at again. */
static int is_alarmed(lc_learning *learning, const lc_observation *o)
{
    if (o->observer != LLMCACHE_BY_SHADOW || o->verdict != LLMCACHE_WRONG)
        return 0;
    uint64_t alarms = all_alarms(learning->learner);
    int more = alarms > learning->alarms;
    learning->alarms = alarms;
    return more;
}

/* Part of what was taken over, or forgotten with it? Old ones that are imported are not, unless they are only read again.
 * Lock held. */
static int was_taken_over(const lc_learning *learning, const lc_observation *o, int64_t now_ms)
{
    if (learning->loading)
        return o->time_ms <= learning->until_ms || now_ms - o->time_ms > OLD_MS;
    return o->time_ms < learning->until_ms && learning->until_ms - o->time_ms < LATE_MS;
}

/* From the store, from other servers, from feedback: whoever hears of observations. */
static void on_observed(void *user, const lc_observation *o)
{
    llmcache *cache = user;
    lc_learning *learning = cache->learning;
    char name[LC_CURVE_NAME_SIZE];
    lc_learner_candidate candidate;
    uint64_t key = key_of(o);
    if (!key || !read_candidate(cache, o, name, &candidate))
        return;
    int64_t now_ms = lc_now_ms(cache);
    int alarmed = 0;
    pthread_mutex_lock(&learning->lock);
    if (!was_seen(learning, key) && !was_taken_over(learning, o, now_ms)) {
        learn(learning, &candidate, o);
        alarmed = is_alarmed(learning, o);
    }
    pthread_mutex_unlock(&learning->lock);
    if (alarmed)
        lc_memory_cache_forget_semantic(cache->memory);
}

/* ---- Opening --------------------------------------------------------------------------------------- */

int lc_learning_new(llmcache *cache, llmcache_error *err)
{
    lc_learner_options options;
    int decides = strcmp(cache->settings.policy, "verified") == 0;
    int guards = strcmp(cache->settings.policy, "default") == 0 && cache->settings.shadow_share > 0;
    if (!cache->embedder.ops.embed || (!decides && !guards))
        return 0;
    lc_learning *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    made->decides = decides;
    made->by_score = lc_uses_score(cache);
    made->floor = made->by_score ? LC_LEARNED_SCORE_FLOOR : cosine_floor(cache);
    made->top = made->by_score ? SCORE_TOP : COSINE_TOP;
    made->random = seed();
    pthread_mutex_init(&made->lock, NULL);
    made->seen = lc_zalloc_array((size_t)LC_SEEN_SETS * LC_SEEN_WAYS, sizeof *made->seen);
    options_of(cache, decides, &options);
    int code = made->seen ? lc_learner_new(&options, &made->learner, err) : lc_fail_memory(err);
    if (code) {
        lc_learning_free(made);
        return code;
    }
    cache->learning = made;
    lc_observations_listen(cache, on_observed, cache);
    return 0;
}
