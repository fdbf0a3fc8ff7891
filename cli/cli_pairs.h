/*
 * Labelled pairs of questions from JSON lines: {"a": ..., "b": ..., "label": 0 or 1} and
 * what else a line says of itself. Blank lines are passed over, everything else that is
 * no such pair is refused with its line.
 */
#ifndef CLI_PAIRS_H
#define CLI_PAIRS_H

#include "cli.h"

#include <jansson.h>
#include <llmcache/tune.h>

typedef struct cli_pairs {
    llmcache_pair *pairs; /* texts live in `rows` */
    const char **kinds;   /* the member `kind` of each, NULL for none */
    size_t *lines;        /* where each stands in its file, from 1 */
    size_t count, room;
    json_t *rows;
} cli_pairs;

/*
 * Reads the files the arguments name, "-" for standard input. `source` of a pair is its
 * member `source` or `set`; where several files are read, otherwise the file's name.
 * CLI_OK, or an exit code after saying why. cli_pairs_done in either case.
 */
int cli_pairs_read(cli_session *cli, cli_pairs *pairs);
void cli_pairs_done(cli_pairs *pairs);

#endif
