/*
 * The answer's pieces go out as they come. What a signal handler may touch is one flag and write(2); the
 * rest of the program looks at the flag. The second Ctrl-C finds the system's own handler again.
 */
#include "cli_live.h"
#include "cli_print.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static int waiting;        /* the line of live_wait is on the terminal */
static char last = '\n';   /* byte written */
static char carried[4];    /* a character that is not whole yet */
static size_t carried_size;

/* ---- Ctrl-C --------------------------------------------------------------------- */

static void on_interrupt(int signal)
{
    static const char text[] = "\n[stopped; waiting for the answer, to keep it. Ctrl-C again leaves at once]\n";
    int before = errno;
    interrupted = 1;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        interrupted = 1; /* nobody there to be told */
    errno = before;
}

void live_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

int live_interrupted(void)
{
    return interrupted;
}

void live_end_interrupted(void)
{
    if (!interrupted)
        return;
    fflush(stdout);
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
}

int64_t live_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Waiting -------------------------------------------------------------------- */

void live_wait(const cli_session *cli)
{
    if (!cli->colour || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "%swaiting for the answer%s", print_start(cli, PRINT_DIM), print_end(cli));
    waiting = 1;
}

void live_wait_over(void)
{
    if (waiting && !interrupted)
        fputs("\r\x1b[K", stderr);
    waiting = 0;
}

/* ---- Pieces --------------------------------------------------------------------- */

/* Bytes at the end that begin a character and do not end it. */
static size_t unfinished(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        unsigned char byte = (unsigned char)text[size - back];
        size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        if (byte < 0x80 || byte >= 0xc0)
            return whole > back ? back : 0;
    }
    return 0;
}

/* Text with the start of a character that came before, without one that is not whole yet. */
static void show(const char *bytes, size_t size)
{
    char piece[4096 + sizeof carried + 1];
    while (size) {
        size_t take = size < 4096 ? size : 4096, have = carried_size + take;
        memcpy(piece, carried, carried_size);
        memcpy(piece + carried_size, bytes, take);
        carried_size = unfinished(piece, have);
        memcpy(carried, piece + have - carried_size, carried_size);
        piece[have - carried_size] = '\0';
        for (char *at = piece; (size_t)(at - piece) < have - carried_size; at += strlen(at) + 1)
            print_text(stdout, at);
        bytes += take;
        size -= take;
    }
}

int live_write(cli_session *cli, const char *bytes, size_t size)
{
    live_wait_over();
    if (interrupted || cli->output_error)
        return 1;
    if (size)
        last = bytes[size - 1];
    if (cli->width)
        show(bytes, size);
    else
        fwrite(bytes, 1, size, stdout);
    if (fflush(stdout) || ferror(stdout))
        cli->output_error = errno;
    return cli->output_error != 0;
}

void live_finish(cli_session *cli)
{
    live_wait_over();
    if (cli->width && carried_size) {
        carried[carried_size] = '\0';
        print_text(stdout, carried);
        carried_size = 0;
    }
    if (cli->width && last != '\n' && !interrupted)
        putchar('\n');
    fflush(stdout);
}
