/*
 * Protocols: what the bodies of the OpenAI and Anthropic interfaces mean to a cache. Pure: bytes
 * in, bytes and facts out; no clock, no network, no locks.
 *
 * What cannot be understood exactly (not JSON, members of the same name, lone surrogates, nested
 * deeper than 512, more than a million values, an exponent of 16 digits) is refused by
 * lc_question_read; the caller then passes it on uncached.
 */
#ifndef LC_PROTOCOL_PROTOCOL_H
#define LC_PROTOCOL_PROTOCOL_H

#include "base/buffer.h"

#include <llmcache/llmcache.h>

typedef enum lc_protocol {
    LC_PROTOCOL_NONE = 0,    /* not one we understand: pass through */
    LC_PROTOCOL_CHAT,        /* OpenAI /v1/chat/completions */
    LC_PROTOCOL_COMPLETIONS, /* OpenAI /v1/completions */
    LC_PROTOCOL_RESPONSES,   /* OpenAI /v1/responses */
    LC_PROTOCOL_EMBEDDINGS,  /* OpenAI /v1/embeddings */
    LC_PROTOCOL_MESSAGES     /* Anthropic /v1/messages */
} lc_protocol;

/* "chat", "completions", "responses", "embeddings", "messages", "none". */
const char *lc_protocol_name(lc_protocol protocol);
lc_protocol lc_protocol_by_name(const char *name);

/* By method and target ("/v1/messages?beta=true"); also the target's path without /v1 in front. */
lc_protocol lc_protocol_of(const char *method, const char *target);

/* Does the target belong to the Anthropic service (else the OpenAI one)? `headers` decide for paths that
 * both have, such as /v1/models: anthropic-version means Anthropic. */
int lc_protocol_is_anthropic(const char *target, const llmcache_header *headers, size_t count);

/* ---- Requests ------------------------------------------------------------------------------ */

/* Fields that do not shape the answer; a set bit (setting key-fields) puts one into the key. */
enum {
    LC_KEY_USER = 1,
    LC_KEY_METADATA = 2,
    LC_KEY_PROMPT_CACHE_KEY = 4,
    LC_KEY_SAFETY_IDENTIFIER = 8,
    LC_KEY_STREAM = 16,
    LC_KEY_STREAM_OPTIONS = 32
};

/* "user, metadata" -> bits; LLMCACHE_SETTING names the unknown word. */
int lc_key_fields_read(const char *names, unsigned *bits, llmcache_error *err);

/* Cache controls inside a body: LiteLLM's {"cache": {...}}. -1: absent. */
typedef struct lc_body_controls {
    int64_t ttl_ms;     /* ttl */
    int64_t max_age_ms; /* s-maxage */
    int no_cache, no_store;
    char *space; /* namespace; NULL when absent */
} lc_body_controls;

typedef struct lc_question {
    lc_protocol protocol;
    char *model;                 /* "" when absent */
    char *text;                  /* what the user asked last, in NFC and without white space around it;
                                    NULL when it is not plain text */
    size_t text_size;
    unsigned char shape[32];     /* SHA-256 over the canonical form of all that shapes the answer */
    unsigned char context[32];   /* the same with the last user text taken out */
    unsigned char echo[32];      /* of what the answer only says again; zero where there is none */
    int stream;                  /* body.stream is true */
    int include_usage;           /* stream_options.include_usage is true */
    int matchable;               /* may be matched by meaning */
    const char *why_not;         /* static word when not: "image", "file", "audio", "video", "part", "n",
                                    "logprobs", "tool-result", "no-user", "no-text", "nul", "refusal",
                                    "completions", "embeddings", "protocol" */
    int cacheable;               /* may be answered from and kept in the exact cache at all */
    const char *why_uncacheable; /* static word: "background", "conversation", "container" */
    lc_body_controls controls;
    char *forward;               /* the body without our own controls; NULL: forward the caller's bytes */
    size_t forward_size;
} lc_question;

/*
 * Reads a request body. The canonical form sorts object keys, folds white space and escapes, writes a
 * whole number and its float form alike (0 and 0.0), puts strings in NFC, and leaves out the fields above
 * unless asked for. Refusals: LLMCACHE_INVALID with a message naming place or field.
 */
int lc_question_read(lc_protocol protocol, const char *body, size_t size, unsigned key_fields,
                     lc_question *question, llmcache_error *err);
