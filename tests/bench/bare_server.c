/*
 * The bound of bench_server: CivetWeb with the settings llmcache-server gives it, and a handler that
 * reads the request's body and answers with the same bytes every time.
 *
 *     bare-server THREADS PORT_FILE REPLY_FILE
 */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct fixed_reply {
    char *bytes;
    size_t size;
} fixed_reply;

static int on_request(struct mg_connection *conn)
{
    const fixed_reply *reply = mg_get_user_data(mg_get_context(conn));
    char body[65536];
    while (mg_read(conn, body, sizeof body) > 0)
        continue;
    mg_write(conn, reply->bytes, reply->size);
    return 200;
}

static int read_file(const char *path, fixed_reply *reply)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    reply->bytes = malloc(1024 * 1024);
    reply->size = reply->bytes ? fread(reply->bytes, 1, 1024 * 1024, file) : 0;
    fclose(file);
    return reply->size ? 0 : -1;
}

static int write_port(const struct mg_context *context, const char *path)
{
    struct mg_server_port port = {0};
    FILE *file = fopen(path, "w");
    if (!file || mg_get_server_ports(context, 1, &port) != 1)
        return -1;
    fprintf(file, "%d\n", port.port);
    return fclose(file);
}

int main(int argc, char **argv)
{
    fixed_reply reply = {0};
    if (argc != 4 || read_file(argv[3], &reply))
        return 2;
    const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", argv[1],
                             "enable_keep_alive", "yes", "keep_alive_timeout_ms", "75000",
                             "request_timeout_ms", "60000", "tcp_nodelay", "1",
                             "max_request_size", "65536", "decode_url", "no", NULL};
    const struct mg_callbacks callbacks = {.begin_request = on_request};
    mg_init_library(0);
    struct mg_context *context = mg_start(&callbacks, &reply, options);
    if (!context || write_port(context, argv[2]))
        return 1;
    pause();
    return 0;
}
