/* The test support itself: what other tests rely on without looking. */
#include "redis_server.h"
#include "support.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(processes, run_gives_output_and_status)
{
    test_run_result result =
        test_run((const char *const[]){"sh", "-c", "cat; echo $A >&2; exit 3", NULL},
                 (const char *const[]){"A=b c", NULL}, "input\n");
    cr_assert_eq(result.status, 3);
    cr_assert_str_eq(result.out, "input\n");
    cr_assert_str_eq(result.err, "b c\n");
}

Test(processes, environment_can_be_removed)
{
    setenv("GONE", "1", 1);
    test_run_result result =
        test_run((const char *const[]){"sh", "-c", "echo ${GONE-none}", NULL},
                 (const char *const[]){"GONE", NULL}, NULL);
    cr_assert_str_eq(result.out, "none\n");
}

Test(processes, a_program_that_is_not_there_says_so)
{
    cr_assert_eq(test_run_line("/no/such/program").status, 127);
}

/* The number in the file once its line is whole, 0 before. */
static int number_in(const char *file)
{
    const char *text = test_read_file(file, NULL);
    return text && strchr(text, '\n') ? atoi(text) : 0;
}

/* Gone, or a zombie that waits for init. */
static int has_ended(int pid)
{
    const char *stat = test_read_file(test_format("/proc/%d/stat", pid), NULL);
    return !stat || !*stat || strstr(stat, ") Z ");
}

Test(processes, kill_reaches_the_whole_group)
{
    const char *file = test_format("%s/pid", test_folder());
    test_process process;
    const char *script = test_format("sleep 100 & echo $! > %s; wait", file);
    test_spawn(&process, (const char *const[]){"sh", "-c", script, NULL}, NULL);
    int grandchild = 0;
    cr_assert(test_wait_until((grandchild = number_in(file)), 5000));
    cr_assert_not(has_ended(grandchild));
    test_kill(&process);
    cr_assert_eq(process.status, 128 + SIGKILL);
    cr_assert(test_wait_until(has_ended(grandchild), 5000));
}

Test(processes, children_die_with_the_test)
{
    const char *file = test_format("%s/pid", test_folder());
    const char *inside = test_folder(); /* what the killed one leaves goes with this */
    pid_t middle = fork();
    if (middle == 0) {
        setenv("TMPDIR", inside, 1);
        test_process process;
        test_spawn(&process, (const char *const[]){"sleep", "100", NULL}, NULL);
        test_write_text(file, test_format("%d\n", process.pid));
        kill(getpid(), SIGKILL);
    }
    int child = 0;
    cr_assert(test_wait_until((child = number_in(file)), 5000));
    cr_assert(test_wait_until(has_ended(child), 5000));
}

Test(ports, are_different)
{
    int a = test_port(), b = test_port();
    cr_assert_neq(a, b);
}

Test(redis, starts_empty_and_answers)
{
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis redis;
    test_redis_start(&redis, NULL);
    cr_assert_str_eq(test_redis_command(&redis, "DBSIZE"), "0");
    cr_assert_str_eq(test_redis_command(&redis, "SET a %d", 5), "OK");
    cr_assert_str_eq(test_redis_command(&redis, "GET a"), "5");
    cr_assert_null(test_redis_command(&redis, "GET b"));
}

Test(redis, wants_its_password)
{
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis redis;
    test_redis_start(&redis,
                     &(test_redis_options){.user = "cache", .password = "s3cret"});
    cr_assert_str_eq(test_redis_command(&redis, "ACL WHOAMI"), "cache");
    cr_assert_str_eq(redis.uri,
                     test_format("redis://cache:s3cret@127.0.0.1:%d", redis.port));
}

Test(redis, speaks_tls)
{
    if (!test_redis_installed() || !test_program("openssl"))
        cr_skip_test("redis-server or openssl is not installed");
    test_redis redis;
    test_redis_start(&redis, &(test_redis_options){.tls = 1});
    test_run_result shaken = test_run(
        (const char *const[]){"openssl", "s_client", "-connect",
                              test_format("127.0.0.1:%d", redis.port), "-CAfile",
                              redis.ca_file, "-verify_return_error", "-quiet", NULL},
        NULL, "PING\r\nQUIT\r\n");
    cr_assert(strstr(shaken.out, "+PONG"), "%s", shaken.err);
}

Test(redis, keeps_data_over_a_restart_when_durable)
{
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis redis;
    test_redis_start(&redis, &(test_redis_options){.durable = 1});
    test_redis_command(&redis, "SET a 1");
    test_redis_kill(&redis);
    int port = redis.port;
    test_redis_restart(&redis);
    cr_assert_eq(redis.port, port);
    cr_assert_str_eq(test_redis_command(&redis, "GET a"), "1");
}
