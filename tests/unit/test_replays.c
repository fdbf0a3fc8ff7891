/* Whole answers played as streams: the events, one by one. That they add up to the answer again is in test_streams.c. */
#include "protocol/protocol.h"
#include "support.h"

#include <criterion/criterion.h>
#include <string.h>

Test(replays, of_text_are_what_openai_sends)
{
    const char *whole =
        "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":5,\"model\":\"m\","
        "\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"refusal\":null,"
        "\"annotations\":[]},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1},"
        "\"system_fingerprint\":\"f\"}";
#define HEAD                                                                             \
    "data: "                                                                             \
    "{\"object\":\"chat.completion.chunk\",\"id\":\"c1\",\"created\":5,\"model\":\"m\"," \
    "\"system_fingerprint\":\"f\",\"choices\":["
    const char *want =
        HEAD "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\","
             "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],\"usage\":"
             "null}\n\n" HEAD "{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"logprobs\":"
             "null,\"finish_reason\":null}],"
             "\"usage\":null}\n\n" HEAD
             "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
             "\"usage\":null}\n\n" HEAD "],\"usage\":{\"prompt_tokens\":1}}\n\n"
             "data: [DONE]\n\n";
    lc_buffer events;
    lc_buffer_init(&events, 0);
    cr_assert_eq(lc_replay(LC_PROTOCOL_CHAT, whole, strlen(whole), 1, &events, NULL), 0);
    cr_expect_str_eq(events.data, want);
    lc_buffer_done(&events);
}

/* Whole answers say that nothing is cited and called; streams do not, and cite at the end. */
Test(replays, of_text_say_what_is_cited_behind_it)
{
    static const struct {
        const char *message, *deltas;
    } cases[] = {
        {"{\"content\":\"Hi\",\"tool_calls\":[]}",
         "{\"role\":\"assistant\",\"content\":\"\"};{\"content\":\"Hi\"};{};"},
        {"{\"annotations\":[],\"content\":\"Hi\"}",
         "{\"role\":\"assistant\",\"annotations\":[],\"content\":\"\"};{\"content\":\"Hi\"};{};"},
        {"{\"annotations\":[{\"a\":1}],\"content\":\"Hi\"}",
         "{\"role\":\"assistant\",\"content\":\"\"};{\"content\":\"Hi\"};"
         "{\"annotations\":[{\"a\":1}]};{};"},
        {"{\"content\":\"Hi\",\"more\":[7]}",
         "{\"role\":\"assistant\",\"content\":\"\",\"more\":[7]};{\"content\":\"Hi\"};{};"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_buffer events, deltas;
        const char *whole =
            test_format("{\"choices\":[{\"index\":0,\"message\":%s,\"finish_reason\":\"stop\"}]}",
                        cases[i].message);
        lc_buffer_init(&events, 0);
        lc_buffer_init(&deltas, 0);
        cr_assert_eq(lc_replay(LC_PROTOCOL_CHAT, whole, strlen(whole), 0, &events, NULL), 0);
        for (char *at = events.data; (at = strstr(at, "\"delta\":")); ) {
            at += 8;
            lc_buffer_add(&deltas, at, (size_t)(strstr(at, ",\"finish_reason\"") - at));
            lc_buffer_byte(&deltas, ';');
        }
        cr_expect_str_eq(deltas.data, cases[i].deltas, "%s", cases[i].message);
        lc_buffer_done(&deltas);
        lc_buffer_done(&events);
    }
}

/* As the service sends choices: all begin before any ends. */
Test(replays, of_choices_go_on_side_by_side)
{
    const char *whole = "{\"choices\":["
                        "{\"index\":0,\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"},"
                        "{\"index\":1,\"message\":{\"content\":\"B\"},\"finish_reason\":\"stop\"}]}";
    static const char *const order[] = {"{\"index\":0,\"delta\":{\"role\"", "{\"index\":1,\"delta\":{\"role\"",
                                        "{\"content\":\"A\"}", "{\"content\":\"B\"}",
                                        "{\"index\":0,\"delta\":{},", "{\"index\":1,\"delta\":{},"};
    lc_buffer events;
    lc_buffer_init(&events, 0);
    cr_assert_eq(lc_replay(LC_PROTOCOL_CHAT, whole, strlen(whole), 0, &events, NULL), 0);
    const char *at = events.data;
    for (size_t i = 0; i < sizeof order / sizeof *order && at; i++) {
        at = strstr(at, order[i]);
        cr_expect(at, "%s comes too early or never", order[i]);
    }
    lc_buffer_done(&events);
}

