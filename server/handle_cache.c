/* Management below /cache/: list, look at and remove kept answers, make the index anew. */
#include "handle_cache.h"
#include "json_body.h"
#include "json_memory.h"
#include "routes.h"
#include "shown_json.h"

#include <llmcache/observe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT = 100, MAX_LIMIT = 10000 };

void cache_reply(exchange *x, int status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(value);
    if (text && !json_memory_failed())
        reply_send(x, status, "application/json", NULL, text, strlen(text));
    else
        reply_error(x, 500, NULL, "out_of_memory", NULL, "out of memory");
    free(text);
}

/* ---- Looking -------------------------------------------------------------------- */

int cache_query_refuse(exchange *x, const char *name, const char *message)
{
    reply_error(x, 422, NULL, "wrong_type", name, message);
    return -1;
}

static int read_whole(const char *text, int64_t low, int64_t high, int64_t *out)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < low || value > high)
        return -1;
    *out = value;
    return 0;
}

int cache_query_read(exchange *x, cache_query *q)
{
    q->limit[0] = '\0';
    const char *older = request_query(x, "older_than", q->older, sizeof q->older);
    const char *newer = request_query(x, "newer_than", q->newer, sizeof q->newer);
    const char *limit = request_query(x, "limit", q->limit, sizeof q->limit);
    int64_t seconds = 0, recent = 0;
    q->filter = (llmcache_filter){
        .struct_size = sizeof q->filter,
        .space = request_query(x, "namespace", q->space, sizeof q->space),
        .id = request_query(x, "id", q->id, sizeof q->id),
        .model = request_query(x, "model", q->model, sizeof q->model),
        .tag = request_query(x, "tag", q->tag, sizeof q->tag),
        .contains = request_query(x, "contains", q->contains, sizeof q->contains),
        .search = request_query(x, "search", q->search, sizeof q->search),
        .pattern = request_query(x, "pattern", q->pattern, sizeof q->pattern),
        .space_pattern = request_query(x, "namespace_pattern", q->space_pattern,
                                       sizeof q->space_pattern),
        .model_pattern =
            request_query(x, "model_pattern", q->model_pattern, sizeof q->model_pattern),
        .tag_pattern = request_query(x, "tag_pattern", q->tag_pattern, sizeof q->tag_pattern),
        .limit = DEFAULT_LIMIT};
    if (older && read_whole(older, 0, 3153600000, &seconds))
        return cache_query_refuse(x, "older_than",
                            "older_than must be a whole number of seconds");
    if (newer && read_whole(newer, 0, 3153600000, &recent))
        return cache_query_refuse(x, "newer_than",
                            "newer_than must be a whole number of seconds");
    if (limit && read_whole(limit, 1, MAX_LIMIT, &q->filter.limit))
        return cache_query_refuse(x, "limit", "limit must be a whole number from 1 to 10000");
    q->filter.older_than_ms = seconds * 1000;
    q->filter.newer_than_ms = recent * 1000;
    return 0;
}

/* Entries or records. */
static int read_kind(exchange *x, llmcache_filter *filter)
{
    char room[16];
    const char *kind = request_query(x, "kind", room, sizeof room);
    if (kind && strcmp(kind, "record") != 0 && strcmp(kind, "exact") != 0)
        return cache_query_refuse(x, "kind", "kind must be exact or record");
    filter->records = kind && strcmp(kind, "record") == 0 ? 2 : 1;
    return 0;
}

static int add_entry(void *user, const llmcache_entry *entry)
{
    return json_array_append_new(user, shown_entry(entry, server_wall_ms(), 0));
}

void handle_entries(exchange *x)
{
    llmcache_error err;
    cache_query q;
    if (cache_query_read(x, &q) || read_kind(x, &q.filter))
        return;
    json_t *entries = json_array();
    if (llmcache_each(x->server->cache, &q.filter, add_entry, entries, &err)) {
        json_decref(entries);
        reply_failure(x, &err);
        return;
    }
    json_int_t count = (json_int_t)json_array_size(entries);
    cache_reply(x, 200,
                json_pack("{s:o, s:I, s:I}", "entries", entries, "count", count, "limit",
                          (json_int_t)q.filter.limit));
}

void handle_lint(exchange *x)
{
    llmcache_error err;
    cache_query q;
    char *json;
    if (cache_query_read(x, &q) || read_kind(x, &q.filter))
        return;
    if (!*q.limit)
        q.filter.limit = 0;
    if (llmcache_lint(x->server->cache, &q.filter, &json, &err)) {
        reply_failure(x, &err);
        return;
    }
    reply_send(x, 200, "application/json", NULL, json, strlen(json));
    llmcache_free(json);
}

static int keep_entry(void *user, const llmcache_entry *entry)
{
    json_t **found = user;
    *found = shown_entry(entry, server_wall_ms(), 1);
    return 0;
}

/* The entry the path names, or NULL after an error reply. */
static json_t *entry_of_path(exchange *x)
{
    llmcache_error err;
    json_t *found = NULL;
    if (llmcache_get(x->server->cache, x->tail, keep_entry, &found, &err)) {
        reply_failure(x, &err);
        return NULL;
    }
    if (!found)
        reply_error(x, 500, NULL, "out_of_memory", NULL, "out of memory");
    return found;
}

