/* Taking observations in, and what decisions ask of them. What is kept is observations_kept.c. */
#include "ask/observations_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <string.h>

#define TEXT_MAX  65536
#define WEEK_MS   INT64_C(604800000)
#define DAY_MS    INT64_C(86400000)
#define SUBSTITUTE_BYTES (4 << 20)

/* ---- Life ------------------------------------------------------------------------------------------ */

int lc_observations_new(llmcache *cache, llmcache_error *err)
{
    static const lc_store_options options = {.max_bytes = SUBSTITUTE_BYTES};
    lc_observations *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    int code = lc_store_open_memory(&options, &made->substitute, err);
    if (!code)
        code = lc_verdict_table_new(0, &made->table, err);
    if (code) {
        lc_store_close(&made->substitute);
        lc_free(made);
        return code;
    }
    pthread_mutex_init(&made->lock, NULL);
    made->last = &made->first;
    atomic_store(&made->due_ms, INT64_MAX);
    cache->observations = made;
    return 0;
}

void lc_observations_free(lc_observations *observations)
{
    if (!observations)
        return;
    while (observations->first) {
        lc_waiting *next = observations->first->next;
        lc_entry_unref(observations->first->entry);
        lc_free(observations->first);
        observations->first = next;
    }
    pthread_mutex_destroy(&observations->lock);
    lc_verdict_table_free(observations->table);
    lc_store_close(&observations->substitute);
    lc_free(observations);
}

void lc_observations_listen(llmcache *cache, lc_observed_fn fn, void *user)
{
    cache->observations->fn = fn;
    cache->observations->user = user;
}

const lc_store *lc_observation_store(llmcache *cache)
{
    lc_observations *observations = cache->observations;
    return atomic_load(&observations->substituted) ? &observations->substitute : &cache->store;
}

int lc_observation_substitute(llmcache *cache, const lc_store *store, int code)
{
    /* One that knows nothing of this part may call it invalid. */
    if ((code != LLMCACHE_UNSUPPORTED && code != LLMCACHE_INVALID) || store != &cache->store)
        return 0;
    atomic_store(&cache->observations->substituted, 1);
    return 1;
}

/* ---- Taking in --------------------------------------------------------------------------------------- */

void lc_observation_learn(llmcache *cache, const lc_observation *o)
{
    lc_observations *observations = cache->observations;
    unsigned char name[LC_PAIR_SIZE];
    lc_known known = {.verdict = (unsigned char)o->verdict,
                      .observer = (unsigned char)o->observer,
                      .time_ms = o->time_ms,
                      .expires_ms = o->expires_ms};
    if (o->verdict == LLMCACHE_UNJUDGED || lc_unhex(o->id, known.id, sizeof known.id))
        return;
    lc_pair_name(o->space, o->asked_digest, o->candidate_digest, name);
    memcpy(known.pair, name, sizeof known.pair);
    /* An answer may be remembered under the bytes of a question of other words, of this pair perhaps. */
    if (lc_verdict_table_note(observations->table, &known))
        lc_memory_cache_forget_semantic(cache->memory);
    if (observations->fn)
        observations->fn(observations->user, o);
}

static int is_known(const unsigned char digest[32])
{
    static const unsigned char nothing[32];
    return memcmp(digest, nothing, sizeof nothing) != 0;
}

