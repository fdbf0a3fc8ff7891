/*
 * The mock model (tests/mock/mock_model.c) from a test's side: start one, tell it how to
 * behave, see what it was asked.
 */
#ifndef TEST_MOCK_CLIENT_H
#define TEST_MOCK_CLIENT_H

#include "support.h"

#include <jansson.h>

typedef struct test_mock {
    test_process process;
    int port;
    const char *url;       /* http://127.0.0.1:port */
    const char *openai;    /* the same with /v1: an OpenAI base URL */
    const char *anthropic; /* url: an Anthropic base URL */
} test_mock;

void mock_start(test_mock *mock);
void mock_stop(test_mock *mock);        /* SIGKILL */
void mock_reset(const test_mock *mock); /* forgets behaviours and calls */

/* Adds a rule or a list of them, as tests/mock/README.md has them: mock_behave(&mock,
 * "{'status': 429}"). Single quotes stand for double ones. */
void mock_behave(const test_mock *mock, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Lets the calls go on that came so far and are held by their rule (`hold`). */
void mock_release(const test_mock *mock);

/* Calls seen since the start or the last reset, below a path ("" or NULL: all). */
int mock_calls(const test_mock *mock, const char *path);

/* The whole log, alive until the test ends (a json_decref does no harm). Each call: number, method,
 * target, headers (object), body (text), connection, started_us, ended_us, status, gone. */
json_t *mock_log(const test_mock *mock);

/* Calls being answered at this moment. */
int mock_open_calls(const test_mock *mock);

#endif