void handle_entry(exchange *x)
{
    json_t *entry = entry_of_path(x);
    if (entry)
        cache_reply(x, 200, entry);
}

/* ---- Removing ------------------------------------------------------------------- */

enum { MOST_LISTED = 1000 };

static int add_head(void *user, const llmcache_entry *entry)
{
    return json_array_append_new(user, shown_head(entry, server_wall_ms()));
}

/* The first of what a dry run would remove; NULL after an error reply. */
static json_t *list_going(exchange *x, const llmcache_filter *filter)
{
    llmcache_error err;
    llmcache_filter some = *filter;
    json_t *entries = json_array();
    if (!some.limit || some.limit > MOST_LISTED)
        some.limit = MOST_LISTED;
    if (!llmcache_each(x->server->cache, &some, add_head, entries, &err))
        return entries;
    json_decref(entries);
    reply_failure(x, &err);
    return NULL;
}

static void purge(exchange *x, const llmcache_filter *filter, int observations_too)
{
    llmcache_error err;
    uint64_t removed, observed = 0;
    json_t *entries = filter->dry_run ? list_going(x, filter) : NULL;
    if (filter->dry_run && !entries)
        return;
    if (llmcache_purge(x->server->cache, filter, &removed, &err) ||
        (observations_too &&
         llmcache_observations_purge(x->server->cache, filter, &observed, &err))) {
        json_decref(entries);
        reply_failure(x, &err);
        return;
    }
    cache_reply(x, 200,
                json_pack("{s:I, s:I, s:b, s:o*}", "removed", (json_int_t)removed,
                          "observations", (json_int_t)observed, "dry_run",
                          filter->dry_run, "entries", entries));
}

void handle_remove(exchange *x)
{
    json_t *entry = entry_of_path(x);
    if (!entry)
        return;
    llmcache_filter filter = {.struct_size = sizeof filter,
                              .id = json_string_value(json_object_get(entry, "id"))};
    purge(x, &filter, 0);
    json_decref(entry);
}

static void read_filter(json_body *body, llmcache_filter *filter)
{
    *filter = (llmcache_filter){
        .struct_size = sizeof *filter,
        .space = json_body_text(body, "namespace", NULL),
        .id = json_body_text(body, "id", NULL),
        .model = json_body_text(body, "model", NULL),
        .tag = json_body_text(body, "tag", NULL),
        .contains = json_body_text(body, "contains", NULL),
        .search = json_body_text(body, "search", NULL),
        .pattern = json_body_text(body, "pattern", NULL),
        .space_pattern = json_body_text(body, "namespace_pattern", NULL),
        .model_pattern = json_body_text(body, "model_pattern", NULL),
        .tag_pattern = json_body_text(body, "tag_pattern", NULL),
        .newer_than_ms =
            (int64_t)(json_body_number(body, "newer_than", 0, 3153600000, 0) * 1000),
        .older_than_ms =
            (int64_t)(json_body_number(body, "older_than", 0, 3153600000, 0) * 1000),
        .limit = (int64_t)json_body_number(body, "limit", 1, 1e9, 0),
        .dry_run = json_body_flag(body, "dry_run", 0)};
}

static int is_empty(const llmcache_filter *f)
{
    int texts = f->space || f->id || f->model || f->tag || f->contains || f->search;
    int patterns = f->pattern || f->space_pattern || f->model_pattern || f->tag_pattern;
    return !texts && !patterns && !f->older_than_ms && !f->newer_than_ms && !f->limit;
}

/* Everything goes only when "all" says so: an empty or misspelt condition must not. */
void handle_purge(exchange *x)
{
    llmcache_filter filter;
    json_body body;
    if (json_body_read(x, &body))
        return;
    read_filter(&body, &filter);
    int all = json_body_flag(&body, "all", 0);
    int observations = json_body_flag(&body, "observations", 0);
    int empty = is_empty(&filter);
    if (empty && !all)
        json_body_refuse(&body, "all", "missing",
                         "a condition is needed, or \"all\": true");
    else if (!empty && all)
        json_body_refuse(&body, "all", "conflict",
                         "\"all\" and a condition exclude each other");
    else if (observations && (filter.tag || filter.tag_pattern || filter.search))
        json_body_refuse(&body, "observations", "conflict",
                         "observations have neither tags nor an answer to search in");
    if (!body.refused)
        purge(x, &filter, observations);
    json_body_done(&body);
}

/* ---- The index ------------------------------------------------------------------ */

void handle_rebuild(exchange *x)
{
    llmcache_error err;
    llmcache_rebuild_report report;
    if (request_body(x))
        return;
    if (llmcache_rebuild(x->server->cache, &report, &err))
        reply_failure(x, &err);
    else
        cache_reply(
            x, 200,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "entries",
                      (json_int_t)report.entries, "records", (json_int_t)report.records,
                      "embedded", (json_int_t)report.embedded, "skipped",
                      (json_int_t)report.skipped, "failed", (json_int_t)report.failed,
                      "dropped", (json_int_t)report.dropped));
}
