/* Writing the small bodies: a question, an answer that says one text, an error. */
#include "protocol/protocol.h"

#include "base/error.h"
#include "base/utf8.h"
#include "protocol/json_tree.h"

#include <inttypes.h>
#include <string.h>

/* Anthropic wants a limit in every request; this is what is asked for when the caller has
 * none. */
enum { DEFAULT_MAX_TOKENS = 4096 };

static int check_text(const char *what, const char *text, llmcache_error *err)
{
    if (text && !lc_utf8_valid(text, strlen(text)))
        return lc_fail(err, LLMCACHE_INVALID, "%s: not UTF-8", what);
    return 0;
}

static int give(lc_buffer *body, llmcache_error *err)
{
    return body->broken ? lc_fail(err, body->broken, "%s", lc_code_text(body->broken))
                        : 0;
}

static void put_text(lc_buffer *out, const char *before, const char *text)
{
    lc_buffer_text(out, before);
    lc_tree_write_string(text, strlen(text), out);
}

/* ---- Questions ------------------------------------------------------------------- */

static void put_messages(lc_buffer *body, const char *system, const char *question)
{
    lc_buffer_text(body, ",\"messages\":[");
    if (system) {
        put_text(body, "{\"role\":\"system\",\"content\":", system);
        lc_buffer_text(body, "},");
    }
    put_text(body, "{\"role\":\"user\",\"content\":", question);
    lc_buffer_text(body, "}]");
}

int lc_body_write(lc_protocol protocol, const char *model, const char *system,
                  const char *question, int64_t max_tokens, lc_buffer *body,
                  llmcache_error *err)
{
    const char *limit = "max_tokens";
    if (check_text("model", model, err) || check_text("system", system, err) ||
        check_text("question", question, err))
        return LLMCACHE_INVALID;
    if (system &&
        (protocol == LC_PROTOCOL_COMPLETIONS || protocol == LC_PROTOCOL_EMBEDDINGS))
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "system: %s has no place for it",
                       lc_protocol_name(protocol));
    put_text(body, "{\"model\":", model);
    switch (protocol) {
    case LC_PROTOCOL_CHAT:
        put_messages(body, system, question);
        break;
    case LC_PROTOCOL_MESSAGES:
        if (system)
            put_text(body, ",\"system\":", system);
        put_messages(body, NULL, question);
        max_tokens = max_tokens ? max_tokens : DEFAULT_MAX_TOKENS;
        break;
    case LC_PROTOCOL_RESPONSES:
        if (system)
            put_text(body, ",\"instructions\":", system);
        put_text(body, ",\"input\":", question);
        limit = "max_output_tokens";
        break;
    case LC_PROTOCOL_COMPLETIONS:
        put_text(body, ",\"prompt\":", question);
        break;
    case LC_PROTOCOL_EMBEDDINGS:
        put_text(body, ",\"input\":", question);
        max_tokens = 0;
        break;
    default:
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "no protocol to ask in");
    }
    if (max_tokens)
        lc_buffer_format(body, ",\"%s\":%" PRId64, limit, max_tokens);
    lc_buffer_byte(body, '}');
    return give(body, err);
}

int lc_body_stream(lc_protocol protocol, lc_buffer *body, llmcache_error *err)
{
    int tells = protocol == LC_PROTOCOL_MESSAGES || protocol == LC_PROTOCOL_RESPONSES;
    if (!body->size)
        return lc_fail(err, LLMCACHE_INVALID, "there is no body");
    body->size--; /* the brace at its end */
    lc_buffer_text(body, tells ? ",\"stream\":true}"
                               : ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    return give(body, err);
}

/* ---- Answers --------------------------------------------------------------------- */

typedef struct answer {
    const char *model, *text, *id;
    int64_t created_s, input_tokens, output_tokens;
} answer;

static void put_head(lc_buffer *body, const answer *a, const char *object,
                     const char *created)
{
    put_text(body, "{\"id\":", a->id);
    lc_buffer_format(body, ",\"object\":\"%s\",\"%s\":%" PRId64, object, created,
                     a->created_s);
    put_text(body, ",\"model\":", a->model);
}

static void put_openai_usage(lc_buffer *body, const answer *a)
{
    lc_buffer_format(body,
                     ",\"usage\":{\"prompt_tokens\":%" PRId64
                     ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}}",
                     a->input_tokens, a->output_tokens,
                     a->input_tokens + a->output_tokens);
}

static void put_chat(lc_buffer *body, const answer *a)
{
    put_head(body, a, "chat.completion", "created");
    put_text(
        body,
        ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
        a->text);
    lc_buffer_text(body, ",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                         "\"finish_reason\":\"stop\"}]");
    put_openai_usage(body, a);
}

