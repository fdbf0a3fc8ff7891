/*
 * The demo provider's words. The text carries the first digits of the question's SHA-256, so that one can
 * see which questions were taken for the same; nothing of the question itself comes back.
 */
#include "provider/demo_reply.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

/* ---- The question ------------------------------------------------------------------------------- */

static int add_text(const lc_json *value, lc_buffer *text)
{
    size_t size;
    const char *bytes = lc_json_text(value, &size);
    return bytes ? lc_buffer_add(text, bytes, size) : 0;
}

/* The text of the last message of the user: a string, or parts of which some are text. */
static int find_text(const lc_json *messages, lc_buffer *text)
{
    const lc_json *content = NULL;
    for (size_t i = lc_json_count(messages); i-- > 0 && !content;) {
        const lc_json *message = lc_json_at(messages, i);
        const char *role = lc_json_text(lc_json_get(message, "role"), NULL);
        if (role && strcmp(role, "user") == 0)
            content = lc_json_get(message, "content");
    }
    add_text(content, text);
    for (size_t i = 0; i < lc_json_count(content); i++)
        add_text(lc_json_get(lc_json_at(content, i), "text"), text);
    return text->broken;
}

int lc_demo_read(int messages, const char *body, size_t size, lc_demo_question *question,
                 llmcache_error *err)
{
    lc_json *root;
    int rc = lc_json_parse(body, size, &root, err);
    if (rc)
        return rc;
    const lc_json *list = lc_json_get(root, "messages");
    const char *model = lc_json_text(lc_json_get(root, "model"), NULL);
    lc_demo_question q = {.messages = messages};
    lc_buffer text;
    lc_buffer_init(&text, 0);
    if (lc_json_count(list) == 0) {
        rc = lc_fail(err, LLMCACHE_INVALID, "'messages' must be a list with at least one message");
        goto out;
    }
    find_text(list, &text);
    q.stream = lc_json_is_true(lc_json_get(root, "stream"));
    q.include_usage =
        lc_json_is_true(lc_json_get(lc_json_get(root, "stream_options"), "include_usage"));
    q.model = lc_strdup(model ? model : "demo");
    q.text = lc_buffer_take(&text, &q.text_size);
    if (!q.model || !q.text) {
        lc_demo_question_done(&q);
        rc = lc_fail_memory(err);
        goto out;
    }
    *question = q;
out:
    lc_buffer_done(&text);
    lc_json_free(root);
    return rc;
}

void lc_demo_question_done(lc_demo_question *question)
{
    lc_free(question->model);
    lc_free(question->text);
    *question = (lc_demo_question){0};
}

/* ---- The answer --------------------------------------------------------------------------------- */

/* Han characters of the CJK blocks of the first two planes. */
static int is_han(uint32_t cp)
{
    return (cp >= 0x3400 && cp <= 0x9fff) || (cp >= 0xf900 && cp <= 0xfaff) ||
           (cp >= 0x20000 && cp <= 0x3ffff);
}

/* A guess at tokens: one for each Han character, one for four bytes of the rest. */
static int64_t count_tokens(const char *text, size_t size, int64_t *han)
{
    int64_t rest = 0;
    *han = 0;
    for (size_t at = 0; at < size;) {
        size_t length;
        if (is_han(lc_utf8_decode(text + at, size - at, &length)))
            ++*han;
        else
            rest += (int64_t)length;
        at += length;
    }
    return *han + (rest + 3) / 4;
}

void lc_demo_answer(const lc_demo_question *question, int64_t now_ms, lc_demo_reply *reply)
{
    static const char english[] =
        "This is the demo provider of llmcache. No model was asked: this text was made offline, "
        "and it is the same whenever the same question comes (demo answer %s). Ask again and it "
        "comes from the cache, without the wait. For real answers set OPENAI_API_KEY or "
        "ANTHROPIC_API_KEY.";
    static const char chinese[] =
        "這是 llmcache 的示範服務（demo）。沒有詢問任何模型：這段文字是離線產生的，同一個問題永遠得到同一段文字"
        "（示範回答 %s）。再問一次，答案就會直接來自快取，不必等待。要得到真正的回答，請設定 "
        "OPENAI_API_KEY 或 ANTHROPIC_API_KEY。";
    unsigned char digest[LC_SHA256_SIZE];
    char mark[9];
    int64_t han;
    lc_sha256_once(question->text, question->text_size, digest);
    lc_hex(digest, 4, mark);
    *reply = (lc_demo_reply){.question = question, .created_s = now_ms / 1000};
    reply->input_tokens = count_tokens(question->text, question->text_size, &han);
    if (han > 0)
        snprintf(reply->text, sizeof reply->text, chinese, mark);
    else
        snprintf(reply->text, sizeof reply->text, english, mark);
    reply->output_tokens = count_tokens(reply->text, strlen(reply->text), &han);
    snprintf(reply->id, sizeof reply->id, "%s-demo-%s", question->messages ? "msg" : "chatcmpl",
             mark);
}

size_t lc_demo_cut(const char *text, int nth, int count)
{
    size_t size = strlen(text);
    if (nth + 1 >= count)
        return size;
    size_t end = size * (size_t)(nth + 1) / (size_t)count;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    return end;
}

/* ---- Chat --------------------------------------------------------------------------------------- */

