/*
 * /_mock/...: rules that make calls misbehave, the log of calls seen, pairs of texts with
 * a cosine.
 *
 * One lock guards all of it. Rules are JSON objects in the order they came; the first
 * that matches a call and is not used up is the call's; those with `next` go before those
 * without.
 */
#include "mock.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int mock_check_keys = 1, mock_keep_log = 1;

enum { most_logged_bytes = 64 << 20, most_paths = 64 };

struct mock_seen {
    mock_seen *next, *before;
    char *method, *target, *headers, *body;
    size_t body_size, counted; /* bytes against the limit */
    uint64_t number, connection;
    int64_t started_us, ended_us; /* ended 0: under way */
    int status, gone, forgotten;
};

typedef struct path_count {
    char *path;
    uint64_t calls;
} path_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *rules, *pairs; /* arrays; pairs of [first, second, cosine] */
static mock_seen *oldest, *newest;
static size_t logged_bytes;
static path_count counts[most_paths];
static size_t paths;
static uint64_t dice; /* where the throws stand */
static uint64_t released; /* calls up to this number may go on */
static uint64_t calls, open_calls, most_open, hangups;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Rules
 * ----------------------------------------------------------------------------------- */

long mock_rule_int(const mock_call *call, const char *name, long standard)
{
    json_t *value = call->rule ? json_object_get(call->rule, name) : NULL;
    if (json_is_boolean(value))
        return json_is_true(value);
    return json_is_number(value) ? (long)json_number_value(value) : standard;
}

const char *mock_rule_text(const mock_call *call, const char *name)
{
    return call->rule ? json_string_value(json_object_get(call->rule, name)) : NULL;
}

int mock_rule_true(const mock_call *call, const char *name)
{
    return call->rule && mock_rule_int(call, name, 0) != 0;
}

static int applies(json_t *rule, const mock_call *call)
{
    const char *path = mock_text_of(rule, "path", NULL),
               *method = mock_text_of(rule, "method", NULL);
    const char *match = mock_text_of(rule, "match", NULL),
               *header = mock_text_of(rule, "header", NULL);
    return (!path || strncmp(call->path, path, strlen(path)) == 0) &&
           (!method || strcasecmp(call->method, method) == 0) &&
           (!match || memmem(call->body, call->body_size, match, strlen(match))) &&
           (!header || strcasestr(call->headers, header));
}

/* Counts `name` down; 0 when it has run out (or is not there). */
static int take_one(json_t *rule, const char *name)
{
    json_int_t left = json_integer_value(json_object_get(rule, name));
    if (left > 0)
        json_object_set_new(rule, name, json_integer(left - 1));
    return left > 0;
}

/* One throw of the dice of a rule with `chance`; they fall as the seed says (splitmix64). */
static int has_luck(json_t *rule)
{
    json_t *chance = json_object_get(rule, "chance");
    uint64_t z = dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return !chance || (double)((z ^ z >> 31) >> 11) * 0x1p-53 < json_number_value(chance);
}

static json_t *find_rule(const mock_call *call)
{
    for (int counted = 1; counted >= 0; counted--) {
        json_t *rule;
        size_t i;
        json_array_foreach(rules, i, rule)
        {
            if ((json_object_get(rule, "next") != NULL) != counted ||
                !applies(rule, call) || !has_luck(rule))
                continue;
            if (take_one(rule, "skip") || (counted && !take_one(rule, "next")))
                continue;
            return json_deep_copy(
                rule); /* nothing shared: the call reads it without the lock */
        }
    }
    return NULL;
}

/* ---- The log
 * --------------------------------------------------------------------------------- */

static void free_seen(mock_seen *seen)
{
    free(seen->method);
    free(seen->target);
    free(seen->headers);
    free(seen->body);
    free(seen);
}

static void unlink_seen(mock_seen *seen)
{
    *(seen->before ? &seen->before->next : &oldest) = seen->next;
    *(seen->next ? &seen->next->before : &newest) = seen->before;
    logged_bytes -= seen->counted;
    seen->forgotten = 1;
}

