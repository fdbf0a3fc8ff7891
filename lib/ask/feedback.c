/*
 * Feedback. The id is an answer's; what is judged with it is the pair of its question and the one that got it. That pair
 * is in the caller's hands (the question it gives) or among the observations of the last week, where every hit
 * leaves one. A pair counts as wrong before the answer is removed, so that it cannot come back in between.
 */
#include "ask/feedback.h"

#include "ask/manage.h"
#include "ask/observations.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <string.h>

#define MOST_PAIRS 16

/* Observations about one answer, the latest of each pair, the latest pairs. */
typedef struct gathering {
    const char *id; /* or its head */
    const unsigned char *asked; /* digest of the question that is meant; NULL: any */
    char whole_id[LLMCACHE_ID_SIZE];
    char space[LC_SPACE_SIZE]; /* "": of any namespace, until one was found */
    lc_entry *entries[MOST_PAIRS];
    unsigned char names[MOST_PAIRS][LC_PAIR_SIZE];
    size_t count;
    int ambiguous; /* another answer's id begins the same */
    int code;
} gathering;

/* Where it goes: in place of the same pair, a free place, or the oldest's; -1 when it is older than all. */
static int place_for(const gathering *g, const unsigned char name[LC_PAIR_SIZE], int64_t time_ms)
{
    size_t oldest = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (memcmp(g->names[i], name, LC_PAIR_SIZE) == 0)
            return g->entries[i]->facts.created_ms <= time_ms ? (int)i : -1;
        if (g->entries[i]->facts.created_ms < g->entries[oldest]->facts.created_ms)
            oldest = i;
    }
    if (g->count < MOST_PAIRS)
        return (int)g->count;
    return g->entries[oldest]->facts.created_ms < time_ms ? (int)oldest : -1;
}

static int keep(gathering *g, const llmcache_entry *entry, const lc_observation *o)
{
    unsigned char name[LC_PAIR_SIZE];
    lc_pair_name(o->space, o->asked_digest, o->candidate_digest, name);
    int place = place_for(g, name, entry->created_ms);
    if (place < 0)
        return 0;
    lc_entry *copy = lc_entry_new(entry);
    if (!copy)
        return LLMCACHE_MEMORY;
    if ((size_t)place == g->count)
        g->count++;
    else
        lc_entry_unref(g->entries[place]);
    g->entries[place] = copy;
    memcpy(g->names[place], name, sizeof name);
    return 0;
}

/* Is it about the answer that is meant? */
static int is_meant(gathering *g, const lc_observation *o)
{
    if (strncmp(o->candidate_id, g->id, strlen(g->id)) != 0 ||
        (g->asked && memcmp(o->asked_digest, g->asked, 32) != 0) ||
        (*g->space && strcmp(g->space, o->space) != 0))
        return 0;
    g->ambiguous |= *g->whole_id && strcmp(g->whole_id, o->candidate_id) != 0;
    if (strlen(o->space) >= sizeof g->space)
        return 0;
    memcpy(g->whole_id, o->candidate_id, sizeof g->whole_id);
    memcpy(g->space, o->space, strlen(o->space) + 1);
    return 1;
}

static int gather_one(void *user, const lc_observation *o)
{
    gathering *g = user;
    if (!is_meant(g, o))
        return 0;
    lc_entry *again = lc_observation_write(o, 1);
    g->code = again ? keep(g, &again->facts, o) : LLMCACHE_MEMORY;
    lc_entry_unref(again);
    return g->code != 0;
}

static int gather(llmcache *cache, gathering *g, llmcache_error *err)
{
    llmcache_filter filter = {.struct_size = sizeof filter, .space = *g->space ? g->space : NULL};
    int code = lc_observations_each(cache, &filter, gather_one, g, err);
    if (!code && g->code)
        code = lc_fail_memory(err);
    if (!code && g->ambiguous)
        code = lc_fail(err, LLMCACHE_INVALID, "several answers have an id that starts with %s", g->id);
    return code;
}

/* ---- Judging --------------------------------------------------------------------------------------- */

typedef struct word {
    llmcache *cache;
    int good;
    int doubtful;
    uint64_t pairs;
} word;

/* One pair that is known from an observation; what a hit left gives way to the word. */
static int judge_known(word *w, const lc_entry *entry, llmcache_error *err)
{
    lc_observation o;
    lc_json *root;
    int code = lc_observation_read(&entry->facts, &o, &root);
    if (code)
        return code == LLMCACHE_MEMORY ? lc_fail_memory(err) : 0;
    char hit[LLMCACHE_ID_SIZE];
    memcpy(hit, o.id, sizeof hit);
    int was_hit = o.observer == LLMCACHE_BY_HIT;
    o.verdict = w->good ? LLMCACHE_RIGHT : LLMCACHE_WRONG;
    o.observer = LLMCACHE_BY_FEEDBACK;
    o.doubtful = w->doubtful;
    o.time_ms = lc_now_ms(w->cache);
    o.expires_ms = 0;
    code = lc_observe_now(w->cache, &o, err);
    if (!code && was_hit)
        code = lc_observation_remove(w->cache, o.space, hit, err);
    w->pairs += code == 0;
    lc_json_free(root);
    return code;
}

