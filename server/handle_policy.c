/* What was learned about which near questions share an answer: seen and steered. */
#include "json_body.h"
#include "routes.h"

#include <llmcache/observe.h>
#include <stdlib.h>
#include <string.h>

static void show(exchange *x)
{
    llmcache_error err;
    char *text;
    if (llmcache_policy(x->server->cache, &text, &err)) {
        reply_failure(x, &err);
        return;
    }
    reply_send(x, 200, "application/json", NULL, text, strlen(text));
    llmcache_free(text);
}

void handle_policy(exchange *x)
{
    show(x);
}

void handle_policy_state(exchange *x)
{
    llmcache_error err;
    char *text;
    if (llmcache_policy_export(x->server->cache, &text, &err)) {
        reply_failure(x, &err);
        return;
    }
    reply_send(x, 200, "application/json", NULL, text, strlen(text));
    llmcache_free(text);
}

/* The state as it came, an object; NULL where there is none. To be freed. */
static char *read_state(json_body *body)
{
    size_t size;
    const char *raw = json_body_raw(body, "state", &size);
    return raw ? strndup(raw, size) : NULL;
}

static void act(json_body *body, const char *action)
{
    llmcache_error err;
    char *state = read_state(body);
    if (llmcache_policy_set(body->x->server->cache, action, state, &err))
        reply_failure(body->x, &err);
    else
        show(body->x);
    free(state);
}

void handle_policy_set(exchange *x)
{
    json_body body;
    if (json_body_read(x, &body))
        return;
    const char *action = json_body_text(&body, "action", NULL);
    if (!action)
        json_body_refuse(&body, "action", "missing", "action (freeze, thaw, reset or import) is required");
    if (!body.refused)
        act(&body, action);
    json_body_done(&body);
}
