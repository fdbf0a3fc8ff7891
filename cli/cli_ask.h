/* What ask and explain share: the question, how it is to be treated, and what the cache
 * thinks of it. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli.h"

#include <jansson.h>
#include <stdio.h>

/*
 * The question from the arguments (joined by spaces), or from standard input when there
 * are none or the only one is "-"; line ends at its end are taken off. Free with
 * ask_question_free.
 */
int ask_question(const cli_session *cli, char **question);
void ask_question_free(char *question);

/* All of a stream, with a NUL behind it; free. NULL for want of memory, or when it is longer than 64 MiB. */
char *ask_read_all(FILE *from, size_t *size);

/* The flags --system, --tags, --exact, --no-cache, --no-store, --only-cached as options.
 */
int ask_options(const cli_session *cli, llmcache_ask_options *options);

/* What the cache would do, as the library's own JSON object. *explained is a new
 * reference. */
int ask_explain(cli_session *cli, const char *question,
                const llmcache_ask_options *options, json_t **explained);
/* Reads such an object, and frees its text. */
int ask_read_explained(const cli_session *cli, char *take_json, json_t **explained);

/* cli_explain.c: the same as lines for people. */
void ask_print_explained(FILE *to, const json_t *explained);

#endif
