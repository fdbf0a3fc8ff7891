/* Judging answers: what is worth keeping, what it says, what it cost; and the tables of
 * protocols. */
#include "base/memory.h"
#include "protocol/protocol.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define CHOICE(message, reason) \
    "{\"index\":0,\"message\":" message ",\"finish_reason\":" reason "}"
#define CHAT(choices) "{\"id\":\"c\",\"model\":\"m-1\",\"choices\":[" choices "]}"
#define TEXT(text)    "{\"role\":\"assistant\",\"content\":" text "}"
#define MESSAGE(content, reason)                                    \
    "{\"type\":\"message\",\"model\":\"m-1\",\"content\":[" content \
    "],\"stop_reason\":" reason "}"
#define RESPONSE(output, status)                                                    \
    "{\"object\":\"response\",\"model\":\"m-1\",\"error\":null,\"output\":[" output \
    "]," status "}"
#define OUTPUT(part) "{\"type\":\"message\",\"content\":[" part "]}"

Test(answer_facts, keeps_only_what_ended_by_itself)
{
    static const struct row {
        lc_protocol protocol;
        const char *body;
        const char *why_not; /* NULL: kept */
        const char *text;
    } rows[] = {
        {LC_PROTOCOL_CHAT, CHAT(CHOICE(TEXT("\"yes\""), "\"stop\"")), NULL, "yes"},
        {LC_PROTOCOL_CHAT, CHAT(CHOICE(TEXT("\"yes\""), "\"length\"")), "length", "yes"},
        {LC_PROTOCOL_CHAT, CHAT(CHOICE(TEXT("\"yes\""), "\"content_filter\"")),
         "content_filter", "yes"},
        {LC_PROTOCOL_CHAT, CHAT(CHOICE(TEXT("\"yes\""), "null")), "unfinished", "yes"},
        {LC_PROTOCOL_CHAT, CHAT("{\"message\":" TEXT("\"yes\"") "}"), "unfinished",
         "yes"},
        {LC_PROTOCOL_CHAT, CHAT(CHOICE(TEXT("\"\""), "\"stop\"")), "empty", ""},
        {LC_PROTOCOL_CHAT, CHAT(CHOICE(TEXT("null"), "\"stop\"")), "empty", ""},
        {LC_PROTOCOL_CHAT, CHAT(""), "empty", ""},
        {LC_PROTOCOL_CHAT, "{\"id\":\"x\"}", "empty", ""},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE("{\"content\":null,\"tool_calls\":[{\"id\":\"t\"}]}",
                     "\"tool_calls\"")),
         NULL, ""},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE("{\"content\":null,\"function_call\":{\"name\":\"f\"}}",
                     "\"function_call\"")),
         NULL, ""},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE("{\"content\":null,\"refusal\":\"no\"}", "\"stop\"")), "refusal",
         ""},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE("{\"content\":\"a\",\"refusal\":null}", "\"stop\"")), NULL, "a"},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE(TEXT("\"a\""), "\"stop\"") "," CHOICE(TEXT("\"b\""), "\"stop\"")),
         NULL, "a"},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE(TEXT("\"a\""), "\"stop\"") "," CHOICE(TEXT("\"b\""), "\"length\"")),
         "length", "a"},
        {LC_PROTOCOL_CHAT,
         CHAT(CHOICE(TEXT("[{\"type\":\"text\",\"text\":\"a\"}]"), "\"stop\"")), NULL,
         "a"},
        {LC_PROTOCOL_CHAT, "{\"error\":{\"message\":\"x\"}}", "error", ""},
        {LC_PROTOCOL_CHAT, "not json", "unparsable", ""},
        {LC_PROTOCOL_CHAT, "", "unparsable", ""},
        {LC_PROTOCOL_CHAT, "[]", "unparsable", ""},
        {LC_PROTOCOL_COMPLETIONS, CHAT("{\"text\":\"t\",\"finish_reason\":\"stop\"}"),
         NULL, "t"},
        {LC_PROTOCOL_COMPLETIONS, CHAT("{\"text\":\"\",\"finish_reason\":\"stop\"}"),
         "empty", ""},
        {LC_PROTOCOL_COMPLETIONS, CHAT("{\"text\":\"t\",\"finish_reason\":\"length\"}"),
         "length", "t"},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}",
                 "\"end_turn\""),
         NULL, "ab"},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"tool_use\",\"input\":{}}", "\"tool_use\""), NULL, ""},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"text\",\"text\":\"a\"}", "\"stop_sequence\""), NULL, "a"},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"text\",\"text\":\"a\"}", "\"max_tokens\""), "length", "a"},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"text\",\"text\":\"a\"}", "\"pause_turn\""), "unfinished",
         "a"},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"text\",\"text\":\"a\"}", "\"refusal\""), "refusal", "a"},
        {LC_PROTOCOL_MESSAGES, MESSAGE("{\"type\":\"text\",\"text\":\"a\"}", "null"),
         "unfinished", "a"},
        {LC_PROTOCOL_MESSAGES, MESSAGE("", "\"end_turn\""), "empty", ""},
        {LC_PROTOCOL_MESSAGES,
         MESSAGE("{\"type\":\"thinking\",\"thinking\":\"h\"}", "\"end_turn\""), "empty",
         ""},
        {LC_PROTOCOL_MESSAGES, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}",
         "error", ""},
        {LC_PROTOCOL_MESSAGES, "{\"content\":[]}", "unparsable", ""},
        {LC_PROTOCOL_RESPONSES,
         RESPONSE(OUTPUT("{\"type\":\"output_text\",\"text\":\"a\"}"),
                  "\"status\":\"completed\""),
         NULL, "a"},
        {LC_PROTOCOL_RESPONSES,
         RESPONSE("{\"type\":\"function_call\"}", "\"status\":\"completed\""), NULL, ""},
        {LC_PROTOCOL_RESPONSES,
         RESPONSE("{\"type\":\"reasoning\"}", "\"status\":\"completed\""), "empty", ""},
        {LC_PROTOCOL_RESPONSES,
         RESPONSE(OUTPUT("{\"type\":\"refusal\",\"refusal\":\"no\"}"),
                  "\"status\":\"completed\""),
         "refusal", ""},
        {LC_PROTOCOL_RESPONSES,
         RESPONSE(OUTPUT("{\"type\":\"output_text\",\"text\":\"a\"}"),
                  "\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_"
                  "output_tokens\"}"),
         "length", "a"},
        {LC_PROTOCOL_RESPONSES,
         RESPONSE("", "\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
                      "\"content_filter\"}"),
         "content_filter", ""},
        {LC_PROTOCOL_RESPONSES, RESPONSE("", "\"status\":\"failed\""), "error", ""},
        {LC_PROTOCOL_RESPONSES, RESPONSE("", "\"status\":\"in_progress\""), "unfinished",
         ""},
        {LC_PROTOCOL_RESPONSES, RESPONSE("", "\"status\":\"queued\""), "unfinished", ""},
        {LC_PROTOCOL_EMBEDDINGS, "{\"data\":[{\"embedding\":[0.5]}],\"model\":\"m-1\"}",
         NULL, ""},
        {LC_PROTOCOL_EMBEDDINGS, "{\"data\":[{\"embedding\":\"AAAA\"}]}", NULL, ""},
        {LC_PROTOCOL_EMBEDDINGS, "{\"data\":[{\"embedding\":[]}]}", "empty", ""},
        {LC_PROTOCOL_EMBEDDINGS, "{\"data\":[]}", "empty", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_answer_facts facts;
        cr_assert_eq(lc_answer_read(rows[i].protocol, rows[i].body, strlen(rows[i].body),
                                    &facts, NULL),
                     0);
        cr_expect_eq(facts.keep, rows[i].why_not == NULL, "%s", rows[i].body);
        cr_expect_str_eq(facts.why_not ? facts.why_not : "",
                         rows[i].why_not ? rows[i].why_not : "", "%s", rows[i].body);
        cr_expect_str_eq(facts.text, rows[i].text, "%s", rows[i].body);
        lc_answer_facts_done(&facts);
    }
}

