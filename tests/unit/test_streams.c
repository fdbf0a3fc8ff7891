/*
 * Streams and whole answers, there and back. tests/unit/streams holds streams as services
 * send them and beside each the whole answer that the same service would have given.
 */
#include "base/memory.h"
#include "protocol/protocol.h"
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct recording {
    char name[64];
    lc_protocol protocol;
    char *stream, *whole;
    size_t stream_size, whole_size;
} recording;

typedef void (*recording_fn)(const recording *);

static lc_protocol protocol_of(const char *name)
{
    static const struct row {
        const char *head;
        lc_protocol protocol;
    } rows[] = {{"chat_", LC_PROTOCOL_CHAT},
                {"completion_", LC_PROTOCOL_COMPLETIONS},
                {"message_", LC_PROTOCOL_MESSAGES},
                {"response_", LC_PROTOCOL_RESPONSES}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(name, rows[i].head, strlen(rows[i].head)) == 0)
            return rows[i].protocol;
    return LC_PROTOCOL_NONE;
}

static void each_recording(recording_fn fn)
{
    const char *folder = test_source_path("tests/unit/streams");
    DIR *listing = opendir(folder);
    int count = 0;
    cr_assert_not_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        recording r = {0};
        const char *dot = strstr(entry->d_name, ".sse");
        if (!dot)
            continue;
        snprintf(r.name, sizeof r.name, "%.*s", (int)(dot - entry->d_name),
                 entry->d_name);
        r.protocol = protocol_of(r.name);
        r.stream =
            test_read_file(test_format("%s/%s.sse", folder, r.name), &r.stream_size);
        r.whole =
            test_read_file(test_format("%s/%s.json", folder, r.name), &r.whole_size);
        cr_assert(r.protocol && r.stream && r.whole, "%s", r.name);
        fn(&r);
        count++;
    }
    closedir(listing);
    cr_assert_geq(count, 15);
}

static int finish(lc_assembler *assembler, char **whole, llmcache_error *err)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    int status = lc_assembler_finish(assembler, &body, err);
    *whole = status ? NULL : test_keep(body.data, body.size);
    lc_buffer_done(&body);
    return status;
}

/* Feeds the stream cut at `cuts` (ascending) and gives the whole as text, NULL if there
 * is none. */
static char *assemble(lc_protocol protocol, const char *stream, size_t size,
                      const size_t *cuts, size_t cut_count, llmcache_error *err)
{
    lc_assembler *assembler = lc_assembler_new(protocol, 0);
    char *whole;
    size_t from = 0;
    cr_assert_not_null(assembler);
    for (size_t i = 0; i <= cut_count; i++) {
        size_t to = i < cut_count ? cuts[i] : size;
        /* A copy of just this piece, so that reading past its end is seen. */
        char *piece = malloc(to - from + 1);
        memcpy(piece, stream + from, to - from);
        cr_assert_eq(lc_assembler_feed(assembler, piece, to - from), 0);
        free(piece);
        from = to;
    }
    finish(assembler, &whole, err);
    lc_assembler_free(assembler);
    return whole;
}

static int same_json(const char *a, const char *b)
{
    json_error_t error;
    json_t *left = json_loads(a, JSON_ALLOW_NUL, &error);
    json_t *right = json_loads(b, JSON_ALLOW_NUL, &error);
    int same = left && right && json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return same;
}

static void expect_whole(const recording *r, const char *stream, size_t size,
                         const char *how)
{
    llmcache_error err = {0};
    char *whole = assemble(r->protocol, stream, size, NULL, 0, &err);
    cr_expect(whole && same_json(whole, r->whole), "%s %s: %s\n%s", r->name, how,
              err.message, whole ? whole : "");
}

/* ---- Assembling ----------------------------------------------------------------------
 */

static void assembles(const recording *r)
{
    expect_whole(r, r->stream, r->stream_size, "as it came");
}

Test(streams, give_what_the_service_would_have_given_whole)
{
    each_recording(assembles);
}

