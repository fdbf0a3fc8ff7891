/*
 * Streams into answers: the part that all protocols share. The assembler belongs to who
 * feeds it, one thread at a time. Whatever looks wrong spoils the answer for keeping but
 * never stops the stream: the bytes are on their way to a client in any case.
 */
#include "protocol/assemble.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

static const lc_assembly *assembly_for(lc_protocol protocol)
{
    switch (protocol) {
    case LC_PROTOCOL_CHAT:
        return &lc_assembly_chat;
    case LC_PROTOCOL_COMPLETIONS:
        return &lc_assembly_completion;
    case LC_PROTOCOL_MESSAGES:
        return &lc_assembly_message;
    case LC_PROTOCOL_RESPONSES:
        return &lc_assembly_response;
    default:
        return NULL;
    }
}

lc_assembler *lc_assembler_new(lc_protocol protocol, size_t max_bytes)
{
    lc_assembler *assembler = lc_zalloc(sizeof *assembler);
    if (!assembler)
        return NULL;
    max_bytes = max_bytes ? max_bytes : SIZE_MAX / 4;
    assembler->kind = assembly_for(protocol);
    if (!assembler->kind)
        assembler->wrong = "this protocol has no stream";
    lc_sse_init(&assembler->sse, max_bytes);
    assembler->merge = (lc_merge){.arena = &assembler->answer, .max = max_bytes};
    assembler->root = lc_tree_new(&assembler->answer, LC_TREE_OBJECT);
    assembler->parts = lc_tree_new(&assembler->answer, LC_TREE_ARRAY);
    if (assembler->root && assembler->parts)
        return assembler;
    lc_assembler_free(assembler);
    return NULL;
}

void lc_assembler_free(lc_assembler *assembler)
{
    if (!assembler)
        return;
    lc_sse_done(&assembler->sse);
    lc_arena_done(&assembler->answer);
    lc_arena_done(&assembler->event);
    lc_free(assembler);
}

int lc_assembler_spoil(lc_assembler *assembler, const char *why)
{
    if (!assembler->wrong)
        assembler->wrong = why;
    return 0;
}

int lc_assembler_say(lc_assembler *assembler, lc_tree *object, const char *name,
                     const char *text)
{
    return lc_tree_set(&assembler->answer, object, name, strlen(name),
                       lc_tree_string(&assembler->answer, text, strlen(text)));
}

/* As the SDKs see it: an `error` that is there and says something. */
static int carries_error(const char *name, const lc_tree *event)
{
    const lc_tree *error = lc_tree_find(event, "error");
    if (strcmp(name, "error") == 0 ||
        lc_tree_is_text(lc_tree_find(event, "type"), "error"))
        return 1;
    return !lc_tree_is_nothing(error) && error->type != LC_TREE_FALSE &&
           !(error->type >= LC_TREE_STRING && !error->size);
}

static int say(const lc_assembler *assembler, const lc_tree *event)
{
    const lc_tree *text = assembler->kind->text(event);
    return lc_tree_is_type(text, LC_TREE_STRING)
               ? lc_buffer_add(assembler->said, text->text, text->size)
               : 0;
}

static int on_event(void *user, const char *name, const char *data, size_t size)
{
    lc_assembler *assembler = user;
    lc_tree *event;
    if (assembler->ended || assembler->wrong)
        return 0;
    if (assembler->kind->done_marker && strcmp(data, "[DONE]") == 0) {
        assembler->ended = 1;
        return 0;
    }
    lc_arena_reset(&assembler->event);
    int status = lc_tree_read(&assembler->event, data, size, &event, NULL);
    if (status == LLMCACHE_INVALID)
        return lc_assembler_spoil(assembler, "an event is not JSON");
    if (!status && event->type != LC_TREE_OBJECT)
        return lc_assembler_spoil(assembler, "an event is not an object");
    if (!status && carries_error(name, event))
        return lc_assembler_spoil(assembler, "the stream carried an error");
    if (!status)
        status = assembler->kind->event(assembler, name, event);
    if (!status && assembler->said)
        status = say(assembler, event);
    return status == LLMCACHE_INVALID
               ? lc_assembler_spoil(assembler, "the pieces do not fit together")
               : status;
}

int lc_assembler_feed(lc_assembler *assembler, const char *bytes, size_t size)
{
    if (assembler->status || assembler->ended || assembler->wrong)
        return assembler->status;
    assembler->status = lc_sse_feed(&assembler->sse, bytes, size, on_event, assembler);
    return assembler->status;
}

void lc_assembler_listen(lc_assembler *assembler, lc_buffer *said)
{
    assembler->said = said;
}

int lc_assembler_brief(const lc_assembler *assembler)
{
    return assembler->brief;
}

int lc_assembler_ended(const lc_assembler *assembler)
{
    return assembler->ended;
}

int lc_assembler_finish(lc_assembler *assembler, lc_buffer *body, llmcache_error *err)
{
    int status = assembler->status;
    if (status)
        return lc_fail(err, status, "stream: %s", lc_code_text(status));
    if (assembler->wrong)
        return lc_fail(err, LLMCACHE_INVALID, "stream: %s", assembler->wrong);
    if (!assembler->ended)
        return lc_fail(err, LLMCACHE_INVALID, "stream: it did not end by itself");
    status = assembler->kind->finish(assembler);
    if (!status && assembler->wrong)
        return lc_fail(err, LLMCACHE_INVALID, "stream: %s", assembler->wrong);
    if (!status)
        status = lc_tree_write(assembler->root, body);
    return status ? lc_fail(err, status, "stream: %s", lc_code_text(status)) : 0;
}
