/*
 * openai: embeddings over HTTP, from any service with OpenAI's /v1/embeddings. Texts go out in batches;
 * what the service has no time for is asked again, after a pause that grows, is spread by chance, and is as
 * long as the service wants it, all within the caller's deadline.
 *
 * An embedder is made once; the dimension, found with the first reply, and whether the service refuses
 * encoding_format are all that changes: each is one atomic, so threads need no lock.
 */
#include "embed/embed.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "embed/embed_reply.h"
#include "net/base_url.h"
#include "net/http.h"
#include "net/http_headers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    BATCH = 128,
    REPLY_MAX_BYTES = 64 * 1024 * 1024,
    FIRST_PAUSE_MS = 100,
    LONGEST_PAUSE_MS = 5000
};

typedef struct openai_embedder {
    lc_http *http; /* borrowed */
    char *url;
    char *host;
    char *key;   /* value of Authorization, NULL without a key */
    char *model;
    char *space; /* "openai:host/model" */
    int needs_key;
    atomic_size_t dimension;   /* 0 until a reply told */
    atomic_int refuses_format; /* the service does not take encoding_format */
} openai_embedder;

/* ---- One request -------------------------------------------------------------------------------- */

static int write_body(const openai_embedder *self, const char *const *texts, size_t count,
                      int plain, lc_buffer *body)
{
    lc_buffer_text(body, "{\"model\":");
    lc_buffer_json_text(body, self->model);
    if (!plain)
        lc_buffer_text(body, ",\"encoding_format\":\"base64\"");
    lc_buffer_text(body, ",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            lc_buffer_byte(body, ',');
        lc_buffer_json_text(body, texts[i]);
    }
    return lc_buffer_text(body, "]}");
}

static int post(openai_embedder *self, const lc_buffer *body, int64_t left_ms, lc_http_reply *reply,
                llmcache_error *err)
{
    const llmcache_header headers[] = {{"Content-Type", "application/json"},
                                       {"Accept", "application/json"},
                                       {"Authorization", self->key}};
    const lc_http_request request = {.method = "POST", .url = self->url, .headers = headers,
                                     .header_count = self->key ? 3 : 2, .body = body->data,
                                     .body_size = body->size,
                                     .limits = {.connect_ms = left_ms, .total_ms = left_ms,
                                                .max_bytes = REPLY_MAX_BYTES}};
    return lc_http_fetch(self->http, &request, reply, err);
}

/* What a status other than 200 means. */
static int report_status(const openai_embedder *self, const lc_http_reply *reply, llmcache_error *err)
{
    int status = reply->status, rc;
    if (status == 413 ||
        (status == 400 && lc_embed_reply_says_too_long(reply->body, reply->body_size)))
        rc = lc_fail(err, LLMCACHE_UNSUPPORTED, "the text is too long for %s", self->space);
    else if (status == 401 || status == 403)
        rc = lc_fail(err, LLMCACHE_EMBEDDER, "%s refused the credential (status %d)", self->host,
                     status);
    else
        rc = lc_fail(err, LLMCACHE_EMBEDDER, "%s answered status %d for embeddings of %s",
                     self->host, status, self->model);
    err->upstream_status = status;
    err->retry_after_ms = reply->retry_after_ms;
    return rc;
}

static int is_passing(const llmcache_error *err)
{
    int status = err->upstream_status;
    return err->code == LLMCACHE_NETWORK || status == 408 || status == 429 || status >= 500;
}

/* One exchange; `plain`: without encoding_format. */
static int exchange(openai_embedder *self, const char *const *texts, size_t count, int plain,
                    int64_t end_ms, float **vectors, llmcache_error *err)
{
    lc_buffer body;
    lc_http_reply reply = {0};
    size_t dimension = self->dimension;
    int64_t left_ms = end_ms - lc_mono_ms();
    if (left_ms <= 0)
        return lc_fail(err, LLMCACHE_TIMEOUT, "no time left to embed at %s", self->host);
    lc_buffer_init(&body, 0);
    int rc = write_body(self, texts, count, plain, &body) ? lc_fail_memory(err)
                                                          : post(self, &body, left_ms, &reply, err);
    lc_buffer_done(&body);
    if (rc)
        return rc;
    if (reply.status == 200)
        rc = lc_embed_reply_read(reply.body, reply.body_size, count, &dimension, vectors, err);
    else
        rc = report_status(self, &reply, err);
    lc_free(reply.body);
    if (!rc)
        self->dimension = dimension;
    return rc;
}

/* A service that does not take encoding_format is asked without it, from then on. */
static int ask_once(openai_embedder *self, const char *const *texts, size_t count, int64_t end_ms,
                    float **vectors, llmcache_error *err)
{
    int plain = self->refuses_format;
    int rc = exchange(self, texts, count, plain, end_ms, vectors, err);
    int refused = rc == LLMCACHE_EMBEDDER &&
                  (err->upstream_status == 400 || err->upstream_status == 422);
    if (!refused || plain)
        return rc;
    rc = exchange(self, texts, count, 1, end_ms, vectors, err);
    if (!rc)
        self->refuses_format = 1;
    return rc;
}

/* ---- Again and again ------------------------------------------------------------------------------ */

