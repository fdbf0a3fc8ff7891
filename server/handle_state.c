/* Health and metrics. None of these waits: they say what is known. */
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_words[] = {"ok", "degraded", "down"};

/* ---- Health --------------------------------------------------------------------- */

void handle_health(exchange *x)
{
    llmcache_error err;
    llmcache_status status;
    char *parts;
    byte_buffer json = {0};
    if (llmcache_health(x->server->cache, &status, &parts, &err)) {
        reply_failure(x, &err);
        return;
    }
    bytes_format(&json,
                 "{\"status\":\"%s\",\"version\":\"%s\",\"parts\":", status_words[status],
                 llmcache_version());
    bytes_text(&json, parts);
    bytes_text(&json, "}");
    llmcache_free(parts);
    reply_json(x, status == LLMCACHE_STATUS_DOWN ? 503 : 200, &json);
    bytes_free(&json);
}

void handle_livez(exchange *x)
{
    static const char body[] = "{\"status\":\"ok\"}";
    reply_send(x, 200, "application/json", NULL, body, sizeof body - 1);
}

/* Ready while questions can be answered: a cache without its store still answers. */
void handle_readyz(exchange *x)
{
    llmcache_error err;
    llmcache_status status;
    byte_buffer json = {0};
    if (llmcache_health(x->server->cache, &status, NULL, &err)) {
        reply_failure(x, &err);
        return;
    }
    int draining = gate_draining(x->server->gate);
    bytes_format(&json, "{\"status\":\"%s\"}",
                 draining ? "draining" : status_words[status]);
    reply_json(x, draining || status == LLMCACHE_STATUS_DOWN ? 503 : 200, &json);
    bytes_free(&json);
}

/* ---- Metrics -------------------------------------------------------------------- */

static void add_sample(byte_buffer *out, const char *name, const char *type,
                       const char *help, uint64_t value)
{
    bytes_format(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type,
                 name, (unsigned long long)value);
}

/* The library counts questions; connections are the server's. */
static void add_connections(byte_buffer *out, const exchange *x)
{
    gate_counts counts;
    gate_count(x->server->gate, &counts);
    add_sample(out, "llmcache_server_connections", "gauge", "Connections open now.",
               (uint64_t)counts.connections);
    add_sample(out, "llmcache_server_requests_active", "gauge",
               "HTTP requests being served now.", (uint64_t)counts.busy);
    add_sample(out, "llmcache_server_connections_accepted_total", "counter",
               "Connections let in.", counts.accepted);
    add_sample(out, "llmcache_server_connections_refused_total", "counter",
               "Connections refused with 503 at the limit.", counts.refused);
    add_sample(out, "llmcache_server_connections_evicted_total", "counter",
               "Idle connections closed at the limit to make room.", counts.evicted);
}

void handle_metrics(exchange *x)
{
    llmcache_error err;
    char *text;
    byte_buffer out = {0};
    if (llmcache_metrics(x->server->cache, LLMCACHE_PROMETHEUS, &text, &err)) {
        reply_failure(x, &err);
        return;
    }
    bytes_text(&out, text);
    llmcache_free(text);
    add_connections(&out, x);
    if (out.broken)
        reply_error(x, 500, NULL, "out_of_memory", NULL, "out of memory");
    else
        reply_send(x, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, out.data,
                   out.size);
    bytes_free(&out);
}

void handle_metrics_json(exchange *x)
{
    llmcache_error err;
    char *text;
    if (llmcache_metrics(x->server->cache, LLMCACHE_JSON, &text, &err)) {
        reply_failure(x, &err);
        return;
    }
    reply_send(x, 200, "application/json", NULL, text, strlen(text));
    llmcache_free(text);
}