/* One that is under way is freed by its end. */
static void forget(mock_seen *seen)
{
    unlink_seen(seen);
    if (seen->ended_us)
        free_seen(seen);
}

static char *copy_of(const void *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy)
        exit(1);
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

static mock_seen *make_seen(const mock_call *call)
{
    mock_seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        exit(1);
    seen->method = strdup(call->method);
    seen->target = strdup(call->target);
    seen->headers = strdup(call->headers);
    seen->body = copy_of(call->body, call->body_size);
    seen->body_size = call->body_size;
    seen->counted = call->body_size + strlen(call->headers) + 256;
    seen->connection = call->connection;
    seen->started_us = now_us();
    return seen;
}

static void add_seen(mock_seen *seen)
{
    seen->before = newest;
    *(newest ? &newest->next : &oldest) = seen;
    newest = seen;
    logged_bytes += seen->counted;
    while (logged_bytes > most_logged_bytes && oldest != newest)
        forget(oldest);
}

static void count_path(const char *path)
{
    size_t i = 0;
    while (i < paths && strcmp(counts[i].path, path) != 0)
        i++;
    if (i == most_paths)
        return;
    if (i == paths)
        counts[paths++] = (path_count){.path = strdup(path)};
    counts[i].calls++;
}

mock_seen *mock_note(mock_call *call)
{
    mock_seen *seen = mock_keep_log ? make_seen(call) : NULL;
    pthread_mutex_lock(&lock);
    call->number = ++calls;
    if (++open_calls > most_open)
        most_open = open_calls;
    count_path(call->path);
    if (json_array_size(rules))
        call->rule = find_rule(call);
    if (seen) {
        seen->number = call->number;
        add_seen(seen);
    }
    pthread_mutex_unlock(&lock);
    return seen;
}

void mock_note_end(mock_seen *seen, int status, int gone)
{
    pthread_mutex_lock(&lock);
    open_calls--;
    hangups += gone != 0;
    if (seen) {
        seen->ended_us = now_us();
        seen->status = status;
        seen->gone = gone;
        if (seen->forgotten)
            free_seen(seen);
    }
    pthread_mutex_unlock(&lock);
}

int mock_is_released(const mock_call *call)
{
    pthread_mutex_lock(&lock);
    int is = call->number <= released;
    pthread_mutex_unlock(&lock);
    return is;
}

/* Lower-case names; the values of a repeated one joined by a comma. */
static json_t *headers_object(const char *headers)
{
    json_t *object = json_object();
    for (const char *line = headers; *line;) {
        size_t size = strcspn(line, "\r\n"), name = strcspn(line, ":");
        char key[256], joined[16384];
        snprintf(key, sizeof key, "%.*s", (int)(name < size ? name : size), line);
        for (char *at = key; *at; at++)
            *at = (char)tolower((unsigned char)*at);
        const char *value = name < size ? line + name + 1 : "";
        size_t left = name < size ? size - name - 1 : 0;
        while (left && *value == ' ')
            value++, left--;
        const char *old = mock_text_of(object, key, NULL);
        snprintf(joined, sizeof joined, "%s%s%.*s", old ? old : "", old ? ", " : "",
                 (int)left, value);
        json_object_set_new(object, key, json_string(joined));
        line += size + strspn(line + size, "\r\n");
    }
    return object;
}

static json_t *text_or_hex(const char *bytes, size_t size)
{
    json_t *text = json_stringn(bytes, size);
    if (text)
        return text;
    mock_bytes hex = {0};
    mock_print(&hex, "hex:");
    for (size_t i = 0; i < size; i++)
        mock_print(&hex, "%02x", (unsigned char)bytes[i]);
    text = json_string(hex.data);
    mock_bytes_done(&hex);
    return text;
}

static json_t *log_object(void)
{
    json_t *list = json_array();
    for (mock_seen *seen = oldest; seen; seen = seen->next)
        json_array_append_new(
            list,
            json_pack("{s:I, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:i, s:b}", "number",
                      (json_int_t)seen->number, "method", seen->method, "target",
                      seen->target, "headers", headers_object(seen->headers), "body",
                      text_or_hex(seen->body, seen->body_size), "connection",
                      (json_int_t)seen->connection, "started_us",
                      (json_int_t)seen->started_us, "ended_us",
                      (json_int_t)seen->ended_us, "status", seen->status, "gone",
                      seen->gone));
    return json_pack("{s:o}", "calls", list);
}

