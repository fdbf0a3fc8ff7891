/* Shapes of requests, what may stand in them, and what two of them say of each other. */
#include "base/memory.h"
#include "protocol/shape.h"
#include "protocol/spots.h"

#include <criterion/criterion.h>
#include <string.h>

static char *shape_of(lc_protocol protocol, const char *body)
{
    lc_buffer shape;
    llmcache_error err;
    lc_buffer_init(&shape, 0);
    cr_assert_eq(lc_shape_write(protocol, body, strlen(body), 0, &shape, &err), 0, "%s: %s", body,
                 err.message);
    return lc_buffer_take(&shape, NULL);
}

/* ---- Spots ----------------------------------------------------------------------------------- */

Test(spots, are_found_for_what_they_are)
{
    static const struct {
        const char *text;
        char kind;
        const char *spot;
    } rows[] = {{"Today is 2026-11-25.", 'd', "2026-11-25"},
                {"on 11/25/2026, we", 'd', "11/25/2026"},
                {"It is Nov 25, 2026 now", 'd', "Nov 25, 2026"},
                {"the 25th November 2026.", 'd', "25th November 2026"},
                {"Wednesday again", 'd', "Wednesday"},
                {"今天是2026年11月25日，", 'd', "2026年11月25日"},
                {"今天是星期三。", 'd', "星期三"},
                {"現在 17時18分", 't', "17時18分"},
                {"at 17:18:48 sharp", 't', "17:18:48"},
                {"at 5:18 PM sharp", 't', "5:18 PM"},
                {"at 2026-11-25T17:18:48Z", 't', "2026-11-25T17:18:48Z"},
                {"ts=1764091128", 't', "1764091128"},
                {"id 123e4567-e89b-12d3-a456-426614174000!", 'u',
                 "123e4567-e89b-12d3-a456-426614174000"},
                {"request req_8f3a9c1e2b7d4f60", 'x', "req_8f3a9c1e2b7d4f60"},
                {"visitor 4711", 'n', "4711"},
                {"pi is 3.14", 'n', "3.14"},
                {"Be brief. May I go? 2FA, v2.", 0, NULL},
                {"三天前在下面", 0, NULL},
                {"", 0, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t from = 0, to = 0, size = strlen(rows[i].text);
        char *text = lc_memdup(rows[i].text, size ? size : 1); /* no NUL: for the sanitizer */
        lc_spot_kind kind = lc_spot_next(text, size, 0, &from, &to);
        cr_expect_eq(kind, (lc_spot_kind)rows[i].kind, "%s: %d", rows[i].text, kind);
        if (kind && rows[i].spot)
            cr_expect(to - from == strlen(rows[i].spot) &&
                          memcmp(text + from, rows[i].spot, to - from) == 0,
                      "%s: %.*s", rows[i].text, (int)(to - from), text + from);
        lc_free(text);
    }
}

static uint64_t masked(const char *text)
{
    return lc_mix_masked(LC_MIX_START, text, strlen(text));
}

Test(spots, masked_texts_are_one)
{
    cr_expect_eq(masked("It is 2026-11-25, be kind"), masked("It is 2026-11-26, be kind"));
    cr_expect_neq(masked("It is 2026-11-25, be kind"), masked("It is 2026-11-25, be rude"));
    cr_expect_neq(masked("It is 2026-11-25"), masked("It is 17:18"));
}

/* ---- Writing ---------------------------------------------------------------------------------- */

Test(shape, says_each_field_once_and_no_prompt)
{
    char *shape = shape_of(LC_PROTOCOL_CHAT,
                           "{\"messages\":[{\"role\":\"system\",\"content\":\"You are Tom's nurse.\"},"
                           "{\"role\":\"user\",\"content\":\"Where does it hurt?\"}],"
                           "\"temperature\":0.70,\"model\":\"m\",\"stream\":true,\"seed\":1e2,"
                           "\"metadata\":{\"a\":1},\"stop\":[\"END\"],\"n\":null}");
    static const char *const wanted[] = {"model 'm\n",
                                         "temperature 0.7\n",
                                         "seed 100\n",
                                         "n null\n",
                                         "stop [1\n",
                                         "messages [2\n",
                                         "messages[0].role 'system\n",
                                         "messages[1].content ?\n"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect_not_null(strstr(shape, wanted[i]), "%s in %s", wanted[i], shape);
    static const char *const unwanted[] = {"nurse", "hurt", "END", "metadata", "stream"};
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        cr_expect_null(strstr(shape, unwanted[i]), "%s in %s", unwanted[i], shape);
    lc_free(shape);
}

Test(shape, is_bounded)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    lc_buffer_text(&body, "{\"model\":\"m\",\"messages\":[");
    for (int i = 0; i < 500; i++)
        lc_buffer_format(&body, "{\"role\":\"user\",\"content\":\"number %d in a long talk\"},", i);
    lc_buffer_text(&body, "{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 100000; i++)
        lc_buffer_text(&body, "長 ");
    lc_buffer_text(&body, "\"}],\"tools\":[");
    for (int i = 0; i < 200; i++)
        lc_buffer_format(&body, "%s{\"type\":\"function\",\"function\":{\"name\":\"tool_%d\"}}",
                         i ? "," : "", i);
    lc_buffer_text(&body, "]}");
    char *shape = shape_of(LC_PROTOCOL_CHAT, body.data);
    cr_expect_lt(strlen(shape), LC_SHAPE_BYTES + 512, "%zu", strlen(shape));
    cr_expect_not_null(strstr(shape, "messages [501\n"), "%s", shape);
    lc_free(shape);
    lc_buffer_done(&body);
}

/* Members are of any number too, at the top and further in. */
Test(shape, is_bounded_whatever_is_many)
{
    static const char *const frames[][2] = {{"{\"model\":\"m\",", "\"z\":1}"},
                                            {"{\"a\":{\"b\":{", "\"z\":1}},\"model\":\"m\"}"},
                                            {"{\"messages\":[{\"role\":\"user\",", "\"z\":1}],\"model\":\"m\"}"}};
    for (size_t i = 0; i < 3; i++) {
        lc_buffer body;
        lc_buffer_init(&body, 0);
        lc_buffer_text(&body, frames[i][0]);
        for (int n = 0; n < 5000; n++)
            lc_buffer_format(&body, "\"member_%d\":%d,", n, n);
        lc_buffer_text(&body, frames[i][1]);
        char *shape = shape_of(LC_PROTOCOL_CHAT, body.data);
        cr_expect_lt(strlen(shape), LC_SHAPE_BYTES + 512, "%zu: %zu", i, strlen(shape));
        /* What there was no room for still counts. */
        memcpy(strstr(body.data, "\"z\":1"), "\"z\":2", 5);
        char *other = shape_of(LC_PROTOCOL_CHAT, body.data);
        cr_expect_str_neq(shape, other, "%zu", i);
        lc_free(shape);
        lc_free(other);
        lc_buffer_done(&body);
    }
}

Test(shape, of_what_cannot_be_read)
{
    lc_buffer shape;
    lc_buffer_init(&shape, 0);
    cr_expect_eq(lc_shape_write(LC_PROTOCOL_CHAT, "[1]", 3, 0, &shape, NULL), LLMCACHE_INVALID);
    cr_expect_eq(lc_shape_write(LC_PROTOCOL_CHAT, "{", 1, 0, &shape, NULL), LLMCACHE_INVALID);
    const char *body = "{\"model\":\"m\",\"stop\":[\"a\",\"b\"],\"messages\":[]}";
    for (int n = 1; n < 100; n++) {
        lc_memory_fail_at((uint64_t)n);
        int code = lc_shape_write(LC_PROTOCOL_CHAT, body, strlen(body), 0, &shape, NULL);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_expect_eq(code, failed ? LLMCACHE_MEMORY : 0, "%d: %d", n, code);
        lc_buffer_done(&shape);
        lc_buffer_init(&shape, 0);
        if (!failed)
            break;
    }
    lc_buffer_done(&shape);
}

/* ---- Comparing --------------------------------------------------------------------------------- */

#define ASKED "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define SYSTEM(text)                                                                         \
    "\"messages\":[{\"role\":\"system\",\"content\":\"" text "\"},{\"role\":\"user\","       \
    "\"content\":\"hi\"}]"
#define LONG "You are a helpful assistant of a bank and answer in whole sentences. "
#define TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

static const struct row {
    const char *here, *there;
    const char *field, *kind, *shown_here, *shown_there;
    int from, to;
} rows[] = {
    {"{\"temperature\":0.7," ASKED "}", "{\"temperature\":1.0," ASKED "}", "temperature", "value",
     "0.7", "1", -1, -1},
    {"{\"temperature\":0.7," ASKED "}", "{" ASKED "}", "temperature", "added", "0.7", "", -1, -1},
    {"{" ASKED "}", "{\"seed\":7," ASKED "}", "seed", "removed", "", "7", -1, -1},
    {"{\"model\":\"gpt-4o\"," ASKED "}", "{\"model\":\"gpt-4o-mini\"," ASKED "}", "model", "value",
     "gpt-4o", "gpt-4o-mini", -1, -1},
    {"{" SYSTEM(LONG "Today is 2026-11-25.") "}", "{" SYSTEM(LONG "Today is 2026-11-26.") "}",
     "messages[0].content", "date", "", "", 78, 78},
    {"{" SYSTEM(LONG "現在是17:18。") "}", "{" SYSTEM(LONG "現在是17:19。") "}", "messages[0].content",
     "time", "", "", 72, 72},
    {"{" SYSTEM(LONG "Be kind.") "}", "{" SYSTEM(LONG "Be rude.") "}", "messages[0].content", "text",
     "", "", 64, 77},
    {"{" SYSTEM("Be kind") "}", "{" ASKED "}", "messages", "length", "2", "1", -1, -1},
    {"{\"tools\":[" TOOL("a") "," TOOL("b") "]," ASKED "}", "{\"tools\":[" TOOL("a") "]," ASKED "}",
     "tools[b]", "added", "", "", -1, -1},
    {"{\"tools\":[" TOOL("a") "," TOOL("b") "]," ASKED "}",
     "{\"tools\":[" TOOL("b") "," TOOL("a") "]," ASKED "}", "tools", "order", "2", "2", -1, -1},
    {"{\"response_format\":{\"type\":\"json_object\"}," ASKED "}",
     "{\"response_format\":{\"type\":\"text\"}," ASKED "}", "response_format.type", "value",
     "json_object", "text", -1, -1},
    {"{\"session\":\"123e4567-e89b-12d3-a456-426614174000\"," ASKED "}",
     "{\"session\":\"123e4567-e89b-12d3-a456-426614174001\"," ASKED "}", "session", "uuid", "", "", 0,
     0},
};

Test(shape, differences_are_named)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        lc_difference d[4];
        char *here = shape_of(LC_PROTOCOL_CHAT, row->here);
        char *there = shape_of(LC_PROTOCOL_CHAT, row->there);
        size_t count = lc_shape_compare(here, there, d, 4);
        cr_expect_eq(count, 1, "%s: %zu\n%s\n%s", row->field, count, here, there);
        cr_expect_str_eq(d[0].field, row->field);
        cr_expect_str_eq(d[0].kind, row->kind, "%s: %s", row->field, d[0].kind);
        cr_expect_str_eq(d[0].here, row->shown_here);
        cr_expect_str_eq(d[0].there, row->shown_there);
        cr_expect(d[0].from == row->from && d[0].to == row->to, "%s %s: %d to %d", row->field,
                  row->kind, (int)d[0].from, (int)d[0].to);
        cr_expect_eq(lc_shape_compare(here, here, d, 4), 0);
        lc_free(here);
        lc_free(there);
    }
}

