/* The bridge to lib/decide: hands the pure verdict the two texts and the policy in force. */
#include "ask/cache.h"

#include <string.h>

static void policy_of(const lc_job *job, int explain, lc_policy *policy)
{
    lc_policy_init(policy);
    policy->threshold = lc_threshold(job);
    policy->threshold_is_users = job->cache->settings.threshold > 0 || job->controls.threshold > 0;
    policy->use_score = 0;
    policy->explain = explain;
}

int lc_judge(const lc_job *job, const lc_entry *entry, double similarity, int explain,
             lc_verdict *verdict)
{
    lc_policy policy;
    lc_side asked = {.text = job->question.text, .size = job->question.text_size};
    lc_side kept = {.text = entry->facts.question, .size = strlen(entry->facts.question)};
    policy_of(job, explain, &policy);
    if (lc_decide(&asked, &kept, similarity, &policy, verdict))
        return 0;
    if (!verdict->serve && !explain && similarity >= policy.threshold) {
        lc_count_add(&job->cache->counts.rejected, 1);
        lc_count_word(&job->cache->counts.refused, verdict->why);
    }
    return verdict->serve;
}
