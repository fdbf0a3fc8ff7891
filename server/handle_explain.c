/* Explaining over HTTP: a question as /ask takes it, or a whole request of one of the protocols. */
#include "json_body.h"
#include "routes.h"

#include <string.h>

enum { MAX_HEADERS = 32 };

static void reply_explained(exchange *x, int code, const llmcache_error *err, char *json)
{
    if (code) {
        reply_failure(x, err);
        return;
    }
    reply_send(x, 200, "application/json", NULL, json, strlen(json));
    llmcache_free(json);
}

/* ---- A question ----------------------------------------------------------------- */

static void explain_question(json_body *body)
{
    llmcache_ask_options options;
    llmcache_error err;
    const char *question;
    char *json = NULL;
    if (json_body_question(body, &question, &options))
        return;
    int code = llmcache_explain(body->x->server->cache, question, &options, &json, &err);
    reply_explained(body->x, code, &err, json);
}

/* ---- A request -------------------------------------------------------------------- */

static const char *target_of(json_body *body)
{
    static const char *const targets[][2] = {{"chat", "/v1/chat/completions"},
                                             {"messages", "/v1/messages"},
                                             {"responses", "/v1/responses"},
                                             {"completions", "/v1/completions"},
                                             {"embeddings", "/v1/embeddings"}};
    const char *target = json_body_text(body, "target", NULL);
    const char *protocol = json_body_text(body, "protocol", "chat");
    if (target && *target != '/')
        json_body_refuse(body, "target", "wrong_value", "target must begin with /");
    for (size_t i = 0; !target && i < sizeof targets / sizeof *targets; i++)
        if (strcmp(protocol, targets[i][0]) == 0)
            target = targets[i][1];
    if (!target)
        json_body_refuse(body, "protocol", "wrong_value",
                         "protocol must be chat, messages, responses, completions or embeddings");
    return target;
}

static size_t read_headers(json_body *body, llmcache_header headers[MAX_HEADERS])
{
    const json_t *given = json_object_get(body->root, "headers");
    size_t count = 0;
    const char *name;
    json_t *value;
    if (given && !json_is_object(given) && !json_is_null(given))
        json_body_refuse(body, "headers", "wrong_type", "headers must be an object of strings");
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        if (!json_is_string(value) || count == MAX_HEADERS) {
            json_body_refuse(body, "headers", "wrong_type",
                             "headers must be an object of at most 32 strings");
            break;
        }
        headers[count++] = (llmcache_header){name, json_string_value(value)};
    }
    return count;
}

static void explain_request(json_body *body)
{
    llmcache_header headers[MAX_HEADERS];
    llmcache_error err;
    char *json = NULL;
    size_t size = 0;
    const char *bytes = json_body_raw(body, "body", &size);
    const char *space = json_body_text(body, "namespace", NULL);
    llmcache_request request = {.struct_size = sizeof request, .method = "POST",
                                .target = target_of(body), .headers = headers,
                                .header_count = read_headers(body, headers), .body = bytes,
                                .body_size = size};
    if (json_object_get(body->root, "question"))
        json_body_refuse(body, "question", "conflict", "question and body exclude each other");
    if (body->refused)
        return;
    int code = llmcache_explain_call(body->x->server->cache, &request, space, &json, &err);
    reply_explained(body->x, code, &err, json);
}

void handle_explain(exchange *x)
{
    json_body body;
    if (json_body_read(x, &body))
        return;
    if (json_object_get(body.root, "body"))
        explain_request(&body);
    else
        explain_question(&body);
    json_body_done(&body);
}
