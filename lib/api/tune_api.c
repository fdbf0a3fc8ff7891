/* <llmcache/tune.h>: argument checks, and judgements as the program sees them. */
#include "ask/cache.h"
#include "ask/judge_pairs.h"
#include "ask/tuning.h"
#include "base/error.h"
#include "decide/interval.h"

#include <llmcache/tune.h>

void llmcache_interval(uint64_t hits, uint64_t trials, double confidence, double *low, double *high)
{
    double from = 0, to = 1;
    if (confidence > 0 && confidence < 1)
        lc_interval(hits, trials, confidence, &from, &to);
    if (low)
        *low = from;
    if (high)
        *high = to;
}

/* Where judgements go. */
typedef struct audience {
    llmcache_judgement_fn fn;
    void *user;
    double threshold;
} audience;

static size_t words_of(const lc_judged *judged, llmcache_rule_word words[LC_RULE_COUNT])
{
    size_t count = 0;
    for (int rule = 0; rule < LC_RULE_COUNT && judged->source != LLMCACHE_SOURCE_EXACT; rule++) {
        const lc_word *word = &judged->verdict.words[rule];
        if (word->outcome != LC_SILENT)
            words[count++] = (llmcache_rule_word){lc_rule_word((lc_rule)rule),
                                                  word->outcome == LC_VETO, word->detail};
    }
    return count;
}

static int show(void *user, const lc_judged *judged, llmcache_error *err)
{
    const audience *to = user;
    const lc_verdict *verdict = &judged->verdict;
    llmcache_rule_word words[LC_RULE_COUNT];
    llmcache_judgement shown = {.struct_size = sizeof shown,
                                .pair = judged->pair,
                                .served = judged->served,
                                .source = judged->source,
                                .why = judged->why,
                                .language = lc_language_code(verdict->language),
                                .similarity = judged->similarity,
                                .threshold = to->threshold,
                                .scored = verdict->scored && judged->embedded,
                                .score = verdict->score,
                                .score_threshold = verdict->score_threshold,
                                .features = verdict->features,
                                .feature_count = LC_FEATURE_COUNT,
                                .rules = words,
                                .rule_count = words_of(judged, words)};
    return to->fn(to->user, &shown) ? lc_fail(err, LLMCACHE_ABORTED, "stopped by the caller") : 0;
}

int llmcache_judge(llmcache *cache, const llmcache_pair *pairs, size_t count, llmcache_judgement_fn fn,
                   void *user, llmcache_error *err)
{
    if (!cache || (!pairs && count) || !fn)
        return lc_fail(err, LLMCACHE_INVALID, "cache, pairs and fn must not be NULL");
    lc_policy policy;
    lc_policy_init(&policy);
    audience to = {fn, user, lc_uses_score(cache) ? policy.floor : lc_threshold(cache)};
    return count ? lc_judge_pairs(cache, pairs, count, show, &to, err) : 0;
}

int llmcache_tune(llmcache *cache, const llmcache_pair *pairs, size_t count,
                  const llmcache_tune_options *options, char **json, llmcache_error *err)
{
    if (!cache || (!pairs && count) || !json)
        return lc_fail(err, LLMCACHE_INVALID, "cache, pairs and json must not be NULL");
    return lc_tune(cache, pairs, count, options, json, err);
}

int llmcache_tune_observations(llmcache *cache, const llmcache_filter *filter,
                               const llmcache_tune_options *options, char **json, llmcache_error *err)
{
    if (!cache || !json)
        return lc_fail(err, LLMCACHE_INVALID, "cache and json must not be NULL");
    return lc_tune_observations(cache, filter, options, json, err);
}
