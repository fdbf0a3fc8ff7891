/*
 * Comparing the model's answer with a candidate's, and asking the model behind a hit's back for that. All of it runs
 * on workers, after whoever asked has had the answer.
 */
#include "ask/learning_inside.h"
#include "ask/same_answer.h"

#include "base/memory.h"

#include <string.h>

#define SHADOWS_MAX 4 /* at once: more would queue up before a slow model */

/* ---- A check --------------------------------------------------------------------------------------- */

void lc_check_free(lc_check *check)
{
    if (!check)
        return;
    lc_entry_unref(check->candidate);
    lc_free(check->space);
    lc_free(check->asked);
    lc_free(check);
}

lc_check *lc_check_new(const lc_job *job, const lc_entry *entry, double similarity,
                       const lc_verdict *verdict, lc_check_kind kind)
{
    lc_check *check = lc_zalloc(sizeof *check);
    if (!check)
        return NULL;
    check->cache = job->cache;
    check->kind = kind;
    check->candidate = lc_entry_ref((lc_entry *)entry);
    check->space = lc_strdup(job->space);
    check->asked = lc_strdup(job->question.text);
    if (!check->space || !check->asked) {
        lc_check_free(check);
        return NULL;
    }
    lc_observation_fill(job, entry, similarity, verdict, &check->observation);
    check->observation.space = check->space;
    check->observation.asked = check->asked;
    check->observation.observer = kind == LC_CHECK_EXPLORED ? LLMCACHE_BY_EXPLORATION : LLMCACHE_BY_SHADOW;
    return check;
}

/* ---- Its end --------------------------------------------------------------------------------------- */

/* What was said in words; an answer without words (a call of a tool) cannot be compared. */
static lc_sameness compare(lc_check *check, const lc_entry *fresh)
{
    const llmcache_entry *entries[2] = {&check->candidate->facts, &fresh->facts};
    lc_answer_facts facts[2];
    lc_sameness same = LC_SAME_UNKNOWN;
    int read = 0;
    for (; read < 2; read++)
        if (lc_answer_read(lc_protocol_by_name(entries[read]->protocol), entries[read]->body,
                           entries[read]->body_size, &facts[read], NULL))
            break;
    if (read == 2 && facts[0].text && facts[1].text)
        same = *facts[0].text && *facts[1].text ? lc_same_answer(check->cache, check->asked, facts[0].text, facts[1].text)
                                                : LC_SAME_NO;
    while (read--)
        lc_answer_facts_done(&facts[read]);
    return same;
}

static void learn(lc_check *check, lc_sameness same)
{
    lc_learning *learning = check->cache->learning;
    lc_count_add(same == LC_SAME_UNKNOWN ? &learning->unknown
                 : same == LC_SAME_YES   ? &learning->same
                                         : &learning->different,
                 1);
    if (same == LC_SAME_UNKNOWN)
        return;
    check->observation.verdict = same == LC_SAME_YES ? LLMCACHE_RIGHT : LLMCACHE_WRONG;
    check->observation.time_ms = lc_now_ms(check->cache);
    lc_observe(check->cache, &check->observation, NULL);
}

/* Of a pair that a rule refused it is known that one answer does not serve both. */
static void control(lc_check *check, lc_sameness same)
{
    lc_learning *learning = check->cache->learning;
    if (same == LC_SAME_UNKNOWN)
        return;
    lc_count_add(&learning->controls, 1);
    pthread_mutex_lock(&learning->lock);
    lc_learner_control(learning->learner, 0, same == LC_SAME_YES);
    learning->changes++;
    pthread_mutex_unlock(&learning->lock);
}

static void count_shadow(lc_learning *learning, const lc_entry *fresh)
{
    lc_count_add(fresh ? &learning->shadow_calls : &learning->shadow_failed, 1);
    atomic_fetch_sub(&learning->shadows, 1);
    if (!fresh)
        return;
    lc_count_add(&learning->shadow_input, (uint64_t)fresh->facts.input_tokens);
    lc_count_add(&learning->shadow_output, (uint64_t)fresh->facts.output_tokens);
    lc_count_add(&learning->shadow_cost_nano, (uint64_t)fresh->facts.cost_nano);
}

void lc_check_end(lc_check *check, const lc_entry *fresh)
{
    if (check->kind == LC_CHECK_SHADOW)
        count_shadow(check->cache->learning, fresh);
    if (fresh) {
        lc_sameness same = compare(check, fresh);
        if (check->kind == LC_CHECK_CONTROL)
            control(check, same);
        else
            learn(check, same);
    }
    lc_check_free(check);
}

/* ---- Behind a hit's back --------------------------------------------------------------------------- */

static int set_out(lc_job *job)
{
    lc_flight *flight;
    lc_landing landing = {.why = ""};
    int leads;
    if (lc_job_join_aside(job, &flight, &leads, NULL))
        return 0;
    if (leads) {
        landing.code = lc_call_llm(job, flight, &landing.error);
        if (landing.code)
            lc_flight_finish(flight, &landing);
    }
    lc_flight_leave_unread(flight);
    return leads && !landing.code;
}

void lc_learning_shadow(lc_job *job)
{
    lc_learning *learning = job->cache->learning;
    if (!job->check || job->check->kind != LC_CHECK_SHADOW)
        return;
    /* Whoever wants no call to be made gets none. */
    int may = !job->controls.only_cached && atomic_fetch_add(&learning->shadows, 1) < SHADOWS_MAX;
    if (may && set_out(job))
        return;
    if (!job->controls.only_cached)
        atomic_fetch_sub(&learning->shadows, 1);
    lc_count_add(&learning->shadow_skipped, 1);
}
