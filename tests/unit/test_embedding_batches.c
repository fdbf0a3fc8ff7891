/* Batches of embeddings: a key for each input, asking for what is missing, both forms of
 * vectors. */
#include "base/memory.h"
#include "protocol/embeddings.h"
#include "protocol/float_text.h"
#include "protocol/protocol.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static lc_embeddings *read_one(const char *body)
{
    lc_embeddings *batch = NULL;
    llmcache_error err;
    cr_assert_eq(lc_embeddings_read(body, strlen(body), 0, &batch, &err), 0, "%s: %s",
                 body, err.message);
    return batch;
}

/* ---- Keys ----------------------------------------------------------------------------
 */

static int same_first(const char *a, const char *b)
{
    lc_embeddings *left = read_one(a), *right = read_one(b);
    int same =
        memcmp(lc_embeddings_shape(left, 0), lc_embeddings_shape(right, 0), 32) == 0;
    lc_embeddings_free(left);
    lc_embeddings_free(right);
    return same;
}

#define ASKS(input, rest) "{\"model\":\"m\",\"input\":" input rest "}"

Test(embeddings, key_each_input_by_itself)
{
    static const struct row {
        const char *a, *b;
        int same;
    } rows[] = {
        {ASKS("\"x\"", ""), ASKS("[\"x\"]", ""), 1},
        {ASKS("\"x\"", ""), ASKS("[\"x\",\"y\"]", ""), 1},
        {ASKS("\"x\"", ""), ASKS("\"x\"", ",\"encoding_format\":\"base64\""), 1},
        {ASKS("\"x\"", ""), ASKS("\"x\"", ",\"encoding_format\":null"), 1},
        {ASKS("\"x\"", ""), ASKS("\"x\"", ",\"user\":\"u\""), 1},
        {ASKS("\"x\"", ""), ASKS("\"\\u0078\"", ""), 1},
        {ASKS("\"x\"", ""), ASKS("\"x \"", ""), 0},
        {ASKS("\"caf\\u00e9\"", ""), ASKS("\"cafe\\u0301\"", ""), 0},
        {ASKS("\"x\"", ""), ASKS("\"x\"", ",\"dimensions\":256"), 0},
        {ASKS("\"x\"", ",\"dimensions\":256"), ASKS("\"x\"", ",\"dimensions\":256.0"), 1},
        {ASKS("[1,2]", ""), ASKS("[[1,2],[3]]", ""), 1},
        {ASKS("[1,2]", ""), ASKS("[1,3]", ""), 0},
        {ASKS("[1]", ""), ASKS("\"1\"", ""), 0},
        {ASKS("\"x\"", ""), "{\"model\":\"n\",\"input\":\"x\"}", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(same_first(rows[i].a, rows[i].b), rows[i].same, "%s %s", rows[i].a,
                     rows[i].b);
    lc_embeddings *batch = read_one(ASKS("[\"a\",\"b\",\"a\"]", ""));
    cr_expect_eq(lc_embeddings_count(batch), 3);
    cr_expect_eq(memcmp(lc_embeddings_shape(batch, 0), lc_embeddings_shape(batch, 2), 32),
                 0);
    cr_expect_neq(
        memcmp(lc_embeddings_shape(batch, 0), lc_embeddings_shape(batch, 1), 32), 0);
    size_t size;
    cr_expect_eq(memcmp(lc_embeddings_text(batch, 1, &size), "b", 1), 0);
    cr_expect_eq(size, 1);
    lc_embeddings_free(batch);
    batch = read_one(ASKS("[1,2,3]", ""));
    cr_expect_eq(lc_embeddings_count(batch), 1);
    cr_expect_null(lc_embeddings_text(batch, 0, &size));
    lc_embeddings_free(batch);
}

Test(embeddings, refuse_what_they_would_misread)
{
    static const char *const bodies[] = {
        "",
        "{}",
        ASKS("null", ""),
        ASKS("7", ""),
        ASKS("[]", ""),
        ASKS("[[]]", ""),
        ASKS("{}", ""),
        ASKS("[\"a\",7]", ""),
        ASKS("[\"a\",[\"b\"]]", ""),
        ASKS("[[1],[\"b\"]]", ""),
        ASKS("[null]", ""),
        ASKS("\"x\"", ",\"encoding_format\":\"hex\""),
        ASKS("\"x\"", ",\"encoding_format\":7"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        lc_embeddings *batch;
        cr_expect_eq(lc_embeddings_read(bodies[i], strlen(bodies[i]), 0, &batch, NULL),
                     LLMCACHE_INVALID, "%s", bodies[i]);
    }
}

/* ---- Asking, splitting, joining
 * --------------------------------------------------------- */

Test(embeddings, ask_for_what_is_missing_in_the_callers_own_words)
{
    static const struct row {
        const char *body;
        size_t positions[3], count;
        const char *ask;
    } rows[] = {
        {"{ \"input\" : [ \"a\", \"\\u0062\" ,\"c\"] , \"x\": 1.50}",
         {1, 2},
         2,
         "{ \"input\" : [\"\\u0062\",\"c\"] , \"x\": 1.50}"},
        {"{\"input\":[\"a\",\"b\"]}", {1}, 1, "{\"input\":[\"b\"]}"},
        {"{\"input\": \"a\" }", {0}, 1, "{\"input\": \"a\" }"},
        {"{\"input\":[1,2]}", {0}, 1, "{\"input\":[1,2]}"},
        {"{\"input\":[[1,2],[3],[4]]}", {0, 2}, 2, "{\"input\":[[1,2],[4]]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_embeddings *batch = read_one(rows[i].body);
        lc_buffer ask;
        lc_buffer_init(&ask, 0);
        cr_assert_eq(
            lc_embeddings_ask(batch, rows[i].positions, rows[i].count, &ask, NULL), 0);
        cr_expect_str_eq(ask.data, rows[i].ask);
        lc_buffer_done(&ask);
        lc_embeddings_free(batch);
    }
}

enum { MOST = 8 };

typedef struct kept {
    char *bodies[MOST];
    lc_embedding answers[MOST];
    int calls;
} kept;

static int keep(void *user, size_t position, const char *body, size_t size)
{
    kept *k = user;
    cr_assert_lt(position, MOST);
    cr_assert_null(k->bodies[position]);
    k->bodies[position] = strndup(body, size);
    k->answers[position] = (lc_embedding){k->bodies[position], size};
    k->calls++;
    return 0;
}

static void drop(kept *k)
{
    for (int i = 0; i < MOST; i++)
        free(k->bodies[i]);
}

static int split(const lc_embeddings *batch, const size_t *positions, size_t count,
                 const char *answer, kept *k)
{
    return lc_embeddings_split(batch, positions, count, answer, strlen(answer), keep, k,
                               NULL);
}

static void expect_json(const char *got, const char *want)
{
    json_t *left = json_loads(got, 0, NULL), *right = json_loads(want, 0, NULL);
    cr_expect(left && right && json_equal(left, right), "%s\n%s", got, want);
    json_decref(left);
    json_decref(right);
}

static void expect_joined(const char *body, kept *k, const char *want)
{
    lc_embeddings *batch = read_one(body);
    lc_buffer reply;
    llmcache_error err = {0};
    lc_buffer_init(&reply, 0);
    cr_assert_eq(lc_embeddings_join(batch, k->answers, &reply, NULL, &err), 0, "%s",
                 err.message);
    expect_json(reply.data, want);
    lc_buffer_done(&reply);
    lc_embeddings_free(batch);
}

#define REPLY(data, usage)                                                      \
    "{\"object\":\"list\",\"data\":[" data "],\"model\":\"m\",\"usage\":" usage \
    ",\"new\":{\"a\":1.50}}"
#define ITEM(index, vector) \
    "{\"object\":\"embedding\",\"index\":" index ",\"embedding\":" vector "}"

Test(embeddings, split_and_join_to_the_same_answer)
{
    const char *asks = ASKS("[\"aa\",\"b\",\"cccc\"]", "");
    const char *answer =
        REPLY(ITEM("2", "[3.0,1e-3]") "," ITEM("0", "[1.0]") "," ITEM("1", "[2.0]"),
              "{\"prompt_tokens\":10,\"total_tokens\":11}");
    lc_embeddings *batch = read_one(asks);
    const size_t all[] = {0, 1, 2};
    kept k = {0};
    cr_assert_eq(split(batch, all, 3, answer, &k), 0);
    cr_expect_eq(k.calls, 3);
    expect_json(k.bodies[0],
                REPLY(ITEM("0", "[1.0]"), "{\"prompt_tokens\":3,\"total_tokens\":3}"));
    expect_json(k.bodies[2], REPLY(ITEM("0", "[3.0,1e-3]"),
                                   "{\"prompt_tokens\":5,\"total_tokens\":6}"));
    cr_expect_not_null(strstr(k.bodies[2], "[3.0,1e-3]"), "as it was written");
    lc_answer_facts facts;
    cr_assert_eq(lc_answer_read(LC_PROTOCOL_EMBEDDINGS, k.bodies[1], strlen(k.bodies[1]),
                                &facts, NULL),
                 0);
    cr_expect(facts.keep);
    cr_expect_eq(facts.input_tokens, 2);
    lc_answer_facts_done(&facts);
    expect_joined(
        asks, &k,
        REPLY(ITEM("0", "[1.0]") "," ITEM("1", "[2.0]") "," ITEM("2", "[3.0,1e-3]"),
              "{\"prompt_tokens\":10,\"total_tokens\":11}"));
    drop(&k);
    lc_embeddings_free(batch);
}

Test(embeddings, answer_in_the_form_asked_for)
{
    /* 1, -2.5, 0.1, 3e-8 as little-endian float32 */
    const char *packed = "\"AACAPwAAIMDNzMw9WdkAMw==\"", *plain = "[1.0,-2.5,0.10000000149011612,2.999999892949745e-8]";
    static const struct row {
        const char *kept, *asked, *want;
    } rows[] = {
        {"plain", "", "plain"},
        {"packed", ",\"encoding_format\":\"base64\"", "packed"},
        {"plain", ",\"encoding_format\":\"base64\"", "packed"},
        {"packed", ",\"encoding_format\":\"float\"", "plain"},
        {"packed", ",\"encoding_format\":null", "plain"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kept k = {0};
        char answer[300], asks[100], want[300];
        snprintf(answer, sizeof answer, REPLY(ITEM("0", "%s"), "{\"prompt_tokens\":3}"),
                 strcmp(rows[i].kept, "plain") ? packed : plain);
        snprintf(want, sizeof want, REPLY(ITEM("0", "%s"), "{\"prompt_tokens\":3}"),
                 strcmp(rows[i].want, "plain") ? packed : plain);
        snprintf(asks, sizeof asks, ASKS("\"x\"", "%s"), rows[i].asked);
        k.answers[0] = (lc_embedding){answer, strlen(answer)};
        expect_joined(asks, &k, want);
    }
}

Test(embeddings, do_not_care_for_the_locale)
{
    const char *names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "cs_CZ.UTF-8"};
    for (size_t i = 0; i < 3 && !setlocale(LC_ALL, names[i]); i++)
        ;
    char text[32];
    text[lc_float_write(0.25f, text)] = '\0';
    cr_expect_str_eq(text, "0.25");
    kept k = {0};
    const char *answer = REPLY(ITEM("0", "[0.25]"), "{\"prompt_tokens\":3}");
    k.answers[0] = (lc_embedding){answer, strlen(answer)};
    setlocale(LC_ALL, "C"); /* for jansson, which reads what was joined */
    expect_joined(ASKS("\"x\"", ",\"encoding_format\":\"base64\""), &k,
                  REPLY(ITEM("0", "\"AACAPg==\""), "{\"prompt_tokens\":3}"));
}

Test(embeddings, say_which_kept_answer_is_damaged)
{
    static const char *const damaged[] = {
        "",
        "{}",
        "{\"data\":[]}",
        "{\"data\":[{\"embedding\":\"AAA\"}]}",
        "{\"data\":[{\"embedding\":\"AAAA\"}]}",
        "{\"data\":[{\"embedding\":\"AACAfw==\"}]}",
        "{\"data\":[{\"embedding\":\"****\"}]}",
        "{\"data\":[{\"embedding\":\"A===\"}]}",
        "{\"data\":[{\"embedding\":\"AA=AAAA=\"}]}",
        "{\"data\":[{\"embedding\":[\"x\"]}]}",
        "{\"data\":[{\"embedding\":[1.0]},{\"embedding\":[1.0]}]}",
    };
    const char *good = REPLY(ITEM("0", "[1.0]"), "{\"prompt_tokens\":3}");
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        lc_embeddings *batch = read_one(ASKS("[\"a\",\"b\"]", ""));
        const lc_embedding answers[] = {{good, strlen(good)},
                                        {damaged[i], strlen(damaged[i])}};
        size_t position = 7;
        lc_buffer reply;
        llmcache_error err = {0};
        lc_buffer_init(&reply, 0);
        cr_expect_eq(lc_embeddings_join(batch, answers, &reply, &position, &err),
                     LLMCACHE_INVALID, "%s", damaged[i]);
        cr_expect_eq(position, 1);
        cr_expect_eq(err.code, LLMCACHE_INVALID);
        cr_expect_eq(reply.size, 0);
        lc_buffer_done(&reply);
        lc_embeddings_free(batch);
    }
}

Test(embeddings, are_not_kept_unless_there_is_one_for_each)
{
    static const char *const answers[] = {
        "",
        "{}",
        REPLY("", "{}"),
        REPLY(ITEM("0", "[1.0]"), "{}"),
        REPLY(ITEM("0", "[1.0]") "," ITEM("0", "[1.0]"), "{}"),
        REPLY(ITEM("0", "[1.0]") "," ITEM("2", "[1.0]"), "{}"),
        REPLY(ITEM("0", "[1.0]") "," ITEM("1", "[]"), "{}"),
        REPLY(ITEM("0", "[1.0]") "," ITEM("1", "null"), "{}"),
        REPLY(ITEM("0", "[1.0]") "," ITEM("\"1\"", "[1.0]"), "{}"),
        REPLY(ITEM("0", "[1.0]") "," ITEM("1", "[1.0]") "," ITEM("2", "[1.0]"), "{}"),
    };
    const size_t both[] = {0, 1};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        lc_embeddings *batch = read_one(ASKS("[\"a\",\"b\"]", ""));
        kept k = {0};
        cr_expect_eq(split(batch, both, 2, answers[i], &k), LLMCACHE_INVALID, "%s",
                     answers[i]);
        cr_expect_eq(k.calls, 0);
        lc_embeddings_free(batch);
    }
}

static int refuse(void *user, size_t position, const char *body, size_t size)
{
    return ++*(int *)user == 2 ? LLMCACHE_ABORTED : 0;
}

Test(embeddings, stop_splitting_when_told_to)
{
    lc_embeddings *batch = read_one(ASKS("[\"a\",\"b\",\"c\"]", ""));
    const char *answer =
        REPLY(ITEM("0", "[1.0]") "," ITEM("1", "[1.0]") "," ITEM("2", "[1.0]"), "{}");
    const size_t all[] = {0, 1, 2};
    int calls = 0;
    cr_expect_eq(
        lc_embeddings_split(batch, all, 3, answer, strlen(answer), refuse, &calls, NULL),
        LLMCACHE_ABORTED);
    cr_expect_eq(calls, 2);
    lc_embeddings_free(batch);
}

/* ---- Floats --------------------------------------------------------------------------
 */

static void check_float(float value, int *longer)
{
    char text[32], shortest[32];
    size_t size = lc_float_write(value, text);
    cr_assert(size > 0 && size < sizeof text);
    text[size] = '\0';
    cr_assert_eq(strtof(text, NULL), value, "%s for %.9g", text, (double)value);
    json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);
    cr_assert_not_null(number, "%s is JSON", text);
    json_decref(number);
    cr_assert_eq(strtod(text, NULL), (double)value, "%s for %.17g", text, (double)value);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(shortest, sizeof shortest, "%.*e", digits - 1, (double)value);
        if (strtod(shortest, NULL) == (double)value)
            break;
    }
    *longer += strtod(shortest, NULL) != strtod(text, NULL);
}

