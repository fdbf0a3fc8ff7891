/*
 * A real HTTP server that speaks as OpenAI's and Anthropic's do, for tests: see
 * README.md. This file starts it, and routes calls through the checks that real services
 * make.
 *
 * One thread a connection: a test may hold hundreds open, each waiting, dribbling or cut
 * in its own way, and straight-line code says best what happens on the wire.
 */
#include "mock.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- What services check
 * --------------------------------------------------------------------- */

int mock_is_anthropic(const mock_call *call)
{
    char value[64];
    return strncmp(call->path, "/v1/messages", 12) == 0 ||
           mock_header(call, "anthropic-version", value, sizeof value);
}

/* Keys that begin with "bad" are refused. 0 when the call may go on. */
static int refuse_credential(const mock_call *call, mock_reply *reply)
{
    char key[16384] = "", bearer[16384] = "";
    int anthropic = mock_is_anthropic(call);
    mock_header(call, "authorization", bearer, sizeof bearer);
    const char *token = strncasecmp(bearer, "Bearer ", 7) == 0 ? bearer + 7 : "";
    if (anthropic && mock_header(call, "x-api-key", key, sizeof key))
        token = key;
    if (!mock_check_keys || (*token && strncmp(token, "bad", 3) != 0))
        return 0;
    if (anthropic)
        mock_refuse(reply, 401, "authentication_error", NULL, NULL,
                    *token ? "invalid x-api-key" : "x-api-key header is required");
    else
        mock_refuse(
            reply, 401, "invalid_request_error", NULL, *token ? "invalid_api_key" : NULL,
            *token ? "Incorrect API key provided." : "You didn't provide an API key.");
    return 1;
}

static int refuse_missing(const mock_call *call, mock_reply *reply, const char *field)
{
    char message[128];
    if (json_object_get(call->json, field))
        return 0;
    if (mock_is_anthropic(call)) {
        snprintf(message, sizeof message, "%s: Field required", field);
        mock_refuse(reply, 400, "invalid_request_error", NULL, NULL, message);
    } else if (strcmp(field, "model") == 0) {
        mock_refuse(reply, 400, "invalid_request_error", NULL, NULL,
                    "you must provide a model parameter");
    } else {
        snprintf(message, sizeof message, "Missing required parameter: '%s'.", field);
        mock_refuse(reply, 400, "invalid_request_error", field,
                    "missing_required_parameter", message);
    }
    return 1;
}

static int refuse_body(const mock_call *call, mock_reply *reply)
{
    if (!json_is_object(call->json)) {
        mock_refuse(reply, 400, "invalid_request_error", NULL, NULL,
                    "We could not parse the JSON body of your request.");
        return 1;
    }
    if (refuse_missing(call, reply, "model"))
        return 1;
    if (strncmp(mock_text_of(call->json, "model", ""), "no-such", 7) == 0) {
        mock_refuse(reply, 404,
                    mock_is_anthropic(call) ? "not_found_error" : "invalid_request_error",
                    NULL, "model_not_found", "The model does not exist.");
        return 1;
    }
    return 0;
}

static int refuse_anthropic(const mock_call *call, mock_reply *reply)
{
    char value[64];
    if (strncmp(call->path, "/v1/messages", 12) != 0)
        return 0;
    if (mock_header(call, "anthropic-version", value, sizeof value))
        return 0;
    mock_refuse(reply, 400, "invalid_request_error", NULL, NULL,
                "anthropic-version: header is required");
    return 1;
}

/* ---- Routes
 * ---------------------------------------------------------------------------------- */

typedef struct route {
    const char *path;
    void (*make)(const mock_call *call, mock_reply *reply);
    const char *required[3]; /* fields besides model */
} route;

static const route routes[] = {
    {"/v1/chat/completions", mock_chat, {"messages"}},
    {"/v1/completions", mock_completions, {"prompt"}},
    {"/v1/responses", mock_responses, {NULL}},
    {"/v1/embeddings", mock_embeddings, {"input"}},
    {"/v1/messages", mock_messages, {"messages", "max_tokens"}},
    {"/v1/messages/count_tokens", mock_count_tokens, {"messages"}},
};

static void call_route(const route *to, const mock_call *call, mock_reply *reply)
{
    if (strcmp(call->method, "POST") != 0) {
        mock_print(&reply->headers, "Allow: POST\r\n");
        mock_refuse(reply, 405, "invalid_request_error", NULL, "method_not_supported",
                    "Not allowed to use this method on this URL.");
        return;
    }
    if (refuse_anthropic(call, reply) || refuse_body(call, reply))
        return;
    for (size_t i = 0; i < 3 && to->required[i]; i++)
        if (refuse_missing(call, reply, to->required[i]))
            return;
    to->make(call, reply);
}

