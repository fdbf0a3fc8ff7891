/*
 * HTTP exchanges. Each runs on one slot of the pool, by the thread that asked for it; all its state
 * is on that thread's stack, the request and the sink are the caller's. The multi handle is driven
 * here rather than by curl_easy_perform because curl's own stall limit counts in whole seconds.
 */
#include "net/http.h"

#include "base/clock.h"
#include "base/error.h"
#include "net/http_pool.h"

#include <string.h>
#include <strings.h>

enum { POLL_MS = 1000 };

/* One exchange under way. */
typedef struct exchange {
    const lc_http_request *request;
    const llmcache_sink *sink;
    lc_http_slot *slot;
    int64_t deadline_ms; /* monotonic, 0 for none */
    int64_t moved_ms;    /* when a byte last moved */
    curl_off_t sent;     /* of the body, when last looked */
    size_t received;     /* of the body, decoded */
    int heard;           /* any byte of a reply came */
    int begun;           /* the sink knows status and headers */
    int stalled;
    int stop;            /* why our own callbacks stopped it: a code, or 0 */
} exchange;

/* ---- What comes in ---------------------------------------------------------------------------- */

/* Must the reply come without a body, whatever its headers say? */
static int is_bodiless(const lc_http_request *request, long status)
{
    return strcmp(request->method, "HEAD") == 0 || status == 204 || status == 304;
}

static int begin_reply(exchange *x)
{
    lc_head *head = &x->slot->head;
    long status = 0;
    curl_easy_getinfo(x->slot->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return 0; /* an interim reply; the real one follows */
    int64_t body_size = head->encoded ? -1 : head->content_length;
    if (is_bodiless(x->request, status))
        body_size = 0;
    size_t max = x->request->limits.max_bytes;
    if (max && body_size > 0 && (uint64_t)body_size > max)
        return LLMCACHE_TOO_LARGE;
    lc_head_finish(head);
    x->begun = 1;
    if (x->sink->begin(x->sink->user, (int)status, head->list, head->count, body_size))
        return LLMCACHE_ABORTED;
    return 0;
}

static size_t on_header(char *line, size_t one, size_t size, void *user)
{
    exchange *x = user;
    x->heard = 1;
    x->moved_ms = lc_mono_ms();
    if (x->begun)
        return size; /* a trailer */
    if (size > 5 && strncasecmp(line, "HTTP/", 5) == 0)
        lc_head_clear(&x->slot->head);
    else if (size <= 2 && (line[0] == '\r' || line[0] == '\n'))
        x->stop = begin_reply(x);
    else
        x->stop = lc_head_add(&x->slot->head, line, size);
    return x->stop ? 0 : size;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *user)
{
    exchange *x = user;
    size_t max = x->request->limits.max_bytes;
    if (max && size > max - x->received)
        x->stop = LLMCACHE_TOO_LARGE;
    else if (size && x->sink->write(x->sink->user, bytes, size))
        x->stop = LLMCACHE_ABORTED;
    x->received += size;
    x->moved_ms = lc_mono_ms(); /* after the sink: its own slowness is not the service's stall */
    return x->stop ? 0 : size;
}

/* ---- What goes out ---------------------------------------------------------------------------- */

static int add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return LLMCACHE_MEMORY;
    *list = longer;
    return 0;
}

static int add_header(lc_http_slot *slot, const llmcache_header *header, struct curl_slist **list)
{
    lc_buffer_clear(&slot->line);
    lc_buffer_text(&slot->line, header->name);
    /* curl takes "Name:" as an order to leave the header out, "Name;" as an empty one. */
    lc_buffer_text(&slot->line, *header->value ? ": " : ";");
    if (lc_buffer_text(&slot->line, header->value))
        return LLMCACHE_MEMORY;
    return add_line(list, slot->line.data);
}

/* Headers that belong to this hop or that libcurl writes itself. */
static int is_ours(const lc_http_request *request, const char *name)
{
    return strcasecmp(name, "host") == 0 || strcasecmp(name, "accept-encoding") == 0 ||
           strcasecmp(name, "expect") == 0 ||
           lc_header_is_hop(request->headers, request->header_count, name);
}

