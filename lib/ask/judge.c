/*
 * The bridge to lib/decide: hands the pure verdict the two texts, the policy in force and, where the encoder
 * is in this process, what it saw of both. Encoding the candidate again costs a thousand times what the
 * other rules do, so they are heard first.
 */
#include "ask/grey.h"
#include "ask/learning.h"

#include "base/memory.h"
#include "decide/normalise.h"
#include "embed/local_embedder.h"

#include <string.h>

#define GENERAL_THRESHOLD 0.95

/* The score's numbers were fitted to this model's states. */
#define SCORED_SPACE "local:multilingual-e5-small:"

int lc_uses_score(const llmcache *cache)
{
    const lc_embedder *embedder = &cache->embedder;
    return cache->settings.threshold <= 0 && embedder->ops.embed &&
           strcmp(embedder->ops.name, "local") == 0 &&
           strncmp(embedder->ops.space(embedder->self), SCORED_SPACE, strlen(SCORED_SPACE)) == 0;
}

double lc_threshold(const llmcache *cache)
{
    const lc_embedder *embedder = &cache->embedder;
    double threshold = cache->settings.threshold;
    if (threshold <= 0 && embedder->ops.embed && embedder->ops.threshold)
        threshold = embedder->ops.threshold(embedder->self);
    return threshold > 0 ? threshold : GENERAL_THRESHOLD;
}

double lc_least_similarity(const lc_job *job)
{
    lc_policy policy;
    lc_policy_init(&policy);
    double least = lc_uses_score(job->cache)         ? policy.floor
                   : lc_learning_decides(job->cache) ? lc_learning_floor(job->cache)
                                                     : lc_threshold(job->cache) - lc_grey_width(job->cache);
    return job->controls.threshold > least ? job->controls.threshold : least;
}

const double *lc_score_numbers(const llmcache *cache, lc_language language)
{
    const lc_weights *weights = cache->score_weights;
    return weights && weights->rows[language].present ? weights->rows[language].numbers : NULL;
}

/* What was set wins; then what was chosen together with the numbers in force. */
double lc_score_threshold(const llmcache *cache, lc_language language, const char **from)
{
    const lc_settings *settings = &cache->settings;
    const lc_weights *weights = cache->score_weights;
    int row = language == LC_CHINESE ? LC_SETTING_score_threshold_zh : LC_SETTING_score_threshold_en;
    double set = language == LC_CHINESE ? settings->score_threshold_zh : settings->score_threshold_en;
    int by_default = settings->origin[row] == LC_BY_DEFAULT;
    int by_file = by_default && weights && weights->rows[language].present &&
                  weights->rows[language].has_threshold;
    if (from)
        *from = by_file ? "score-weights" : by_default ? "default" : "setting";
    return by_file ? weights->rows[language].threshold : set;
}

/* `learned`: all that may be asked about passes, what is served is then learned. */
static void policy_of(const lc_job *job, int learned, lc_policy *policy)
{
    lc_policy_init(policy);
    for (int i = 0; i < LC_LANGUAGE_COUNT; i++) {
        policy->score_threshold[i] =
            learned ? LC_LEARNED_SCORE_FLOOR : lc_score_threshold(job->cache, (lc_language)i, NULL);
        policy->weights[i] = lc_score_numbers(job->cache, (lc_language)i);
    }
    policy->threshold = learned ? lc_learning_floor(job->cache) : lc_threshold(job->cache);
    policy->threshold_is_users = job->cache->settings.threshold > 0;
    policy->use_score = lc_uses_score(job->cache);
}

/* ---- What the encoder reads ---------------------------------------------------------------------- */

/*
 * Greetings and politeness are left out for the encoder here: it was measured so. Another embedder gets the
 * question as it was asked.
 */
int lc_reads_plainly(const llmcache *cache)
{
    return strcmp(cache->embedder.ops.name, "local") == 0;
}

int lc_read_question(const llmcache *cache, const char *question, lc_buffer *read)
{
    int code = lc_reads_plainly(cache) ? lc_normalise_question(question, strlen(question), read)
                                       : lc_buffer_text(read, question);
    return code || !read->data ? LLMCACHE_MEMORY : 0;
}

/* ---- What the encoder saw ------------------------------------------------------------------------ */

