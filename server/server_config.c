/*
 * The command line (every setting is a flag, as in llmcache-cli) and the settings that
 * are the server's own. `listen` is resolved here: CivetWeb would take suffixes that mean
 * TLS, and lists.
 */
#include "server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int complain(const char *message)
{
    fprintf(stderr, "llmcache-server: %s\n", message);
    return -SERVER_EXIT_USAGE;
}

/* ---- The command line ----------------------------------------------------------- */

static void show_help(void)
{
    llmcache_setting row;
    printf("llmcache-server %s: answers questions to language models over HTTP, from its "
           "cache.\n\n"
           "Usage: llmcache-server [FLAGS]\n\n"
           "  --port-file FILE                   write the port here once it listens\n"
           "  --help, --version\n\n"
           "Settings, each also a variable of the environment or of .env (--store is "
           "LLMCACHE_STORE):\n",
           llmcache_version());
    for (size_t i = 0; llmcache_options_get(NULL, i, &row) == 0; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", row.name, row.type);
        printf("  %-34s %s%s%s%s\n", left, row.help, *row.default_value ? " [" : "",
               row.default_value, *row.default_value ? "]" : "");
    }
    printf("\nSignals: TERM and INT finish what is under way and end; HUP opens the log "
           "anew.\n"
           "Exit codes: 0 ended by a signal, 1 it could not start, 2 a bad setting or "
           "flag.\n");
}

static int is_switch(const char *name)
{
    llmcache_setting row;
    for (size_t i = 0; llmcache_options_get(NULL, i, &row) == 0; i++)
        if (strcmp(row.name, name) == 0)
            return strcmp(row.type, "switch") == 0;
    return 0;
}

/* Reads argv[*at] and its value. */
static int read_flag(http_server *server, int argc, char **argv, int *at)
{
    char name[64], message[160];
    llmcache_error err;
    const char *flag = argv[*at], *equals = strchr(flag, '=');
    size_t size = equals ? (size_t)(equals - flag) : strlen(flag);
    if (size < 3 || strncmp(flag, "--", 2) != 0 || size - 2 >= sizeof name) {
        snprintf(message, sizeof message, "\"%.80s\" is not a flag; see --help", flag);
        return complain(message);
    }
    snprintf(name, sizeof name, "%.*s", (int)(size - 2), flag + 2);
    const char *value = equals ? equals + 1 : is_switch(name) ? "yes" : NULL;
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value) {
        snprintf(message, sizeof message, "--%s needs a value", name);
        return complain(message);
    }
    if (strcmp(name, "port-file") == 0) {
        server->config.port_file = value;
        return 0;
    }
    return llmcache_options_set(server->options, name, value, &err)
               ? complain(err.message)
               : 0;
}

/* ---- Settings ------------------------------------------------------------------- */

static double number(const http_server *server, const char *name)
{
    double value = 0;
    llmcache_options_number(server->options, name, &value);
    return value;
}

/* "host:port" or "port" into host and port. */
static int split_listen(const char *listen, char *host, size_t room, long *port)
{
    const char *colon = strrchr(listen, ':'), *digits = colon ? colon + 1 : listen;
    size_t size = colon ? (size_t)(colon - listen) : 0, count = strlen(digits);
    if (count == 0 || count > 5 || strspn(digits, "0123456789") != count || size >= room)
        return -1;
    *port = strtol(digits, NULL, 10);
    snprintf(host, room, "%.*s", (int)size, listen);
    return *port <= 65535 ? 0 : -1;
}

static int resolve(const char *host, char *out, socklen_t room)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, NULL, &hints, &found))
        return -1;
    const struct sockaddr_in *address = (const void *)found->ai_addr;
    const char *text = inet_ntop(AF_INET, &address->sin_addr, out, room);
    freeaddrinfo(found);
    return text ? 0 : -1;
}

static int read_listen(http_server *server)
{
    server_config *config = &server->config;
    const char *listen = llmcache_options_text(server->options, "listen");
    char address[INET_ADDRSTRLEN], message[320];
    long port;
    if (split_listen(listen, config->host, sizeof config->host, &port) == 0) {
        if (!*config->host || strcmp(config->host, "*") == 0)
            snprintf(config->host, sizeof config->host, "0.0.0.0");
        if (resolve(config->host, address, sizeof address) == 0) {
            snprintf(config->address, sizeof config->address, "%s:%ld", address, port);
            return 0;
        }
    }
    snprintf(
        message, sizeof message,
        "setting listen: \"%.80s\" is not an IPv4 address or a name with a port, such as "
        "127.0.0.1:8000, 0.0.0.0:8000, localhost:0",
        listen);
    return complain(message);
}

static int read_settings(http_server *server)
{
    server_config *config = &server->config;
    config->admin_key = llmcache_options_text(server->options, "admin-key");
    config->access_log = llmcache_options_text(server->options, "access-log");
    config->cors_origins = llmcache_options_text(server->options, "cors-origins");
    config->max_connections = (int)number(server, "max-connections");
    config->max_body_bytes = (size_t)number(server, "max-body-bytes");
    config->request_timeout_ms = (int64_t)number(server, "request-timeout-ms");
    config->keep_alive_timeout_ms = (int64_t)number(server, "keep-alive-timeout-ms");
    config->drain_timeout_ms = (int64_t)number(server, "drain-timeout-ms");
    return read_listen(server);
}

static int is_asked(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return 1;
    return 0;
}

int server_config_read(http_server *server, int argc, char **argv)
{
    llmcache_error err;
    if (is_asked(argc, argv, "--help") || is_asked(argc, argv, "-h")) {
        show_help();
        return 1;
    }
    if (is_asked(argc, argv, "--version")) {
        printf("llmcache-server %s\n", llmcache_version());
        return 1;
    }
    if (llmcache_options_new(&server->options, &err))
        return complain(err.message);
    for (int i = 1; i < argc; i++)
        if (read_flag(server, argc, argv, &i))
            return -SERVER_EXIT_USAGE;
    return read_settings(server);
}
