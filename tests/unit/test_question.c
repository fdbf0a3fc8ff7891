/* Reading requests: what shares a key and what does not, what may be matched by meaning,
 * what is cut out. */
#include "base/memory.h"
#include "protocol/protocol.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static lc_question read_sized(lc_protocol protocol, const char *body, size_t size,
                              unsigned fields)
{
    lc_question question;
    llmcache_error err;
    int status = lc_question_read(protocol, body, size, fields, &question, &err);
    cr_assert_eq(status, 0, "%.*s: %s", (int)size, body, err.message);
    return question;
}

static lc_question read_one(lc_protocol protocol, const char *body)
{
    return read_sized(protocol, body, strlen(body), 0);
}

static int same_shape(lc_protocol protocol, const char *a, const char *b, unsigned fields)
{
    lc_question left = read_sized(protocol, a, strlen(a), fields);
    lc_question right = read_sized(protocol, b, strlen(b), fields);
    int same = memcmp(left.shape, right.shape, 32) == 0;
    lc_question_done(&left);
    lc_question_done(&right);
    return same;
}

#define CHAT(rest) \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" rest "}"
#define SAYS(text) \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":" text "}]}"

Test(question, shares_exactly_what_means_the_same)
{
    static const struct row {
        const char *a, *b;
        int same;
    } rows[] = {
        /* the form of the text */
        {CHAT(""),
         " { \"messages\" : [ "
         "{\"content\":\"hi\",\t\"role\":\"user\"}],\r\n\"model\":\"m\" } ",
         1},
        {SAYS("\"hi\""), SAYS("\"\\u0068\\u0069\""), 1},
        {SAYS("\"a/b\""), SAYS("\"a\\/b\""), 1},
        {SAYS("\"\\ud83d\\ude00\""), SAYS("\"\xf0\x9f\x98\x80\""), 1},
        {SAYS("\"caf\\u00e9\""), SAYS("\"cafe\\u0301\""), 1},
        {SAYS("\"hi\""), SAYS("\"  hi\\n\""), 1},
        {SAYS("\"hi\""), SAYS("\"\\u3000hi\\u00a0\""), 1},
        {SAYS("\"hi\""), SAYS("\"h i\""), 0},
        {SAYS("\"hi\""), SAYS("\"Hi\""), 0},
        {SAYS("\"a\\u0000b\""), SAYS("\"a\\u0000c\""), 0},
        {SAYS("\"a\\u0000\""), SAYS("\"a\""), 0},
        /* fields that do not shape the answer */
        {CHAT(""), CHAT(",\"stream\":true"), 1},
        {CHAT(""), CHAT(",\"stream\":false"), 1},
        {CHAT(""), CHAT(",\"stream\":null"), 1},
        {CHAT(""), CHAT(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
         1},
        {CHAT(""), CHAT(",\"user\":\"u1\""), 1},
        {CHAT(",\"user\":\"u1\""), CHAT(",\"user\":\"u2\""), 1},
        {CHAT(""), CHAT(",\"metadata\":{\"a\":\"b\"}"), 1},
        {CHAT(""), CHAT(",\"service_tier\":\"flex\""), 0},
        {CHAT(""), CHAT(",\"prompt_cache_key\":\"k\""), 1},
        {CHAT(""), CHAT(",\"safety_identifier\":\"s\""), 1},
        {CHAT(""), CHAT(",\"cache\":{\"ttl\":5}"), 1},
        {CHAT(""), CHAT(",\"cache\":true"), 0},
        /* fields that do, unknown ones too */
        {CHAT(""), CHAT(",\"temperature\":0"), 0},
        {CHAT(""), CHAT(",\"nobody_knows\":1"), 0},
        {CHAT(""), CHAT(",\"nobody_knows\":null"), 0},
        {CHAT(",\"a\":1,\"b\":2"), CHAT(",\"b\":2,\"a\":1"), 1},
        {CHAT(",\"a\":[1,2]"), CHAT(",\"a\":[2,1]"), 0},
        {CHAT(",\"a\":[[1],2]"), CHAT(",\"a\":[[1,2]]"), 0},
        {CHAT(",\"a\":{}"), CHAT(",\"a\":[]"), 0},
        {CHAT(",\"a\":\"1\""), CHAT(",\"a\":1"), 0},
        {CHAT(",\"a\":true"), CHAT(",\"a\":\"t\""), 0},
        {CHAT(",\"a\":{\"user\":\"x\"}"), CHAT(",\"a\":{\"user\":\"y\"}"), 0},
        {CHAT(",\"ab\":\"c\""), CHAT(",\"a\":\"bc\""), 0},
        /* numbers */
        {CHAT(",\"t\":0"), CHAT(",\"t\":0.0"), 1},
        {CHAT(",\"t\":0"), CHAT(",\"t\":-0"), 1},
        {CHAT(",\"t\":0"), CHAT(",\"t\":0e7"), 1},
        {CHAT(",\"t\":1"), CHAT(",\"t\":1.0"), 1},
        {CHAT(",\"t\":100"), CHAT(",\"t\":1e2"), 1},
        {CHAT(",\"t\":0.7"), CHAT(",\"t\":0.70"), 1},
        {CHAT(",\"t\":0.05"), CHAT(",\"t\":5E-2"), 1},
        {CHAT(",\"t\":10.50"), CHAT(",\"t\":1.05e+1"), 1},
        {CHAT(",\"t\":1"), CHAT(",\"t\":-1"), 0},
        {CHAT(",\"t\":1"), CHAT(",\"t\":10"), 0},
        {CHAT(",\"t\":1.5"), CHAT(",\"t\":15"), 0},
        {CHAT(",\"t\":0.5"), CHAT(",\"t\":0.05"), 0},
        {CHAT(",\"t\":1.05"), CHAT(",\"t\":10.5"), 0},
        {CHAT(",\"t\":9007199254740992"), CHAT(",\"t\":9007199254740993"), 0},
        {CHAT(",\"t\":9007199254740993"), CHAT(",\"t\":9007199254740993.0"), 1},
        {CHAT(",\"t\":18446744073709551616"), CHAT(",\"t\":18446744073709551617"), 0},
        {CHAT(",\"t\":1e400"), CHAT(",\"t\":1e401"), 0},
        {CHAT(",\"t\":1e-400"), CHAT(",\"t\":0"), 0},
        {CHAT(",\"a\":[1, 2.0\n]"), CHAT(",\"a\":[1e0,2]"), 1},
        {CHAT(",\"a\":[1,2]"), CHAT(",\"a\":[12]"), 0},
        {CHAT(",\"a\":[1,2]"), CHAT(",\"a\":[1,[2]]"), 0},
        {CHAT(",\"a\":[1,2]"), CHAT(",\"a\":[1,2,null]"), 0},
        {CHAT(",\"a\":[-1]"), CHAT(",\"a\":[1]"), 0},
        /* parts are not the string they would join to */
        {SAYS("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]"),
         SAYS("[{\"type\":\"text\",\"text\":\"a\\nb\"}]"), 0},
        {SAYS("[{\"type\":\"text\",\"text\":\"ab\"},{\"type\":\"text\",\"text\":\"c\"}]"),
         SAYS("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"bc\"}]"),
         0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(same_shape(LC_PROTOCOL_CHAT, rows[i].a, rows[i].b, 0), rows[i].same,
                     "%s\n%s", rows[i].a, rows[i].b);
        cr_expect_eq(same_shape(LC_PROTOCOL_MESSAGES, rows[i].a, rows[i].b, 0),
                     rows[i].same, "%s\n%s", rows[i].a, rows[i].b);
    }
    cr_expect_not(same_shape(LC_PROTOCOL_COMPLETIONS, "{\"prompt\":\"a\"}",
                             "{\"prompt\":\"a \"}", 0),
                  "a prompt is gone on with from its very end");
}

Test(question, protocols_do_not_share)
{
    lc_question chat = read_one(LC_PROTOCOL_CHAT, CHAT(""));
    lc_question messages = read_one(LC_PROTOCOL_MESSAGES, CHAT(""));
    cr_expect_neq(memcmp(chat.shape, messages.shape, 32), 0);
    lc_question_done(&chat);
    lc_question_done(&messages);
}

Test(question, key_fields_put_fields_into_the_key)
{
    static const struct row {
        const char *name;
        const char *a, *b;
    } rows[] = {
        {"user", CHAT(""), CHAT(",\"user\":\"u\"")},
        {"metadata", CHAT(""), CHAT(",\"metadata\":{}")},
        {"prompt_cache_key", CHAT(""), CHAT(",\"prompt_cache_key\":\"x\"")},
        {"safety_identifier", CHAT(""), CHAT(",\"safety_identifier\":\"x\"")},
        {"stream", CHAT(""), CHAT(",\"stream\":true")},
        {"stream_options", CHAT(""), CHAT(",\"stream_options\":{}")},
    };
    unsigned all = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned bits;
        cr_assert_eq(lc_key_fields_read(rows[i].name, &bits, NULL), 0);
        cr_expect_not(same_shape(LC_PROTOCOL_CHAT, rows[i].a, rows[i].b, bits), "%s",
                      rows[i].name);
        cr_expect(same_shape(LC_PROTOCOL_CHAT, rows[i].a, rows[i].b, ~bits & 63), "%s",
                  rows[i].name);
        all |= bits;
    }
    cr_expect_eq(all, 63u);
    cr_expect(
        same_shape(LC_PROTOCOL_CHAT, CHAT(""), CHAT(",\"stream\":false"), LC_KEY_STREAM));

    unsigned bits = 77;
    llmcache_error err;
    cr_expect_eq(lc_key_fields_read(" user,metadata ,, stream", &bits, NULL), 0);
    cr_expect_eq(bits, (unsigned)(LC_KEY_USER | LC_KEY_METADATA | LC_KEY_STREAM));
    cr_expect_eq(lc_key_fields_read("", &bits, NULL), 0);
    cr_expect_eq(bits, 0u);
    cr_expect_eq(lc_key_fields_read("user, usr", &bits, &err), LLMCACHE_SETTING);
    cr_expect(strstr(err.message, "\"usr\"") != NULL, "%s", err.message);
}

Test(question, context_is_all_but_the_words)
{
    lc_question a = read_one(LC_PROTOCOL_CHAT, SAYS("\"what is a cache?\""));
    lc_question b = read_one(LC_PROTOCOL_CHAT, SAYS("\"explain caches\""));
    lc_question c = read_one(LC_PROTOCOL_CHAT, CHAT(",\"temperature\":1"));
    lc_question parts = read_one(
        LC_PROTOCOL_CHAT, SAYS("[{\"type\":\"text\",\"text\":\"explain caches\"}]"));
    cr_expect_eq(memcmp(a.context, b.context, 32), 0);
    cr_expect_neq(memcmp(a.shape, b.shape, 32), 0);
    cr_expect_neq(memcmp(a.context, c.context, 32), 0);
    cr_expect_neq(memcmp(b.context, parts.context, 32), 0);
    cr_expect_str_eq(parts.text, b.text);
    lc_question_done(&a);
    lc_question_done(&b);
    lc_question_done(&c);
    lc_question_done(&parts);
}

#define USER_THEN(more) "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}," more "]}"

Test(question, says_what_may_be_matched)
{
    static const struct row {
        lc_protocol protocol;
        const char *body;
        const char *why_not; /* NULL: matchable */
        const char *text;
    } rows[] = {
        {LC_PROTOCOL_CHAT, CHAT(""), NULL, "hi"},
        {LC_PROTOCOL_CHAT, CHAT(",\"n\":1,\"logprobs\":false,\"top_logprobs\":null"),
         NULL, "hi"},
        {LC_PROTOCOL_CHAT, CHAT(",\"tools\":[{\"type\":\"function\"}]"), NULL, "hi"},
        {LC_PROTOCOL_CHAT, CHAT(",\"n\":2"), "n", "hi"},
        {LC_PROTOCOL_CHAT, CHAT(",\"n\":\"1\""), "n", "hi"},
        {LC_PROTOCOL_CHAT, CHAT(",\"logprobs\":true"), "logprobs", "hi"},
        {LC_PROTOCOL_CHAT, CHAT(",\"top_logprobs\":3"), "logprobs", "hi"},
        {LC_PROTOCOL_CHAT, SAYS("\"\""), "no-text", ""},
        {LC_PROTOCOL_CHAT, SAYS("\" \\n \""), "no-text", ""},
        {LC_PROTOCOL_CHAT, SAYS("[]"), "no-text", NULL},
        {LC_PROTOCOL_CHAT, SAYS("null"), "no-text", NULL},
        {LC_PROTOCOL_CHAT, SAYS("\"a\\u0000b\""), "nul", NULL},
        {LC_PROTOCOL_CHAT,
         SAYS(
             "[{\"type\":\"text\",\"text\":\" a\"},{\"type\":\"text\",\"text\":\"b \"}]"),
         NULL, "a\nb"},
        {LC_PROTOCOL_CHAT,
         SAYS("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\",\"image_url\":"
              "{}}]"),
         "image", NULL},
        {LC_PROTOCOL_CHAT, SAYS("[{\"type\":\"input_audio\"}]"), "audio", NULL},
        {LC_PROTOCOL_CHAT, SAYS("[{\"type\":\"file\"}]"), "file", NULL},
        {LC_PROTOCOL_CHAT, SAYS("[{\"type\":\"hologram\"}]"), "part", NULL},
        {LC_PROTOCOL_CHAT, SAYS("[7]"), "no-text", NULL},
        {LC_PROTOCOL_CHAT, USER_THEN("{\"role\":\"assistant\",\"content\":\"x\"}"),
         "no-user", NULL},
        {LC_PROTOCOL_CHAT, USER_THEN("{\"role\":\"tool\",\"content\":\"x\"}"),
         "tool-result", NULL},
        {LC_PROTOCOL_CHAT, USER_THEN("{\"role\":\"user\",\"content\":\"and?\"}"), NULL,
         "and?"},
        {LC_PROTOCOL_CHAT, "{\"messages\":[]}", "no-user", NULL},
        {LC_PROTOCOL_CHAT, "{\"messages\":\"hi\"}", "no-user", NULL},
        {LC_PROTOCOL_CHAT, "{}", "no-user", NULL},
        {LC_PROTOCOL_MESSAGES, CHAT(",\"max_tokens\":9,\"system\":\"s\""), NULL, "hi"},
        {LC_PROTOCOL_MESSAGES, SAYS("[{\"type\":\"image\",\"source\":{}}]"), "image",
         NULL},
        {LC_PROTOCOL_MESSAGES, SAYS("[{\"type\":\"document\"}]"), "file", NULL},
        {LC_PROTOCOL_MESSAGES,
         SAYS("[{\"type\":\"tool_result\",\"content\":\"5\"},{\"type\":\"text\",\"text\":"
              "\"so?\"}]"),
         "tool-result", NULL},
        {LC_PROTOCOL_MESSAGES,
         SAYS("[{\"type\":\"text\",\"text\":\"so?\",\"cache_control\":{\"type\":"
              "\"ephemeral\"}}]"),
         NULL, "so?"},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"hi\"}", NULL, "hi"},
        {LC_PROTOCOL_RESPONSES, "{\"input\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
         NULL, "hi"},
        {LC_PROTOCOL_RESPONSES,
         "{\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
         "\"input_text\","
         "\"text\":\"hi\"}]}],\"previous_response_id\":\"resp_1\"}",
         NULL, "hi"},
        {LC_PROTOCOL_RESPONSES,
         "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}",
         "image", NULL},
        {LC_PROTOCOL_RESPONSES,
         "{\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":"
         "\"5\"}]}",
         "tool-result", NULL},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"hi\",\"top_logprobs\":2}", "logprobs",
         "hi"},
        {LC_PROTOCOL_RESPONSES,
         "{\"input\":\"hi\",\"include\":[\"message.output_text.logprobs\"]}", "logprobs",
         "hi"},
        {LC_PROTOCOL_COMPLETIONS, "{\"prompt\":\"go on \"}", "completions", "go on "},
        {LC_PROTOCOL_COMPLETIONS, "{\"prompt\":[\"a\",\"b\"]}", "completions", NULL},
        {LC_PROTOCOL_EMBEDDINGS, "{\"input\":\"x\"}", "embeddings", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_question q = read_one(rows[i].protocol, rows[i].body);
        cr_expect_eq(q.matchable, rows[i].why_not == NULL, "%s", rows[i].body);
        cr_expect_str_eq(q.why_not ? q.why_not : "",
                         rows[i].why_not ? rows[i].why_not : "", "%s", rows[i].body);
        if (rows[i].text) {
            cr_expect_str_eq(q.text, rows[i].text, "%s", rows[i].body);
            cr_expect_eq(q.text_size, strlen(rows[i].text));
        } else if (!rows[i].why_not || strcmp(rows[i].why_not, "nul") != 0) {
            cr_expect_null(q.text, "%s", rows[i].body);
        }
        cr_expect(q.cacheable);
        lc_question_done(&q);
    }
}

