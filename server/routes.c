/*
 * What the server answers. A path is exact or ends in * for all below it; the first row
 * that fits both path and method is served; a path that fits with another method only
 * gives 405 with Allow.
 */
#include "routes.h"
#include "admin_guard.h"
#include "cors.h"

#include <string.h>

#define ASK_FIELDS                                                              \
    "\"question\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"       \
    "\"system\":{\"type\":\"string\"},\"namespace\":{\"type\":\"string\"},"     \
    "\"tags\":{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":" \
    "{\"type\":\"string\"}}]},\"ttl\":{\"type\":\"number\",\"minimum\":0},"     \
    "\"threshold\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},"          \
    "\"no_cache\":{\"type\":\"boolean\"},\"no_store\":{\"type\":\"boolean\"},"  \
    "\"only_cached\":{\"type\":\"boolean\"},\"exact\":{\"type\":\"boolean\"}"

static const char ask_schema[] =
    "{\"type\":\"object\",\"required\":[\"question\"],\"properties\":{" ASK_FIELDS "}}";
static const char explain_schema[] =
    "{\"type\":\"object\",\"properties\":{" ASK_FIELDS ","
    "\"body\":{\"type\":\"object\"},"
    "\"protocol\":{\"enum\":[\"chat\",\"messages\",\"responses\",\"completions\",\"embeddings\"]},"
    "\"target\":{\"type\":\"string\"},"
    "\"headers\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}},"
    "\"oneOf\":[{\"required\":[\"question\"]},{\"required\":[\"body\"]}]}";
static const char any_schema[] = "{\"type\":\"object\"}";
static const char purge_schema[] =
    "{\"type\":\"object\",\"properties\":{\"all\":{\"type\":\"boolean\"},"
    "\"namespace\":{\"type\":\"string\"},\"id\":{\"type\":\"string\"},"
    "\"model\":{\"type\":\"string\"},\"tag\":{\"type\":\"string\"},"
    "\"contains\":{\"type\":\"string\"},\"search\":{\"type\":\"string\"},"
    "\"pattern\":{\"type\":\"string\"},\"namespace_pattern\":{\"type\":\"string\"},"
    "\"model_pattern\":{\"type\":\"string\"},\"tag_pattern\":{\"type\":\"string\"},"
    "\"newer_than\":{\"type\":\"number\",\"minimum\":0},\"older_than\":{\"type\":\"number\",\"minimum\":"
    "0},"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1},\"dry_run\":{\"type\":\"boolean\"},"
    "\"observations\":{\"type\":\"boolean\"}}}";
static const char feedback_schema[] =
    "{\"type\":\"object\",\"required\":[\"id\"],\"properties\":"
    "{\"id\":{\"type\":\"string\"},\"verdict\":{\"enum\":[\"right\",\"wrong\"]},"
    "\"question\":{\"type\":\"string\"},\"good\":{\"type\":\"boolean\"}}}";
static const char policy_schema[] =
    "{\"type\":\"object\",\"required\":[\"action\"],\"properties\":"
    "{\"action\":{\"enum\":[\"freeze\",\"thaw\",\"reset\",\"import\"]},"
    "\"state\":{\"type\":\"object\"}}}";
static const char judge_schema[] =
    "{\"type\":\"object\",\"required\":[\"pairs\"],\"properties\":{\"pairs\":"
    "{\"type\":\"array\",\"minItems\":1,\"maxItems\":1000,\"items\":{\"type\":\"object\","
    "\"required\":[\"a\",\"b\"],\"properties\":{\"a\":{\"type\":\"string\"},"
    "\"b\":{\"type\":\"string\"},\"label\":{\"type\":\"integer\",\"minimum\":0,"
    "\"maximum\":1}}}}}}";

