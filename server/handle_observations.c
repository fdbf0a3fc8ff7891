/* What was learnt about pairs of questions, below /cache/: feedback, and what is kept. */
#include "handle_cache.h"
#include "json_body.h"
#include "routes.h"
#include "shown_json.h"
#include "shown_observation.h"

#include <string.h>

/* ---- Feedback ------------------------------------------------------------------- */

/* "verdict": "right" or "wrong", or as before "good": true or false; -1 when refused. */
static int read_good(json_body *body)
{
    const char *verdict = json_body_text(body, "verdict", NULL);
    int good = json_body_flag(body, "good", -1);
    int said = !verdict                        ? -1
               : strcmp(verdict, "right") == 0 ? 1
               : strcmp(verdict, "wrong") == 0 ? 0
                                               : -2;
    if (said == -2)
        return json_body_refuse(body, "verdict", "wrong_value",
                                "verdict must be right or wrong");
    if (said >= 0 && good >= 0 && said != good)
        return json_body_refuse(body, "good", "conflict",
                                "\"good\" and \"verdict\" contradict each other");
    if (said < 0 && good < 0)
        return json_body_refuse(body, "verdict", "missing",
                                "verdict (right or wrong) is required");
    return said >= 0 ? said : good;
}

static void judge(exchange *x, const char *id, int good, const char *question)
{
    llmcache_error err;
    llmcache_feedback_report report = {.struct_size = sizeof report};
    if (llmcache_feedback_about(x->server->cache, id, good, question, &report, &err))
        reply_failure(x, &err);
    else
        cache_reply(x, 200,
                    json_pack("{s:o, s:s, s:b, s:I, s:I}", "id", shown_string(id),
                              "verdict", good ? "right" : "wrong", "good", good,
                              "removed", (json_int_t)report.removed, "pairs",
                              (json_int_t)report.pairs));
}

void handle_feedback(exchange *x)
{
    json_body body;
    if (json_body_read(x, &body))
        return;
    const char *id = json_body_text(&body, "id", NULL);
    const char *question = json_body_text(&body, "question", NULL);
    if (!id)
        json_body_refuse(&body, "id", "missing", "id is required");
    int good = read_good(&body);
    if (!body.refused)
        judge(x, id, good, question);
    json_body_done(&body);
}

/* ---- Observations --------------------------------------------------------------- */

static int add_observation(void *user, const llmcache_observation *observation)
{
    return json_array_append_new(user, shown_observation(observation));
}

/* What was judged; `verdict` asks for one kind, or for all. */
static int read_verdict(exchange *x, char *room, size_t size, llmcache_filter *filter)
{
    const char *verdict = request_query(x, "verdict", room, size);
    filter->tag = "judged";
    if (!verdict)
        return 0;
    int all = strcmp(verdict, "all") == 0;
    if (!all && shown_verdict(verdict) < 0)
        return cache_query_refuse(x, "verdict",
                                  "verdict must be right, wrong, unjudged or all");
    filter->tag = all ? NULL : verdict;
    return 0;
}

void handle_observations(exchange *x)
{
    llmcache_error err;
    cache_query q;
    char verdict[16];
    if (cache_query_read(x, &q) || read_verdict(x, verdict, sizeof verdict, &q.filter))
        return;
    json_t *list = json_array();
    if (llmcache_observations(x->server->cache, &q.filter, add_observation, list, &err)) {
        json_decref(list);
        reply_failure(x, &err);
        return;
    }
    json_int_t count = (json_int_t)json_array_size(list);
    cache_reply(x, 200,
                json_pack("{s:o, s:I, s:I}", "observations", list, "count", count, "limit",
                          (json_int_t)q.filter.limit));
}
