/* POST /cache/judge: what the cache would do with a short list of pairs of questions. */
#include "handle_cache.h"
#include "json_body.h"
#include "json_memory.h"
#include "routes.h"
#include "shown_judgement.h"
#include "shown_json.h"

#include <llmcache/backend.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = 1000 };

static const double CONFIDENCE = 0.95;

typedef struct judge_list {
    llmcache_pair *pairs; /* texts live in the body */
    size_t count;
    json_t *shown;
    judged_count total;
} judge_list;

static int read_pair(json_body *body, const json_t *item, llmcache_pair *pair)
{
    const json_t *label = json_object_get(item, "label");
    *pair = (llmcache_pair){.struct_size = sizeof *pair,
                            .a = json_string_value(json_object_get(item, "a")),
                            .b = json_string_value(json_object_get(item, "b")),
                            .label = -1};
    if (json_is_integer(label))
        pair->label = (int)json_integer_value(label);
    if (!pair->a || !pair->b)
        return json_body_refuse(body, "pairs", "missing", "each pair needs a and b, two questions");
    if (label && !json_is_null(label) &&
        (!json_is_integer(label) || (pair->label != 0 && pair->label != 1)))
        return json_body_refuse(body, "pairs", "wrong_type", "label must be 0 or 1");
    return 0;
}

static int read_list(json_body *body, judge_list *list)
{
    const json_t *items = json_object_get(body->root, "pairs");
    list->count = json_array_size(items);
    if (!json_is_array(items) || list->count == 0 || list->count > MAX_PAIRS)
        return json_body_refuse(body, "pairs", "wrong_type",
                                "pairs must be a list of 1 to 1000 pairs");
    list->pairs = calloc(list->count, sizeof *list->pairs);
    if (!list->pairs) {
        reply_error(body->x, 500, NULL, "out_of_memory", NULL, "out of memory");
        return -1;
    }
    for (size_t i = 0; i < list->count; i++)
        if (read_pair(body, json_array_get(items, i), &list->pairs[i]))
            return -1;
    return 0;
}

static int take(void *user, const llmcache_judgement *judgement)
{
    judge_list *list = user;
    const llmcache_pair *pair = &list->pairs[judgement->pair];
    judged_count_add(&list->total, pair, judgement);
    return json_array_append_new(list->shown, shown_judgement(pair, judgement));
}

static void judge(exchange *x, judge_list *list)
{
    llmcache_error err;
    list->shown = json_array();
    if (llmcache_judge(x->server->cache, list->pairs, list->count, take, list, &err)) {
        json_decref(list->shown);
        if (json_memory_failed()) /* which is what stopped it */
            llmcache_error_set(&err, LLMCACHE_MEMORY, NULL);
        reply_failure(x, &err);
        return;
    }
    json_t *whole = json_pack("{s:o, s:o}", "pairs", list->shown, "totals",
                              shown_judged_count(&list->total, CONFIDENCE));
    cache_reply(x, 200, whole);
}

void handle_judge(exchange *x)
{
    json_body body;
    judge_list list = {NULL};
    if (json_body_read(x, &body))
        return;
    if (read_list(&body, &list) == 0)
        judge(x, &list);
    free(list.pairs);
    json_body_done(&body);
}
