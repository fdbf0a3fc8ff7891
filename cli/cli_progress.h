/* How far a long work has come: one line that is written over, on standard error, where that is a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

/* Start with all zero. */
typedef struct cli_progress {
    int shown;
    int percent; /* as last written */
    char step[32];
} cli_progress;

/* `total` 0: unknown; `bytes`: it counts them. Returns 0. */
int cli_progress_show(cli_progress *line, const char *step, uint64_t done, uint64_t total, int bytes);
void cli_progress_end(cli_progress *line);

#endif
