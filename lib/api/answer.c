/* The answer object: a copy of everything its getters hand out, so that it outlives the cache. */
#include "api/answer.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

struct llmcache_answer {
    char *text, *body, *model, *question;
    size_t body_size;
    char id[LLMCACHE_ID_SIZE];
    llmcache_source source;
    double similarity;
    int64_t age_ms, latency_us, model_ms, input_tokens, output_tokens, cost_nano;
    int stored;
    const char *why; /* static */
};

void llmcache_answer_free(llmcache_answer *answer)
{
    if (!answer)
        return;
    lc_free(answer->text);
    lc_free(answer->body);
    lc_free(answer->model);
    lc_free(answer->question);
    lc_free(answer);
}

static int read_body(const lc_job *job, llmcache_answer *answer, llmcache_error *err)
{
    lc_answer_facts facts;
    int code = lc_answer_read(job->protocol, answer->body, answer->body_size, &facts, err);
    if (code)
        return code;
    const char *asked = job->entry ? job->entry->facts.model : job->question.model;
    const char *model = facts.model && *facts.model ? facts.model : asked;
    answer->text = lc_strdup(facts.text ? facts.text : "");
    answer->model = lc_strdup(model ? model : "");
    answer->input_tokens = facts.input_tokens;
    answer->output_tokens = facts.output_tokens;
    lc_answer_facts_done(&facts);
    return answer->text && answer->model ? 0 : lc_fail_memory(err);
}

/* Known bytes were not read again: model and question are then the entry's. */
static int fill(lc_text_ask *ask, llmcache_answer *answer, llmcache_error *err)
{
    const lc_job *job = &ask->job;
    const llmcache_entry *entry = job->entry ? &job->entry->facts : NULL;
    answer->body = lc_buffer_take(&ask->reply, &answer->body_size);
    if (!answer->body)
        return lc_fail_memory(err);
    int code = read_body(job, answer, err);
    if (code)
        return code;
    const char *question = entry ? entry->question : job->question.text;
    answer->question = lc_strdup(question ? question : "");
    if (!answer->question)
        return lc_fail_memory(err);
    memcpy(answer->id, entry ? entry->id : job->id, sizeof answer->id);
    answer->source = (llmcache_source)(job->ended == LC_END_BYPASS ? LLMCACHE_SOURCE_MODEL : job->ended);
    int hit = answer->source == LLMCACHE_SOURCE_EXACT || answer->source == LLMCACHE_SOURCE_SEMANTIC ||
              answer->source == LLMCACHE_SOURCE_STALE;
    answer->similarity = hit ? job->similarity : 0;
    answer->age_ms = hit && entry && job->now_ms > entry->created_ms ? job->now_ms - entry->created_ms : 0;
    answer->model_ms = entry ? entry->model_ms : 0;
    answer->cost_nano = entry ? entry->cost_nano : 0;
    answer->latency_us = ask->latency_us;
    answer->stored = job->stored;
    answer->why = job->why ? job->why : "";
    return 0;
}

int lc_answer_make(lc_text_ask *ask, llmcache_answer **out, llmcache_error *err)
{
    llmcache_answer *answer = lc_zalloc(sizeof *answer);
    if (!answer)
        return lc_fail_memory(err);
    int code = fill(ask, answer, err);
    if (code) {
        llmcache_answer_free(answer);
        return code;
    }
    *out = answer;
    return 0;
}

/* ---- Getters --------------------------------------------------------------------------------- */

const char *llmcache_answer_text(const llmcache_answer *answer)
{
    return answer ? answer->text : "";
}

const char *llmcache_answer_body(const llmcache_answer *answer, size_t *size)
{
    if (size)
        *size = answer ? answer->body_size : 0;
    return answer ? answer->body : "";
}

const char *llmcache_answer_id(const llmcache_answer *answer)
{
    return answer ? answer->id : "";
}

const char *llmcache_answer_model(const llmcache_answer *answer)
{
    return answer ? answer->model : "";
}

const char *llmcache_answer_question(const llmcache_answer *answer)
{
    return answer ? answer->question : "";
}

llmcache_source llmcache_answer_source(const llmcache_answer *answer)
{
    return answer ? answer->source : LLMCACHE_SOURCE_MODEL;
}

const char *llmcache_source_name(int source)
{
    static const char *const names[] = {"model", "exact", "semantic", "shared", "stale"};
    return source >= 0 && source < 5 ? names[source] : "unknown";
}

const char *llmcache_answer_source_name(const llmcache_answer *answer)
{
    return llmcache_source_name(llmcache_answer_source(answer));
}

double llmcache_answer_similarity(const llmcache_answer *answer)
{
    return answer ? answer->similarity : 0;
}

int64_t llmcache_answer_age_ms(const llmcache_answer *answer)
{
    return answer ? answer->age_ms : 0;
}

int64_t llmcache_answer_latency_us(const llmcache_answer *answer)
{
    return answer ? answer->latency_us : 0;
}

int64_t llmcache_answer_model_latency_ms(const llmcache_answer *answer)
{
    return answer ? answer->model_ms : 0;
}

int64_t llmcache_answer_input_tokens(const llmcache_answer *answer)
{
    return answer ? answer->input_tokens : 0;
}

int64_t llmcache_answer_output_tokens(const llmcache_answer *answer)
{
    return answer ? answer->output_tokens : 0;
}

int64_t llmcache_answer_cost_nano(const llmcache_answer *answer)
{
    return answer ? answer->cost_nano : 0;
}

int llmcache_answer_stored(const llmcache_answer *answer)
{
    return answer ? answer->stored : 0;
}

const char *llmcache_answer_why(const llmcache_answer *answer)
{
    return answer ? answer->why : "";
}
