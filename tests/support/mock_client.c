/* The mock model from a test's side. */
#include "mock_client.h"

#include "test_http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_port(const char *file)
{
    char *text = test_read_file(file, NULL);
    return text && strchr(text, '\n') ? atoi(text) : 0;
}

void mock_start(test_mock *mock)
{
    const char *port_file = test_format("%s/port", test_folder());
    const char *const argv[] = {test_build_path("tests/mock/mock-model"),
                                "--port",
                                test_format("%d", test_port()),
                                "--port-file",
                                port_file,
                                NULL};
    *mock = (test_mock){0};
    test_spawn(&mock->process, argv, NULL);
    if (!test_wait_until((mock->port = read_port(port_file)) ||
                             !test_running(&mock->process),
                         20000) ||
        !mock->port)
        test_give_up("mock-model does not start: %s",
                     test_read_file(mock->process.log, NULL));
    mock->url = mock->anthropic = test_format("http://127.0.0.1:%d", mock->port);
    mock->openai = test_format("%s/v1", mock->url);
}

void mock_stop(test_mock *mock)
{
    test_kill(&mock->process);
}

static json_t *control(const test_mock *mock, const char *path, const char *body)
{
    const char *url = test_format("%s/_mock/%s", mock->url, path);
    test_reply reply = body ? test_post(url, body) : test_get(url);
    if (reply.curl || reply.status != 200)
        test_give_up("mock-model %s: %d %d %s", path, reply.curl, reply.status,
                     reply.body);
    json_t *root = test_json(reply.body);
    test_reply_done(&reply);
    return root;
}

void mock_reset(const test_mock *mock)
{
    control(mock, "reset", "{}");
}

void mock_release(const test_mock *mock)
{
    control(mock, "release", "{}");
}

void mock_behave(const test_mock *mock, const char *format, ...)
{
    char text[65536];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof text)
        test_give_up("behaviour too long");
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    control(mock, "behave", text);
}

/* Leaves the one reference that test_json drops, whether the caller dropped its own or not. */
static void drop_others(void *log)
{
    while (((json_t *)log)->refcount > 1)
        json_decref(log);
}

json_t *mock_log(const test_mock *mock)
{
    json_t *log = json_incref(control(mock, "log", NULL));
    test_at_end(drop_others, log);
    return log;
}

int mock_calls(const test_mock *mock, const char *path)
{
    json_t *paths = json_object_get(control(mock, "counts", NULL), "paths"), *count;
    const char *name;
    int sum = 0;
    json_object_foreach(paths, name,
                        count) if (!path || strncmp(name, path, strlen(path)) == 0) sum +=
        (int)json_integer_value(count);
    return sum;
}

int mock_open_calls(const test_mock *mock)
{
    return (int)json_integer_value(
        json_object_get(control(mock, "counts", NULL), "open"));
}
