/*
 * How soon a cache that starts can search: reading every record of an SQLite store in whole, its vector only, and
 * taking the vectors into the index, beside reading the same file's bytes once; and the processor's time for it, which
 * other work on the machine changes less. LLMCACHE_BENCH_RECORDS is how far the sizes go, 100,000 if not said;
 * LLMCACHE_BENCH_FROM the first. LLMCACHE_BENCH_FOLDER is where files are kept and found again, as a million records take minutes to write;
 * LLMCACHE_BENCH_BODY the size of an answer, 400 bytes if not said.
 */
#include "base/memory.h"
#include "bench.h"
#include "index/index.h"
#include "store/store.h"
#include "support.h"
#include "test_vectors.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DIM     384
#define BODY_MOST ((size_t)1 << 16)
#define WRITERS 16 /* the store commits what comes together together */

typedef struct bench {
    lc_store store;
    lc_index index;
    char path[512], uri[600];
    size_t records, body, seen, walks;
    clock_t used; /* by them, of the processor's time */
} bench;

static size_t number(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static int count_record(void *user, const llmcache_entry *entry)
{
    ((bench *)user)->seen += entry->vector != NULL;
    return 0;
}

static int take_in(void *user, const llmcache_entry *entry)
{
    bench *b = user;
    llmcache_error err;
    lc_record record = {.space = entry->space, .fingerprint = entry->fingerprint,
                        .partition = entry->partition, .vector = entry->vector, .dimension = entry->dimension};
    b->seen += b->index.ops.add(b->index.self, &record, 1000, &err) == 0;
    return 0;
}

static void put_record(void *user, uint64_t number)
{
    bench *b = user;
    float vector[DIM];
    char body[BODY_MOST];
    llmcache_error err;
    llmcache_entry entry = {.struct_size = sizeof entry, .space = "default", .protocol = "chat", .model = "m",
                            .question = "How is a cache kept true when many servers share one store?", .tags = "",
                            .embedder = "e", .body = body, .body_size = b->body, .vector = vector,
                            .dimension = DIM, .created_ms = 1};
    memset(body, 'a', b->body);
    test_digest(number, entry.fingerprint);
    test_digest(7, entry.partition);
    test_vector(number, vector, DIM);
    if (b->store.ops.put(b->store.self, LLMCACHE_PART_EMBED, &entry, 60000, &err))
        test_give_up(err.message);
}

static void fill(bench *b)
{
    bench_share_out(b->records, WRITERS, put_record, b);
}

static void begin_walk(bench *b)
{
    b->seen = 0;
    b->walks++;
    b->used -= clock();
}

static void end_walk(bench *b, int code)
{
    b->used += clock();
    if (code || b->seen != b->records)
        test_give_up("not every record was read");
}

static void read_whole(void *user, size_t count)
{
    bench *b = user;
    llmcache_error err;
    for (size_t i = 0; i < count; i++) {
        begin_walk(b);
        end_walk(b, b->store.ops.each(b->store.self, LLMCACHE_PART_EMBED, NULL, 1, count_record, b, NULL, &err));
    }
}

static void read_vectors(void *user, size_t count)
{
    bench *b = user;
    llmcache_error err;
    for (size_t i = 0; i < count; i++) {
        begin_walk(b);
        end_walk(b, lc_store_each_vector(&b->store, 1, count_record, b, NULL, &err));
    }
}

static void load(void *user, size_t count)
{
    bench *b = user;
    llmcache_error err;
    for (size_t i = 0; i < count; i++) {
        if (lc_index_open("flat:", NULL, &b->index, &err))
            test_give_up(err.message);
        begin_walk(b);
        end_walk(b, lc_store_each_vector(&b->store, 1, take_in, b, NULL, &err));
        lc_index_close(&b->index);
    }
}

static void read_file(void *user, size_t count)
{
    bench *b = user;
    static char bytes[1 << 20];
    for (size_t i = 0; i < count; i++) {
        int fd = open(b->path, O_RDONLY);
        while (fd >= 0 && read(fd, bytes, sizeof bytes) > 0)
            ;
        close(fd);
    }
}

static size_t records_there(bench *b)
{
    llmcache_store_stats stats;
    b->store.ops.stats(b->store.self, &stats);
    return stats.records;
}

static void compare(bench_report *report, bench *b, const char *name, bench_fn fn)
{
    b->walks = 0;
    b->used = 0;
    bench_compare(report, test_format(name, b->records), "reading the file", fn, read_file, b, 1,
                  b->records > 100000 ? 1 : 3, 0);
    bench_note(report, "  the processor's time for it",
               (double)b->used / (double)CLOCKS_PER_SEC / (double)b->walks, "s");
}

static void measure(bench_report *report, size_t records)
{
    const char *folder = getenv("LLMCACHE_BENCH_FOLDER");
    bench b = {.records = records, .body = number("LLMCACHE_BENCH_BODY", 400)};
    lc_store_options options = {.connect_ms = 60000};
    llmcache_error err;
    if (b.body > BODY_MOST)
        test_give_up("so large a body is not measured");
    snprintf(b.path, sizeof b.path, "%s/load-%zu-%zu.db", folder && *folder ? folder : test_folder(), records, b.body);
    snprintf(b.uri, sizeof b.uri, "sqlite:%s", b.path);
    if (lc_store_open(b.uri, &options, &b.store, &err))
        test_give_up(err.message);
    if (records_there(&b) != records)
        fill(&b);
    compare(report, &b, "reading %zu records in whole", read_whole);
    compare(report, &b, "reading %zu records' vectors", read_vectors);
    compare(report, &b, "loading %zu into the index", load);
    lc_store_close(&b.store);
}

int main(void)
{
    size_t limit = number("LLMCACHE_BENCH_RECORDS", 100000);
    bench_report *report = bench_new("Loading the index from SQLite");
    for (size_t records = number("LLMCACHE_BENCH_FROM", 10000); records <= limit; records *= 10)
        measure(report, records);
    return bench_done(report);
}