/* What is heard while the stream comes in is what a person reads of the whole. */
static void hears(const recording *r)
{
    lc_assembler *assembler = lc_assembler_new(r->protocol, 0);
    lc_answer_facts facts;
    lc_buffer said;
    lc_buffer_init(&said, 0);
    lc_assembler_listen(assembler, &said);
    for (size_t i = 0; i < r->stream_size; i++)
        cr_assert_eq(lc_assembler_feed(assembler, r->stream + i, 1), 0);
    cr_assert_eq(lc_answer_read(r->protocol, r->whole, r->whole_size, &facts, NULL), 0);
    /* Some of the recorded responses bring only finished items. */
    if (r->protocol != LC_PROTOCOL_RESPONSES || strstr(r->stream, "response.output_text.delta"))
        cr_expect_str_eq(said.data ? said.data : "", facts.text, "%s", r->name);
    else
        cr_expect_eq(said.size, 0);
    lc_answer_facts_done(&facts);
    lc_buffer_done(&said);
    lc_assembler_free(assembler);
}

Test(streams, say_their_text_as_it_comes)
{
    each_recording(hears);
}

static void assembles_every_split(const recording *r)
{
    char *want = assemble(r->protocol, r->stream, r->stream_size, NULL, 0, NULL);
    for (size_t cut = 0; cut <= r->stream_size; cut++) {
        char *got = assemble(r->protocol, r->stream, r->stream_size, &cut, 1, NULL);
        cr_assert(got && strcmp(got, want) == 0, "%s cut at %zu", r->name, cut);
    }
    size_t *all = calloc(r->stream_size, sizeof *all);
    for (size_t i = 0; i < r->stream_size; i++)
        all[i] = i + 1;
    char *got =
        assemble(r->protocol, r->stream, r->stream_size, all, r->stream_size, NULL);
    cr_expect(got && strcmp(got, want) == 0, "%s byte by byte", r->name);
    free(all);
}

/* Some services of messages count the input at the end again, some do not. */
Test(streams, of_messages_tell_how_they_count)
{
    static const struct {
        const char *usage;
        int brief;
    } cases[] = {{"{\"output_tokens\":2}", 1},
                 {"{\"input_tokens\":7,\"output_tokens\":2}", 0},
                 {"{\"input_tokens\":null,\"output_tokens\":2}", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *event =
            test_format("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n"
                        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":%s}\n\n",
                        cases[i].usage);
        lc_assembler *assembler = lc_assembler_new(LC_PROTOCOL_MESSAGES, 0);
        cr_assert_eq(lc_assembler_feed(assembler, event, strlen(event)), 0);
        cr_expect_eq(lc_assembler_brief(assembler), cases[i].brief, "%s", cases[i].usage);
        lc_assembler_free(assembler);
    }
}

Test(streams, may_be_split_anywhere)
{
    each_recording(assembles_every_split);
}

/* Rewrites the stream line by line with other line ends and with what a reader has to
 * skip. */
static char *rewrite(const char *stream, const char *line_end, const char *before,
                     int tight, size_t *size)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_buffer_text(&out, before);
    for (const char *line = stream; *line;) {
        size_t length = strcspn(line, "\n");
        if (length)
            lc_buffer_text(&out, ": a comment\rid: 7\nretry: 10\r\nunknown\n:\n");
        const char *space = tight ? memchr(line, ' ', length) : NULL;
        if (space && (size_t)(space - line) < 8) {
            lc_buffer_add(&out, line, (size_t)(space - line));
            lc_buffer_add(&out, space + 1, (size_t)(line + length - space - 1));
        } else {
            lc_buffer_add(&out, line, length);
        }
        lc_buffer_text(&out, line_end);
        line += length + 1;
    }
    char *kept = test_keep(out.data, out.size);
    *size = out.size;
    lc_buffer_done(&out);
    return kept;
}

static void assembles_other_forms(const recording *r)
{
    static const char *const ends[] = {"\n", "\r", "\r\n"};
    for (int i = 0; i < 6; i++) {
        size_t size;
        char *other =
            rewrite(r->stream, ends[i % 3], i < 3 ? "" : "\xef\xbb\xbf", i >= 3, &size);
        expect_whole(r, other, size, ends[i % 3]);
        for (size_t cut = 0; cut < size; cut += 7) {
            char *got = assemble(r->protocol, other, size, &cut, 1, NULL);
            cr_assert(got && same_json(got, r->whole), "%s form %d cut at %zu", r->name,
                      i, cut);
        }
    }
}