static void chat_head(const lc_demo_reply *reply, const char *object, lc_buffer *out)
{
    lc_buffer_format(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", reply->id,
                     object, (long long)reply->created_s);
    lc_buffer_json_text(out, reply->question->model);
}

static void chat_usage(const lc_demo_reply *reply, lc_buffer *out)
{
    lc_buffer_format(
        out, "\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld}",
        (long long)reply->input_tokens, (long long)reply->output_tokens,
        (long long)(reply->input_tokens + reply->output_tokens));
}

/* One chunk with one choice; text NULL for none, finish NULL while the text goes on. */
static void chat_chunk(const lc_demo_reply *reply, const char *role, const char *text, size_t size,
                       const char *finish, lc_buffer *out)
{
    lc_buffer_text(out, "data: ");
    chat_head(reply, "chat.completion.chunk", out);
    lc_buffer_text(out, ",\"choices\":[{\"index\":0,\"delta\":{");
    if (role)
        lc_buffer_format(out, "\"role\":\"%s\",", role);
    if (text) {
        lc_buffer_text(out, "\"content\":");
        lc_buffer_json(out, text, size);
    }
    lc_buffer_format(out, "},\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
                     finish ? finish : "null");
}

static void chat_whole(const lc_demo_reply *reply, lc_buffer *out)
{
    chat_head(reply, "chat.completion", out);
    lc_buffer_text(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    lc_buffer_json_text(out, reply->text);
    lc_buffer_text(out, "},\"logprobs\":null,\"finish_reason\":\"stop\"}],");
    chat_usage(reply, out);
    lc_buffer_byte(out, '}');
}

static void chat_end(const lc_demo_reply *reply, lc_buffer *out)
{
    chat_chunk(reply, NULL, NULL, 0, "\"stop\"", out);
    if (reply->question->include_usage) {
        lc_buffer_text(out, "data: ");
        chat_head(reply, "chat.completion.chunk", out);
        lc_buffer_text(out, ",\"choices\":[],");
        chat_usage(reply, out);
        lc_buffer_text(out, "}\n\n");
    }
    lc_buffer_text(out, "data: [DONE]\n\n");
}

/* ---- Messages ----------------------------------------------------------------------------------- */

/* The message without its last brace; `text` NULL for one that is only beginning. */
static void message(const lc_demo_reply *reply, const char *text, lc_buffer *out)
{
    lc_buffer_format(out, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
                     reply->id);
    lc_buffer_json_text(out, reply->question->model);
    lc_buffer_text(out, ",\"content\":[");
    if (text) {
        lc_buffer_text(out, "{\"type\":\"text\",\"text\":");
        lc_buffer_json_text(out, text);
        lc_buffer_byte(out, '}');
    }
    lc_buffer_format(out,
                     "],\"stop_reason\":%s,\"stop_sequence\":null,"
                     "\"usage\":{\"input_tokens\":%lld,\"output_tokens\":%lld}}",
                     text ? "\"end_turn\"" : "null", (long long)reply->input_tokens,
                     (long long)(text ? reply->output_tokens : 1));
}

static void messages_start(const lc_demo_reply *reply, lc_buffer *out)
{
    lc_buffer_text(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    message(reply, NULL, out);
    lc_buffer_text(out, "}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\","
                        "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static void messages_piece(const char *piece, size_t size, lc_buffer *out)
{
    lc_buffer_text(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":");
    lc_buffer_json(out, piece, size);
    lc_buffer_text(out, "}}\n\n");
}

static void messages_end(const lc_demo_reply *reply, lc_buffer *out)
{
    lc_buffer_format(out,
                     "event: content_block_stop\n"
                     "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                     "event: message_delta\n"
                     "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                     "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%lld}}\n\n"
                     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                     (long long)reply->output_tokens);
}

/* ---- Either ------------------------------------------------------------------------------------- */

int lc_demo_write_whole(const lc_demo_reply *reply, lc_buffer *body)
{
    if (reply->question->messages)
        message(reply, reply->text, body);
    else
        chat_whole(reply, body);
    return body->broken;
}

int lc_demo_write_start(const lc_demo_reply *reply, lc_buffer *events)
{
    if (reply->question->messages)
        messages_start(reply, events);
    else
        chat_chunk(reply, "assistant", "", 0, NULL, events);
    return events->broken;
}

int lc_demo_write_piece(const lc_demo_reply *reply, const char *piece, size_t size,
                        lc_buffer *events)
{
    if (reply->question->messages)
        messages_piece(piece, size, events);
    else
        chat_chunk(reply, NULL, piece, size, NULL, events);
    return events->broken;
}

int lc_demo_write_end(const lc_demo_reply *reply, lc_buffer *events)
{
    if (reply->question->messages)
        messages_end(reply, events);
    else
        chat_end(reply, events);
    return events->broken;
}

int lc_demo_write_error(int messages, const char *type, const char *text, lc_buffer *body)
{
    lc_buffer_text(body, messages ? "{\"type\":\"error\",\"error\":{\"type\":" : "{\"error\":{\"type\":");
    lc_buffer_json_text(body, type);
    lc_buffer_text(body, ",\"message\":");
    lc_buffer_json_text(body, text);
    return lc_buffer_text(body, messages ? "}}" : ",\"param\":null,\"code\":null}}");
}
