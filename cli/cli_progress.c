#include "cli_progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int cli_progress_show(cli_progress *line, const char *step, uint64_t done, uint64_t total, int bytes)
{
    int percent = total ? (int)((double)done * 100 / (double)total) : 0;
    if (!isatty(STDERR_FILENO) ||
        (line->shown && percent == line->percent && !strcmp(step, line->step)))
        return 0;
    char bar[31];
    memset(bar, '.', sizeof bar - 1);
    memset(bar, '#', (size_t)(percent < 100 ? percent : 100) * (sizeof bar - 1) / 100);
    bar[sizeof bar - 1] = '\0';
    if (bytes && total > 1000000)
        fprintf(stderr, "\r%-12s [%s] %3d %% of %.1f MB ", step, bar, percent,
                (double)total / 1e6);
    else
        fprintf(stderr, "\r%-12s [%s] %3d %%             ", step, bar, percent);
    snprintf(line->step, sizeof line->step, "%s", step);
    line->percent = percent;
    line->shown = 1;
    return 0;
}

void cli_progress_end(cli_progress *line)
{
    if (line->shown)
        fprintf(stderr, "\r%70s\r", "");
    line->shown = 0;
}