const route routes[] = {
    {"POST", "/ask", handle_ask, FOR_ANYONE, "Ask a question", ask_schema},
    {"POST", "/v1/chat/completions", handle_call, FOR_ANYONE, "OpenAI chat completions",
     any_schema},
    {"POST", "/v1/completions", handle_call, FOR_ANYONE, "OpenAI completions",
     any_schema},
    {"POST", "/v1/responses", handle_call, FOR_ANYONE, "OpenAI responses", any_schema},
    {"POST", "/v1/embeddings", handle_call, FOR_ANYONE, "OpenAI embeddings", any_schema},
    {"POST", "/v1/messages", handle_call, FOR_ANYONE, "Anthropic messages", any_schema},
    {"*", "/v1/*", handle_call, FOR_ANYONE, "Anything else, passed on uncached", NULL},
    {"GET", "/health", handle_health, FOR_ANYONE, "State of every part", NULL},
    {"GET", "/livez", handle_livez, FOR_ANYONE, "The process answers", NULL},
    {"GET", "/readyz", handle_readyz, FOR_ANYONE, "Questions can be answered", NULL},
    {"GET", "/metrics", handle_metrics, FOR_ANYONE, "Counters for Prometheus", NULL},
    {"GET", "/metrics/json", handle_metrics_json, FOR_ANYONE, "Counters as JSON", NULL},
    {"GET", "/cache/entries", handle_entries, FOR_ADMIN, "List the kept answers", NULL},
    {"GET", "/cache/entries/*", handle_entry, FOR_ADMIN, "One kept answer", NULL},
    {"DELETE", "/cache/entries/*", handle_remove, FOR_ADMIN, "Remove one kept answer",
     NULL},
    {"GET", "/cache/lint", handle_lint, FOR_ADMIN,
     "Fields of requests that change all the time and so prevent hits", NULL},
    {"POST", "/cache/purge", handle_purge, FOR_ADMIN, "Remove what matches",
     purge_schema},
    {"POST", "/cache/feedback", handle_feedback, FOR_ADMIN, "Was an answer right?",
     feedback_schema},
    {"GET", "/cache/observations", handle_observations, FOR_ADMIN,
     "What was learnt about pairs of questions", NULL},
    {"GET", "/cache/policy", handle_policy, FOR_ADMIN,
     "What was learned about which near questions share an answer", NULL},
    {"POST", "/cache/policy", handle_policy_set, FOR_ADMIN,
     "Freezes, thaws, resets or imports it", policy_schema},
    {"GET", "/cache/policy/state", handle_policy_state, FOR_ADMIN,
     "It as a state that can be imported", NULL},
    {"POST", "/cache/explain", handle_explain, FOR_ADMIN, "How the cache sees a question",
     explain_schema},
    {"POST", "/cache/judge", handle_judge, FOR_ADMIN,
     "What the cache would do with pairs of questions", judge_schema},
    {"POST", "/cache/rebuild", handle_rebuild, FOR_ADMIN, "Make the index anew", NULL},
    {"GET", "/openapi.json", handle_openapi, FOR_ANYONE, "This description", NULL},
    {NULL, NULL, NULL, FOR_ANYONE, NULL, NULL},
};

/* What the pattern's * stands for, "" when it has none; NULL when the path does not fit.
 */
static const char *tail_of(const char *pattern, const char *path)
{
    size_t size = strlen(pattern);
    if (size && pattern[size - 1] == '*')
        return strncmp(pattern, path, size - 1) == 0 && path[size - 1] ? path + size - 1
                                                                       : NULL;
    return strcmp(pattern, path) == 0 ? "" : NULL;
}

/* "Allow: GET, HEAD, POST, OPTIONS" of the path, in `out`. 0 when no row fits the path.
 */
static int allowed(const char *path, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "Allow: ");
    int found = 0;
    for (const route *row = routes; row->path && used < size; row++)
        if (tail_of(row->path, path)) {
            used += (size_t)snprintf(out + used, size - used, "%s, %s", row->method,
                                     strcmp(row->method, "GET") == 0 ? "HEAD, " : "");
            found = 1;
        }
    if (used < size)
        snprintf(out + used, size - used, "OPTIONS\r\n");
    return found;
}

static void serve_other(exchange *x)
{
    char headers[256];
    if (!allowed(x->path, headers, sizeof headers))
        reply_error(x, 404, NULL, "not_found", NULL,
                    "there is nothing at this path; /openapi.json lists what there is");
    else if (strcmp(x->method, "OPTIONS") == 0)
        reply_send(x, 204, NULL, headers, NULL, 0);
    else
        reply_error(x, 405, headers, "method_not_allowed", NULL,
                    "this path is not served with this method");
}

void routes_serve(exchange *x)
{
    if (cors_preflight(x))
        return;
    for (const route *row = routes; row->path; row++) {
        const char *tail = tail_of(row->path, x->path);
        if (!tail ||
            (strcmp(row->method, "*") != 0 && strcmp(row->method, x->method) != 0))
            continue;
        x->tail = tail;
        if (row->access == FOR_ADMIN && admin_guard(x))
            return;
        row->handle(x);
        return;
    }
    serve_other(x);
}
