/*
 * A download is one or more exchanges: redirects lead on, a broken connection is taken up
 * again a few times. The bytes lie in PATH.part with the service's ETag in PATH.etag; a
 * later call asks for the rest under that ETag (If-Range, RFC 9110 13.1.5), so that two
 * versions of a file are never joined.
 */
#include "embed/download.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_URL       4096
#define MAX_TAG       200
#define MAX_REDIRECTS 5
#define ATTEMPTS      4
#define CONNECT_MS    20000
#define STALL_MS      60000

/* One download under way. */
typedef struct transfer {
    const lc_download *download;
    char part[MAX_URL], tag_path[MAX_URL];
    int file;
    uint64_t have;           /* bytes in the part */
    uint64_t total;          /* 0 while unknown */
    char tag[MAX_TAG];       /* ETag of what is in the part */
    char hash[LC_HASH_TEXT]; /* SHA-256 that the service stated, "" if it did not */
    /* of the exchange under way */
    int status;
    int resuming;
    char location[MAX_URL];
    int stop; /* why our own callbacks stopped it: a code, or 0 */
    llmcache_error why;
} transfer;

/* ---- What comes in --------------------------------------------------------------- */

/* Hugging Face states the SHA-256 of large files as their ETag, before and after the
 * redirect. */
static void note_hash(transfer *t, const char *value)
{
    unsigned char digest[LC_SHA256_SIZE];
    char text[LC_HASH_TEXT];
    size_t size;
    if (!value)
        return;
    value += *value == '"';
    size = strcspn(value, "\"");
    if (size != LC_HASH_TEXT - 1)
        return;
    memcpy(text, value, size);
    text[size] = '\0';
    if (lc_unhex(text, digest, sizeof digest) == 0)
        lc_hex(digest, sizeof digest, t->hash);
}

static int restart(transfer *t)
{
    t->have = 0;
    if (ftruncate(t->file, 0) || lseek(t->file, 0, SEEK_SET) < 0)
        return lc_fail(&t->why, LLMCACHE_IO, "cannot write %s: %s", t->part,
                       strerror(errno));
    return 0;
}

static void keep_tag(transfer *t, const char *tag)
{
    int weak = !tag || strncmp(tag, "W/", 2) == 0 || strlen(tag) >= MAX_TAG;
    snprintf(t->tag, sizeof t->tag, "%s", weak ? "" : tag);
    FILE *file = weak ? NULL : fopen(t->tag_path, "we");
    if (file) {
        fputs(t->tag, file);
        fclose(file);
    } else {
        unlink(t->tag_path);
    }
}

/* "bytes 100-999/1000": 1 if it starts where the part ends. */
static int continues(transfer *t, const char *range)
{
    unsigned long long start, end, total;
    if (!range || sscanf(range, "bytes %llu-%llu/%llu", &start, &end, &total) != 3 ||
        start != t->have)
        return 0;
    t->total = total;
    return 1;
}

static int begin(void *user, int status, const llmcache_header *headers, size_t count,
                 int64_t body_size)
{
    transfer *t = user;
    const char *location = lc_header(headers, count, "location");
    const char *tag = lc_header(headers, count, "etag");
    t->status = status;
    note_hash(t, lc_header(headers, count, "x-linked-etag"));
    if (status >= 300 && status < 400 && location && strlen(location) < MAX_URL)
        snprintf(t->location, sizeof t->location, "%s", location);
    if (status == 206 && continues(t, lc_header(headers, count, "content-range")))
        return 0;
    if (status == 206) {
        t->stop = lc_fail(&t->why, LLMCACHE_UPSTREAM,
                          "the service sent another range of %s", t->download->url);
        return 1;
    }
    if (status != 200)
        return 0;
    note_hash(t, tag);
    t->total = body_size > 0 ? (uint64_t)body_size : 0;
    t->stop = restart(t);
    keep_tag(t, tag);
    return t->stop;
}

static int take(void *user, const void *bytes, size_t size)
{
    transfer *t = user;
    const char *at = bytes;
    if (t->status != 200 && t->status != 206)
        return 0;
    while (size) {
        ssize_t done = write(t->file, at, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            t->stop = lc_fail(&t->why, LLMCACHE_IO, "cannot write %s: %s", t->part,
                              strerror(errno));
            return 1;
        }
        at += done;
        size -= (size_t)done;
        t->have += (uint64_t)done;
    }
    t->stop = lc_tick(t->download->ticker, "downloading", t->have, t->total, &t->why);
    return t->stop;
}

/* ---- Exchanges ------------------------------------------------------------------- */

static int exchange(transfer *t, const char *url, llmcache_error *err)
{
    char range[64];
    llmcache_header headers[2] = {{"Range", range}, {"If-Range", t->tag}};
    const llmcache_sink sink = {t, begin, take};
    lc_http_request request = {.method = "GET", .url = url, .headers = headers};
    t->resuming = t->have > 0 && t->tag[0];
    snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)t->have);
    request.header_count = t->resuming ? 2 : 0;
    request.limits.connect_ms = CONNECT_MS;
    request.limits.stall_ms = STALL_MS;
    request.limits.max_bytes = t->download->max_bytes;
    t->status = t->stop = 0;
    t->location[0] = '\0';
    int rc = lc_http_perform(t->download->http, &request, &sink, err);
    if (t->stop) {
        if (err)
            *err = t->why;
        return t->stop;
    }
    return rc;
}