Test(streams, may_have_any_line_ends_comments_and_a_mark)
{
    each_recording(assembles_other_forms);
}

/* Where the protocol's end begins: before it nothing may be kept, behind it all. */
static void keeps_nothing_cut(const recording *r)
{
    for (size_t size = 0; size < r->stream_size; size++) {
        llmcache_error err = {0};
        char *whole = assemble(r->protocol, r->stream, size, NULL, 0, &err);
        cr_assert_null(whole, "%s cut to %zu bytes", r->name, size);
        cr_assert_eq(err.code, LLMCACHE_INVALID);
    }
}

Test(streams, that_are_cut_are_never_kept)
{
    each_recording(keeps_nothing_cut);
}

/* ---- Replaying -----------------------------------------------------------------------
 */

static int has_usage(const recording *r)
{
    lc_answer_facts facts;
    cr_assert_eq(lc_answer_read(r->protocol, r->whole, r->whole_size, &facts, NULL), 0);
    int has = facts.has_usage;
    lc_answer_facts_done(&facts);
    return has;
}

static void replays_and_assembles(const recording *r)
{
    static const size_t pieces[] = {0, 1, 2, 5, 1000};
    int usage = has_usage(r);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        lc_buffer events;
        llmcache_error err = {0};
        lc_buffer_init(&events, 0);
        cr_assert_eq(lc_replay_pieces(r->protocol, r->whole, r->whole_size, usage,
                                      pieces[i], &events, &err),
                     0, "%s: %s", r->name, err.message);
        expect_whole(r, events.data, events.size, "replayed");
        lc_buffer_done(&events);
    }
}

Test(streams, come_back_from_whole_answers)
{
    each_recording(replays_and_assembles);
}

static void usage_only_where_asked(const recording *r)
{
    int openai =
        r->protocol == LC_PROTOCOL_CHAT || r->protocol == LC_PROTOCOL_COMPLETIONS;
    lc_buffer events;
    llmcache_error err = {0};
    if (!openai)
        return;
    lc_buffer_init(&events, 0);
    cr_assert_eq(lc_replay(r->protocol, r->whole, r->whole_size, 0, &events, &err), 0);
    cr_expect_null(strstr(events.data, "\"usage\""), "%s", r->name);
    lc_buffer_clear(&events);
    int status = lc_replay(r->protocol, r->whole, r->whole_size, 1, &events, &err);
    cr_expect_eq(status, has_usage(r) ? 0 : LLMCACHE_UNSUPPORTED, "%s", r->name);
    lc_buffer_done(&events);
}

Test(streams, carry_usage_only_where_it_is_asked_for)
{
    each_recording(usage_only_where_asked);
}

/* ---- What may not be kept
 * -------------------------------------------------------------- */

#define DATA(json) "data: " json "\n\n"
#define DONE       "data: [DONE]\n\n"
#define CHUNK(delta, reason)                                                             \
    DATA("{\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" reason "}]" \
         "}")
#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define START             EVENT("message_start", ",\"message\":{\"type\":\"message\",\"usage\":{}}")
#define BLOCK                    \
    EVENT("content_block_start", \
          ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"input\":{}}")
#define STOP(reason)                                                  \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":" reason "}") \
    EVENT("message_stop", "")
#define INPUT(json)                                                                      \
    EVENT("content_block_delta",                                                         \
          ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":" json \
          "}")

