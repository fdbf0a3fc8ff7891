/* Running another program to its end, out of sight: its output goes to a file. */
#ifndef LC_EMBED_PROGRAM_H
#define LC_EMBED_PROGRAM_H

#include <llmcache/llmcache.h>

/*
 * Runs argv[0] (found in PATH) with the arguments, no input, and both outputs to the file
 * `log`. While it runs, `tick` (may be NULL) is called several times a second; when it
 * returns something else than 0, the program and what it started are told to end and
 * LLMCACHE_ABORTED is returned.
 *
 * *status receives its exit code, or 128 and the number of the signal that ended it.
 * LLMCACHE_NOT_FOUND when there is no such program, LLMCACHE_IO when it cannot be
 * started.
 */
int lc_program_run(const char *const argv[], const char *log, int (*tick)(void *user),
                   void *user, int *status, llmcache_error *err);

#endif
