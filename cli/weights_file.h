/* The file of the setting score-weights as tune writes it: exchanged as a whole, the one before kept beside it. */
#ifndef WEIGHTS_FILE_H
#define WEIGHTS_FILE_H

#include "cli.h"

#include <jansson.h>
#include <limits.h>

#define WEIGHTS_PATH_MAX 500 /* a line of settings has to hold it */

/* Where it is to be: --weights, or the setting, or beside the file of --write, or beside the store's file. CLI_OK, or
 * an exit code after saying that none of these is known. */
int weights_file_path(const cli_session *cli, char path[PATH_MAX]);

/* Writes report.score_weights; FILE.previous then holds what was there before, or, where nothing was, the numbers that
 * were in force as the report has them. 0, or -1 with errno. */
int weights_file_write(const json_t *report, const char *path);

/* FILE.previous takes the place of FILE. 0, or -1 with errno. */
int weights_file_undo(const char *path);

/* Does the setting point there? */
int weights_file_is_set(const cli_session *cli, const char *path);

#endif
