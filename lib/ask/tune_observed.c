/*
 * Tuning by what the store has observed. The walk of the store copies and no more; then pairs with texts are judged by
 * the pipeline as it is, in groups, and those without are taken as they were seen. Halves go by the digests of the
 * questions as they are compared, so that a question that was asked in capitals too is not in both.
 */
#include "ask/tuning.h"

#include "ask/observations.h"
#include "base/error.h"
#include "base/memory.h"
#include "decide/score.h"

#include <string.h>

#define LEAST_LABELS 500
#define GROUP        32

typedef struct observed {
    lc_tuning tuning;
    lc_labels labels;
    size_t first, texts; /* of the group; of those with texts how many are judged */
    int code;
} observed;

/* ---- Reading ------------------------------------------------------------------------------------- */

static int add(void *user, const llmcache_observation *observation)
{
    observed *o = user;
    o->code = lc_labels_add(&o->labels, observation);
    return o->code;
}

static int read_store(observed *o, const llmcache_filter *filter, llmcache_error *err)
{
    o->labels.space = o->tuning.cache->vector_space;
    o->labels.by_score = o->tuning.by_score;
    o->labels.observers = o->tuning.options.observers;
    int code = lc_observations_each(o->tuning.cache, filter, add, o, err);
    if (!code && o->code)
        code = lc_fail_memory(err);
    lc_labels_settle(&o->labels);
    return code;
}

/* ---- Seeing -------------------------------------------------------------------------------------- */

static void describe(observed *o, size_t at, lc_tuned_pair *to)
{
    const lc_label *label = &o->labels.list[at];
    to->seen.right = label->right;
    to->seen.source = (uint32_t)label->observer;
}

/* As it was seen then, by the numbers in force now. Whatever is scored had passed the vetoes. */
static void recall(observed *o, size_t at)
{
    const lc_label *label = &o->labels.list[at];
    lc_tuned_pair *to = &o->tuning.pairs[at];
    lc_policy policy;
    lc_policy_init(&policy);
    describe(o, at, to);
    memcpy(to->seen.features, label->features, sizeof to->seen.features);
    to->language = label->language;
    to->eligible = !o->tuning.by_score || label->similarity == 0 || label->similarity >= policy.floor;
    to->value = o->tuning.by_score
                    ? lc_score(label->features, lc_score_numbers(o->tuning.cache, label->language))
                    : label->similarity;
}

static int see(void *user, const lc_judged *judged, llmcache_error *err)
{
    observed *o = user;
    size_t at = o->first + judged->pair;
    describe(o, at, &o->tuning.pairs[at]);
    lc_tuning_see(&o->tuning, judged, &o->tuning.pairs[at]);
    return 0;
}

/* What cannot be asked must not end the walk: it is used as it was seen, or not at all (its texts are dropped). */
static void pass_over(observed *o, size_t at)
{
    lc_label *label = &o->labels.list[at];
    o->labels.by_text--;
    lc_free(label->asked);
    lc_free(label->candidate);
    label->asked = label->candidate = NULL;
    if (label->known)
        recall(o, at);
    else
        o->labels.unreadable++;
}

static int cannot_be_asked(int code)
{
    return code == LLMCACHE_INVALID || code == LLMCACHE_TOO_LARGE;
}

static int judge(observed *o, size_t first, size_t count, llmcache_error *err)
{
    llmcache_pair pairs[GROUP];
    for (size_t i = 0; i < count; i++) {
        const lc_label *label = &o->labels.list[first + i];
        pairs[i] = (llmcache_pair){.struct_size = sizeof *pairs, .a = label->asked, .b = label->candidate,
                                   .label = label->right};
    }
    o->first = first;
    return lc_judge_pairs(o->tuning.cache, pairs, count, see, o, err);
}