Test(answer_facts, reads_model_and_usage)
{
    static const struct row {
        lc_protocol protocol;
        const char *usage;
        int has;
        int64_t input, output;
    } rows[] = {
        {LC_PROTOCOL_CHAT, "{\"prompt_tokens\":12,\"completion_tokens\":3}", 1, 12, 3},
        {LC_PROTOCOL_CHAT, "null", 0, 0, 0},
        {LC_PROTOCOL_CHAT, "{\"prompt_tokens\":-1,\"completion_tokens\":\"3\"}", 1, 0, 0},
        {LC_PROTOCOL_RESPONSES, "{\"input_tokens\":5,\"output_tokens\":7}", 1, 5, 7},
        {LC_PROTOCOL_MESSAGES,
         "{\"input_tokens\":5,\"cache_creation_input_tokens\":100,\"cache_read_input_"
         "tokens\":20,\"output_tokens\":7}",
         1, 125, 7},
        {LC_PROTOCOL_MESSAGES, "{\"input_tokens\":5,\"cache_read_input_tokens\":null}", 1,
         5, 0},
        {LC_PROTOCOL_MESSAGES,
         "{\"input_tokens\":9223372036854775807,\"cache_read_input_tokens\":"
         "9223372036854775807}",
         1, INT64_C(0), 0},
        {LC_PROTOCOL_EMBEDDINGS, "{\"prompt_tokens\":8,\"total_tokens\":8}", 1, 8, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[512];
        lc_answer_facts facts;
        sprintf(body, "{\"model\":\"m-1\",\"usage\":%s}", rows[i].usage);
        cr_assert_eq(lc_answer_read(rows[i].protocol, body, strlen(body), &facts, NULL),
                     0);
        cr_expect_str_eq(facts.model, "m-1");
        cr_expect_eq(facts.has_usage, rows[i].has, "%s", body);
        cr_expect_eq(facts.input_tokens, rows[i].input, "%s", body);
        cr_expect_eq(facts.output_tokens, rows[i].output, "%s", body);
        lc_answer_facts_done(&facts);
    }
}

Test(answer_facts, what_is_written_is_worth_keeping)
{
    static const lc_protocol protocols[] = {LC_PROTOCOL_CHAT, LC_PROTOCOL_MESSAGES,
                                            LC_PROTOCOL_RESPONSES,
                                            LC_PROTOCOL_COMPLETIONS};
    const char *text = "a \"b\"\n\xe2\x80\xa9 c";
    for (size_t i = 0; i < 4; i++) {
        lc_buffer body;
        lc_answer_facts facts;
        lc_buffer_init(&body, 0);
        cr_assert_eq(lc_answer_write(protocols[i], "m", text, "id-1", 1700000000, 12, 34,
                                     &body, NULL),
                     0);
        cr_assert_eq(lc_answer_read(protocols[i], body.data, body.size, &facts, NULL), 0);
        cr_expect(facts.keep, "%s: %s", body.data, facts.why_not);
        cr_expect_str_eq(facts.text, text);
        cr_expect_str_eq(facts.model, "m");
        cr_expect_eq(facts.input_tokens, 12);
        cr_expect_eq(facts.output_tokens, 34);
        lc_answer_facts_done(&facts);
        lc_buffer_done(&body);
    }
    lc_buffer body;
    lc_buffer_init(&body, 0);
    cr_expect_eq(
        lc_answer_write(LC_PROTOCOL_EMBEDDINGS, "m", text, "i", 0, 0, 0, &body, NULL),
        LLMCACHE_UNSUPPORTED);
    cr_expect_eq(
        lc_answer_write(LC_PROTOCOL_CHAT, "m", "\xc3", "i", 0, 0, 0, &body, NULL),
        LLMCACHE_INVALID);
    lc_buffer_done(&body);
}

Test(answer_facts, fails_for_memory_only)
{
    const char *body =
        CHAT(CHOICE(TEXT("\"a\\n\""), "\"stop\"") "," CHOICE(TEXT("\"b\""), "\"stop\""));
    for (uint64_t n = 1;; n++) {
        lc_answer_facts facts;
        lc_memory_fail_at(n);
        int status = lc_answer_read(LC_PROTOCOL_CHAT, body, strlen(body), &facts, NULL);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_expect_eq(status, failed ? LLMCACHE_MEMORY : 0, "allocation %d", (int)n);
        if (!status)
            lc_answer_facts_done(&facts);
        if (!failed) {
            cr_expect_gt(n, 3);
            break;
        }
    }
}

Test(protocol, is_known_by_name_and_path)
{
    static const struct row {
        const char *method, *target;
        lc_protocol protocol;
    } rows[] = {
        {"POST", "/v1/chat/completions", LC_PROTOCOL_CHAT},
        {"POST", "/chat/completions", LC_PROTOCOL_CHAT},
        {"POST", "/v1/chat/completions?x=1", LC_PROTOCOL_CHAT},
        {"POST", "/v1/completions", LC_PROTOCOL_COMPLETIONS},
        {"POST", "/v1/responses", LC_PROTOCOL_RESPONSES},
        {"POST", "/v1/embeddings", LC_PROTOCOL_EMBEDDINGS},
        {"POST", "/v1/messages", LC_PROTOCOL_MESSAGES},
        {"POST", "/v1/messages?beta=true", LC_PROTOCOL_MESSAGES},
        {"GET", "/v1/chat/completions", LC_PROTOCOL_NONE},
        {"POST", "/v1/messages/count_tokens", LC_PROTOCOL_NONE},
        {"POST", "/v1/messagesx", LC_PROTOCOL_NONE},
        {"POST", "/v1/responses/resp_1/cancel", LC_PROTOCOL_NONE},
        {"POST", "/v1", LC_PROTOCOL_NONE},
        {"POST", "", LC_PROTOCOL_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(lc_protocol_of(rows[i].method, rows[i].target), rows[i].protocol,
                     "%s", rows[i].target);
    for (int p = LC_PROTOCOL_NONE; p <= LC_PROTOCOL_MESSAGES; p++)
        cr_expect_eq((int)lc_protocol_by_name(lc_protocol_name((lc_protocol)p)), p);
    cr_expect_eq(lc_protocol_by_name("chats"), LC_PROTOCOL_NONE);
}

Test(protocol, tells_the_two_services_apart)
{
    const llmcache_header version = {"Anthropic-Version", "2023-06-01"};
    cr_expect_eq(lc_protocol_is_anthropic("/v1/messages", NULL, 0), 1);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/messages/count_tokens?beta=true", NULL, 0),
                 1);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/messages?beta=true", NULL, 0), 1);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/complete", NULL, 0), 1);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/completions", NULL, 0), 0);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/chat/completions", &version, 1), 0);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/models", NULL, 0), 0);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/models", &version, 1), 1);
    cr_expect_eq(lc_protocol_is_anthropic("/v1/files/f1", &version, 1), 1);
}

