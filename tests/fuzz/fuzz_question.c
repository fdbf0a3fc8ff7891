/*
 * Requests. Whatever is accepted must be JSON to jansson too, must have the same key when
 * jansson writes it anew, and what is forwarded must be the same question without our
 * controls.
 */
#include "fuzz.h"
#include "base/utf8.h"
#include "protocol/protocol.h"
#include "protocol/shape.h"
#include "protocol/spots.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/question",
                                    "tests/fuzz/corpus/embeddings", NULL};

static const lc_protocol protocols[] = {LC_PROTOCOL_CHAT, LC_PROTOCOL_MESSAGES,
                                        LC_PROTOCOL_RESPONSES, LC_PROTOCOL_COMPLETIONS,
                                        LC_PROTOCOL_EMBEDDINGS};

/* jansson cannot hold every number; where it holds all of them as integers, writing them
 * anew is exact. */
static int has_reals(const json_t *value)
{
    const char *name;
    size_t index;
    json_t *child;
    if (json_is_real(value))
        return 1;
    json_object_foreach((json_t *)value, name, child) if (has_reals(child)) return 1;
    json_array_foreach(value, index, child) if (has_reals(child)) return 1;
    return 0;
}

static void compare_rewritten(lc_protocol protocol, const json_t *body,
                              const lc_question *question)
{
    lc_question again;
    /* Two names that differ in a NUL are one to jansson's writer. */
    char *text = json_dumps(body, JSON_SORT_KEYS | JSON_ENSURE_ASCII | JSON_INDENT(3));
    if (!text)
        return;
    FUZZ_CHECK(lc_question_read(protocol, text, strlen(text), 0, &again, NULL) == 0);
    FUZZ_CHECK(memcmp(again.shape, question->shape, 32) == 0);
    FUZZ_CHECK(memcmp(again.context, question->context, 32) == 0);
    FUZZ_CHECK(again.matchable == question->matchable &&
               again.cacheable == question->cacheable);
    lc_question_done(&again);
    free(text);
}

static void check_forward(lc_protocol protocol, const lc_question *question)
{
    lc_question again;
    FUZZ_CHECK(lc_question_read(protocol, question->forward, question->forward_size, 0,
                                &again, NULL) == 0);
    FUZZ_CHECK(memcmp(again.shape, question->shape, 32) == 0);
    FUZZ_CHECK(!again.forward && again.controls.ttl_ms == -1 && !again.controls.space);
    lc_question_done(&again);
}

/* A shape is text of some length at most, one for all ways of writing a request, and no different from itself. */
static void check_shape(lc_protocol protocol, const char *body, size_t size, int fits)
{
    lc_buffer shape;
    lc_difference difference;
    lc_buffer_init(&shape, 0);
    FUZZ_CHECK((lc_shape_write(protocol, body, size, 0, &shape, NULL) == 0) == fits);
    if (fits) {
        lc_buffer_add(&shape, "", 0);
        FUZZ_CHECK(shape.size < LC_SHAPE_BYTES + 1024);
        FUZZ_CHECK(!shape.size || (strlen(shape.data) == shape.size && lc_utf8_valid(shape.data, shape.size)));
        FUZZ_CHECK(!shape.size || lc_shape_compare(shape.data, shape.data, &difference, 1) == 0);
    }
    lc_buffer_done(&shape);
    /* The bytes themselves, as if they were a shape that was kept. */
    char *text = malloc(size + 1);
    memcpy(text, body, size);
    text[size] = '\0';
    lc_shape_compare(text, "model 'm\nmessages [2\nmessages[0].content ~9=a=b=cc=d1.aa\n", &difference, 1);
    lc_shape_compare("tools [2=a\ntools[x] =b\na ~9=a=b=cc=d1.aa\n", text, &difference, 1);
    lc_mix_masked(LC_MIX_START, text, size);
    free(text);
}

static void check(lc_protocol protocol, const char *body, size_t size)
{
    lc_question question;
    json_error_t error;
    llmcache_error err = {0};
    json_t *parsed =
        json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    int status = lc_question_read(protocol, body, size, 0, &question, &err);
    if (status) {
        FUZZ_CHECK(status == LLMCACHE_INVALID && err.code == status && err.message[0]);
        /* jansson overlooks a NUL behind a number, and knows nothing of what fields may
         * hold. */
        FUZZ_CHECK(!json_is_object(parsed) || memchr(body, '\0', size) ||
                   strstr(err.message, "deep") || strstr(err.message, "stream") ||
                   strstr(err.message, "model") || strstr(err.message, "exponent"));
        json_decref(parsed);
        return;
    }
    check_shape(protocol, body, size, 1);
    FUZZ_CHECK(question.model &&
               (question.matchable ? question.text != NULL : question.why_not != NULL));
    FUZZ_CHECK(!question.text || strlen(question.text) <= question.text_size);
    FUZZ_CHECK(parsed || json_error_code(&error) == json_error_numeric_overflow);
    if (parsed && !has_reals(parsed))
        compare_rewritten(protocol, parsed, &question);
    if (question.forward)
        check_forward(protocol, &question);
    lc_question_done(&question);
    json_decref(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        check(protocols[i], (const char *)data, size);
    return 0;
}
