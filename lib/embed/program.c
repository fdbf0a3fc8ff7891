/*
 * posix_spawn into a process group of its own, so that stopping it also stops what it
 * started. Waiting is polling: the library may not install handlers, and a program that
 * fetches 60 MB takes seconds.
 */
#include "embed/program.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS     50
#define PATIENCE_MS 3000 /* between asking it to end and ending it */

extern char **environ;

static int start(const char *const argv[], const char *log, pid_t *child)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawn_file_actions_init(&files);
    if (rc)
        return rc;
    rc = posix_spawnattr_init(&how);
    if (rc) {
        posix_spawn_file_actions_destroy(&files);
        return rc;
    }
    rc = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&files, 1, log,
                                              O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                       POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    if (rc == 0)
        rc = posix_spawnp(child, argv[0], &files, &how, (char *const *)(uintptr_t)argv,
                          environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* 1 when the child is gone. A host that ignores SIGCHLD leaves no status: the exit code
 * is then 0. */
static int is_gone(pid_t child, int *status)
{
    int raw = 0;
    pid_t got = waitpid(child, &raw, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return 0;
    *status = got < 0 ? 0 : WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    return 1;
}

static void stop(pid_t child)
{
    int status;
    int64_t until = lc_mono_ms() + PATIENCE_MS;
    kill(-child, SIGTERM);
    while (!is_gone(child, &status)) {
        if (lc_mono_ms() >= until)
            kill(-child, SIGKILL);
        lc_sleep_ms(POLL_MS);
    }
}

int lc_program_run(const char *const argv[], const char *log, int (*tick)(void *user),
                   void *user, int *status, llmcache_error *err)
{
    pid_t child;
    int rc = start(argv, log, &child);
    if (rc)
        return lc_fail(err, rc == ENOENT ? LLMCACHE_NOT_FOUND : LLMCACHE_IO,
                       "cannot run %s: %s", argv[0], strerror(rc));
    while (!is_gone(child, status)) {
        if (tick && tick(user)) {
            stop(child);
            return lc_fail(err, LLMCACHE_ABORTED, "stopped while %s was running",
                           argv[0]);
        }
        lc_sleep_ms(POLL_MS);
    }
    return 0;
}