static void call_path(const mock_call *call, mock_reply *reply)
{
    if (refuse_credential(call, reply))
        return;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(call->path, routes[i].path) == 0) {
            call_route(&routes[i], call, reply);
            return;
        }
    if (strncmp(call->path, "/v1/models", 10) == 0 && strcmp(call->method, "GET") == 0)
        mock_models(call, reply);
    else if (strncmp(call->path, "/v1/", 4) == 0)
        mock_echo(call, reply);
    else
        mock_refuse(reply, 404, "invalid_request_error", NULL, "unknown_url",
                    "Invalid URL.");
}

/* ---- Models, and everything else
 * ------------------------------------------------------------- */

static json_t *model_of(const char *id, int anthropic)
{
    return anthropic ? json_pack("{s:s, s:s, s:s, s:s}", "type", "model", "id", id,
                                 "display_name", id, "created_at", "2024-01-01T00:00:00Z")
                     : json_pack("{s:s, s:s, s:i, s:s}", "id", id, "object", "model",
                                 "created", 1700000000, "owned_by", "mock");
}

void mock_models(const mock_call *call, mock_reply *reply)
{
    int anthropic = mock_is_anthropic(call);
    if (strncmp(call->path, "/v1/models/", 11) == 0)
        mock_whole(reply, 200, model_of(call->path + 11, anthropic));
    else if (anthropic)
        mock_whole(reply, 200,
                   json_pack("{s:[o], s:b, s:s, s:s}", "data", model_of("claude-mock", 1),
                             "has_more", 0, "first_id", "claude-mock", "last_id",
                             "claude-mock"));
    else
        mock_whole(reply, 200,
                   json_pack("{s:s, s:[o, o]}", "object", "list", "data",
                             model_of("gpt-mock", 0), model_of("embedding-mock", 0)));
}

/* Any other path says what it was sent; as three events where a stream was asked for. */
void mock_echo(const mock_call *call, mock_reply *reply)
{
    json_t *body = json_stringn(call->body, call->body_size);
    if (json_is_true(json_object_get(call->json, "stream"))) {
        reply->type = "text/event-stream; charset=utf-8";
        for (int i = 1; i <= 3; i++)
            mock_event(reply, "echo",
                       json_pack("{s:i, s:s}", "part", i, "target", call->target));
        json_decref(body);
        return;
    }
    mock_whole(reply, 200,
               json_pack("{s:s, s:s, s:I, s:o}", "method", call->method, "target",
                         call->target, "number", (json_int_t)call->number, "body",
                         body ? body : json_null()));
}

/* ---- Replies that the rule replaces
 * ---------------------------------------------------------- */

/* A piece ends after each empty line, and at the end. */
static void split_events(mock_reply *reply)
{
    size_t whole = reply->body.size;
    for (size_t i = 1; reply->stream && i < whole; i++)
        if (reply->body.data[i] == '\n' && reply->body.data[i - 1] == '\n') {
            reply->body.size = i + 1;
            mock_piece(reply);
        }
    reply->body.size = whole;
    if (reply->stream && (!reply->pieces || reply->ends[reply->pieces - 1] < whole))
        mock_piece(reply);
}

static void replace_body(const mock_call *call, mock_reply *reply, json_t *body)
{
    const char *text = json_string_value(body);
    if (!text) {
        mock_whole(reply, reply->status, json_incref(body));
        return;
    }
    reply->stream = 0;
    reply->body.size = reply->pieces = 0;
    mock_add(&reply->body, text, json_string_length(body));
    reply->type = strncmp(text, "data:", 5) == 0 || strncmp(text, "event:", 6) == 0
                      ? "text/event-stream; charset=utf-8"
                      : "application/json";
    reply->stream = reply->type[0] == 't';
    split_events(reply);
}

static void error_by_status(mock_reply *reply, int status)
{
    static const struct {
        int status;
        const char *openai, *anthropic, *message;
    } kinds[] = {{400, "invalid_request_error", "invalid_request_error", "Bad request."},
                 {401, "invalid_request_error", "authentication_error", "Bad key."},
                 {403, "invalid_request_error", "permission_error", "Not allowed."},
                 {404, "invalid_request_error", "not_found_error", "Not found."},
                 {413, "invalid_request_error", "request_too_large", "Too large."},
                 {429, "rate_limit_error", "rate_limit_error", "Rate limit reached."},
                 {529, "server_error", "overloaded_error", "Overloaded."},
                 {0, "server_error", "api_error", "The server had an error."}};
    size_t i = 0;
    while (kinds[i].status && kinds[i].status != status)
        i++;
    const char *type =
        mock_is_anthropic(reply->call) ? kinds[i].anthropic : kinds[i].openai;
    mock_refuse(reply, status, type, NULL, NULL, kinds[i].message);
}

