/*
 * One protocol request through llmcache_call: the body as it was given, the reply as it comes (events, when the body
 * asks for a stream). What happened stands in the reply's headers and is said on standard error.
 */
#include "cli_call.h"
#include "cli_ask.h"
#include "cli_live.h"
#include "cli_print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name, *target;
} protocols[] = {
    {"chat", "/v1/chat/completions"},
    {"messages", "/v1/messages"},
    {"responses", "/v1/responses"},
    {"completions", "/v1/completions"},
    {"embeddings", "/v1/embeddings"},
};

enum { MAX_HEADERS = 8 };

typedef struct call_state {
    cli_session *cli;
    int status;
    char source[24], id[64], similarity[24], age[24];
} call_state;

int call_is_wanted(const cli_session *cli)
{
    return cli_value(cli, "protocol") || cli_value(cli, "body");
}

/* ---- The request ---------------------------------------------------------------- */

static const char *target_of(const cli_session *cli)
{
    const char *name = cli_value(cli, "protocol");
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(name ? name : "chat", protocols[i].name) == 0)
            return protocols[i].target;
    return NULL;
}

static int check(const cli_session *cli)
{
    static const char *const others[] = {"system", "explain"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cli_value(cli, others[i]))
            return cli_usage(cli, "--%s goes with a question, not with a body", others[i]);
    if (!target_of(cli))
        return cli_usage(cli, "--protocol is chat, messages, responses, completions or embeddings");
    if (!cli_value(cli, "body"))
        return cli_usage(cli, "--protocol needs --body FILE, or --body - for standard input");
    if (cli->argument_count)
        return cli_usage(cli, "the question stands in the body, not on the command line");
    if (cli_value(cli, "no-cache") && cli_value(cli, "only-cached"))
        return cli_usage(cli, "--no-cache and --only-cached exclude each other");
    return CLI_OK;
}

static int read_body(const cli_session *cli, char **body, size_t *size)
{
    const char *name = cli_value(cli, "body");
    int own = strcmp(name, "-") != 0;
    FILE *file = own ? fopen(name, "re") : stdin;
    if (!file)
        return cli_usage(cli, "--body: %.100s cannot be opened: %s", name, strerror(errno));
    char *text = ask_read_all(file, size);
    int failed = !text || ferror(file);
    if (own)
        fclose(file);
    if (failed) {
        free(text);
        return cli_usage(cli, "--body: %.100s could not be read", name);
    }
    *body = text;
    return CLI_OK;
}

/* The flags, as a client of the server would say them. */
static size_t add_controls(const cli_session *cli, llmcache_header *headers)
{
    size_t count = 0;
    headers[count++] = (llmcache_header){"Content-Type", "application/json"};
    if (cli_value(cli, "no-cache"))
        headers[count++] = (llmcache_header){"Cache-Control", "no-cache"};
    if (cli_value(cli, "only-cached"))
        headers[count++] = (llmcache_header){"Cache-Control", "only-if-cached"};
    if (cli_value(cli, "no-store"))
        headers[count++] = (llmcache_header){"X-LLMCache-TTL", "0"};
    if (cli_value(cli, "exact"))
        headers[count++] = (llmcache_header){"X-LLMCache-Mode", "exact"};
    if (cli_value(cli, "tags"))
        headers[count++] = (llmcache_header){"X-LLMCache-Tags", cli_value(cli, "tags")};
    return count;
}

/* Keys are for the callers of a server: whoever runs this program asks with the server's own. */
static int be_the_operator(cli_session *cli)
{
    llmcache_error err;
    if (llmcache_options_set(cli->options, "api-keys", "", &err) ||
        (strcmp(cli_setting(cli, "credential"), "caller") == 0 &&
         llmcache_options_set(cli->options, "credential", "either", &err)))
        return cli_fail(cli, &err);
    return CLI_OK;
}

/* ---- The reply ------------------------------------------------------------------ */

