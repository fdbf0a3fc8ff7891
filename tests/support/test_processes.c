/*
 * Child processes that die with the test, ports, time. A child asks the kernel for
 * SIGKILL at its parent's death; its own children are reached by its process group when
 * it is killed here.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- Time
 * ------------------------------------------------------------------------------------ */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t test_now_ms(void)
{
    return now_ns() / 1000000;
}

double test_now_us(void)
{
    return (double)now_ns() / 1e3;
}

/* How long this thread has stood in line so far; 0 where the kernel does not say. */
static int64_t waited_ns(void)
{
    char text[96] = "";
    long long waited = 0;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) < 0 || sscanf(text, "%*s %lld", &waited) != 1)
        waited = 0;
    close(fd);
    return waited;
}

int64_t test_own_ms(void)
{
    return (now_ns() - waited_ns()) / 1000000;
}

double test_own_us(void)
{
    return (double)(now_ns() - waited_ns()) / 1e3;
}

void test_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* ---- Ports
 * ----------------------------------------------------------------------------------- */

/* Can a server listen there now? */
static int can_listen(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int fine =
        bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    close(fd);
    return fine;
}

/*
 * Below the ports that the system gives to connections and to who asks for any: none of
 * those can take a port before the server starts, or once it has ended. A lock file held
 * for life keeps other tests off it.
 */
enum { FIRST_PORT = 18000, LAST_PORT = 31999 };

int test_take_port(int port)
{
    const char *folder = "/tmp/llmcache-ports";
    mkdir(folder, 01777);
    chmod(folder, 01777);
    char path[64];
    snprintf(path, sizeof path, "%s/%d", folder, port);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && can_listen(port))
        return 1; /* fd stays open: the lock lasts as long as this process */
    close(fd);
    return 0;
}

static unsigned next_start(void)
{
    static unsigned step;
    return (unsigned)getpid() * 13 + step++;
}

int test_port(void)
{
    unsigned start = next_start(), range = LAST_PORT - FIRST_PORT + 1;
    for (unsigned i = 0; i < range; i++) {
        int port = FIRST_PORT + (int)((start + i) % range);
        if (test_take_port(port))
            return port;
    }
    test_give_up("no free port");
}

int test_port_pair(int distance)
{
    unsigned start = next_start(), range = (unsigned)(LAST_PORT - FIRST_PORT + 1 - distance);
    for (unsigned i = 0; i < range; i++) {
        int port = FIRST_PORT + (int)((start + i) % range);
        if (test_take_port(port + distance) && test_take_port(port))
            return port;
    }
    test_give_up("no two free ports");
}

/* ---- Processes
 * ------------------------------------------------------------------------------- */

static int same_name(const char *entry, const char *wanted)
{
    size_t size = strcspn(wanted, "=");
    return strncmp(entry, wanted, size) == 0 && entry[size] == '=';
}

/* The environment of this process with changes; the strings stay borrowed, the list is
 * the caller's. */
static char **make_environment(const char *const changes[])
{
    size_t count = 0, more = 0;
    while (environ[count])
        count++;
    while (changes && changes[more])
        more++;
    char **list = calloc(count + more + 1, sizeof *list);
    if (!list)
        test_give_up("out of memory");
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        int changed = 0;
        for (size_t k = 0; k < more && !changed; k++)
            changed = same_name(environ[i], changes[k]);
        if (!changed)
            list[at++] = environ[i];
    }
    for (size_t k = 0; k < more; k++)
        if (strchr(changes[k], '='))
            list[at++] = (char *)changes[k];
    return list;
}

/* In the child: only what is safe after fork in a program with threads. */
_Noreturn static void become(const char *const argv[], char **environment,
                             const int fds[3], pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execvpe(argv[0], (char *const *)argv, environment);
    static const char text[] = "cannot be started\n";
    if (write(2, text, sizeof text - 1)) {
    }
    _exit(127);
}

static pid_t start(const char *const argv[], const char *const changes[],
                   const int fds[3])
{
    char **environment = make_environment(changes);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(argv, environment, fds, parent);
    free(environment);
    if (pid < 0)
        test_give_up("fork: %s", strerror(errno));
    setpgid(pid, pid);
    return pid;
}

/* Never 0, 1 or 2, so that dup2 in the child cannot overwrite one it still needs. */
static int open_high(const char *path, int flags)
{
    int low = open(path, flags | O_CLOEXEC, 0644);
    int fd = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        test_give_up("%s: %s", path, strerror(errno));
    close(low);
    return fd;
}

void test_spawn(test_process *process, const char *const argv[],
                const char *const environment[])
{
    static unsigned number;
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    static const char *folder;
    static pid_t owner;
    if (owner != getpid()) {
        owner = getpid();
        folder = test_folder();
    }
    *process = (test_process){.log = test_format("%s/%s.%u.log", folder, name, number++)};
    int fds[3] = {open_high("/dev/null", O_RDONLY),
                  open_high(process->log, O_WRONLY | O_CREAT | O_APPEND)};
    fds[2] = fds[1];
    process->pid = start(argv, environment, fds);
    close(fds[0]);
    close(fds[1]);
}

static int reap(test_process *process, int flags)
{
    int status;
    if (!process->pid)
        return 1;
    pid_t got = waitpid(process->pid, &status, flags);
    if (got == 0 || (got < 0 && errno == EINTR))
        return 0;
    process->status = got < 0             ? -1
                      : WIFEXITED(status) ? WEXITSTATUS(status)
                                          : 128 + WTERMSIG(status);
    process->pid = 0;
    return 1;
}

int test_running(test_process *process)
{
    return !reap(process, WNOHANG);
}

void test_signal(test_process *process, int signal)
{
    if (process->pid)
        kill(process->pid, signal);
}

void test_kill(test_process *process)
{
    if (!process->pid)
        return;
    kill(-process->pid, SIGKILL);
    while (!reap(process, 0))
        ;
}

int test_join(test_process *process, int64_t ms)
{
    if (!test_wait_until(!test_running(process), ms))
        test_kill(process);
    return process->status;
}

test_run_result test_run(const char *const argv[], const char *const environment[],
                         const char *input)
{
    const char *folder = test_folder();
    const char *in = test_format("%s/in", folder), *out = test_format("%s/out", folder),
               *err = test_format("%s/err", folder);
    test_write_text(in, input ? input : "");
    int fds[3] = {open_high(input ? in : "/dev/null", O_RDONLY),
                  open_high(out, O_WRONLY | O_CREAT), open_high(err, O_WRONLY | O_CREAT)};
    test_process process = {.pid = start(argv, environment, fds)};
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    test_run_result result = {.status = test_join(&process, 60000)};
    result.out = test_read_file(out, &result.out_size);
    result.err = test_read_file(err, NULL);
    return result;
}

const char *test_program(const char *name)
{
    const char *path = getenv("PATH");
    for (; path && *path; path += path[0] == ':') {
        size_t size = strcspn(path, ":");
        const char *file = test_format("%.*s/%s", (int)size, path, name);
        if (access(file, X_OK) == 0)
            return file;
        path += size;
    }
    return NULL;
}
