/* The exported functions about what was learnt: feedback and observations. */
#include "ask/feedback.h"
#include "ask/learning.h"
#include "ask/observations.h"
#include "base/error.h"

static int missing(llmcache_error *err, const char *what)
{
    return lc_fail(err, LLMCACHE_INVALID, "%s must not be NULL", what);
}

int llmcache_feedback(llmcache *cache, const char *id, int good, llmcache_error *err)
{
    return llmcache_feedback_about(cache, id, good, NULL, NULL, err);
}

int llmcache_feedback_about(llmcache *cache, const char *id, int good, const char *question,
                            llmcache_feedback_report *report, llmcache_error *err)
{
    if (!cache || !id)
        return missing(err, !cache ? "cache" : "id");
    return lc_feedback(cache, id, good, question, report, err);
}

int llmcache_observations(llmcache *cache, const llmcache_filter *filter, llmcache_observation_fn fn,
                          void *user, llmcache_error *err)
{
    if (!cache || !fn)
        return missing(err, !cache ? "cache" : "fn");
    return lc_observations_each(cache, filter, fn, user, err);
}

int llmcache_observe(llmcache *cache, const llmcache_observation *observation, llmcache_error *err)
{
    if (!cache || !observation)
        return missing(err, !cache ? "cache" : "observation");
    return lc_observe_now(cache, observation, err);
}

int llmcache_observations_purge(llmcache *cache, const llmcache_filter *filter, uint64_t *removed,
                                llmcache_error *err)
{
    if (!cache)
        return missing(err, "cache");
    return lc_observations_purge(cache, filter, removed, err);
}

int llmcache_policy(llmcache *cache, char **json, llmcache_error *err)
{
    lc_buffer out;
    if (!cache || !json)
        return missing(err, !cache ? "cache" : "json");
    lc_learning_settle(cache);
    lc_buffer_init(&out, 0);
    lc_learning_tell(cache, 1, &out);
    char *taken = lc_buffer_take(&out, NULL);
    lc_buffer_done(&out);
    if (!taken)
        return lc_fail_memory(err);
    *json = taken;
    return 0;
}

int llmcache_policy_export(llmcache *cache, char **state, llmcache_error *err)
{
    if (!cache || !state)
        return missing(err, !cache ? "cache" : "state");
    return lc_learning_export(cache, state, err);
}

int llmcache_policy_set(llmcache *cache, const char *action, const char *state, llmcache_error *err)
{
    if (!cache || !action)
        return missing(err, !cache ? "cache" : "action");
    return lc_learning_set(cache, action, state, err);
}