static int make_headers(lc_http_slot *slot, const lc_http_request *request, struct curl_slist **list,
                        llmcache_error *err)
{
    int rc = add_line(list, "Expect:");
    if (!rc && !lc_header(request->headers, request->header_count, "content-type"))
        rc = add_line(list, "Content-Type:"); /* not curl's own idea of a form */
    for (size_t i = 0; i < request->header_count && !rc; i++) {
        const llmcache_header *header = &request->headers[i];
        if (is_ours(request, header->name))
            continue;
        if (!lc_header_is_sane(header->name, header->value))
            return lc_fail(err, LLMCACHE_INVALID, "a request header holds control characters");
        rc = add_header(slot, header, list);
    }
    return rc ? lc_fail_memory(err) : 0;
}

static CURLcode set_method(CURL *easy, const lc_http_request *request)
{
    const char *method = request->method;
    int has_body = request->body != NULL;
    int is_get = !has_body && strcmp(method, "GET") == 0;
    int is_head = !has_body && strcmp(method, "HEAD") == 0;
    int is_post = strcmp(method, "POST") == 0;
    curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    if (has_body || is_post) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, has_body ? request->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(has_body ? request->body_size : 0));
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (is_head)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
                            is_get || is_head || is_post ? NULL : method);
}

static int prepare(exchange *x, struct curl_slist *headers, llmcache_error *err)
{
    const lc_http_request *request = x->request;
    CURL *easy = x->slot->easy;
    const llmcache_limits *limits = &request->limits;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)limits->connect_ms);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
    if (curl_easy_setopt(easy, CURLOPT_URL, request->url) || set_method(easy, request))
        return lc_fail_memory(err);
    return 0;
}

/* ---- Driving ---------------------------------------------------------------------------------- */

/* How long to sleep for the next event; 0 when the stall limit is over. */
static int next_wait(exchange *x)
{
    int64_t stall_ms = x->request->limits.stall_ms;
    if (stall_ms <= 0)
        return POLL_MS;
    int64_t now = lc_mono_ms();
    if (now - x->moved_ms >= stall_ms) {
        curl_off_t sent = 0;
        curl_easy_getinfo(x->slot->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
        if (sent == x->sent)
            return 0;
        x->sent = sent;
        x->moved_ms = now;
    }
    int64_t left = x->moved_ms + stall_ms - now;
    return left < POLL_MS ? (int)left : POLL_MS;
}

static CURLcode drive(exchange *x)
{
    lc_http_slot *slot = x->slot;
    CURLcode result = CURLE_FAILED_INIT;
    int running = 1, queued;
    if (curl_multi_add_handle(slot->multi, slot->easy))
        return CURLE_OUT_OF_MEMORY;
    x->moved_ms = lc_mono_ms();
    while (curl_multi_perform(slot->multi, &running) == CURLM_OK && running) {
        int wait_ms = next_wait(x);
        if (wait_ms == 0) {
            x->stalled = 1;
            break;
        }
        if (curl_multi_poll(slot->multi, NULL, 0, wait_ms, NULL))
            break;
    }
    for (CURLMsg *said; (said = curl_multi_info_read(slot->multi, &queued)) != NULL;)
        if (said->msg == CURLMSG_DONE)
            result = said->data.result;
    curl_multi_remove_handle(slot->multi, slot->easy);
    return result;
}

/*
 * A kept connection may have been closed by the peer just as we began to use it. curl asks again on a
 * new one when reading shows it; when writing shows it, that is left to us. Nothing was received, so
 * the peer has most likely not seen the request.
 */
static int died_while_idle(const exchange *x, CURLcode result)
{
    long opened = 1;
    curl_easy_getinfo(x->slot->easy, CURLINFO_NUM_CONNECTS, &opened);
    return opened == 0 && !x->heard && !x->stop && !x->stalled &&
           (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR ||
            result == CURLE_GOT_NOTHING);
}

/* Time left of the whole exchange for curl: at least 1 ms, 0 for no limit. */
static long time_left(const exchange *x)
{
    if (!x->deadline_ms)
        return 0;
    int64_t left = x->deadline_ms - lc_mono_ms();
    return left > 0 ? (long)left : 1;
}

static CURLcode run(exchange *x)
{
    CURL *easy = x->slot->easy;
    x->slot->reason[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_left(x));
    CURLcode result = drive(x);
    if (!died_while_idle(x, result))
        return result;
    x->sent = 0;
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_left(x));
    result = drive(x);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 0L);
    return result;
}

