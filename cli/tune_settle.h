/* What comes of a tuning: lines for the file of settings, the file of score weights, and back again. */
#ifndef TUNE_SETTLE_H
#define TUNE_SETTLE_H

#include "cli.h"

#include <jansson.h>

/*
 * Prints what to set, or writes it where that was asked for (--write, --weights, --apply). Sets report.written, .applied,
 * .previous and .setting_needed. An exit code.
 */
int tune_settle(const cli_session *cli, json_t *report);

/* --undo. An exit code. */
int tune_undo(const cli_session *cli);

int tune_failed_to_write(const cli_session *cli, const char *path); /* by errno */

#endif