/* Half the pause is fixed, half is chance, so that many clients do not come back in one wave. */
static int64_t pause_before(int attempt, int64_t wanted_ms)
{
    int64_t pause_ms = FIRST_PAUSE_MS << (attempt < 6 ? attempt : 6);
    if (pause_ms > LONGEST_PAUSE_MS)
        pause_ms = LONGEST_PAUSE_MS;
    int64_t half_ms = pause_ms / 2, spread_ms = lc_mono_ns() / 64 % (half_ms + 1);
    return wanted_ms > half_ms ? wanted_ms + spread_ms : half_ms + spread_ms;
}

static int ask(openai_embedder *self, const char *const *texts, size_t count, int64_t end_ms,
               float **vectors, llmcache_error *err)
{
    for (int attempt = 0;; attempt++) {
        int rc = ask_once(self, texts, count, end_ms, vectors, err);
        if (!rc || !is_passing(err))
            return rc;
        int64_t pause_ms = pause_before(attempt, err->retry_after_ms);
        if (pause_ms >= end_ms - lc_mono_ms())
            return rc;
        lc_sleep_ms(pause_ms);
    }
}

static int embed(void *user, const char *const *texts, size_t count, float *vectors,
                 int64_t deadline_ms, llmcache_error *err)
{
    openai_embedder *self = user;
    int64_t end_ms = lc_mono_ms() + deadline_ms;
    size_t dimension = self->dimension;
    if (self->needs_key && !self->key)
        return lc_fail(err, LLMCACHE_EMBEDDER,
                       "no key for the embeddings service: set OPENAI_API_KEY or "
                       "LLMCACHE_EMBED_API_KEY, or use --embedder local:");
    if (dimension == 0)
        return lc_fail(err, LLMCACHE_EMBEDDER, "the dimension of %s is not known yet", self->space);
    for (size_t done = 0; done < count;) {
        size_t some = count - done < BATCH ? count - done : BATCH;
        float *rows;
        int rc = ask(self, texts + done, some, end_ms, &rows, err);
        if (rc)
            return rc;
        memcpy(vectors + done * dimension, rows, some * dimension * sizeof *rows);
        lc_free(rows);
        done += some;
    }
    return 0;
}

static int discover(void *user, int64_t deadline_ms, llmcache_error *err)
{
    openai_embedder *self = user;
    static const char *const word = "dimension";
    float *row;
    if (self->needs_key && !self->key) /* the same words as for any text */
        return embed(self, &word, 1, NULL, deadline_ms, err);
    int rc = ask(self, &word, 1, lc_mono_ms() + deadline_ms, &row, err);
    if (!rc)
        lc_free(row);
    return rc;
}

/* ---- The rest of the table ------------------------------------------------------------------------ */

static size_t dimension(void *user)
{
    return ((openai_embedder *)user)->dimension;
}

static const char *space(void *user)
{
    return ((openai_embedder *)user)->space;
}

static double threshold(void *user)
{
    return 0; /* which models a service may have is not known here */
}

static void close_embedder(void *user)
{
    openai_embedder *self = user;
    lc_free(self->url);
    lc_free(self->host);
    lc_free(self->key);
    lc_free(self->model);
    lc_free(self->space);
    lc_free(self);
}

static int fill(openai_embedder *self, const char *model, const lc_embedder_options *options)
{
    self->http = options->http;
    char *base = lc_base_url_trim(options->base_url);
    char *name = lc_base_url_name(options->base_url);
    if (base)
        self->url = lc_base_url_join(LC_BASE_WITH_VERSION, base, "/v1/embeddings");
    if (name)
        self->host = lc_base_url_host(name);
    lc_free(base);
    lc_free(name);
    self->model = lc_strdup(model);
    if (!self->url || !self->host || !self->model ||
        lc_credential("Bearer ", options->api_key, &self->key))
        return LLMCACHE_MEMORY;
    self->needs_key = strcasecmp(self->host, "api.openai.com") == 0;
    size_t size = strlen("openai:/") + strlen(self->host) + strlen(model) + 1;
    if (!(self->space = lc_alloc(size)))
        return LLMCACHE_MEMORY;
    snprintf(self->space, size, "openai:%s/%s", self->host, model);
    return 0;
}

int lc_embedder_open_openai(const char *model, const lc_embedder_options *options,
                            lc_embedder *embedder, llmcache_error *err)
{
    int rc = lc_base_url_check("embed-base-url", options->base_url, err);
    if (rc)
        return rc;
    if (!*model)
        return lc_fail(err, LLMCACHE_SETTING,
                       "embedder: openai: needs a model, as in openai:text-embedding-3-small");
    openai_embedder *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    if (fill(self, model, options)) {
        close_embedder(self);
        return lc_fail_memory(err);
    }
    if (self->key && !lc_header_is_sane("Authorization", self->key)) {
        close_embedder(self);
        return lc_fail(err, LLMCACHE_SETTING, "embed-api-key holds a control character");
    }
    *embedder = (lc_embedder){
        .self = self,
        .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "openai", .embed = embed,
                .dimension = dimension, .discover = discover, .space = space,
                .threshold = threshold, .close = close_embedder}};
    return 0;
}