Test(streams, that_went_wrong_are_never_kept)
{
    static const struct row {
        lc_protocol protocol;
        const char *stream;
        const char *why;
    } rows[] = {
        {LC_PROTOCOL_CHAT, "", "did not end"},
        {LC_PROTOCOL_CHAT, DONE, "no choices"},
        {LC_PROTOCOL_CHAT, CHUNK("{\"content\":\"a\"}", "null") DONE, "unfinished"},
        {LC_PROTOCOL_CHAT, CHUNK("{\"content\":\"a\"}", "\"stop\""), "did not end"},
        {LC_PROTOCOL_CHAT, CHUNK("{\"content\":\"a\"}", "\"stop\"") "data: [DONE]\n",
         "did not end"},
        {LC_PROTOCOL_CHAT,
         DATA("{\"error\":{\"message\":\"x\"}}") CHUNK("{}", "\"stop\"") DONE, "error"},
        {LC_PROTOCOL_CHAT, CHUNK("{}", "\"stop\"") "event: error\n" DATA("{}") DONE,
         "error"},
        {LC_PROTOCOL_CHAT, CHUNK("{}", "\"stop\"") DATA("{\"err") DONE, "not JSON"},
        {LC_PROTOCOL_CHAT, CHUNK("{}", "\"stop\"") DATA("7") DONE, "not an object"},
        {LC_PROTOCOL_CHAT, DATA("{\"choices\":[{\"delta\":{}}]}") DONE, "fit together"},
        {LC_PROTOCOL_CHAT, DATA("{\"choices\":[{\"index\":-1,\"delta\":{}}]}") DONE,
         "fit together"},
        {LC_PROTOCOL_CHAT,
         CHUNK("{\"content\":\"a\"}", "null") CHUNK("{\"content\":[1]}", "\"stop\"") DONE,
         "fit together"},
        {LC_PROTOCOL_CHAT,
         CHUNK("{\"x\":{\"a\":1}}", "null") CHUNK("{\"x\":\"a\"}", "\"stop\"") DONE,
         "fit together"},
        {LC_PROTOCOL_MESSAGES, START, "did not end"},
        {LC_PROTOCOL_MESSAGES, START DONE, "not JSON"},
        {LC_PROTOCOL_MESSAGES, START EVENT("message_stop", ""), "no stop reason"},
        {LC_PROTOCOL_MESSAGES, STOP("\"end_turn\""), "fit together"},
        {LC_PROTOCOL_MESSAGES, START START STOP("\"end_turn\""), "fit together"},
        {LC_PROTOCOL_MESSAGES, START BLOCK BLOCK STOP("\"end_turn\""), "fit together"},
        {LC_PROTOCOL_MESSAGES, START INPUT("\"{}\"") STOP("\"end_turn\""),
         "fit together"},
        {LC_PROTOCOL_MESSAGES, START BLOCK INPUT("\"{\\\"a\\\"\"") STOP("\"end_turn\""),
         "input is not JSON"},
        {LC_PROTOCOL_MESSAGES, START BLOCK INPUT("7") STOP("\"end_turn\""),
         "fit together"},
        {LC_PROTOCOL_MESSAGES,
         START EVENT("error", ",\"error\":{\"type\":\"overloaded_error\"}")
             STOP("\"end_turn\""),
         "error"},
        {LC_PROTOCOL_EMBEDDINGS, DONE, "no stream"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        llmcache_error err = {0};
        char *whole = assemble(rows[i].protocol, rows[i].stream, strlen(rows[i].stream),
                               NULL, 0, &err);
        cr_expect_null(whole, "%s", rows[i].stream);
        cr_expect_eq(err.code, LLMCACHE_INVALID);
        cr_expect(strstr(err.message, rows[i].why) != NULL, "%s: %s", rows[i].stream,
                  err.message);
    }
}

Test(streams, may_say_what_is_no_error)
{
    const char *stream = DATA("{\"error\":null,\"choices\":[]}")
        CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE DATA("behind the end");
    char *whole = assemble(LC_PROTOCOL_CHAT, stream, strlen(stream), NULL, 0, NULL);
    cr_expect_not_null(whole);
}

Test(streams, end_only_at_their_own_end)
{
    lc_assembler *assembler = lc_assembler_new(LC_PROTOCOL_CHAT, 0);
    const char *first =
        CHUNK("{\"content\":\"data: [DONE]\"}", "\"stop\"") "data: [DONE]\n";
    cr_assert_eq(lc_assembler_feed(assembler, first, strlen(first)), 0);
    cr_expect_eq(lc_assembler_ended(assembler), 0);
    cr_assert_eq(lc_assembler_feed(assembler, "\n", 1), 0);
    cr_expect_eq(lc_assembler_ended(assembler), 1);
    lc_assembler_free(assembler);
}

Test(streams, are_capped)
{
    static const char *const endless[] = {
        CHUNK("{\"content\":\"0123456789012345678901234567890123456789\"}", "null"),
        CHUNK("{\"list\":[{\"a\":[1,2,3]}]}", "null"),
        "data: a line without an end",
        "data: a field without an end\n",
        "event: a name without an end",
    };
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        lc_assembler *assembler = lc_assembler_new(LC_PROTOCOL_CHAT, 20000);
        int status = 0;
        for (int n = 0; n < 5000 && !status; n++)
            status = lc_assembler_feed(assembler, endless[i], strlen(endless[i]));
        cr_expect_eq(status, LLMCACHE_TOO_LARGE, "%s", endless[i]);
        lc_buffer body;
        lc_buffer_init(&body, 0);
        cr_expect_eq(lc_assembler_finish(assembler, &body, NULL), LLMCACHE_TOO_LARGE);
        lc_buffer_done(&body);
        lc_assembler_free(assembler);
    }
}