/* Written otherwise, but one key: no difference. */
Test(shape, has_no_difference_where_the_key_has_none)
{
    lc_difference d[4];
    char *here = shape_of(LC_PROTOCOL_CHAT, "{\"temperature\":0.70,\"stop\":[\"a\"],\"user\":\"x\"," ASKED "}");
    char *there = shape_of(LC_PROTOCOL_CHAT,
                           "{" ASKED ",\"user\":\"y\", \"stop\":[\"\\u0061\"],\"temperature\":7e-1}");
    cr_expect_eq(lc_shape_compare(here, there, d, 4), 0, "%s\n%s", here, there);
    lc_free(here);
    lc_free(there);
}

Test(shape, any_bytes_may_be_compared)
{
    static const char *const odd[] = {"", "x", " ", "\n\n", "a \n", "a ~", "a ~1", "a ~1=2=3", "a [",
                                      "a [=", "a ~x=y=z=w=n", "a ~9=y=z=w=n9", "a ~9=y=z=w=n9.aa",
                                      "a ~9=y=q=w=n9.bb", "a[0] =", "a [2=x\na[b] =y", "a '"};
    lc_difference d[2];
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t j = 0; j < sizeof odd / sizeof *odd; j++)
            lc_shape_compare(odd[i], odd[j], d, 2);
}