static json_t *counts_object(void)
{
    json_t *by_path = json_object();
    for (size_t i = 0; i < paths; i++)
        json_object_set_new(by_path, counts[i].path,
                            json_integer((json_int_t)counts[i].calls));
    return json_pack("{s:o, s:I, s:I, s:I, s:I}", "paths", by_path, "calls",
                     (json_int_t)calls, "open", (json_int_t)open_calls, "most_open",
                     (json_int_t)most_open, "hangups", (json_int_t)hangups);
}

/* The numbers of calls go on: ids stay unique over a reset. */
static void reset_all(void)
{
    json_array_clear(rules);
    json_array_clear(pairs);
    while (oldest)
        forget(oldest);
    while (paths)
        free(counts[--paths].path);
    memset(counts, 0, sizeof counts);
    most_open = open_calls;
    hangups = 0;
}

/* ---- Pairs
 * ----------------------------------------------------------------------------------- */

int mock_pair(const char *text, char **other, double *cosine)
{
    int found = 0;
    json_t *pair;
    size_t i;
    pthread_mutex_lock(&lock);
    json_array_foreach(pairs, i, pair)
    {
        const char *second = json_string_value(json_array_get(pair, 1));
        if (found || !second || strcmp(second, text) != 0)
            continue;
        *other = strdup(json_string_value(json_array_get(pair, 0)));
        *cosine = json_number_value(json_array_get(pair, 2));
        found = 1;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static int good_pair(json_t *pair)
{
    return json_is_string(json_array_get(pair, 0)) &&
           json_is_string(json_array_get(pair, 1)) &&
           json_is_number(json_array_get(pair, 2)) &&
           fabs(json_number_value(json_array_get(pair, 2))) <= 1;
}

/* ---- /_mock/
 * --------------------------------------------------------------------------------- */

/* A rule or a list of them, {"pairs": [...]} or {"seed": N}; 0 when it is neither. Keeps a copy: the
 * call's own thread drops the original without the lock. */
static int learn(json_t *given)
{
    json_t *one, *list = json_object_get(given, "pairs");
    size_t i;
    if (!json_is_object(given) && !json_is_array(given))
        return 0;
    if (json_is_integer(json_object_get(given, "seed"))) {
        dice = (uint64_t)json_integer_value(json_object_get(given, "seed"));
        return 1;
    }
    json_array_foreach(list, i, one) if (!good_pair(one)) return 0;
    json_t *copy = json_deep_copy(list ? list : given);
    int code = json_is_object(copy) ? json_array_append(rules, copy)
                                    : json_array_extend(list ? pairs : rules, copy);
    json_decref(copy);
    return code == 0;
}

int mock_control(const mock_call *call, mock_reply *reply)
{
    if (strncmp(call->path, "/_mock/", 7) != 0)
        return 0;
    const char *what = call->path + 7;
    int post = strcmp(call->method, "POST") == 0;
    json_t *result = NULL;
    pthread_mutex_lock(&lock);
    if (!rules) {
        rules = json_array();
        pairs = json_array();
    }
    if (strcmp(what, "behave") == 0 && post)
        result = learn(call->json)
                     ? json_pack("{s:I}", "rules", (json_int_t)json_array_size(rules))
                     : NULL;
    else if (strcmp(what, "reset") == 0 && post) {
        reset_all();
        result = json_object();
    } else if (strcmp(what, "release") == 0 && post) {
        released = calls;
        result = json_object();
    } else if (strcmp(what, "log") == 0)
        result = log_object();
    else if (strcmp(what, "counts") == 0)
        result = counts_object();
    pthread_mutex_unlock(&lock);
    if (result)
        mock_whole(reply, 200, result);
    else
        mock_refuse(reply, 400, "mock_error", NULL, NULL,
                    "no such control call, or not understood");
    return 1;
}
