#include "access_log.h"
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FLUSH_BYTES = 32 * 1024, MAX_BYTES = 1024 * 1024, MAX_PATH = 256 };

/* `lock` guards the gathered lines; `out` guards the file, and is taken alone. */
struct access_log {
    pthread_mutex_t lock;
    byte_buffer lines;
    uint64_t lost; /* lines for which there was no room, since the last flush */
    pthread_mutex_t out;
    char *path; /* NULL: standard error */
    int fd;
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

access_log *access_log_new(const char *target)
{
    access_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->fd = STDERR_FILENO;
    log->lines.max = MAX_BYTES;
    if (strcmp(target, "-") != 0) {
        log->path = strdup(target);
        log->fd = log->path ? open_file(target) : -1;
    }
    if (log->fd < 0) {
        free(log->path);
        free(log);
        return NULL;
    }
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->out, NULL);
    return log;
}

void access_log_free(access_log *log)
{
    if (!log)
        return;
    access_log_flush(log);
    if (log->path)
        close(log->fd);
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->out);
    bytes_free(&log->lines);
    free(log->path);
    free(log);
}

/* ---- Lines ---------------------------------------------------------------------- */

static void add_member(byte_buffer *line, const char *name, const char *value)
{
    bytes_text(line, ",\"");
    bytes_text(line, name);
    bytes_text(line, "\":");
    bytes_json(line, value);
}

static void add_count(byte_buffer *line, const char *name, uint64_t count)
{
    bytes_text(line, ",\"");
    bytes_text(line, name);
    bytes_text(line, "\":");
    bytes_number(line, count);
}

static void add_three_digits(byte_buffer *line, uint64_t number)
{
    const char digits[] = {(char)('0' + number / 100 % 10),
                           (char)('0' + number / 10 % 10), (char)('0' + number % 10)};
    bytes_add(line, digits, sizeof digits);
}

/* The second is written once a second and thread. */
static void add_time(byte_buffer *line)
{
    static _Thread_local time_t made;
    static _Thread_local char second[40];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != made) {
        struct tm t;
        gmtime_r(&now.tv_sec, &t);
        strftime(second, sizeof second, "{\"time\":\"%Y-%m-%dT%H:%M:%S.", &t);
        made = now.tv_sec;
    }
    bytes_text(line, second);
    add_three_digits(line, (uint64_t)now.tv_nsec / 1000000);
    bytes_text(line, "Z\"");
}

static void compose(byte_buffer *line, const access_line *facts)
{
    char path[MAX_PATH] = "-";
    if (facts->path)
        strncpy(path, facts->path, sizeof path - 1);
    path[sizeof path - 1] = '\0';
    bytes_reserve(line, 512);
    add_time(line);
    add_member(line, "remote", facts->remote ? facts->remote : "-");
    add_member(line, "method", facts->method ? facts->method : "-");
    add_member(line, "path", path);
    add_count(line, "status", (uint64_t)facts->status);
    add_count(line, "bytes", facts->bytes);
    add_count(line, "ms", (uint64_t)facts->us / 1000);
    bytes_text(line, ".");
    add_three_digits(line, (uint64_t)facts->us);
    if (facts->source && *facts->source)
        add_member(line, "source", facts->source);
    if (facts->id && *facts->id)
        add_member(line, "id", facts->id);
    bytes_text(line, "}\n");
}

void access_log_add(access_log *log, const access_line *facts)
{
    byte_buffer line = {0};
    int full;
    if (!log)
        return;
    compose(&line, facts);
    pthread_mutex_lock(&log->lock);
    bytes_add(&log->lines, line.data, line.broken ? 0 : line.size);
    log->lost += log->lines.broken || line.broken;
    log->lines.broken = BYTES_FINE;
    full = log->lines.size >= FLUSH_BYTES;
    pthread_mutex_unlock(&log->lock);
    bytes_free(&line);
    if (full)
        access_log_flush(log);
}

/* ---- The file ------------------------------------------------------------------- */

static void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* a log that cannot be written stops nobody */
        data += written;
        size -= (size_t)written;
    }
}

void access_log_flush(access_log *log)
{
    byte_buffer lines;
    uint64_t lost;
    if (!log)
        return;
    pthread_mutex_lock(&log->out); /* first, so that lines keep their order */
    pthread_mutex_lock(&log->lock);
    lines = log->lines;
    lost = log->lost;
    log->lines = (byte_buffer){.max = MAX_BYTES};
    log->lost = 0;
    pthread_mutex_unlock(&log->lock);
    write_all(log->fd, lines.data, lines.size);
    if (lost) {
        char note[64];
        int size =
            snprintf(note, sizeof note, "{\"lost\":%llu}\n", (unsigned long long)lost);
        write_all(log->fd, note, (size_t)size);
    }
    pthread_mutex_unlock(&log->out);
    bytes_free(&lines);
}

void access_log_reopen(access_log *log)
{
    if (!log || !log->path)
        return;
    access_log_flush(log);
    pthread_mutex_lock(&log->out);
    int fd = open_file(log->path);
    if (fd >= 0) {
        close(log->fd);
        log->fd = fd;
    }
    pthread_mutex_unlock(&log->out);
}