/* What every chunk repeats is not counted again and again. */
Test(streams, may_repeat_their_head_for_long)
{
    lc_assembler *assembler = lc_assembler_new(LC_PROTOCOL_CHAT, 20000);
    for (int n = 0; n < 10000; n++) {
        char chunk[400];
        sprintf(chunk,
                DATA("{\"id\":\"chatcmpl-0123456789\",\"model\":\"some-model-name\","
                     "\"usage\":{\"n\":%d},"
                     "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_"
                     "reason\":%s}]}"),
                n, n < 9999 ? "null" : "\"stop\"");
        cr_assert_eq(lc_assembler_feed(assembler, chunk, strlen(chunk)), 0);
    }
    char *whole;
    cr_assert_eq(lc_assembler_feed(assembler, DONE, strlen(DONE)), 0);
    cr_assert_eq(finish(assembler, &whole, NULL), 0);
    cr_expect_not_null(strstr(whole, "\"n\":9999"));
    cr_expect_gt(strlen(whole), 10000);
    lc_assembler_free(assembler);
}

/* ---- Memory --------------------------------------------------------------------------
 */

static int assemble_once(const recording *r, char **whole)
{
    lc_assembler *assembler = lc_assembler_new(r->protocol, 0);
    lc_buffer body;
    if (!assembler)
        return LLMCACHE_MEMORY;
    lc_buffer_init(&body, 0);
    size_t half = r->stream_size / 2;
    int status = lc_assembler_feed(assembler, r->stream, half);
    if (!status)
        status = lc_assembler_feed(assembler, r->stream + half, r->stream_size - half);
    if (status)
        cr_assert_eq(lc_assembler_finish(assembler, &body, NULL), LLMCACHE_MEMORY);
    else
        status = lc_assembler_finish(assembler, &body, NULL);
    if (!status)
        *whole = test_keep(body.data, body.size);
    lc_buffer_done(&body);
    lc_assembler_free(assembler);
    return status;
}

static void assembles_or_says_memory(const recording *r)
{
    for (uint64_t n = 1;; n++) {
        char *whole = NULL;
        lc_memory_fail_at(n);
        int status = assemble_once(r, &whole);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(status, failed ? LLMCACHE_MEMORY : 0, "%s: allocation %d", r->name,
                     (int)n);
        if (!failed) {
            cr_expect(same_json(whole, r->whole));
            cr_expect_gt(n, 5);
            break;
        }
    }
}

Test(streams, survive_every_failing_allocation)
{
    each_recording(assembles_or_says_memory);
}

static void replays_or_says_memory(const recording *r)
{
    for (uint64_t n = 1;; n++) {
        lc_buffer events;
        lc_buffer_init(&events, 0);
        lc_memory_fail_at(n);
        int status = lc_replay(r->protocol, r->whole, r->whole_size, 0, &events, NULL);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(status, failed ? LLMCACHE_MEMORY : 0, "%s: allocation %d", r->name,
                     (int)n);
        lc_buffer_done(&events);
        if (!failed) {
            cr_expect_gt(n, 3);
            break;
        }
    }
}

Test(streams, replay_or_say_that_memory_is_short)
{
    each_recording(replays_or_says_memory);
}