Test(embeddings, floats_read_back_as_they_were)
{
    static const float some[] = {0.0f,           -0.0f,     1.0f,        -1.0f,
                                 0.1f,           123456.0f, 1e15f,       1e16f,
                                 1e-5f,          1e-6f,     16777216.0f, 3.4028235e38f,
                                 1.1754944e-38f, 1.4e-45f,  0.30000001f, 9.999999e9f};
    int longer = 0, count = 0;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        check_float(some[i], &longer);
    uint32_t bits = 12345;
    for (; count < 200000; count++) {
        float value;
        bits = bits * 1664525u + 1013904223u;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            check_float(value, &longer);
        check_float((float)(bits >> 8) / 16777216.0f - 0.5f, &longer);
    }
    cr_expect_eq(longer, 0, "%d longer than need be", longer);
}

/* ---- Memory --------------------------------------------------------------------------
 */

static int whole_way(const char *asks, const char *answer)
{
    const size_t both[] = {0, 1};
    lc_embeddings *batch = NULL;
    kept k = {0};
    lc_buffer ask, reply;
    lc_buffer_init(&ask, 0);
    lc_buffer_init(&reply, 0);
    int status = lc_embeddings_read(asks, strlen(asks), 0, &batch, NULL);
    if (!status)
        status = lc_embeddings_ask(batch, both, 2, &ask, NULL);
    if (!status)
        status = split(batch, both, 2, answer, &k);
    if (!status)
        status = lc_embeddings_join(batch, k.answers, &reply, NULL, NULL);
    lc_buffer_done(&ask);
    lc_buffer_done(&reply);
    drop(&k);
    lc_embeddings_free(batch);
    return status;
}

Test(embeddings, survive_every_failing_allocation)
{
    const char *asks = ASKS("[\"a\",\"e\\u0301\"]", ",\"encoding_format\":\"base64\"");
    const char *answer =
        REPLY(ITEM("0", "[1.0]") "," ITEM("1", "[2.0]"), "{\"prompt_tokens\":3}");
    for (uint64_t n = 1;; n++) {
        lc_memory_fail_at(n);
        int status = whole_way(asks, answer);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(status, failed ? LLMCACHE_MEMORY : 0, "allocation %d", (int)n);
        if (!failed) {
            cr_expect_gt(n, 10);
            break;
        }
    }
}