static void put_completion(lc_buffer *body, const answer *a)
{
    put_head(body, a, "text_completion", "created");
    put_text(body, ",\"choices\":[{\"index\":0,\"text\":", a->text);
    lc_buffer_text(body, ",\"logprobs\":null,\"finish_reason\":\"stop\"}]");
    put_openai_usage(body, a);
}

static void put_message(lc_buffer *body, const answer *a)
{
    put_text(body, "{\"id\":", a->id);
    put_text(body, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":", a->model);
    put_text(body, ",\"content\":[{\"type\":\"text\",\"text\":", a->text);
    lc_buffer_format(body,
                     "}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                     "\"usage\":{\"input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64
                     "}}",
                     a->input_tokens, a->output_tokens);
}

static void put_response(lc_buffer *body, const answer *a)
{
    put_head(body, a, "response", "created_at");
    put_text(body,
             ",\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,"
             "\"instructions\":null,\"output\":[{\"type\":\"message\",\"id\":",
             a->id);
    put_text(body,
             ",\"status\":\"completed\",\"role\":\"assistant\",\"content\":"
             "[{\"type\":\"output_text\",\"text\":",
             a->text);
    lc_buffer_format(
        body,
        ",\"annotations\":[]}]}],\"parallel_tool_calls\":true,"
        "\"tool_choice\":\"auto\",\"tools\":[],\"metadata\":{},"
        "\"usage\":{\"input_tokens\":%" PRId64
        ",\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":%" PRId64
        ",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%" PRId64
        "}}",
        a->input_tokens, a->output_tokens, a->input_tokens + a->output_tokens);
}

int lc_answer_write(lc_protocol protocol, const char *model, const char *text,
                    const char *id, int64_t created_s, int64_t input_tokens,
                    int64_t output_tokens, lc_buffer *body, llmcache_error *err)
{
    const answer a = {.model = model,
                      .text = text,
                      .id = id,
                      .created_s = created_s,
                      .input_tokens = input_tokens,
                      .output_tokens = output_tokens};
    if (check_text("model", model, err) || check_text("answer", text, err) ||
        check_text("id", id, err))
        return LLMCACHE_INVALID;
    switch (protocol) {
    case LC_PROTOCOL_CHAT:
        put_chat(body, &a);
        break;
    case LC_PROTOCOL_COMPLETIONS:
        put_completion(body, &a);
        break;
    case LC_PROTOCOL_RESPONSES:
        put_response(body, &a);
        break;
    case LC_PROTOCOL_MESSAGES:
        put_message(body, &a);
        break;
    default:
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "%s: no answer in words",
                       lc_protocol_name(protocol));
    }
    return give(body, err);
}

/* ---- Errors ---------------------------------------------------------------------- */

static const struct error_type {
    int status;
    const char *openai, *anthropic;
} error_types[] = {
    {400, "invalid_request_error", "invalid_request_error"},
    {401, "invalid_request_error", "authentication_error"},
    {403, "invalid_request_error", "permission_error"},
    {404, "invalid_request_error", "not_found_error"},
    {413, "invalid_request_error", "request_too_large"},
    {422, "invalid_request_error", "invalid_request_error"},
    {429, "rate_limit_error", "rate_limit_error"},
    {504, "timeout_error", "timeout_error"},
    {529, "server_error", "overloaded_error"},
};

static const char *type_for(int status, int anthropic)
{
    for (size_t i = 0; i < sizeof error_types / sizeof *error_types; i++)
        if (error_types[i].status == status)
            return anthropic ? error_types[i].anthropic : error_types[i].openai;
    if (status < 500)
        return "invalid_request_error";
    return anthropic ? "api_error" : "server_error";
}

int lc_error_write(lc_protocol protocol, int anthropic, int status, const char *type,
                   const char *code, const char *message, lc_buffer *body)
{
    anthropic =
        protocol == LC_PROTOCOL_MESSAGES || (protocol == LC_PROTOCOL_NONE && anthropic);
    if (!type)
        type = type_for(status, anthropic);
    if (anthropic) {
        lc_buffer_text(body, "{\"type\":\"error\",\"error\":{\"type\":");
        lc_buffer_json_text(body, type);
        lc_buffer_text(body, ",\"message\":");
        lc_buffer_json_text(body, message);
        return lc_buffer_text(body, "}}");
    }
    lc_buffer_text(body, "{\"error\":{\"message\":");
    lc_buffer_json_text(body, message);
    lc_buffer_text(body, ",\"type\":");
    lc_buffer_json_text(body, type);
    lc_buffer_text(body, ",\"param\":null,\"code\":");
    lc_buffer_json_text(body, code);
    return lc_buffer_text(body, "}}");
}
