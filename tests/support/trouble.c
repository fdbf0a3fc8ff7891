#include "trouble.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

void test_spoil(llmcache_error *err)
{
    memset(err, 'x', sizeof *err);
}

void test_check_error(int code, const llmcache_error *err, const char *doing)
{
    if (!code)
        return;
    cr_assert_eq(err->code, code, "%s: %d is reported as %d", doing, code, err->code);
    cr_assert(memchr(err->message, '\0', sizeof err->message) && *err->message, "%s says nothing", doing);
}

/* One above the highest that is open. */
static rlim_t descriptors_used(void)
{
    rlim_t most = 0;
    DIR *folder = opendir("/proc/self/fd");
    cr_assert_not_null(folder);
    for (struct dirent *each; (each = readdir(folder));)
        if ((rlim_t)atoi(each->d_name) + 1 > most)
            most = (rlim_t)atoi(each->d_name) + 1;
    closedir(folder);
    return most;
}

static rlim_t before; /* the limit that was found; 0: none was set yet */

static void allow(rlim_t descriptors)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    before = before ? before : limit.rlim_cur;
    limit.rlim_cur = descriptors < limit.rlim_max ? descriptors : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

void test_allow_descriptors(int spare)
{
    allow(descriptors_used() + (rlim_t)spare);
}

void test_allow_all_descriptors(void)
{
    if (before)
        allow(before);
}

static void do_nothing(int signal)
{
}

void test_interrupt(int on)
{
    const struct sigaction act = {.sa_handler = do_nothing}; /* no SA_RESTART */
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    if (on)
        sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, on ? &often : &never, NULL);
}
