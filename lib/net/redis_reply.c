/*
 * The reader's builder functions. Each makes one object and hangs it into its parent; returning NULL makes the
 * reader fail and free what there is. Nesting is limited by the reader itself.
 */
#include "net/redis_reply.h"

#include "base/memory.h"

#include <string.h>

enum { MAX_ELEMENTS = 1 << 20 };

static redisReply *new_reply(const redisReadTask *task)
{
    redisReply *reply = lc_zalloc(sizeof *reply);
    if (!reply)
        return NULL;
    reply->type = task->type;
    return reply;
}

static redisReply *hang_in(const redisReadTask *task, redisReply *reply)
{
    if (task->parent)
        ((redisReply *)task->parent->obj)->element[task->idx] = reply;
    return reply;
}

static void *make_string(const redisReadTask *task, char *bytes, size_t size)
{
    redisReply *reply = new_reply(task);
    if (!reply)
        return NULL;
    reply->str = lc_strndup(bytes, size);
    reply->len = size;
    if (!reply->str) {
        lc_free(reply);
        return NULL;
    }
    return hang_in(task, reply);
}

static void *make_array(const redisReadTask *task, int count)
{
    if (count < 0 || count > MAX_ELEMENTS)
        return NULL;
    redisReply *reply = new_reply(task);
    if (!reply)
        return NULL;
    reply->element = lc_zalloc_array((size_t)count, sizeof *reply->element);
    reply->elements = (size_t)count;
    if (!reply->element) {
        lc_free(reply);
        return NULL;
    }
    return hang_in(task, reply);
}

static void *make_integer(const redisReadTask *task, long long value)
{
    redisReply *reply = new_reply(task);
    if (!reply)
        return NULL;
    reply->integer = value;
    return hang_in(task, reply);
}

static void *make_nil(const redisReadTask *task)
{
    redisReply *reply = new_reply(task);
    if (!reply)
        return NULL;
    reply->type = REDIS_REPLY_NIL; /* the task is a string or an array of no length */
    return hang_in(task, reply);
}

void lc_redis_reply_free(redisReply *reply)
{
    if (!reply)
        return;
    for (size_t i = 0; i < reply->elements; i++)
        lc_redis_reply_free(reply->element[i]);
    lc_free(reply->element);
    lc_free(reply->str);
    lc_free(reply);
}

static void free_object(void *object)
{
    lc_redis_reply_free(object);
}

redisReader *lc_redis_reader_new(void)
{
    static redisReplyObjectFunctions builder = {.createString = make_string,
                                                .createArray = make_array,
                                                .createInteger = make_integer,
                                                .createNil = make_nil,
                                                .freeObject = free_object};
    return redisReaderCreateWithFunctions(&builder);
}
