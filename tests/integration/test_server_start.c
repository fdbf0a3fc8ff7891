/* Starting llmcache-server: what it says, and what it refuses. */
#include "llmcache_server.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(server_start, .timeout = 60);

static test_run_result run(const char *flag, const char *value)
{
    const char *const argv[] = {test_build_path("server/llmcache-server"),
                                "--store",
                                "memory:",
                                flag,
                                value,
                                NULL};
    return test_run(argv, NULL, NULL);
}

Test(server_start, one_line_says_where_and_with_what)
{
    test_server server;
    test_server_start(&server, NULL, NULL);
    const char *said = test_read_file(server.process.log, NULL);
    cr_assert_not_null(strstr(said, test_format("http://127.0.0.1:%d ", server.port)),
                       "%s", said);
    cr_assert_not_null(strstr(said, "store memory:"));
    cr_assert_not_null(strstr(said, "provider demo:"));
    cr_assert_not_null(strstr(said, "embedder none"));
    cr_assert_eq(strchr(said, '\n'), said + strlen(said) - 1, "more than one line: %s",
                 said);
}

Test(server_start, help_and_version)
{
    test_run_result help = run("--help", NULL), version = run("--version", NULL);
    cr_assert_eq(help.status, 0);
    cr_assert_not_null(strstr(help.out, "--max-connections"));
    cr_assert_not_null(strstr(help.out, "--port-file"));
    cr_assert_eq(version.status, 0);
    cr_assert_eq(strncmp(version.out, "llmcache-server ", 16), 0);
}

/* The setting, the value refused, what is allowed; exit code 2. */
Test(server_start, bad_settings)
{
    static const struct {
        const char *flag, *value, *said[3];
    } rows[] = {
        {"--max-connections", "0", {"max-connections", "\"0\"", "from 1"}},
        {"--max-connections", "many", {"max-connections", "many", "whole number"}},
        {"--listen", "8000s", {"listen", "8000s", "127.0.0.1:8000"}},
        {"--listen", "127.0.0.1:99999", {"listen", "99999", "127.0.0.1:8000"}},
        {"--listen", "127.0.0.1:80,81", {"listen", "80,81", "127.0.0.1:8000"}},
        {"--listen", "[::1]:8000", {"listen", "[::1]", "IPv4"}},
        {"--listen", "nowhere.invalid:1", {"listen", "nowhere.invalid", "IPv4"}},
        {"--threshold", "2", {"threshold", "\"2\"", "from 0 to 1"}},
        {"--access-log",
         "/nonexistent/x",
         {"access-log", "/nonexistent/x", "No such file"}},
        {"--nonsense", "1", {"nonsense", "setting", "settings.md"}},
        {"stray", NULL, {"stray", "flag", "--help"}},
        {"--ttl", NULL, {"--ttl", "needs", "value"}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_run_result result = run(rows[i].flag, rows[i].value);
        cr_expect_eq(result.status, 2, "%s: %d %s", rows[i].flag, result.status,
                     result.err);
        for (int j = 0; j < 3; j++)
            cr_expect_not_null(strstr(result.err, rows[i].said[j]),
                               "%s: no \"%s\" in: %s", rows[i].flag, rows[i].said[j],
                               result.err);
    }
}

Test(server_start, a_bad_variable_is_named)
{
    const char *const argv[] = {test_build_path("server/llmcache-server"), NULL};
    const char *const environment[] = {"LLMCACHE_MAX_BODY_BYTES=lots", NULL};
    test_run_result result = test_run(argv, environment, NULL);
    cr_assert_eq(result.status, 2);
    cr_assert_not_null(strstr(result.err, "LLMCACHE_MAX_BODY_BYTES"));
    cr_assert_not_null(strstr(result.err, "lots"));
}

Test(server_start, an_address_in_use)
{
    test_server server;
    test_server_start(&server, NULL, NULL);
    test_run_result result = run("--listen", test_format("127.0.0.1:%d", server.port));
    cr_assert_eq(result.status, 1);
    cr_assert_not_null(strstr(result.err, "Address already in use"), "%s", result.err);
    cr_assert_not_null(strstr(result.err, test_format("%d", server.port)));
}

Test(server_start, passwords_are_not_said)
{
    test_server server;
    test_server_start(&server, NULL, NULL);
    const char *const argv[] = {test_build_path("server/llmcache-server"), "--store",
                                "redis://u:hunter2@127.0.0.1:1",           "--listen",
                                test_format("127.0.0.1:%d", server.port),  NULL};
    test_run_result result = test_run(argv, NULL, NULL);
    cr_assert_neq(result.status, 0);
    cr_assert_null(strstr(result.err, "hunter2"), "%s", result.err);
    cr_assert_null(strstr(result.out, "hunter2"), "%s", result.out);
}