static int look(const llmcache *cache, const char *whose, lc_token_states *states, lc_side *side)
{
    lc_buffer read;
    lc_buffer_init(&read, 0);
    int code = lc_read_question(cache, side->text, &read)
                   ? LLMCACHE_MEMORY
                   : lc_local_states_for(cache->embedder.self, whose, read.data, states, NULL);
    lc_buffer_done(&read);
    if (code)
        return code == LLMCACHE_MEMORY ? code : LLMCACHE_EMBEDDER;
    side->ids = states->ids;
    side->is_word = states->is_word;
    side->states = states->states;
    side->piece_count = states->count;
    side->dim = states->dimension;
    side->unknown = states->unknown;
    side->truncated = states->cut;
    return 0;
}

/* The whole decision, states included. Without them nothing is served that the score was to judge. */
int lc_decide_with_states(const llmcache *cache, const char *whose, lc_side *asked, lc_side *kept,
                          double similarity, const lc_policy *policy, lc_verdict *verdict)
{
    lc_token_states *both = lc_zalloc_array(2, sizeof *both);
    int code = both ? look(cache, whose, &both[0], asked) : LLMCACHE_MEMORY, serve = 0;
    if (!code)
        code = look(cache, whose, &both[1], kept);
    if (!code)
        serve = lc_decide(asked, kept, similarity, policy, verdict) == 0 && verdict->serve;
    else
        *verdict = (lc_verdict){.why = code == LLMCACHE_MEMORY ? "memory" : "states", .similarity = similarity};
    for (int i = 0; both && i < 2; i++)
        lc_token_states_done(&both[i]);
    lc_free(both);
    return serve;
}

/* The rules alone, with the floor of the score as the threshold. */
static int passes_rules(const lc_side *asked, const lc_side *kept, double similarity, lc_policy policy,
                        lc_verdict *verdict)
{
    policy.use_score = 0;
    policy.threshold = policy.floor;
    return lc_decide(asked, kept, similarity, &policy, verdict) == 0 && verdict->serve;
}

/* `steps` of the score are given to the candidate, or as much cosine as they are worth. */
static void relax(lc_policy *policy, double steps)
{
    policy->threshold -= steps / lc_feature_weight(LC_FEATURE_COS);
    for (int i = 0; i < LC_LANGUAGE_COUNT; i++)
        policy->score_threshold[i] -= steps;
}

/* In what lc_judge and its like differ. */
typedef struct leniency {
    int learned, explain;
    double steps;
} leniency;

static int judge_text(const lc_job *job, const char *text, double similarity, leniency how,
                      lc_verdict *verdict)
{
    lc_policy policy;
    lc_side asked = {.text = job->question.text, .size = job->question.text_size};
    lc_side kept = {.text = text, .size = strlen(text)};
    policy_of(job, how.learned, &policy);
    relax(&policy, how.steps);
    policy.explain = how.explain;
    policy.wrong_before = lc_wrong_before(job->cache, job->space, asked.text, asked.size, kept.text);
    int serve;
    if (!policy.use_score)
        serve = lc_decide(&asked, &kept, similarity, &policy, verdict) == 0 && verdict->serve;
    else
        serve = (how.explain || passes_rules(&asked, &kept, similarity, policy, verdict)) &&
                lc_decide_with_states(job->cache, job->space, &asked, &kept, similarity, &policy, verdict);
    if (serve && similarity < job->controls.threshold) {
        verdict->why = "threshold";
        serve = verdict->serve = 0;
    }
    return serve;
}

int lc_judge_text(const lc_job *job, const char *text, double similarity, int explain,
                  lc_verdict *verdict)
{
    return judge_text(job, text, similarity, (leniency){.explain = explain}, verdict);
}

int lc_judge_leniently(const lc_job *job, const char *text, double similarity, double steps,
                       lc_verdict *verdict)
{
    return judge_text(job, text, similarity, (leniency){.steps = steps}, verdict);
}

int lc_judge(const lc_job *job, const lc_entry *entry, double similarity, int explain,
             lc_verdict *verdict)
{
    int serve = judge_text(job, entry->facts.question, similarity,
                           (leniency){.learned = lc_learning_decides(job->cache), .explain = explain}, verdict);
    if (!serve && !explain) {
        lc_count_add(&job->cache->counts.rejected, 1);
        lc_count_word(&job->cache->counts.refused, verdict->why);
    }
    return serve;
}