/* Where a redirect leads: absolute, or a path on the same host. */
static int follow(const char *from, const char *location, char to[MAX_URL])
{
    const char *host = strstr(from, "://");
    int secure = strncasecmp(from, "https:", 6) == 0;
    if (location[0] == '/' && location[1] != '/' && host) {
        size_t size = (size_t)(host - from) + 3;
        size += strcspn(from + size, "/?#");
        return snprintf(to, MAX_URL, "%.*s%s", (int)size, from, location) < MAX_URL ? 0
                                                                                    : -1;
    }
    if (strncasecmp(location, "https://", 8) &&
        (secure || strncasecmp(location, "http://", 7)))
        return -1;
    return snprintf(to, MAX_URL, "%s", location) < MAX_URL ? 0 : -1;
}

static int judge(transfer *t, llmcache_error *err)
{
    if (t->status == 200 || t->status == 206)
        return 0;
    if (t->status == 401 || t->status == 403 || t->status == 404)
        return lc_fail(err, LLMCACHE_NOT_FOUND, "the service has no %s (status %d)",
                       t->download->url, t->status);
    int rc = lc_fail(err, LLMCACHE_UPSTREAM, "the service answered %s with status %d",
                     t->download->url, t->status);
    if (err)
        err->upstream_status = t->status;
    return rc;
}

/* One way through the redirects to the bytes. */
static int attempt(transfer *t, llmcache_error *err)
{
    char url[MAX_URL], next[MAX_URL];
    snprintf(url, sizeof url, "%s", t->download->url);
    for (int i = 0; i <= MAX_REDIRECTS; i++) {
        int rc = exchange(t, url, err);
        if (rc)
            return rc;
        if (t->status == 416 && t->resuming) { /* the part is no beginning of it */
            rc = restart(t);
            t->tag[0] = '\0';
            if (rc)
                return rc;
            continue;
        }
        if (!t->location[0])
            return judge(t, err);
        if (follow(url, t->location, next))
            return lc_fail(err, LLMCACHE_UPSTREAM,
                           "%s leads to an address that is not followed",
                           t->download->url);
        memcpy(url, next, sizeof url);
    }
    return lc_fail(err, LLMCACHE_UPSTREAM, "%s: too many redirects", t->download->url);
}

/* ---- The file -------------------------------------------------------------------- */

static int open_part(transfer *t, llmcache_error *err)
{
    const char *path = t->download->path;
    if (snprintf(t->part, MAX_URL, "%s.part", path) >= MAX_URL ||
        snprintf(t->tag_path, MAX_URL, "%s.etag", path) >= MAX_URL ||
        strlen(t->download->url) >= MAX_URL)
        return lc_fail(err, LLMCACHE_INVALID,
                       "the path or URL of a download is too long");
    t->file = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    off_t end = t->file >= 0 ? lseek(t->file, 0, SEEK_END) : -1;
    if (end < 0)
        return lc_fail(err, LLMCACHE_IO, "cannot write %s: %s", t->part, strerror(errno));
    t->have = (uint64_t)end;
    FILE *file = fopen(t->tag_path, "re");
    if (file) {
        if (!fgets(t->tag, sizeof t->tag, file) || strpbrk(t->tag, "\r\n"))
            t->tag[0] = '\0';
        fclose(file);
    }
    return 0;
}

static int finish(transfer *t, llmcache_error *err)
{
    char found[LC_HASH_TEXT];
    int rc = 0;
    if (t->total && t->have != t->total)
        rc = lc_fail(err, LLMCACHE_CORRUPT, "%s came with %llu bytes instead of %llu",
                     t->download->url, (unsigned long long)t->have,
                     (unsigned long long)t->total);
    if (rc == 0 && t->hash[0]) {
        rc = lc_file_hash(t->part, "checking", t->download->ticker, found, err);
        if (rc == 0 && strcmp(found, t->hash))
            rc = lc_fail(err, LLMCACHE_CORRUPT, "%s has the SHA-256 %s, not %s as stated",
                         t->download->url, found, t->hash);
    }
    if (rc == 0 && rename(t->part, t->download->path))
        rc = lc_fail(err, LLMCACHE_IO, "cannot write %s: %s", t->download->path,
                     strerror(errno));
    if (rc == 0 || rc == LLMCACHE_CORRUPT) {
        unlink(t->part);
        unlink(t->tag_path);
    }
    return rc;
}

/* Attempts as long as each brings something. */
static int fetch(transfer *t, llmcache_error *err)
{
    llmcache_error why;
    for (int left = ATTEMPTS; left > 0; left--) {
        uint64_t had = t->have;
        int rc = attempt(t, &why);
        int again = (rc == LLMCACHE_NETWORK || rc == LLMCACHE_TIMEOUT) && t->have > had;
        if (rc == 0)
            return 0;
        if (again && left > 1)
            continue;
        if (err)
            *err = why;
        return rc;
    }
    return 0;
}

int lc_download_file(const lc_download *download, llmcache_error *err)
{
    transfer *t = lc_zalloc(sizeof *t);
    if (!t)
        return lc_fail_memory(err);
    t->download = download;
    t->file = -1;
    int rc = open_part(t, err);
    if (rc == 0)
        rc = fetch(t, err);
    if (rc == 0)
        rc = finish(t, err);
    else if (t->file >= 0 && t->have == 0)
        unlink(t->part);
    if (t->file >= 0)
        close(t->file);
    lc_free(t);
    return rc;
}
