/*
 * The mock model's rooms. A request is read (mock_connection), looked up in the rules
 * (mock_control), answered by one of the makers (mock_chat, mock_responses,
 * mock_messages, mock_vectors) into a reply that is whole in memory, and sent with
 * whatever misbehaviour its rule asks for (mock_connection).
 *
 * It shares no code with the library, so that a mistake there cannot hide behind the same
 * one here.
 */
#ifndef MOCK_H
#define MOCK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Bytes
 * -------------------------------------------------------------------------------------
 */

typedef struct mock_bytes {
    char *data; /* NUL-terminated once anything was added */
    size_t size, room;
} mock_bytes;

void mock_add(mock_bytes *bytes, const void *data,
              size_t size); /* exits when memory runs out */
void mock_print(mock_bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void mock_bytes_done(mock_bytes *bytes);

/* ---- A call and its reply
 * ---------------------------------------------------------------------- */

typedef struct mock_call {
    const char *method;
    const char *target;  /* path with its query */
    const char *path;    /* without */
    const char *headers; /* "name: value\r\n..." as received */
    const char *body;    /* decoded from chunks and gzip */
    size_t body_size;
    json_t *json;    /* of the body; NULL when it is none */
    json_t *rule;    /* how to behave, NULL: well */
    uint64_t number; /* 1, 2, ... over all calls but control */
    uint64_t connection;
} mock_call;

typedef struct mock_reply {
    int status;
    const char *type;   /* content type */
    int stream;         /* chunked, in the pieces below */
    mock_bytes headers; /* more of them, lines with CR LF */
    mock_bytes body;
    size_t *ends; /* of each piece of the body; one write or one event each */
    size_t pieces, room;
    int events; /* so far, for id: lines */
    const mock_call *call;
} mock_reply;

/* The value of a request header, copied into `value` ("" and 0 when absent). */
int mock_header(const mock_call *call, const char *name, char *value, size_t size);

/* What the rule says, or the default. */
long mock_rule_int(const mock_call *call, const char *name, long standard);
const char *mock_rule_text(const mock_call *call,
                           const char *name); /* NULL: nothing said */
int mock_rule_true(const mock_call *call, const char *name);

/* Ends a piece of a stream where the body ends now. */
void mock_piece(mock_reply *reply);
/* Takes the object; name NULL: an event with data only. */
void mock_event(mock_reply *reply, const char *name, json_t *take);
void mock_event_text(mock_reply *reply, const char *name, const char *data, size_t size);
/* A whole JSON reply. Takes the object. */
void mock_whole(mock_reply *reply, int status, json_t *take);

/* An error in the shape of the path's protocol. param and code may be NULL. */
void mock_refuse(mock_reply *reply, int status, const char *type, const char *param,
                 const char *code, const char *message);
int mock_is_anthropic(const mock_call *call);

/* ---- Makers
 * ------------------------------------------------------------------------------------ */

void mock_chat(const mock_call *call, mock_reply *reply);
void mock_completions(const mock_call *call, mock_reply *reply);
void mock_responses(const mock_call *call, mock_reply *reply);
void mock_messages(const mock_call *call, mock_reply *reply);
void mock_count_tokens(const mock_call *call, mock_reply *reply);
void mock_embeddings(const mock_call *call, mock_reply *reply);
void mock_models(const mock_call *call, mock_reply *reply);
void mock_echo(const mock_call *call, mock_reply *reply);

/* ---- Text (mock_text.c)
 * ------------------------------------------------------------------------ */

/* Bytes of the next token of `text`: a word with its blanks before it, or one character
 * that is not ASCII; more where the rule says chunk_chars or the text is huge. 0 at the
 * end. */
size_t mock_token(const mock_call *call, const char *text, size_t size);
long mock_count(const mock_call *call, const char *text);

/* The last text of the user in messages (any protocol) or `input`; "" when there is none.
 */
const char *mock_user_text(const mock_call *call);

/*
 * The answer to the request: names the last user text and ends in a digest of all that
 * shapes the answer, so that a wrong answer shows. Cut at `stop` strings and at the
 * tokens allowed; *finish becomes "stop", "length" or "sequence" (then *sequence is the
 * one found, borrowed from the request). Free it.
 */
char *mock_answer(const mock_call *call, const char **finish, const char **sequence);

/* Something that fits a JSON schema. `root` is where its $refs point into; may be NULL
 * for any. */
json_t *mock_instance(json_t *schema, json_t *root, const char *text, int depth);

/* The number of tokens of all that was sent, roughly. */
long mock_input_tokens(const mock_call *call);

/* The request's `tools` are to be used: a tool is asked for and none has answered. */
int mock_wants_tool(const mock_call *call);

const char *mock_text_of(json_t *object, const char *name, const char *standard);

/* ---- Control (mock_control.c)
 * ------------------------------------------------------------------ */

typedef struct mock_seen mock_seen; /* a call in the log */

/* Finds the rule of the call (its reference is the caller's) and writes the call into the
 * log. */
mock_seen *mock_note(mock_call *call);
/* The call is over: the status sent, and whether the client had left. */
void mock_note_end(mock_seen *seen, int status, int gone);
/* Has /_mock/release been called since the call came? */
int mock_is_released(const mock_call *call);
/* /_mock/...: 1 when it was such a call. */
int mock_control(const mock_call *call, mock_reply *reply);
/* The fixed pair with this text second: its other text and their cosine; 0 when there is
 * none. */
int mock_pair(const char *text, char **other, double *cosine);
extern int mock_check_keys; /* 0 with --no-auth */
extern int mock_keep_log;   /* 0 with --no-log */

/* ---- Connections (mock_connection.c)
 * ----------------------------------------------------------- */

/* Serves one connection until it ends; closes fd. */
void mock_serve(int fd, uint64_t number);
/* Answers one call: routing and what real services check first. */
void mock_dispatch(mock_call *call, mock_reply *reply);

#endif
