/*
 * What tests share: folders and files that vanish with the test, ports nobody else has,
 * child processes that cannot outlive it, waiting for a condition.
 *
 * Criterion runs every test in a process of its own; all of this belongs to that process
 * and is undone when it ends, by whatever way: children get SIGKILL from the kernel,
 * folders are removed at exit (a crashed test leaves its folder in TMPDIR for a look).
 * Nothing here returns an error: what cannot be done ends the test with a line that says
 * why.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Prints the line and aborts: the test counts as failed. */
_Noreturn void test_give_up(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* ---- Folders and files
 * ----------------------------------------------------------------------- */

/* A new empty folder, its path short enough for sockets; removed with all in it when the
 * test ends. The string lives as long. */
const char *test_folder(void);

/* printf into a string that lives until the test ends. */
const char *test_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A copy of `size` bytes with a NUL after them, alive until the test ends. */
char *test_keep(const void *bytes, size_t size);

/* Frees what test_keep gave before the test ends: for tests that make very many. */
void test_release(char *kept);

/* How many times `what` stands in the text. */
int test_count(const char *text, const char *what);

/* Calls undo(what) when the test ends. */
void test_at_end(void (*undo)(void *what), void *what);

/* The text as JSON, alive until the test ends; text that is none ends the test. */
json_t *test_json(const char *text);

/* The whole file, NUL-terminated, alive until the test ends; NULL when it cannot be
 * opened. `size` may be NULL. */
char *test_read_file(const char *path, size_t *size);
void test_write_file(const char *path, const void *bytes, size_t size);
void test_write_text(const char *path, const char *text);
int test_exists(const char *path);

/* Paths below the source and the build folder; alive until the test ends. */
const char *test_source_path(const char *below);
const char *test_build_path(const char *below);

/* Shared data outside the repository (<source>/../shared/data/<name>), NULL when absent:
 * skip then. */
const char *test_shared_data(const char *name);

/* ---- Ports
 * -------------------------------------------------------------------------------------
 */

/* A TCP port on 127.0.0.1 that no other test gets until this process ends, and nobody
 * listens on. */
int test_port(void);
/* One of which that so far above is this process' own as well. */
int test_port_pair(int distance);
/* 1 when it is this process' own now. */
int test_take_port(int port);

/* ---- Waiting
 * ----------------------------------------------------------------------------------- */

int64_t test_now_ms(void); /* monotonic */
double test_now_us(void);
/* The same without the time for which this thread was ready and the machine ran others: what must not take long
 * takes as long on a busy machine. Compared within one thread only. */
int64_t test_own_ms(void);
double test_own_us(void);
void test_nap(void); /* one step of polling */

/* Polls until the condition holds or `ms` have passed; its last value as 0 or 1. */
#define test_wait_until(condition, ms)                                      \
    __extension__({                                                         \
        int64_t test_end_ = test_now_ms() + (ms);                           \
        int test_holds_;                                                    \
        while (!(test_holds_ = !!(condition)) && test_now_ms() < test_end_) \
            test_nap();                                                     \
        test_holds_;                                                        \
    })

/* ---- Child processes
 * --------------------------------------------------------------------------- */

typedef struct test_process {
    pid_t pid;       /* 0 when none runs */
    const char *log; /* file with its standard output and error */
    int status;      /* once it has ended: exit code, or 128 + signal */
} test_process;

/*
 * Starts argv[0] (looked up in PATH) with its output in a file. `environment` (may be
 * NULL) lists NAME=value to add, or NAME alone to remove. Call it from the thread the
 * test runs in: the child dies with that thread.
 */
void test_spawn(test_process *process, const char *const argv[],
                const char *const environment[]);

int test_running(test_process *process); /* also notices that it has ended */
void test_signal(test_process *process, int signal);
/* Waits for its end up to `ms`, then kills it; gives process->status. */
int test_join(test_process *process, int64_t ms);
void test_kill(test_process *process); /* SIGKILL, waits; fine when it is gone */

/* One run to its end. Output strings live until the test ends. */
typedef struct test_run_result {
    int status;
    const char *out;
    const char *err;
    size_t out_size;
} test_run_result;

/* `input` (may be NULL) is its standard input. Killed after 60 s. */
test_run_result test_run(const char *const argv[], const char *const environment[],
                         const char *input);

/* The same with the list written in place: test_run_line("openssl", "version"). */
#define test_run_line(...) test_run((const char *const[]){__VA_ARGS__, NULL}, NULL, NULL)

/* Full path of a program in PATH, NULL when there is none. */
const char *test_program(const char *name);

#endif