static int judge_each(observed *o, size_t first, size_t count, llmcache_error *err)
{
    int code = 0;
    for (size_t at = first; !code && at < first + count; at++) {
        code = judge(o, at, 1, err);
        if (cannot_be_asked(code)) {
            pass_over(o, at);
            code = 0;
        }
    }
    return code;
}

static int report_progress(observed *o, size_t count, llmcache_error *err)
{
    const llmcache_tune_options *options = &o->tuning.options;
    o->texts += count;
    if (options->progress && options->progress(options->user, o->texts, o->labels.by_text))
        return lc_fail(err, LLMCACHE_ABORTED, "stopped by the caller");
    return 0;
}

/* From `first` on, as many as have texts and go together; at least one is passed. */
static int see_some(observed *o, size_t first, size_t *next, llmcache_error *err)
{
    size_t count = 0;
    while (count < GROUP && first + count < o->labels.count && o->labels.list[first + count].asked)
        count++;
    *next = first + (count ? count : 1);
    if (!count) {
        recall(o, first);
        return 0;
    }
    int code = judge(o, first, count, err);
    if (cannot_be_asked(code))
        code = judge_each(o, first, count, err);
    return code ? code : report_progress(o, count, err);
}

/* ---- Placing ------------------------------------------------------------------------------------- */

static int place(observed *o, llmcache_error *err)
{
    size_t count = o->labels.count;
    lc_two_hashes *hashes = lc_alloc_array(count + 1, sizeof *hashes);
    lc_place *places = lc_alloc_array(count + 1, sizeof *places);
    int code = hashes && places ? 0 : LLMCACHE_MEMORY;
    for (size_t i = 0; !code && i < count; i++)
        hashes[i] = o->labels.list[i].hashes;
    if (!code)
        code = lc_halves_by_hash(hashes, count, o->tuning.options.seed, places);
    for (size_t i = 0; !code && i < count; i++)
        o->tuning.pairs[i].place = places[i];
    lc_free(hashes);
    lc_free(places);
    return code ? lc_fail_memory(err) : 0;
}

static int is_wanted(const observed *o, size_t at)
{
    const lc_label *label = &o->labels.list[at];
    const char *language = o->tuning.options.language;
    if (!label->asked && !label->known)
        return 0;
    return !language || strcmp(language, lc_language_code(o->tuning.pairs[at].language)) == 0;
}

static void leave_wanted(observed *o)
{
    size_t left = 0;
    for (size_t i = 0; i < o->labels.count; i++)
        if (is_wanted(o, i))
            o->tuning.pairs[left++] = o->tuning.pairs[i];
    o->tuning.count = left;
}

/* ---- The call ------------------------------------------------------------------------------------ */

static int open_observed(observed *o, llmcache *cache, const llmcache_tune_options *options, llmcache_error *err)
{
    int code = lc_tuning_open(&o->tuning, cache, options, err);
    if (code)
        return code;
    const char *language = o->tuning.options.language;
    o->tuning.min_labels = o->tuning.options.min_labels ? o->tuning.options.min_labels : LEAST_LABELS;
    o->tuning.labels = &o->labels;
    if (language && strcmp(language, "en") != 0 && strcmp(language, "zh") != 0)
        return lc_fail(err, LLMCACHE_INVALID, "language must be en or zh");
    return 0;
}

int lc_tune_observations(llmcache *cache, const llmcache_filter *filter, const llmcache_tune_options *options,
                         char **json, llmcache_error *err)
{
    observed o = {.code = 0};
    int code = open_observed(&o, cache, options, err);
    if (!code)
        code = read_store(&o, filter, err);
    if (!code)
        code = lc_tuning_make_room(&o.tuning, o.labels.count, err);
    for (size_t at = 0; !code && at < o.labels.count;)
        code = see_some(&o, at, &at, err);
    if (!code)
        code = place(&o, err);
    if (!code) {
        leave_wanted(&o);
        code = lc_tuning_finish(&o.tuning, json, err);
    }
    lc_tuning_done(&o.tuning);
    lc_labels_done(&o.labels);
    return code;
}
