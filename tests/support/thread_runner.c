/*
 * Runs Criterion's tests without Criterion's runner: its child processes map a memory
 * arena where the thread sanitizer keeps its own, so that a program built with
 * -Db_sanitize=thread cannot start. Linked into the test programs of such builds only,
 * this file takes the place of the runner's main and of what assertions call: every test
 * runs in a fork, failures are printed, the exit code counts.
 *
 *   thread-runner [--xml=FILE (ignored)] [PART OF A NAME]
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { passed = 0, failed = 1, skipped = 77 };

extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

static atomic_int failures; /* of the test in this process */

/* ---- What assertions call
 * ---------------------------------------------------------------------- */

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (!stats->passed) {
        fprintf(stderr, "%s:%u: %s\n", stats->file, stats->line, stats->message);
        atomic_fetch_add(&failures, 1);
    }
}

void cri_asserts_passed_incr(void)
{
}

void criterion_continue_test(void)
{
}

void criterion_abort_test(void)
{
    exit(failed);
}

void criterion_skip_test(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(skipped);
}

void criterion_test_die(const char *message, ...)
{
    fprintf(stderr, "%s\n", message);
    exit(failed);
}

/* ---- Running
 * ----------------------------------------------------------------------------------- */

static const struct criterion_suite *suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **at = __start_cr_sts; at && at < __stop_cr_sts; at++)
        if (*at && strcmp((*at)->name, test->category) == 0)
            return *at;
    return NULL;
}

static void call(void (*function)(void))
{
    if (function)
        function();
}

static struct criterion_test *current;

void criterion_internal_test_setup(void)
{
    const struct criterion_suite *suite = suite_of(current);
    if (suite && suite->data)
        call(suite->data->init);
    call(current->data->init);
}

void criterion_internal_test_main(void (*function)(void))
{
    function();
}

void criterion_internal_test_teardown(void)
{
    const struct criterion_suite *suite = suite_of(current);
    call(current->data->fini);
    if (suite && suite->data)
        call(suite->data->fini);
}

/* passed, failed or skipped. */
static int run(struct criterion_test *test)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        current = test;
        test->test();
        exit(atomic_load(&failures) ? failed : passed);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return failed;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == test->data->signal ? passed : failed;
    int code = WEXITSTATUS(status);
    return code == skipped || code == test->data->exit_code
               ? (code == skipped ? skipped : passed)
               : failed;
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : "";
    int counts[2] = {0}, skips = 0;
    for (struct criterion_test **at = __start_cr_tst; at < __stop_cr_tst; at++) {
        char name[256];
        if (!*at || (*at)->data->disabled)
            continue;
        snprintf(name, sizeof name, "%s::%s", (*at)->category, (*at)->name);
        if (!strstr(name, part))
            continue;
        int result = run(*at);
        if (result == skipped)
            skips++;
        else
            counts[result]++;
        if (result == failed)
            fprintf(stderr, "FAIL %s\n", name);
    }
    printf("%d passed, %d failed, %d skipped\n", counts[passed], counts[failed], skips);
    return counts[failed] ? 1 : 0;
}