/* ---- Errors ----------------------------------------------------------------------------------- */

static int report_timeout(const exchange *x, llmcache_error *err)
{
    const llmcache_limits *limits = &x->request->limits;
    const char *origin = x->slot->origin;
    curl_off_t connected_us = 0;
    curl_easy_getinfo(x->slot->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    if (x->stalled)
        return lc_fail(err, LLMCACHE_TIMEOUT, "%s sent nothing for %lld ms", origin,
                       (long long)limits->stall_ms);
    if (connected_us == 0)
        return lc_fail(err, LLMCACHE_TIMEOUT, "%s could not be connected to in time", origin);
    return lc_fail(err, LLMCACHE_TIMEOUT, "%s did not finish its answer within %lld ms", origin,
                   (long long)limits->total_ms);
}

static int report(const exchange *x, CURLcode result, llmcache_error *err)
{
    const char *origin = x->slot->origin;
    const char *reason = x->slot->reason;
    switch (x->stop) {
    case 0:
        break;
    case LLMCACHE_TOO_LARGE:
        return lc_fail(err, x->stop, "the reply of %s is larger than allowed", origin);
    case LLMCACHE_ABORTED:
        return lc_fail(err, x->stop, "the receiver stopped the reply of %s", origin);
    default:
        return lc_fail(err, x->stop, "%s while reading %s", lc_code_text(x->stop), origin);
    }
    if (x->stalled || result == CURLE_OPERATION_TIMEDOUT)
        return report_timeout(x, err);
    switch (result) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY:
        return lc_fail_memory(err);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return lc_fail(err, LLMCACHE_INVALID, "%s is not an http or https address", origin);
    default:
        return lc_fail(err, LLMCACHE_NETWORK, "%s: %s", origin,
                       *reason ? reason : curl_easy_strerror(result));
    }
}

/* ---- Entry points ----------------------------------------------------------------------------- */

/* Scheme, host and port of a URL, for choosing a slot and for messages: no user, no path. */
static void read_origin(const char *url, char origin[LC_ORIGIN_SIZE])
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t size = strcspn(start, "/?#");
    for (size_t i = size; i-- > 0;)
        if (start[i] == '@') {
            start += i + 1;
            size -= i + 1;
            break;
        }
    size_t scheme = strncasecmp(url, "https://", 8) == 0   ? 8
                    : strncasecmp(url, "http://", 7) == 0 ? 7
                                                          : 0;
    if (size > LC_ORIGIN_SIZE - 1 - scheme)
        size = LC_ORIGIN_SIZE - 1 - scheme;
    memcpy(origin, url, scheme);
    memcpy(origin + scheme, start, size);
    origin[scheme + size] = '\0';
}

int lc_http_perform(lc_http *http, const lc_http_request *request, const llmcache_sink *sink,
                    llmcache_error *err)
{
    char origin[LC_ORIGIN_SIZE];
    read_origin(request->url, origin);
    lc_http_slot *slot = lc_http_slot_take(http, origin);
    if (!slot)
        return lc_fail_memory(err);
    exchange x = {.request = request, .sink = sink, .slot = slot};
    if (request->limits.total_ms > 0)
        x.deadline_ms = lc_mono_ms() + request->limits.total_ms;
    struct curl_slist *headers = NULL;
    int rc = make_headers(slot, request, &headers, err);
    if (!rc)
        rc = prepare(&x, headers, err);
    if (!rc)
        rc = report(&x, run(&x), err);
    curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    lc_http_slot_give(http, slot);
    return rc;
}