/* A pair that no hit is known of: the answer's question and the one given. */
static int judge_given(word *w, const llmcache_entry *answer, const char *question, llmcache_error *err)
{
    lc_observation o = {.struct_size = sizeof o,
                        .space = answer->space,
                        .asked = question,
                        .candidate = answer->question,
                        .verdict = w->good ? LLMCACHE_RIGHT : LLMCACHE_WRONG,
                        .observer = LLMCACHE_BY_FEEDBACK,
                        .model = answer->model,
                        .protocol = answer->protocol};
    memcpy(o.partition, answer->partition, sizeof o.partition);
    memcpy(o.candidate_id, answer->id, sizeof o.candidate_id);
    int code = lc_observe_now(w->cache, &o, err);
    w->pairs += code == 0;
    return code;
}

static int judge(word *w, const gathering *g, const lc_entry *answer, const char *question,
                 llmcache_error *err)
{
    unsigned char own[32];
    w->doubtful = !question && g->count > 1;
    for (size_t i = 0; i < g->count; i++) {
        int code = judge_known(w, g->entries[i], err);
        if (code)
            return code;
    }
    if (g->count || !question || !answer || !*answer->facts.question)
        return 0;
    const char *kept = answer->facts.question;
    if (lc_question_digest(kept, strlen(kept), own))
        return lc_fail_memory(err);
    if (memcmp(own, g->asked, sizeof own) == 0)
        return 0; /* its own question: there is no pair */
    return judge_given(w, &answer->facts, question, err);
}

/* ---- The whole of it ------------------------------------------------------------------------------- */

static int copy(void *user, const llmcache_entry *entry)
{
    lc_entry **slot = user;
    *slot = lc_entry_new(entry);
    return 0;
}

/* The answer, or NULL when it is gone already. */
static int find_answer(llmcache *cache, const char *id, lc_entry **answer, llmcache_error *err)
{
    int code = lc_manage_get(cache, id, copy, answer, err);
    if (code == LLMCACHE_NOT_FOUND)
        return 0;
    /* Whose it is cannot be looked up, but it may still be served from memory. */
    if (code && code != LLMCACHE_INVALID)
        lc_memory_cache_clear(cache->memory);
    return !code && !*answer ? lc_fail_memory(err) : code;
}

static int remove_answer(llmcache *cache, const lc_entry *answer, uint64_t *removed, llmcache_error *err)
{
    llmcache_filter filter = {.struct_size = sizeof filter,
                              .space = answer->facts.space,
                              .id = answer->facts.id};
    return lc_manage_purge(cache, &filter, removed, err);
}

static int look_around(llmcache *cache, gathering *g, const char *question, unsigned char asked[32],
                       lc_entry **answer, llmcache_error *err)
{
    int code = find_answer(cache, g->id, answer, err);
    if (!code && question) {
        g->asked = asked;
        code = lc_question_digest(question, strlen(question), asked) ? lc_fail_memory(err) : 0;
    }
    if (!code && *answer) {
        memcpy(g->whole_id, (*answer)->facts.id, sizeof g->whole_id);
        memcpy(g->space, (*answer)->facts.space, strlen((*answer)->facts.space) + 1);
        g->id = g->whole_id;
    }
    if (!code)
        code = gather(cache, g, err);
    if (!code && !*answer && !g->count)
        code = lc_fail(err, LLMCACHE_NOT_FOUND, "neither an answer nor a hit of one has the id %s", g->id);
    return code;
}

static void write_report(llmcache_feedback_report *report, uint64_t removed, uint64_t pairs)
{
    llmcache_feedback_report whole = {.removed = removed, .pairs = pairs};
    if (!report)
        return;
    whole.struct_size = report->struct_size;
    memcpy(report, &whole, whole.struct_size && whole.struct_size < sizeof whole ? whole.struct_size
                                                                                : sizeof whole);
}

int lc_feedback(llmcache *cache, const char *id, int good, const char *question,
                llmcache_feedback_report *report, llmcache_error *err)
{
    gathering g = {.id = id};
    word w = {.cache = cache, .good = good};
    unsigned char asked[32];
    lc_entry *answer = NULL;
    uint64_t removed = 0;
    int code = look_around(cache, &g, question, asked, &answer, err);
    if (!code)
        code = judge(&w, &g, answer, question, err);
    if (!good && answer) {
        llmcache_error second;
        int gone = remove_answer(cache, answer, &removed, code ? &second : err);
        code = code ? code : gone;
    }
    if (!code)
        write_report(report, removed, w.pairs);
    for (size_t i = 0; i < g.count; i++)
        lc_entry_unref(g.entries[i]);
    lc_entry_unref(answer);
    return code;
}