Test(protocol, errors_have_the_protocols_shape)
{
    static const struct row {
        lc_protocol protocol;
        int anthropic, status;
        const char *type, *code, *body;
    } rows[] = {
        {LC_PROTOCOL_CHAT, 0, 413, NULL, NULL,
         "{\"error\":{\"message\":\"too "
         "\\\"big\\\"\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}"
         "}"},
        {LC_PROTOCOL_NONE, 0, 504, "cache_miss", "only_if_cached",
         "{\"error\":{\"message\":\"too "
         "\\\"big\\\"\",\"type\":\"cache_miss\",\"param\":null,\"code\":\"only_if_"
         "cached\"}}"},
        {LC_PROTOCOL_MESSAGES, 0, 413, NULL, NULL,
         "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":"
         "\"too \\\"big\\\"\"}}"},
        {LC_PROTOCOL_NONE, 1, 500, NULL, NULL,
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"too "
         "\\\"big\\\"\"}}"},
        {LC_PROTOCOL_CHAT, 1, 503, NULL, NULL,
         "{\"error\":{\"message\":\"too "
         "\\\"big\\\"\",\"type\":\"server_error\",\"param\":null,\"code\":null}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_buffer body;
        lc_buffer_init(&body, 0);
        cr_assert_eq(lc_error_write(rows[i].protocol, rows[i].anthropic, rows[i].status,
                                    rows[i].type, rows[i].code, "too \"big\"", &body),
                     0);
        cr_expect_str_eq(body.data, rows[i].body);
        lc_buffer_done(&body);
    }
}