void lc_question_done(lc_question *question);

/*
 * The smallest body that asks `question`; system NULL for none; max_tokens 0 for none (4096 where
 * the protocol wants one). LLMCACHE_INVALID when a text is not UTF-8, LLMCACHE_UNSUPPORTED when the
 * protocol has no place for it.
 */
int lc_body_write(lc_protocol protocol, const char *model, const char *system, const char *question,
                  int64_t max_tokens, lc_buffer *body, llmcache_error *err);

/* Makes a body that lc_body_write wrote ask for a stream, its usage included. */
int lc_body_stream(lc_protocol protocol, lc_buffer *body, llmcache_error *err);

/* The protocol's whole answer that says `text`, for llmcache_put and the demo provider. */
int lc_answer_write(lc_protocol protocol, const char *model, const char *text, const char *id,
                    int64_t created_s, int64_t input_tokens, int64_t output_tokens, lc_buffer *body,
                    llmcache_error *err);

/* ---- Answers ------------------------------------------------------------------------------- */

typedef struct lc_answer_facts {
    char *text;  /* what a person reads; "" when there is none */
    char *model; /* as the answer names it */
    int64_t input_tokens, output_tokens;
    int64_t cached_tokens; /* of the input, read from the service's own prompt cache */
    int has_usage;
    int keep;             /* whole and finished by itself: worth keeping */
    const char *why_not;  /* static word when not: "length", "content_filter", "refusal", "empty",
                             "unfinished", "unparsable", "error" */
} lc_answer_facts;

/* Judges a whole (non-streaming) 2xx answer. Unparsable is not an error: keep is 0. Fails for memory only. */
int lc_answer_read(lc_protocol protocol, const char *body, size_t size, lc_answer_facts *facts,
                   llmcache_error *err);
void lc_answer_facts_done(lc_answer_facts *facts);

/* ---- Streams ------------------------------------------------------------------------------- */

/*
 * Puts a stream of server-sent events together into the whole answer, by merging deltas generically, so
 * that fields nobody has heard of survive. Feed any split of bytes.
 */
typedef struct lc_assembler lc_assembler;

lc_assembler *lc_assembler_new(lc_protocol protocol, size_t max_bytes); /* NULL: no memory */
void lc_assembler_free(lc_assembler *assembler);
/* 0 also for what is not understood (remembered); LLMCACHE_MEMORY; LLMCACHE_TOO_LARGE past max_bytes. */
int lc_assembler_feed(lc_assembler *assembler, const char *bytes, size_t size);
/* From here on, feeding also appends to `said` what a person reads of the answer (its first choice). */
void lc_assembler_listen(lc_assembler *assembler, lc_buffer *said);
/* 1 once the protocol's own end was seen ([DONE], message_stop, response.completed). */
int lc_assembler_ended(const lc_assembler *assembler);
/*
 * The whole answer; LLMCACHE_INVALID with the reason when the stream did not end by itself, carried an
 * error or could not be merged: then nothing may be kept.
 */
int lc_assembler_finish(lc_assembler *assembler, lc_buffer *body, llmcache_error *err);

/* 1 when a stream of messages counted only the output in its message_delta, as some services do. */
int lc_assembler_brief(const lc_assembler *assembler);

/*
 * Replays a whole answer as the protocol's full event sequence: role first, finish reason, usage when
 * include_usage, [DONE]; message_start ... message_stop; response.* with sequence numbers.
 * LLMCACHE_UNSUPPORTED when usage is asked for and the answer has none. Streams of messages always say it:
 * there include_usage makes message_delta say all counts, not the output's alone.
 */
int lc_replay(lc_protocol protocol, const char *body, size_t size, int include_usage,
              lc_buffer *events, llmcache_error *err);

/* The same with texts in deltas of about piece_bytes (0: each in one), for replays at a pace. */
int lc_replay_pieces(lc_protocol protocol, const char *body, size_t size, int include_usage,
                     size_t piece_bytes, lc_buffer *events, llmcache_error *err);

/* ---- Errors -------------------------------------------------------------------------------- */

/* An error body in the protocol's own shape. `type` and `code` may be NULL. */
int lc_error_write(lc_protocol protocol, int anthropic, int status, const char *type,
                   const char *code, const char *message, lc_buffer *body);

#endif