Test(question, says_what_is_never_answered_from_the_cache)
{
    static const struct row {
        lc_protocol protocol;
        const char *body, *why;
    } rows[] = {
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"x\",\"background\":true}", "background"},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"x\",\"background\":false}", NULL},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"x\",\"conversation\":\"conv_1\"}",
         "conversation"},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"x\",\"conversation\":{\"id\":\"conv_1\"}}",
         "conversation"},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"x\",\"conversation\":null}", NULL},
        {LC_PROTOCOL_RESPONSES, "{\"input\":\"x\",\"store\":false}", NULL},
        {LC_PROTOCOL_RESPONSES,
         "{\"input\":\"x\",\"tools\":[{\"type\":\"code_interpreter\",\"container\":"
         "\"cntr_1\"}]}",
         "container"},
        {LC_PROTOCOL_RESPONSES,
         "{\"input\":\"x\",\"tools\":[{\"type\":\"code_interpreter\",\"container\":{"
         "\"type\":\"auto\"}}]}",
         NULL},
        {LC_PROTOCOL_MESSAGES, "{\"container\":\"c1\",\"messages\":[]}", "container"},
        {LC_PROTOCOL_MESSAGES,
         "{\"container\":{\"id\":null,\"skills\":[]},\"messages\":[]}", NULL},
        {LC_PROTOCOL_CHAT, "{\"background\":true,\"messages\":[]}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_question q = read_one(rows[i].protocol, rows[i].body);
        cr_expect_eq(q.cacheable, rows[i].why == NULL, "%s", rows[i].body);
        cr_expect_str_eq(q.why_uncacheable ? q.why_uncacheable : "",
                         rows[i].why ? rows[i].why : "");
        lc_question_done(&q);
    }
}

