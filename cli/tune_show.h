/* What tune found, for people: tables and a curve on the terminal, a chart as SVG. */
#ifndef TUNE_SHOW_H
#define TUNE_SHOW_H

#include "cli.h"

#include <jansson.h>
#include <stdio.h>

/* `report` is llmcache_tune's object. */
void tune_print(const cli_session *cli, const json_t *report);

/* One chart a part that has labels. 0, or -1 when it could not be written (errno). */
int tune_svg(const json_t *report, FILE *to);

/* object.name.inner as a number, 0 without. */
double tune_number(const json_t *object, const char *name, const char *inner);

#endif
