/* lib/provider/demo: what it reads, what it says, in both protocols, whole and streaming. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "provider/demo_reply.h"
#include "provider/provider.h"
#include "support.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct heard {
    int status, begins, writes, stop_after; /* 0: never */
    int64_t body_size;
    char type[64], id[64];
    lc_buffer body;
} heard;

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    heard *h = user;
    h->status = status;
    h->begins++;
    h->body_size = body_size;
    for (size_t i = 0; i < count; i++)
        if (strcmp(headers[i].name, "Content-Type") == 0)
            strcpy(h->type, headers[i].value);
        else
            strcpy(h->id, headers[i].value);
    return 0;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    heard *h = user;
    lc_buffer_add(&h->body, bytes, size);
    return ++h->writes == h->stop_after;
}

static int ask(int64_t latency_ms, int64_t total_ms, const char *target, const char *body, heard *h)
{
    lc_provider demo;
    llmcache_error err;
    cr_assert_eq(lc_provider_open_demo(latency_ms, &demo, &err), 0);
    lc_buffer_init(&h->body, 0);
    const llmcache_request request = {.struct_size = sizeof request, .method = "POST",
                                      .target = target, .body = body, .body_size = strlen(body)};
    const llmcache_limits limits = {.total_ms = total_ms};
    const llmcache_sink sink = {h, on_begin, on_write};
    int rc = demo.ops.call(demo.self, &request, &limits, &sink, &err);
    lc_provider_close(&demo);
    return rc;
}

static const char *const chat = "/v1/chat/completions";
static const char *const messages = "/v1/messages?beta=true";

/* The text of a whole reply, alive until the test ends. */
static const char *text_of(int is_messages, const heard *h)
{
    lc_json *root;
    llmcache_error err;
    cr_assert_eq(lc_json_parse(h->body.data, h->body.size, &root, &err), 0, "%s", h->body.data);
    const lc_json *text =
        is_messages
            ? lc_json_get(lc_json_at(lc_json_get(root, "content"), 0), "text")
            : lc_json_get(lc_json_get(lc_json_at(lc_json_get(root, "choices"), 0), "message"),
                          "content");
    cr_assert_not_null(lc_json_text(text, NULL), "%s", h->body.data);
    const char *kept = test_format("%s", lc_json_text(text, NULL));
    lc_json_free(root);
    return kept;
}

