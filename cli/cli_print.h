/*
 * Writing for people: colour, columns that line up whatever the script, times; and for
 * programs: JSON.
 *
 * Text that came from outside (questions, answers) is shown without control characters,
 * so that a stored answer cannot drive the terminal.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli.h"
#include "shown_json.h"

#include <stdio.h>

/* Finds out what standard output can show: cli->colour, cli->width. */
void print_look(cli_session *cli);

/* Colours as escape sequences, "" where colour is off. */
typedef enum print_colour {
    PRINT_PLAIN,
    PRINT_BOLD,
    PRINT_DIM,
    PRINT_GREEN,
    PRINT_YELLOW,
    PRINT_RED
} print_colour;
const char *print_start(const cli_session *cli, print_colour colour);
const char *print_end(const cli_session *cli);

/* Columns that `text` fills. */
int print_width(const char *text);

/* Writes text for a terminal: control characters but line feed and tab become U+FFFD. */
void print_text(FILE *to, const char *text);

/*
 * Writes one line of text in exactly `columns` columns, cut with an ellipsis or filled
 * up; columns 0: all of it, as it is. Line breaks become spaces.
 */
void print_cell(const char *text, int columns);

/* A row "name   value" of a fact sheet. */
void print_fact(const cli_session *cli, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "3 h 20 min", "250 ms": the two largest units. */
enum { PRINT_SPAN_SIZE = 64 };
const char *print_span(int64_t ms, char out[PRINT_SPAN_SIZE]);

/* The same for what is usually short: "0.41 ms" below ten milliseconds. */
const char *print_short_span(int64_t us, char out[PRINT_SPAN_SIZE]);

/* "2026-11-23 17:31:05Z"; "never" for 0. */
const char *print_time(int64_t wall_ms, char out[PRINT_SPAN_SIZE]);

/* Writes the value and a line feed, and drops the reference. CLI_OK or CLI_FAILED (out of
 * memory). */
int print_json(json_t *value);

/* {"error": {...}} on standard error. */
void print_error_json(const llmcache_error *err);

#endif
