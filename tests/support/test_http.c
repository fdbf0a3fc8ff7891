/* HTTP for tests: libcurl's easy handle, and plain sockets. */
#include "test_http.h"
#include "support.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct bytes {
    char *data;
    size_t size, room;
} bytes;

struct test_http {
    CURL *curl;
};

static void append(bytes *to, const void *data, size_t size)
{
    if (to->size + size + 1 > to->room) {
        to->room = (to->size + size + 1) * 2;
        to->data = realloc(to->data, to->room);
        if (!to->data)
            test_give_up("out of memory");
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
    to->data[to->size] = '\0';
}

/* A copy that lives until the test ends. */
static char *kept(bytes *from)
{
    char *copy = test_keep(from->data, from->size);
    free(from->data);
    return copy;
}

test_http *test_http_new(void)
{
    test_http *http = calloc(1, sizeof *http);
    if (!http || !(http->curl = curl_easy_init()))
        test_give_up("no curl handle");
    return http;
}

void test_http_free(test_http *http)
{
    if (http)
        curl_easy_cleanup(http->curl);
    free(http);
}

typedef struct receiver {
    bytes headers, body;
    const test_request *request;
} receiver;

static size_t take_header(char *data, size_t one, size_t size, void *user)
{
    receiver *to = user;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0)
        to->headers.size = 0; /* a 100 Continue came before */
    append(&to->headers, data, size);
    return size;
}

static size_t take_body(char *data, size_t one, size_t size, void *user)
{
    receiver *to = user;
    append(&to->body, data, size);
    if (to->request->each && to->request->each(to->request->user, data, size))
        return 0;
    return size;
}

static int has_header(const test_request *request, const char *name)
{
    size_t size = strlen(name);
    for (const char *const *at = request->headers; at && *at; at++)
        if (strncasecmp(*at, name, size) == 0 &&
            ((*at)[size] == ':' || (*at)[size] == ';'))
            return 1;
    return 0;
}

static struct curl_slist *header_list(const test_request *request)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (request->body && !has_header(request, "content-type"))
        list = curl_slist_append(list, "Content-Type: application/json");
    for (const char *const *at = request->headers; at && *at; at++)
        list = curl_slist_append(list, *at);
    return list;
}

static void set_up(CURL *curl, const test_request *request, receiver *to,
                   struct curl_slist *list)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     request->timeout_ms ? request->timeout_ms : 30000L);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, to);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    if (request->unix_socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    if (request->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
    if (request->body) {
        size_t size = request->body_size ? request->body_size : strlen(request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

test_reply test_http_send(test_http *http, const test_request *request)
{
    receiver to = {.request = request};
    append(&to.headers, "", 0);
    append(&to.body, "", 0);
    struct curl_slist *list = header_list(request);
    set_up(http->curl, request, &to, list);
    test_reply reply = {.curl = (int)curl_easy_perform(http->curl)};
    long status = 0, made = 0;
    double first = 0, total = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->curl, CURLINFO_NUM_CONNECTS, &made);
    curl_easy_getinfo(http->curl, CURLINFO_STARTTRANSFER_TIME, &first);
    curl_easy_getinfo(http->curl, CURLINFO_TOTAL_TIME, &total);
    curl_slist_free_all(list);
    reply.status = (int)status;
    reply.reused = made == 0;
    reply.first_byte_ms = first * 1e3;
    reply.total_ms = total * 1e3;
    reply.headers = kept(&to.headers);
    reply.body = kept(&to.body);
    reply.size = to.body.size;
    return reply;
}

void test_reply_done(test_reply *reply)
{
    test_release(reply->headers);
    test_release(reply->body);
    *reply = (test_reply){0};
}

static test_reply once(const test_request *request)
{
    test_http *http = test_http_new();
    test_reply reply = test_http_send(http, request);
    test_http_free(http);
    return reply;
}

test_reply test_get(const char *url)
{
    return once(&(test_request){.url = url});
}

test_reply test_post(const char *url, const char *body)
{
    return once(&(test_request){.url = url, .body = body});
}

test_reply test_post_with_key(const char *url, const char *body)
{
    static const char *const openai[] = {"Authorization: Bearer key", NULL};
    static const char *const anthropic[] = {"x-api-key: key",
                                            "anthropic-version: 2023-06-01", NULL};
    test_http *http = test_http_new();
    test_request request = {.url = url, .body = body};
    request.headers = strstr(url, "/v1/messages") ? anthropic : openai;
    test_reply reply = test_http_send(http, &request);
    test_http_free(http);
    return reply;
}

const char *test_header(const test_reply *reply, const char *name)
{
    size_t size = strlen(name);
    const char *found = NULL;
    for (const char *line = reply->headers; line && *line;) {
        const char *end = strstr(line, "\r\n");
        if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
            const char *value = line + size + 1;
            value += strspn(value, " \t");
            found = test_format(
                "%.*s", (int)((end ? end : value + strlen(value)) - value), value);
        }
        line = end ? end + 2 : NULL;
    }
    return found;
}

/* ---- A bare connection
 * ----------------------------------------------------------------------- */

int test_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        test_give_up("connect to port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* A far end that has hung up is the test's to notice by what it receives. */
void test_send(int fd, const void *data, size_t size)
{
    for (const char *at = data; size;) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return;
        at += sent;
        size -= (size_t)sent;
    }
}

void test_send_text(int fd, const char *text)
{
    test_send(fd, text, strlen(text));
}

char *test_receive_until(int fd, const char *text, size_t *size, int ms)
{
    bytes got = {0};
    append(&got, "", 0);
    int64_t end = test_now_ms() + ms;
    while (!text || !memmem(got.data, got.size, text, strlen(text))) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = end - test_now_ms();
        char piece[65536];
        if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
            break;
        ssize_t count = recv(fd, piece, sizeof piece, 0);
        if (count <= 0)
            break;
        append(&got, piece, (size_t)count);
    }
    if (size)
        *size = got.size;
    return kept(&got);
}

char *test_receive(int fd, size_t *size, int ms)
{
    return test_receive_until(fd, NULL, size, ms);
}
