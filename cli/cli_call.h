/* ask --protocol: a whole request body of one of the protocols, answered in its own form. */
#ifndef CLI_CALL_H
#define CLI_CALL_H

#include "cli.h"

#include <jansson.h>

/* Does the command line ask for that? */
int call_is_wanted(const cli_session *cli);

/* Reads the body, asks, writes the answer as it comes. A cli_exit. */
int call_run(cli_session *cli);

/* Reads the body and has it explained; *explained is a new reference. */
int call_explain(cli_session *cli, json_t **explained);

#endif
