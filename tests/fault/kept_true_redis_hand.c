#include "kept_true_redis_hand.h"

#include "kept_true_book.h"
#include "kept_true_engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const test_redis *nodes;
static int node_count;
static int (*which_node)(void);

void hand_open(const test_redis *given, int count)
{
    nodes = given;
    node_count = count;
}

void hand_ask_first(int (*which)(void))
{
    which_node = which;
}

/* Those to be spoken to are from here to below *end. */
static int nodes_now(int *end)
{
    int only = which_node ? which_node() : 0;
    *end = which_node ? only + 1 : node_count;
    return only < 0 ? 0 : only;
}

/* NULL when it cannot be reached. */
static redisContext *link_to(int node)
{
    const struct timeval limit = {.tv_sec = 5};
    redisContext *link = redisConnectWithTimeout("127.0.0.1", nodes[node].port, limit);
    if (link && !link->err && redisSetTimeout(link, limit) == REDIS_OK)
        return link;
    if (link)
        redisFree(link);
    return NULL;
}

static int is_error(const redisReply *reply)
{
    return !reply || reply->type == REDIS_REPLY_ERROR;
}

/* The first reply that is no error and no refusal of the node's; NULL when there is none. */
static redisReply *say(int argc, const char **argv, const size_t *sizes)
{
    int end;
    for (int i = nodes_now(&end); i < end; i++) {
        redisContext *link = link_to(i);
        redisReply *reply = link ? redisCommandArgv(link, argc, argv, sizes) : NULL;
        if (link)
            redisFree(link);
        if (!is_error(reply))
            return reply;
        freeReplyObject(reply);
    }
    return NULL;
}

static int unlink_key(const char *key)
{
    const char *words[] = {"UNLINK", key};
    redisReply *reply = say(2, words, NULL);
    int done = reply != NULL;
    freeReplyObject(reply);
    return done;
}

/* The whole name of the exact answer's key; 0 when it is not there or cannot be asked. */
static int find_prompt(const char *id, char *key, size_t room)
{
    char pattern[128];
    int found = 0, end;
    snprintf(pattern, sizeof pattern, "prompt_cache:default:%s*", id);
    for (int i = nodes_now(&end); i < end && !found; i++) {
        redisContext *link = link_to(i);
        redisReply *reply = link ? redisCommand(link, "KEYS %s", pattern) : NULL;
        found = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
                reply->element[0]->len < room;
        if (found)
            memcpy(key, reply->element[0]->str, reply->element[0]->len + 1);
        freeReplyObject(reply);
        if (link)
            redisFree(link);
    }
    return found;
}

int hand_remove(const char *id, int parts)
{
    char key[160];
    if (parts & BOOK_SEMANTIC) {
        snprintf(key, sizeof key, "embed_cache:default:%s", id);
        if (!unlink_key(key))
            return 0;
    }
    return !(parts & BOOK_EXACT) || (find_prompt(id, key, sizeof key) && unlink_key(key));
}

/* -1: it does not say. */
static int is_primary(redisContext *link)
{
    redisReply *role = redisCommand(link, "ROLE");
    int primary = !role || role->type != REDIS_REPLY_ARRAY ? -1 : strcmp(role->element[0]->str, "master") == 0;
    freeReplyObject(role);
    return primary;
}

/* A bit for each node that is a primary now; 0 when one does not say. */
static unsigned primaries(void)
{
    unsigned found = 0;
    int end;
    for (int i = nodes_now(&end); i < end; i++) {
        redisContext *link = link_to(i);
        int primary = link ? is_primary(link) : -1;
        if (link)
            redisFree(link);
        if (primary < 0)
            return 0;
        found |= (unsigned)primary << i;
    }
    return found;
}

static int flush(int node)
{
    redisContext *link = link_to(node);
    redisReply *reply = link ? redisCommand(link, "FLUSHDB") : NULL;
    int done = !is_error(reply);
    freeReplyObject(reply);
    if (link)
        redisFree(link);
    return done;
}

/* Where a replica takes over meanwhile, neither may have been a primary when it was asked. */
int hand_remove_all(void)
{
    unsigned before = primaries(), all = before != 0;
    for (int i = 0; i < node_count; i++)
        if (before >> i & 1)
            all &= (unsigned)flush(i);
    return all && primaries() == before;
}

int hand_overwrite(const char *id, int number)
{
    char key[160];
    if (!find_prompt(id, key, sizeof key))
        return 0;
    const char *get[] = {"GET", key};
    redisReply *reply = say(2, get, NULL);
    char *text = reply && reply->type == REDIS_REPLY_STRING ? kept_renumbered(reply->str, number) : NULL;
    freeReplyObject(reply);
    if (!text)
        return 0;
    const char *set[] = {"SET", key, text};
    reply = say(3, set, NULL);
    int done = reply != NULL;
    freeReplyObject(reply);
    free(text);
    return done;
}
