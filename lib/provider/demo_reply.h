/* What the demo provider says, and how the two protocols say it. Pure. */
#ifndef LC_PROVIDER_DEMO_REPLY_H
#define LC_PROVIDER_DEMO_REPLY_H

#include "base/buffer.h"

#include <llmcache/llmcache.h>

typedef struct lc_demo_question {
    int messages;      /* the messages protocol, else chat */
    char *model;
    char *text;        /* what the user asked last, "" if nothing */
    size_t text_size;
    int stream;
    int include_usage;
} lc_demo_question;

/* LLMCACHE_INVALID when the body is not a request of the protocol; LLMCACHE_MEMORY. */
int lc_demo_read(int messages, const char *body, size_t size, lc_demo_question *question,
                 llmcache_error *err);
void lc_demo_question_done(lc_demo_question *question);

typedef struct lc_demo_reply {
    const lc_demo_question *question; /* borrowed */
    char text[768];
    char id[48];
    int64_t created_s;
    int64_t input_tokens, output_tokens;
} lc_demo_reply;

/* The same question gets the same text, another question another; in the question's language. */
void lc_demo_answer(const lc_demo_question *question, int64_t now_ms, lc_demo_reply *reply);

/* The whole reply as one JSON document. Returns body->broken. */
int lc_demo_write_whole(const lc_demo_reply *reply, lc_buffer *body);

/* The reply as a stream: the events before the text, one piece of the text, the events behind it. */
int lc_demo_write_start(const lc_demo_reply *reply, lc_buffer *events);
int lc_demo_write_piece(const lc_demo_reply *reply, const char *piece, size_t size,
                        lc_buffer *events);
int lc_demo_write_end(const lc_demo_reply *reply, lc_buffer *events);

/* The end of piece `nth` of `count` in the text, never inside a character. */
size_t lc_demo_cut(const char *text, int nth, int count);

/* An error in the protocol's shape. */
int lc_demo_write_error(int messages, const char *type, const char *message, lc_buffer *body);

#endif