Test(question, refuses_what_it_would_misread)
{
    static const char *const bodies[] = {
        "",
        " ",
        "{",
        "[]",
        "\"x\"",
        "7",
        "null",
        "{}x",
        "{}{}",
        "\xef\xbb\xbf{}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":[1,2",
        "{\"a\":[1,02]}",
        "{\"a\":[1,-]}",
        "{\"a\":[1 2]}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":\"\x01\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\",
        "{\"a\":\"x",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"b\":{\"a\":1,\"c\":2,\"a\":3}}",
        "{\"model\":7}",
        "{\"model\":\"a\\u0000b\"}",
        "{\"stream\":\"yes\"}",
        "{\"stream\":1}",
        "{\"stream_options\":7}",
        "{\"a\":1e9999999999999999}",
        "/* c */{}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        lc_question q;
        llmcache_error err = {0};
        cr_expect_eq(
            lc_question_read(LC_PROTOCOL_CHAT, bodies[i], strlen(bodies[i]), 0, &q, &err),
            LLMCACHE_INVALID, "%s", bodies[i]);
        cr_expect(strncmp(err.message, "body: ", 6) == 0, "%s: %s", bodies[i],
                  err.message);
    }
    lc_question q;
    cr_expect_eq(lc_question_read(LC_PROTOCOL_CHAT, "{}\0", 3, 0, &q, NULL),
                 LLMCACHE_INVALID);
}

Test(question, finds_a_name_given_twice_among_many)
{
    char body[4096];
    for (int twice = 0; twice < 2; twice++) {
        size_t at = 0;
        at += (size_t)sprintf(body + at, "{");
        for (int i = 0; i < 100; i++)
            at += (size_t)sprintf(body + at, "\"n%d\":%d,", i, i);
        at += (size_t)sprintf(body + at, "\"n%d\":0}", twice ? 57 : 100);
        lc_question q;
        int status = lc_question_read(LC_PROTOCOL_CHAT, body, at, 0, &q, NULL);
        cr_expect_eq(status, twice ? LLMCACHE_INVALID : 0);
        if (!status)
            lc_question_done(&q);
    }
}

Test(question, refuses_only_what_is_nested_too_deep)
{
    char body[2048];
    for (int depth = 511; depth <= 512; depth++) {
        size_t at = (size_t)sprintf(body, "{\"a\":");
        memset(body + at, '[', (size_t)depth);
        memset(body + at + depth, ']', (size_t)depth);
        at += 2 * (size_t)depth;
        body[at++] = '}';
        lc_question q;
        int status = lc_question_read(LC_PROTOCOL_CHAT, body, at, 0, &q, NULL);
        cr_expect_eq(status, depth == 511 ? 0 : LLMCACHE_INVALID);
        if (!status)
            lc_question_done(&q);
    }
}

Test(question, reads_model_and_stream)
{
    lc_question q =
        read_one(LC_PROTOCOL_CHAT,
                 CHAT(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    cr_expect_str_eq(q.model, "m");
    cr_expect_eq(q.stream, 1);
    cr_expect_eq(q.include_usage, 1);
    cr_expect_null(q.forward);
    cr_expect_eq(q.controls.ttl_ms, -1);
    cr_expect_eq(q.controls.max_age_ms, -1);
    lc_question_done(&q);
    q = read_one(LC_PROTOCOL_CHAT,
                 "{\"stream\":false,\"stream_options\":{\"include_usage\":true}}");
    cr_expect_str_eq(q.model, "");
    cr_expect_eq(q.stream, 0);
    cr_expect_eq(q.include_usage, 0);
    lc_question_done(&q);
}

Test(question, takes_its_own_controls_out)
{
    static const struct row {
        const char *body, *forward;
        int64_t ttl_ms, max_age_ms;
        int no_cache, no_store;
        const char *space;
    } rows[] = {
        {"{ \"a\" : 1 ,  \"cache\": {\"ttl\": 60} , \"b\":2.50}",
         "{ \"a\" : 1 , \"b\":2.50}", 60000, -1, 0, 0, NULL},
        {"{\"cache\":{\"s-maxage\":1.5}, \"a\":1}", "{\"a\":1}", -1, 1500, 0, 0, NULL},
        {"{\"a\":1,\"cache\":{\"no-cache\":true}}", "{\"a\":1}", -1, -1, 1, 0, NULL},
        {"{ \"cache\":{\"no-store\":true,\"namespace\":\"team \\u4e00\"} }", "{  }", -1,
         -1, 0, 1, "team 一"},
        {"{\"cache\":{}}", "{}", -1, -1, 0, 0, NULL},
        {"{\"cache\":{\"ttl\":-3,\"no-cache\":false,\"no-store\":null}}", "{}", 0, -1, 0,
         0, NULL},
        {"{\"cache\":{\"ttl\":\"60\",\"no-cache\":\"yes\",\"namespace\":7}}", "{}", -1,
         -1, 1, 0, NULL},
        {"{\"cache\":{\"ttl\":0.0005,\"s-maxage\":1e3}}", "{}", 0, 1000000, 0, 0, NULL},
        {"{\"cache\":{\"ttl\":99999999999999999}}", "{}", INT64_MAX / 2000 * 1000, -1, 0,
         0, NULL},
        {"{\"cache\":{\"namespace\":\"a\\u0000b\"}}", "{}", -1, -1, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_question q = read_one(LC_PROTOCOL_CHAT, rows[i].body);
        cr_expect_str_eq(q.forward, rows[i].forward);
        cr_expect_eq(q.forward_size, strlen(rows[i].forward));
        cr_expect_eq(q.controls.ttl_ms, rows[i].ttl_ms, "%s: %lld", rows[i].body,
                     (long long)q.controls.ttl_ms);
        cr_expect_eq(q.controls.max_age_ms, rows[i].max_age_ms, "%s", rows[i].body);
        cr_expect_eq(q.controls.no_cache, rows[i].no_cache, "%s", rows[i].body);
        cr_expect_eq(q.controls.no_store, rows[i].no_store, "%s", rows[i].body);
        cr_expect_str_eq(q.controls.space ? q.controls.space : "",
                         rows[i].space ? rows[i].space : "");
        lc_question_done(&q);
    }
    lc_question q = read_one(LC_PROTOCOL_CHAT, "{\"cache\":\"yes\"}");
    cr_expect_null(q.forward, "not the object we know: the service's business");
    lc_question_done(&q);
}

Test(question, what_is_written_can_be_read)
{
    static const lc_protocol protocols[] = {
        LC_PROTOCOL_CHAT, LC_PROTOCOL_MESSAGES, LC_PROTOCOL_RESPONSES,
        LC_PROTOCOL_COMPLETIONS, LC_PROTOCOL_EMBEDDINGS};
    const char *text = "什麼是快取？ \"quoted\" \\ \n\x01 \xe2\x80\xa8 end";
    for (size_t i = 0; i < 5; i++) {
        lc_buffer body;
        lc_buffer_init(&body, 0);
        const char *system = i < 3 ? "be brief" : NULL;
        cr_assert_eq(lc_body_write(protocols[i], "m", system, text, 10, &body, NULL), 0);
        lc_question q = read_sized(protocols[i], body.data, body.size, 0);
        if (protocols[i] != LC_PROTOCOL_EMBEDDINGS)
            cr_expect_str_eq(q.text, text);
        cr_expect_str_eq(q.model, "m");
        lc_question_done(&q);
        lc_buffer_done(&body);
    }
}

Test(question, an_ask_and_a_call_share_their_answer)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    cr_assert_eq(lc_body_write(LC_PROTOCOL_CHAT, "m", "s", "hi", 0, &body, NULL), 0);
    cr_expect(same_shape(
        LC_PROTOCOL_CHAT, body.data,
        "{\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
        "{\"role\":\"user\",\"content\":\"hi\"}],\"model\":\"m\"}",
        0));
    lc_buffer_done(&body);
}

Test(question, a_body_made_to_stream_keeps_its_key_and_asks_for_its_usage)
{
    static const lc_protocol protocols[] = {LC_PROTOCOL_CHAT, LC_PROTOCOL_MESSAGES,
                                            LC_PROTOCOL_RESPONSES, LC_PROTOCOL_COMPLETIONS};
    for (size_t i = 0; i < 4; i++) {
        lc_buffer body;
        lc_buffer_init(&body, 0);
        cr_assert_eq(lc_body_write(protocols[i], "m", NULL, "hi", 0, &body, NULL), 0);
        lc_question whole = read_sized(protocols[i], body.data, body.size, 0);
        cr_assert_eq(lc_body_stream(protocols[i], &body, NULL), 0);
        lc_question q = read_sized(protocols[i], body.data, body.size, 0);
        cr_expect(q.stream && !whole.stream);
        cr_expect_eq(q.include_usage, i == 0 || i == 3);
        cr_expect_arr_eq(q.shape, whole.shape, sizeof q.shape);
        lc_question_done(&q);
        lc_question_done(&whole);
        lc_buffer_done(&body);
    }
}

Test(question, body_write_refuses_what_it_cannot_say)
{
    lc_buffer body;
    llmcache_error err;
    lc_buffer_init(&body, 0);
    cr_expect_eq(lc_body_write(LC_PROTOCOL_CHAT, "m", NULL, "\xff", 0, &body, &err),
                 LLMCACHE_INVALID);
    cr_expect_eq(lc_body_write(LC_PROTOCOL_CHAT, "m", "\xff", "x", 0, &body, &err),
                 LLMCACHE_INVALID);
    cr_expect_eq(lc_body_write(LC_PROTOCOL_EMBEDDINGS, "m", "s", "x", 0, &body, &err),
                 LLMCACHE_UNSUPPORTED);
    lc_buffer_done(&body);
}

Test(question, survives_every_failing_allocation)
{
    const char *body = "{\"model\":\"m\",\"cache\":{\"namespace\":\"n\"},\"messages\":[{"
                       "\"role\":\"user\",\"content\":"
                       "\"cafe\\u0301\"}],\"a\":\"e\\u0301\",\"b\":{\"x\":1,\"y\":2}}";
    int refused = 0;
    for (uint64_t n = 1;; n++) {
        lc_question q;
        llmcache_error err;
        lc_memory_fail_at(n);
        int status = lc_question_read(LC_PROTOCOL_CHAT, body, strlen(body), 0, &q, &err);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        if (!status)
            lc_question_done(&q);
        if (!failed) {
            cr_expect_eq(status, 0);
            break;
        }
        cr_expect_eq(status, LLMCACHE_MEMORY, "allocation %d", (int)n);
        refused++;
    }
    cr_expect_geq(refused, 8);
}

static int write_all(lc_buffer *body)
{
    int status = lc_body_write(LC_PROTOCOL_CHAT, "m", "s", "q", 9, body, NULL);
    if (!status)
        status =
            lc_answer_write(LC_PROTOCOL_RESPONSES, "m", "a\n", "i", 1, 2, 3, body, NULL);
    return status ? status
                  : lc_error_write(LC_PROTOCOL_CHAT, 0, 500, NULL, NULL, "m", body);
}

Test(question, what_writes_bodies_says_when_memory_is_short)
{
    for (uint64_t n = 1;; n++) {
        lc_buffer body;
        lc_buffer_init(&body, 0);
        lc_memory_fail_at(n);
        int status = write_all(&body);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        lc_buffer_done(&body);
        cr_assert_eq(status, failed ? LLMCACHE_MEMORY : 0, "allocation %d", (int)n);
        if (!failed) {
            cr_expect_gt(n, 2);
            break;
        }
    }
}