Test(demo, says_that_it_is_a_demo_in_the_language_of_the_question)
{
    const struct {
        const char *target, *body, *says;
    } cases[] = {
        {chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"What is a cache?\"}]}",
         "demo provider"},
        {chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"什麼是快取？\"}]}", "示範"},
        {messages, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
                   "[{\"type\":\"text\",\"text\":\"什麼是快取？\"}]}]}", "示範"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        heard h = {0};
        cr_assert_eq(ask(0, 0, cases[i].target, cases[i].body, &h), 0);
        cr_assert_eq(h.status, 200);
        cr_assert_eq(h.body_size, (int64_t)h.body.size);
        cr_assert_eq(h.writes, 1);
        cr_assert_str_eq(h.type, "application/json");
        cr_assert(h.id[0] != '\0');
        cr_assert_not_null(strstr(text_of(cases[i].target == messages, &h), cases[i].says));
        lc_buffer_done(&h.body);
    }
}

Test(demo, the_same_question_gets_the_same_text_and_another_another)
{
    const char *const bodies[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"one\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"two\"}]}"};
    const char *texts[3];
    for (int i = 0; i < 3; i++) {
        heard h = {0};
        cr_assert_eq(ask(0, 0, chat, bodies[i], &h), 0);
        texts[i] = text_of(0, &h);
        lc_buffer_done(&h.body);
    }
    cr_assert_str_eq(texts[0], texts[1]);
    cr_assert_str_neq(texts[0], texts[2]);
    cr_assert_null(strstr(texts[2], "two"));
}

/* Puts the pieces of all events together by a path of two names in each event's data. */
static const char *text_of_stream(const char *events, int is_messages)
{
    const char *all = "";
    for (const char *at = events; (at = strstr(at, "data: ")); at += 6) {
        const char *line = at + 6;
        lc_json *root;
        llmcache_error err;
        if (strncmp(line, "[DONE]", 6) == 0)
            break;
        cr_assert_eq(lc_json_parse(line, strcspn(line, "\n"), &root, &err), 0, "%s", line);
        const lc_json *delta =
            is_messages ? lc_json_get(root, "delta")
                        : lc_json_get(lc_json_at(lc_json_get(root, "choices"), 0), "delta");
        const char *text = lc_json_text(lc_json_get(delta, is_messages ? "text" : "content"), NULL);
        all = test_format("%s%s", all, text ? text : "");
        lc_json_free(root);
    }
    return all;
}

Test(demo, streams_the_same_text_in_pieces)
{
    const char *const targets[] = {chat, messages};
    for (int i = 0; i < 2; i++) {
        heard whole = {0}, stream = {0};
        cr_assert_eq(ask(0, 0, targets[i], "{\"messages\":[{\"role\":\"user\",\"content\":\"快取\"}]}",
                         &whole), 0);
        cr_assert_eq(ask(40, 0, targets[i], "{\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                                            "\"messages\":[{\"role\":\"user\",\"content\":\"快取\"}]}",
                         &stream), 0);
        cr_assert_eq(stream.body_size, -1);
        cr_assert(stream.writes >= 4);
        cr_assert_str_eq(text_of_stream(stream.body.data, i), text_of(i, &whole));
        const char *end = i ? "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
                            : "data: [DONE]\n\n";
        cr_assert(stream.body.size > strlen(end) &&
                  strcmp(stream.body.data + stream.body.size - strlen(end), end) == 0);
        cr_assert_not_null(strstr(stream.body.data, "\"usage\""));
        lc_buffer_done(&whole.body);
        lc_buffer_done(&stream.body);
    }
}

Test(demo, usage_is_streamed_only_when_asked_for)
{
    heard h = {0};
    cr_assert_eq(ask(0, 0, chat, "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", &h), 0);
    cr_assert_null(strstr(h.body.data, "\"usage\""));
    lc_buffer_done(&h.body);
}

Test(demo, refuses_in_the_protocols_shape)
{
    const struct {
        const char *target, *body;
        int status;
        const char *says;
    } cases[] = {{chat, "{", 400, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"not JSON"},
                 {chat, "{\"messages\":[]}", 400, "'messages'"},
                 {messages, "[]", 400, "{\"type\":\"error\",\"error\":{\"type\":"},
                 {"/v1/embeddings", "{}", 404, "chat completions and messages only"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        heard h = {0};
        lc_json *root;
        llmcache_error err;
        cr_assert_eq(ask(0, 0, cases[i].target, cases[i].body, &h), 0);
        cr_expect_eq(h.status, cases[i].status);
        cr_expect_not_null(strstr(h.body.data, cases[i].says), "%s", h.body.data);
        cr_assert_eq(lc_json_parse(h.body.data, h.body.size, &root, &err), 0);
        lc_json_free(root);
        lc_buffer_done(&h.body);
    }
}

Test(demo, takes_its_time_and_keeps_to_the_limit)
{
    const char *body = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    heard slow = {0}, late = {0};
    int64_t start_ms = test_now_ms();
    cr_assert_eq(ask(60, 0, chat, body, &slow), 0);
    cr_assert(test_now_ms() - start_ms >= 60);
    start_ms = test_now_ms();
    cr_assert_eq(ask(60000, 50, chat, body, &late), LLMCACHE_TIMEOUT);
    cr_assert(test_now_ms() - start_ms < 2000);
    cr_assert_eq(late.begins, 0);
    lc_buffer_done(&slow.body);
}

Test(demo, stops_when_the_receiver_does)
{
    heard h = {.stop_after = 2};
    cr_assert_eq(ask(0, 0, chat, "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", &h),
                 LLMCACHE_ABORTED);
    cr_assert_eq(h.writes, 2);
    lc_buffer_done(&h.body);
}

Test(demo, every_failing_allocation_is_an_error_and_nothing_else)
{
    int fired = 1;
    for (uint64_t n = 1; fired; n++) {
        heard h = {0};
        lc_provider demo = {0};
        llmcache_error err;
        char room[8192];
        const char *body = "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
        const llmcache_request request = {.struct_size = sizeof request, .method = "POST", .target = chat,
                                          .body = body, .body_size = strlen(body)};
        const llmcache_limits limits = {0};
        const llmcache_sink sink = {&h, on_begin, on_write};
        h.body = (lc_buffer){.data = room, .room = sizeof room, .max = sizeof room - 1};
        lc_memory_fail_at(n);
        int rc = lc_provider_open_demo(0, &demo, &err);
        if (!rc)
            rc = demo.ops.call(demo.self, &request, &limits, &sink, &err);
        fired = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(rc, fired ? LLMCACHE_MEMORY : 0, "allocation %d", (int)n);
        lc_provider_close(&demo);
        cr_assert(n < 100);
    }
}

Test(demo, cuts_between_characters)
{
    const char *text = "快取abc";
    size_t last = 0;
    for (int i = 0; i < 8; i++) {
        size_t end = lc_demo_cut(text, i, 8);
        cr_assert(end >= last);
        cr_assert(((unsigned char)text[end] & 0xc0) != 0x80);
        last = end;
    }
    cr_assert_eq(last, strlen(text));
}