static int fill_digest(const char *text, unsigned char digest[32], llmcache_error *err)
{
    if (*text)
        return lc_question_digest(text, strlen(text), digest) ? lc_fail_memory(err) : 0;
    return is_known(digest) ? 0
                            : lc_fail(err, LLMCACHE_INVALID, "an observation needs both texts or their digests");
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* How long it is kept: a hit that nobody judged within a week will not be. */
static int64_t expiry_of(const llmcache *cache, const lc_observation *o)
{
    int64_t ttl_ms = cache->settings.observation_ttl_ms;
    if (o->verdict == LLMCACHE_UNJUDGED && (!ttl_ms || ttl_ms > WEEK_MS))
        ttl_ms = WEEK_MS;
    return ttl_ms ? o->time_ms + ttl_ms : 0;
}

static int check(const lc_observation *o, llmcache_error *err)
{
    if (!*o->space || strlen(o->space) >= LC_SPACE_SIZE)
        return lc_fail(err, LLMCACHE_INVALID, "an observation needs a namespace");
    if (strlen(o->asked) > TEXT_MAX || strlen(o->candidate) > TEXT_MAX)
        return lc_fail(err, LLMCACHE_TOO_LARGE, "a question of an observation is longer than %d bytes", TEXT_MAX);
    if (o->verdict < LLMCACHE_UNJUDGED || o->verdict > LLMCACHE_WRONG ||
        o->observer < LLMCACHE_BY_HIT || o->observer > LLMCACHE_BY_IMPORT ||
        (o->verdict == LLMCACHE_UNJUDGED) != (o->observer == LLMCACHE_BY_HIT))
        return lc_fail(err, LLMCACHE_INVALID, "the verdict of an observation, or who says so, is none");
    if (o->feature_count > LLMCACHE_FEATURES_MAX || strlen(or_empty(o->embedder)) > 512 ||
        memchr(o->candidate_id, '\0', sizeof o->candidate_id) == NULL)
        return lc_fail(err, LLMCACHE_INVALID, "a field of an observation is too long");
    return 0;
}

/* What the caller gave, made whole. Older callers hand in a shorter one. */
static int fill_in(const llmcache *cache, const lc_observation *given, lc_observation *o,
                   llmcache_error *err)
{
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    size_t size = given->struct_size && given->struct_size < sizeof *o ? given->struct_size : sizeof *o;
    *o = (lc_observation){0};
    memcpy(o, given, size);
    o->struct_size = sizeof *o;
    o->space = or_empty(o->space);
    o->asked = or_empty(o->asked);
    o->candidate = or_empty(o->candidate);
    o->language = or_empty(o->language);
    o->model = or_empty(o->model);
    o->protocol = or_empty(o->protocol);
    o->embedder = o->embedder ? o->embedder : cache->vector_space;
    o->feature_names = o->feature_names ? o->feature_names : lc_feature_names;
    o->time_ms = o->time_ms > 0 ? o->time_ms : lc_now_ms(cache);
    int code = check(o, err);
    if (!code)
        code = fill_digest(o->asked, o->asked_digest, err);
    if (!code)
        code = fill_digest(o->candidate, o->candidate_digest, err);
    if (!code && memcmp(o->asked_digest, o->candidate_digest, sizeof o->asked_digest) == 0)
        code = lc_fail(err, LLMCACHE_INVALID, "the two questions of an observation are the same");
    if (code)
        return code;
    if (o->expires_ms <= 0)
        o->expires_ms = expiry_of(cache, o);
    lc_observation_fingerprint(o, fingerprint);
    lc_entry_id(fingerprint, o->id);
    return 0;
}

/* From before its word counts until it is in the store or waits for it: who reads the store anew meanwhile must know of it. */
static void take_in_hand(lc_observations *observations, lc_in_hand *hand, lc_entry *entry)
{
    pthread_mutex_lock(&observations->lock);
    *hand = (lc_in_hand){observations->in_hand, lc_entry_ref(entry)};
    observations->in_hand = hand;
    pthread_mutex_unlock(&observations->lock);
}

static void let_go(lc_observations *observations, lc_in_hand *hand)
{
    pthread_mutex_lock(&observations->lock);
    lc_in_hand **link = &observations->in_hand;
    while (*link != hand)
        link = &(*link)->next;
    *link = hand->next;
    pthread_mutex_unlock(&observations->lock);
    lc_entry_unref(hand->entry);
}

/* To be let go by the caller when it is 0. */
static int take_in(llmcache *cache, const lc_observation *given, lc_in_hand *hand, lc_entry **entry,
                   llmcache_error *err)
{
    lc_observation o;
    int code = fill_in(cache, given, &o, err);
    if (code)
        return code;
    *entry = lc_observation_write(&o, cache->settings.observation_text != 0);
    if (!*entry)
        return lc_fail_memory(err);
    take_in_hand(cache->observations, hand, *entry);
    lc_observation_learn(cache, &o);
    return 0;
}

int lc_observe(llmcache *cache, const lc_observation *given, llmcache_error *err)
{
    lc_entry *entry;
    lc_in_hand hand;
    int code = take_in(cache, given, &hand, &entry, err);
    if (code)
        return code;
    code = lc_observation_queue(cache, entry, given->verdict == LLMCACHE_UNJUDGED, err);
    let_go(cache->observations, &hand);
    return code;
}

int lc_observe_now(llmcache *cache, const lc_observation *given, llmcache_error *err)
{
    lc_entry *entry;
    lc_in_hand hand;
    int code = take_in(cache, given, &hand, &entry, err);
    if (code)
        return code;
    /* What waits may be an older word about the same pair: it must not come last. */
    code = lc_observations_flush(cache, err);
    if (!code)
        code = lc_observation_put(cache, entry, err);
    if (code)
        lc_observation_queue(cache, entry, given->verdict == LLMCACHE_UNJUDGED, NULL);
    else
        lc_entry_unref(entry);
    let_go(cache->observations, &hand);
    return code;
}

/* ---- The decision ---------------------------------------------------------------------------------- */

static int known_before(llmcache *cache, const char *space, const char *asked, size_t asked_size,
                        const char *candidate, const char **who)
{
    lc_verdict_table *table = cache->observations->table;
    unsigned char a[32], b[32], name[LC_PAIR_SIZE];
    lc_known known;
    *who = "";
    if (lc_verdict_table_count(table) == 0)
        return LLMCACHE_UNJUDGED;
    if (lc_question_digest(asked, asked_size, a) || lc_question_digest(candidate, strlen(candidate), b)) {
        *who = "no memory to look it up";
        return LLMCACHE_WRONG;
    }
    lc_pair_name(space, a, b, name);
    if (!lc_verdict_table_find(table, name, lc_now_ms(cache), &known))
        return LLMCACHE_UNJUDGED;
    *who = llmcache_observer_name(known.observer);
    return known.verdict;
}

int lc_known_before(llmcache *cache, const char *space, const char *asked, const char *candidate,
                    const char **who)
{
    return known_before(cache, space, asked, strlen(asked), candidate, who);
}

const char *lc_wrong_before(llmcache *cache, const char *space, const char *asked, size_t asked_size,
                            const char *candidate)
{
    const char *who;
    return known_before(cache, space, asked, asked_size, candidate, &who) == LLMCACHE_WRONG ? who : NULL;
}

uint64_t lc_observations_turn(const llmcache *cache)
{
    return lc_verdict_table_turn(cache->observations->table);
}

/* Was the same hit noted within a day? */
static int noted_lately(lc_observations *observations, const lc_observation *o)
{
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    uint64_t head;
    lc_observation_fingerprint(o, fingerprint);
    memcpy(&head, fingerprint, sizeof head);
    pthread_mutex_lock(&observations->lock);
    lc_recent_hit *place = &observations->recent[head % LC_RECENT_HITS];
    int noted = place->head == head && o->time_ms - place->time_ms < DAY_MS;
    if (!noted)
        *place = (lc_recent_hit){head, o->time_ms};
    pthread_mutex_unlock(&observations->lock);
    return noted;
}

static void take_verdict(const lc_verdict *verdict, lc_observation *o)
{
    o->language = verdict->language == LC_CHINESE ? "zh" : "en";
    o->scored = verdict->scored;
    if (!o->scored)
        return;
    o->score = verdict->score;
    o->feature_count = LC_FEATURE_COUNT;
    memcpy(o->features, verdict->features, sizeof verdict->features);
}

void lc_observation_fill(const lc_job *job, const lc_entry *entry, double similarity,
                         const lc_verdict *verdict, lc_observation *o)
{
    *o = (lc_observation){.struct_size = sizeof *o,
                          .space = job->space,
                          .asked = job->question.text,
                          .candidate = entry->facts.question,
                          .similarity = similarity,
                          .embedder = job->cache->vector_space,
                          .model = entry->facts.model,
                          .protocol = entry->facts.protocol,
                          .time_ms = job->now_ms};
    memcpy(o->partition, job->partition, sizeof o->partition);
    memcpy(o->candidate_id, entry->facts.id, sizeof o->candidate_id);
    take_verdict(verdict, o);
}

void lc_note_hit(const lc_job *job, const lc_entry *entry, double similarity, const lc_verdict *verdict)
{
    llmcache *cache = job->cache;
    lc_observation o;
    lc_observation_fill(job, entry, similarity, verdict, &o);
    if (lc_question_digest(o.asked, strlen(o.asked), o.asked_digest) ||
        lc_question_digest(o.candidate, strlen(o.candidate), o.candidate_digest) ||
        noted_lately(cache->observations, &o))
        return;
    lc_observe(cache, &o, NULL); /* too many waiting, or no memory: this hit is not noted */
}