static void note(char *out, size_t room, const char *value)
{
    snprintf(out, room, "%s", value);
}

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    call_state *state = user;
    state->status = status;
    for (size_t i = 0; i < count; i++) {
        const char *name = headers[i].name, *value = headers[i].value;
        if (strcasecmp(name, "X-LLMCache-Source") == 0)
            note(state->source, sizeof state->source, value);
        else if (strcasecmp(name, "X-LLMCache-Id") == 0)
            note(state->id, sizeof state->id, value);
        else if (strcasecmp(name, "X-LLMCache-Similarity") == 0)
            note(state->similarity, sizeof state->similarity, value);
        else if (strcasecmp(name, "Age") == 0)
            note(state->age, sizeof state->age, value);
    }
    return 0;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    return live_write(((call_state *)user)->cli, bytes, size);
}

static void say_what_happened(const call_state *state, int64_t us)
{
    char took[PRINT_SPAN_SIZE], age[PRINT_SPAN_SIZE];
    int64_t age_ms = strtoll(state->age, NULL, 10) * 1000;
    fprintf(stderr, "[%s, %s", *state->source ? state->source : "no reply", print_short_span(us, took));
    if (state->status && state->status != 200)
        fprintf(stderr, ", status %d", state->status);
    if (strcmp(state->source, "semantic") == 0)
        fprintf(stderr, ", similarity %s", state->similarity);
    if (age_ms)
        fprintf(stderr, ", %s old", print_span(age_ms, age));
    fprintf(stderr, "%s%s]\n", *state->id ? ", " : "", state->id);
}

static int exit_of_status(const cli_session *cli, int status)
{
    if (status >= 200 && status < 300)
        return CLI_OK;
    return status == 504 && cli_value(cli, "only-cached") ? CLI_NOT_FOUND : CLI_UPSTREAM;
}

static llmcache_request request_of(const cli_session *cli, llmcache_header headers[MAX_HEADERS],
                                   const char *body, size_t size)
{
    return (llmcache_request){.struct_size = sizeof(llmcache_request), .method = "POST",
                              .target = target_of(cli), .headers = headers,
                              .header_count = add_controls(cli, headers), .body = body,
                              .body_size = size};
}

static int call(cli_session *cli, const char *body, size_t size)
{
    llmcache_header headers[MAX_HEADERS];
    call_state state = {.cli = cli};
    llmcache_sink sink = {&state, on_begin, on_write};
    llmcache_request request = request_of(cli, headers, body, size);
    llmcache_error err;
    int64_t start_us = live_now_us();
    live_wait(cli);
    int code = llmcache_call(cli->cache, &request, &sink, &err);
    live_finish(cli);
    if (live_interrupted() || cli->output_error)
        return CLI_OK; /* said elsewhere */
    if (code)
        return cli_fail(cli, &err);
    say_what_happened(&state, live_now_us() - start_us);
    return exit_of_status(cli, state.status);
}

/* All that comes before the call; free *body. */
static int prepare(cli_session *cli, char **body, size_t *size)
{
    int code = check(cli);
    if (!code)
        code = read_body(cli, body, size);
    if (!code)
        code = be_the_operator(cli);
    return code ? code : cli_open(cli);
}

int call_explain(cli_session *cli, json_t **explained)
{
    llmcache_header headers[MAX_HEADERS];
    llmcache_error err;
    char *body = NULL, *json;
    size_t size = 0;
    int code = prepare(cli, &body, &size);
    if (!code) {
        llmcache_request request = request_of(cli, headers, body, size);
        code = llmcache_explain_call(cli->cache, &request, NULL, &json, &err)
                   ? cli_fail(cli, &err)
                   : ask_read_explained(cli, json, explained);
    }
    free(body);
    return code;
}

int call_run(cli_session *cli)
{
    char *body = NULL;
    size_t size = 0;
    int code = prepare(cli, &body, &size);
    if (!code) {
        if (!cli_value(cli, "no-store"))
            live_catch_interrupt();
        code = call(cli, body, size);
    }
    free(body);
    return code;
}
