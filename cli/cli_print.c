#include "cli_print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

void print_look(cli_session *cli)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return;
    cli->width =
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    cli->colour = !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
}

const char *print_start(const cli_session *cli, print_colour colour)
{
    static const char *const codes[] = {"",         "\x1b[1m",  "\x1b[2m",
                                        "\x1b[32m", "\x1b[33m", "\x1b[31m"};
    return cli->colour ? codes[colour] : "";
}

const char *print_end(const cli_session *cli)
{
    return cli->colour ? "\x1b[0m" : "";
}

/* ---- Text ----------------------------------------------------------------------- */

/*
 * The next character: its bytes in *size, its columns in *columns. What is not UTF-8 and
 * what would move the cursor gives U+FFFD (a line feed or tab is returned as it is, with
 * no columns).
 */
static const char *next(const char *text, size_t *size, int *columns)
{
    utf8proc_int32_t cp;
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &cp);
    *size = length > 0 ? (size_t)length : 1;
    *columns = 0;
    if (length > 0 && (cp == '\n' || cp == '\t'))
        return text;
    if (length <= 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
        (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069)) {
        *columns = 1;
        return replacement;
    }
    *columns = utf8proc_charwidth(cp);
    return text;
}

static void put(FILE *to, const char *shown, size_t size)
{
    fwrite(shown, 1, shown == replacement ? sizeof replacement - 1 : size, to);
}

int print_width(const char *text)
{
    int total = 0, columns;
    size_t size;
    for (; *text; text += size) {
        next(text, &size, &columns);
        total += columns;
    }
    return total;
}

void print_text(FILE *to, const char *text)
{
    size_t size;
    int columns;
    for (; *text; text += size) {
        const char *shown = next(text, &size, &columns);
        put(to, shown, size);
    }
}

/* How many bytes of `text` fit into `columns`; *used: the columns they fill. */
static size_t fitting(const char *text, int columns, int *used)
{
    size_t at = 0, size;
    int wide;
    for (*used = 0; text[at]; at += size) {
        const char *shown = next(text + at, &size, &wide);
        wide += *shown == '\n' || *shown == '\t';
        if (*used + wide > columns)
            break;
        *used += wide;
    }
    return at;
}

void print_cell(const char *text, int columns)
{
    int used = 0, wide;
    size_t end = strlen(text), size;
    if (columns > 0) {
        end = fitting(text, columns, &used);
        if (text[end])
            end = fitting(text, columns - 1, &used);
    }
    for (size_t at = 0; at < end; at += size) {
        const char *shown = next(text + at, &size, &wide);
        put(stdout, *shown == '\n' || *shown == '\t' ? " " : shown, size);
    }
    if (columns > 0 && text[end]) {
        fputs("\xE2\x80\xA6", stdout); /* an ellipsis */
        used++;
    }
    for (; used < columns; used++)
        putchar(' ');
}

void print_fact(const cli_session *cli, const char *name, const char *format, ...)
{
    va_list arguments;
    char value[512];
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    printf("%s%-26s%s ", print_start(cli, PRINT_DIM), name, print_end(cli));
    print_cell(value, 0);
    putchar('\n');
}

/* ---- Times ---------------------------------------------------------------------- */

const char *print_span(int64_t ms, char out[PRINT_SPAN_SIZE])
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    if (ms < 0)
        ms = 0;
    while (i < 4 && ms < units[i].ms)
        i++;
    int64_t whole = ms / units[i].ms,
            rest = i < 3 ? ms % units[i].ms / units[i + 1].ms : 0;
    if (rest)
        snprintf(out, PRINT_SPAN_SIZE, "%lld %s %lld %s", (long long)whole, units[i].name,
                 (long long)rest, units[i + 1].name);
    else
        snprintf(out, PRINT_SPAN_SIZE, "%lld %s", (long long)whole, units[i].name);
    return out;
}

const char *print_short_span(int64_t us, char out[PRINT_SPAN_SIZE])
{
    if (us >= 10000)
        return print_span(us / 1000, out);
    snprintf(out, PRINT_SPAN_SIZE, "%.2f ms", (double)us / 1000.0);
    return out;
}

const char *print_time(int64_t wall_ms, char out[PRINT_SPAN_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    if (!wall_ms || !gmtime_r(&seconds, &utc) ||
        !strftime(out, PRINT_SPAN_SIZE, "%Y-%m-%d %H:%M:%SZ", &utc))
        snprintf(out, PRINT_SPAN_SIZE, "never");
    return out;
}

/* ---- JSON ----------------------------------------------------------------------- */

int print_json(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(value);
    if (!text) {
        fputs("llmcache-cli: out of memory\n", stderr);
        return CLI_FAILED;
    }
    puts(text);
    free(text);
    return CLI_OK;
}

void print_error_json(const llmcache_error *err)
{
    json_t *value = json_pack(
        "{s:{s:s, s:o, s:i, s:I}}", "error", "code", llmcache_code_name(err->code),
        "message", shown_string(err->message), "upstream_status", err->upstream_status,
        "retry_after_ms", (json_int_t)err->retry_after_ms);
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    fprintf(stderr, "%s\n",
            text ? text : "{\"error\": {\"message\": \"out of memory\"}}");
    free(text);
    json_decref(value);
}
