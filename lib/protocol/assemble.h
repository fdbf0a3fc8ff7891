/* What the assemblers of the protocols share. */
#ifndef LC_PROTOCOL_ASSEMBLE_H
#define LC_PROTOCOL_ASSEMBLE_H

#include "protocol/merge.h"
#include "protocol/protocol.h"
#include "protocol/sse.h"

struct lc_assembler {
    const struct lc_assembly *kind;
    lc_sse sse;
    lc_arena answer; /* what has been put together */
    lc_arena event;  /* the event under way */
    lc_merge merge;  /* into `answer` */
    lc_tree *root;   /* the answer so far, an object */
    lc_tree *parts;  /* the protocol's own: choices, content blocks, output items by their
                        index */
    lc_buffer *said; /* the caller's, gets the text as it comes; NULL: nobody wants it */
    int ended;
    int brief; /* message_delta did not count the input */
    int status;        /* LLMCACHE_MEMORY or LLMCACHE_TOO_LARGE, for good */
    const char *wrong; /* why nothing may be kept; NULL while all is well */
};

/*
 * One protocol. `event` joins one event's object (name "" when it had none) and sets
 * `ended` at the protocol's own end; `finish` makes `root` the whole answer. Both give 0,
 * LLMCACHE_MEMORY, LLMCACHE_TOO_LARGE, or LLMCACHE_INVALID: the pieces do not fit.
 */
typedef struct lc_assembly {
    int (*event)(lc_assembler *assembler, const char *name, const lc_tree *event);
    int (*finish)(lc_assembler *assembler);
    int done_marker; /* ends with "data: [DONE]" */
    /* What the event adds to the text that lc_answer_read gives; NULL when nothing. */
    const lc_tree *(*text)(const lc_tree *event);
} lc_assembly;

extern const lc_assembly lc_assembly_chat;
extern const lc_assembly lc_assembly_completion;
extern const lc_assembly lc_assembly_message;
extern const lc_assembly lc_assembly_response;

/* Remembers the first thing that went wrong. Gives 0, for the stream is read on. */
int lc_assembler_spoil(lc_assembler *assembler, const char *why);

/* root's member as a string that says `text`. */
int lc_assembler_say(lc_assembler *assembler, lc_tree *object, const char *name,
                     const char *text);

#endif
