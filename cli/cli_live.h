/* Showing an answer while it comes, and Ctrl-C meanwhile. Used by ask. */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "cli.h"

/*
 * From here until the program ends, the first Ctrl-C asks to stop: live_interrupted() turns true, a line on standard
 * error says that the answer is waited for, to keep it. The second ends the program at once.
 */
void live_catch_interrupt(void);
int live_interrupted(void);

/* After all is closed: ends as a program does that Ctrl-C has ended. Returns if there was none. */
void live_end_interrupted(void);

int64_t live_now_us(void); /* monotonic */

/* Says on a terminal that the answer is waited for, and takes that back. */
void live_wait(const cli_session *cli);
void live_wait_over(void);

/*
 * Writes a piece of an answer to standard output at once: for a terminal without control characters, else as it
 * is. Non-zero when no more is wanted: interrupted, or the output failed (cli->output_error).
 */
int live_write(cli_session *cli, const char *bytes, size_t size);

/* After the last piece: a terminal gets a line feed if the answer had none at its end. */
void live_finish(cli_session *cli);

#endif