/* Only so many events, then one with an error, then the end. */
static void fail_midway(const mock_call *call, mock_reply *reply, long events)
{
    if (!reply->stream || (size_t)events >= reply->pieces)
        return;
    reply->pieces = (size_t)events;
    reply->body.size = events ? reply->ends[events - 1] : 0;
    json_t *error = json_object_get(call->rule, "error");
    error = error
                ? json_incref(error)
                : json_pack("{s:s, s:s, s:n, s:n}", "message", "Overloaded", "type",
                            mock_is_anthropic(call) ? "overloaded_error" : "server_error",
                            "param", "code");
    if (mock_is_anthropic(call))
        mock_event(reply, "error",
                   json_pack("{s:s, s:o}", "type", "error", "error", error));
    else
        mock_event(reply, NULL, json_pack("{s:o}", "error", error));
}

/* Bytes that are no JSON: the whole body, or an event in the middle. */
static void spoil(mock_reply *reply, size_t size)
{
    mock_bytes rest = {0};
    size_t middle = reply->pieces ? reply->ends[reply->pieces / 2] : 0;
    mock_add(&rest, reply->stream ? reply->body.data + middle : "",
             reply->stream ? reply->body.size - middle : 0);
    reply->body.size = middle;
    mock_print(&reply->body, "%s", reply->stream ? "data: " : "");
    for (size_t i = 0; i < size; i++)
        mock_add(&reply->body, &"{\"\\\xff\x01]}"[i % 7], 1);
    mock_print(&reply->body, "%s", reply->stream ? "\n\n" : "");
    mock_add(&reply->body, rest.data, rest.size);
    mock_bytes_done(&rest);
    if (!reply->stream)
        return;
    reply->pieces = reply->pieces / 2 + 1;
    mock_piece(reply); /* the rest goes as one */
}

void mock_dispatch(mock_call *call, mock_reply *reply)
{
    json_t *body = call->rule ? json_object_get(call->rule, "body") : NULL;
    long status = mock_rule_int(call, "status", 0);
    if (status < 400 && !body)
        call_path(call, reply);
    if (status)
        reply->status = (int)status;
    if (body)
        replace_body(call, reply, body);
    else if (status >= 400)
        error_by_status(reply, (int)status);
    if (!call->rule)
        return;
    if (json_object_get(call->rule, "error_after_events"))
        fail_midway(call, reply, mock_rule_int(call, "error_after_events", 0));
    if (mock_rule_true(call, "garbage"))
        spoil(reply, (size_t)mock_rule_int(call, "garbage", 1));
    if (mock_rule_true(call, "no_last_blank") && reply->pieces) {
        reply->body.size -= mock_rule_true(call, "crlf") ? 2 : 1;
        reply->ends[reply->pieces - 1] = reply->body.size;
    }
}

/* ---- The program
 * ----------------------------------------------------------------------------- */

typedef struct accepted {
    int fd;
    uint64_t number;
} accepted;

static void *serve(void *argument)
{
    accepted one = *(accepted *)argument;
    free(argument);
    mock_serve(one.fd, one.number);
    return NULL;
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("mock-model: listen");
        exit(1);
    }
    return fd;
}

/* The port and a new line, all at once: whoever sees the file sees a whole number. */
static void write_port(int fd, const char *file)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    char part[4096];
    getsockname(fd, (struct sockaddr *)&address, &size);
    if (!file) {
        printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
        fflush(stdout);
        return;
    }
    snprintf(part, sizeof part, "%s.part", file);
    FILE *out = fopen(part, "w");
    if (!out || fprintf(out, "%d\n", ntohs(address.sin_port)) < 0 || fclose(out) ||
        rename(part, file)) {
        perror("mock-model: port file");
        exit(1);
    }
}

_Noreturn static void accept_all(int listener)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 << 10);
    for (uint64_t number = 1;; number++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        accepted *one = malloc(sizeof *one);
        pthread_t thread;
        if (one)
            *one = (accepted){.fd = fd, .number = number};
        if (!one || pthread_create(&thread, &attributes, serve, one)) {
            free(one);
            close(fd);
        }
    }
}

static void usage(void)
{
    fputs("usage: mock-model [--port N] [--port-file FILE] [--no-auth] [--no-log]\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    int port = 0;
    const char *file = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
            port = atoi(argv[++i]);
        else if (strcmp(argv[i], "--port-file") == 0 && i + 1 < argc)
            file = argv[++i];
        else if (strcmp(argv[i], "--no-auth") == 0)
            mock_check_keys = 0;
        else if (strcmp(argv[i], "--no-log") == 0)
            mock_keep_log = 0;
        else
            usage();
    }
    int listener = listen_on(port);
    write_port(listener, file);
    accept_all(listener);
}