Test(replays, of_a_message_are_what_anthropic_sends)
{
    const char *whole = "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
                        "\"model\":\"m\",\"content\":[{\"type\":\"text\","
                        "\"text\":\"Hi\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
                        "\"f\",\"input\":{\"a\":1.0}}],"
                        "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{"
                        "\"input_tokens\":3,\"output_tokens\":9}}";
    const char *want =
        "event: message_start\ndata: "
        "{\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"id\":\"msg_1\","
        "\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,"
        "\"stop_sequence\":null,"
        "\"usage\":{\"output_tokens\":1,\"input_tokens\":3}}}\n\n"
        "event: content_block_start\ndata: "
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
        "{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: "
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
        "{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n"
        "event: content_block_stop\ndata: "
        "{\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: content_block_start\ndata: "
        "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":"
        "{\"type\":\"tool_use\",\"input\":{},\"id\":\"t\",\"name\":\"f\"}}\n\n"
        "event: content_block_delta\ndata: "
        "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":"
        "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1.0}\"}}\n\n"
        "event: content_block_stop\ndata: "
        "{\"type\":\"content_block_stop\",\"index\":1}\n\n"
        "event: message_delta\ndata: "
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
        "\"stop_sequence\":null},\"usage\":{\"output_tokens\":9,\"input_tokens\":3}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    lc_buffer events;
    lc_buffer_init(&events, 0);
    cr_assert_eq(lc_replay(LC_PROTOCOL_MESSAGES, whole, strlen(whole), 1, &events, NULL),
                 0);
    cr_expect_str_eq(events.data, want);
    lc_buffer_clear(&events);
    cr_assert_eq(lc_replay(LC_PROTOCOL_MESSAGES, whole, strlen(whole), 0, &events, NULL),
                 0);
    cr_expect(strstr(events.data, "\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n"), "%s",
              events.data);
    lc_buffer_done(&events);
}

/* A response and the names of its events; what the events hold the SDKs are asked about
 * in tests/sdk. */
static const char response_whole[] =
    "{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[{"
    "\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":"
    "[{\"type\":\"summary_text\",\"text\":\"hm\"}]},{\"type\":"
    "\"message\",\"id\":\"m\",\"content\":["
    "{\"type\":\"output_text\",\"text\":\"Hi\",\"annotations\":[{}]},"
    "{\"type\":\"refusal\",\"refusal\":\"no\"}]},"
    "{\"type\":\"function_call\",\"arguments\":\"{}\"},{\"type\":"
    "\"web_search_call\"},{\"type\":\"novelty\"},"
    "{\"type\":\"mcp_call\",\"arguments\":\"{}\",\"error\":{}}]}";
static const char *const response_events[] = {
    "created",
    "in_progress",
    "output_item.added",
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
    "output_item.done",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "output_text.annotation.added",
    "content_part.done",
    "content_part.added",
    "refusal.delta",
    "refusal.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "output_item.added",
    "web_search_call.in_progress",
    "web_search_call.searching",
    "web_search_call.completed",
    "output_item.done",
    "output_item.added",
    "output_item.done",
    "output_item.added",
    "mcp_call.in_progress",
    "mcp_call_arguments.delta",
    "mcp_call_arguments.done",
    "mcp_call.failed",
    "output_item.done",
    "completed",
};

Test(replays, of_a_response_are_what_openai_sends)
{
    lc_buffer events;
    lc_buffer_init(&events, 0);
    cr_assert_eq(lc_replay(LC_PROTOCOL_RESPONSES, response_whole, strlen(response_whole),
                           0, &events, NULL),
                 0);
    const char *at = events.data;
    for (int i = 0; i < (int)(sizeof response_events / sizeof *response_events); i++) {
        const char *head = test_format(
            "event: response.%s\ndata: {\"type\":\"response.%s\",\"sequence_number\":%d,",
            response_events[i], response_events[i], i);
        cr_assert_eq(strncmp(at, head, strlen(head)), 0, "%s\n%.200s", head, at);
        at = strstr(at, "\n\n") + 2;
    }
    cr_expect_str_eq(at, "");
    lc_buffer_done(&events);
}

Test(replays, are_not_made_of_what_is_no_answer)
{
    static const struct row {
        lc_protocol protocol;
        const char *body;
        int status;
    } rows[] = {
        {LC_PROTOCOL_CHAT, "", LLMCACHE_INVALID},
        {LC_PROTOCOL_CHAT, "[]", LLMCACHE_INVALID},
        {LC_PROTOCOL_CHAT, "{}", LLMCACHE_INVALID},
        {LC_PROTOCOL_CHAT, "{\"choices\":[]}", LLMCACHE_INVALID},
        {LC_PROTOCOL_CHAT, "{\"choices\":[7]}", LLMCACHE_INVALID},
        {LC_PROTOCOL_CHAT, "{\"choices\":[{\"message\":\"x\"}]}", LLMCACHE_INVALID},
        {LC_PROTOCOL_COMPLETIONS, "{\"choices\":[{\"text\":7}]}", LLMCACHE_INVALID},
        {LC_PROTOCOL_MESSAGES,
         "{\"content\":[{\"type\":7}],\"stop_reason\":\"end_turn\"}", LLMCACHE_INVALID},
        {LC_PROTOCOL_MESSAGES, "{\"content\":[]}", LLMCACHE_INVALID},
        {LC_PROTOCOL_MESSAGES, "{\"stop_reason\":\"end_turn\"}", LLMCACHE_INVALID},
        {LC_PROTOCOL_EMBEDDINGS, "{\"data\":[]}", LLMCACHE_UNSUPPORTED},
        {LC_PROTOCOL_NONE, "{}", LLMCACHE_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_buffer events;
        llmcache_error err = {0};
        lc_buffer_init(&events, 0);
        cr_expect_eq(lc_replay(rows[i].protocol, rows[i].body, strlen(rows[i].body), 0,
                               &events, &err),
                     rows[i].status, "%s", rows[i].body);
        cr_expect_eq(err.code, rows[i].status, "%s", rows[i].body);
        lc_buffer_done(&events);
    }
}
