/*
 * The index pgvector: on a server of its own, by records and partitions: what a search finds (recall@1 within the
 * partition, against brute force) and costs beside a look-up by primary key over the same kind of connection, beside
 * the flat index, and by the graph with scans that do not go on; what a vector costs to add and to hold.
 *
 * LLMCACHE_BENCH_RECORDS is how far the sizes go, in tens; 10,000 if not said. LLMCACHE_BENCH_FROM is the first; 1,000.
 * Beside the time by the clock stands the processor's time of the server's processes, which does not grow when other work keeps
 * the machine busy.
 */
#include "base/memory.h"
#include "bench.h"
#include "index/index.h"
#include "postgres_server.h"
#include "support.h"
#include "test_vectors.h"

#include <libpq-fe.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIM     384
#define QUERIES 200
#define CENTRES 500
#define SPREAD  0.6
#define WRITERS 8
#define WAIT_MS 60000

typedef struct bench {
    test_postgres server;
    lc_index index, other, flat;
    PGconn *raw;
    size_t records, partitions, turn;
    float *vectors;          /* of all records */
    float queries[2][QUERIES][DIM]; /* other words for a kept question; any question of the same kind */
    int kind;
    double sum;
} bench;

static void partition_of(size_t number, unsigned char digest[32])
{
    test_digest(1000000000 + number, digest);
}

static int add(const lc_index *index, const bench *b, size_t number)
{
    unsigned char fingerprint[32], partition[32];
    llmcache_error err;
    lc_record record = {.space = "default", .fingerprint = fingerprint, .partition = partition,
                        .vector = b->vectors + number * DIM, .dimension = DIM};
    test_digest(number, fingerprint);
    partition_of(number % b->partitions, partition);
    if (index->ops.add(index->self, &record, WAIT_MS, &err))
        test_give_up("%s", err.message);
    return 0;
}

/* ---- Filling ------------------------------------------------------------------------------------------------- */

static lc_index open_index(const bench *b, const char *options)
{
    lc_index index;
    llmcache_error err;
    lc_index_fill state;
    lc_index_options about = {.vector_space = test_format("bench %zu %zu", b->records, b->partitions),
                              .connect_ms = WAIT_MS};
    if (lc_index_open(test_format("pgvector:%s%s", b->server.uri, options), &about, &index, &err))
        test_give_up("%s", err.message);
    if (!test_wait_until(index.ops.fill_state(index.self, WAIT_MS, &state, &err) == 0, WAIT_MS))
        test_give_up("%s", err.message);
    return index;
}

typedef struct writer {
    const bench *b;
    size_t first, last;
} writer;

static void *write_some(void *user)
{
    writer *w = user;
    for (size_t n = w->first; n < w->last; n++)
        add(&w->b->index, w->b, n);
    return NULL;
}

static double fill_server(bench *b)
{
    pthread_t threads[WRITERS];
    writer writers[WRITERS];
    double start = test_now_us();
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (writer){b, b->records * i / WRITERS, b->records * (i + 1) / WRITERS};
        if (pthread_create(&threads[i], NULL, write_some, &writers[i]))
            test_give_up("no thread");
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    return (test_now_us() - start) / (double)b->records;
}

static const char *table(const bench *b)
{
    return test_postgres_ask(&b->server, "SELECT name FROM llmcache_vectors WHERE embedder = 'bench %zu %zu'",
                             b->records, b->partitions);
}

static void make_vectors(bench *b)
{
    b->vectors = lc_alloc_array(b->records * DIM, sizeof *b->vectors);
    if (!b->vectors)
        test_give_up("no memory");
    for (size_t i = 0; i < b->records; i++)
        test_clustered_vector(i, CENTRES, SPREAD, b->vectors + i * DIM, DIM);
}

/* As similar as other words for a question are to it: 0.9 or so. */
static void make_queries(bench *b)
{
    for (size_t q = 0; q < QUERIES; q++) {
        float off[DIM];
        double sum = 0;
        size_t near = test_random(&(uint64_t){q}) % (b->records / b->partitions) * b->partitions + q % b->partitions;
        test_vector(q ^ 0xabcdef, off, DIM);
        for (size_t i = 0; i < DIM; i++) {
            b->queries[0][q][i] = b->vectors[near * DIM + i] + 0.45f * off[i];
            sum += (double)b->queries[0][q][i] * (double)b->queries[0][q][i];
        }
        for (size_t i = 0; i < DIM; i++)
            b->queries[0][q][i] = (float)((double)b->queries[0][q][i] / sqrt(sum));
        test_clustered_vector(77770000 + q, CENTRES, SPREAD, b->queries[1][q], DIM);
    }
}

/* ---- Searching ------------------------------------------------------------------------------------------------ */

static size_t find(const lc_index *index, const bench *b, size_t q, lc_neighbour *out, size_t k)
{
    unsigned char partition[32];
    size_t found = 0;
    llmcache_error err;
    lc_query query = {.space = "default", .partition = partition, .dimension = DIM,
                      .vector = b->queries[b->kind][q], .deadline_ms = WAIT_MS};
    partition_of(q % b->partitions, partition);
    if (index->ops.search(index->self, &query, out, k, &found, &err))
        test_give_up("%s", err.message);
    return found;
}

static void search_in(bench *b, const lc_index *index, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lc_neighbour out[4];
        b->sum += (double)find(index, b, b->turn++ % QUERIES, out, 4);
    }
}

static void search(void *user, size_t count)
{
    search_in(user, &((bench *)user)->index, count);
}

static void search_other(void *user, size_t count)
{
    search_in(user, &((bench *)user)->other, count);
}

static void search_flat(void *user, size_t count)
{
    search_in(user, &((bench *)user)->flat, count);
}

/* A row by its primary key: what any question to this server costs. */
static void look_up(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char fingerprint[32];
        const char *value = (const char *)fingerprint;
        const int size = sizeof fingerprint, binary = 1;
        test_digest(b->turn++ % b->records, fingerprint);
        PGresult *result = PQexecPrepared(b->raw, "look", 1, &value, &size, &binary, 1);
        if (PQntuples(result) != 1)
            test_give_up("%s", PQerrorMessage(b->raw));
        PQclear(result);
    }
}

static void prepare_look_up(bench *b)
{
    PQclear(PQexec(b->raw, "DEALLOCATE ALL"));
    PGresult *result = PQprepare(b->raw, "look",
                                 test_format("SELECT expires_ms FROM %s WHERE space = 'default' AND fingerprint = $1",
                                             table(b)),
                                 1, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        test_give_up("%s", PQerrorMessage(b->raw));
    PQclear(result);
}

/* ---- The server's work --------------------------------------------------------------------------------------------- */

/* On a processor so far, of the server's processes with that application name. */
static double server_us(const bench *b, const char *application)
{
    const char *pids = test_postgres_ask(&b->server, "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity"
                                                     " WHERE application_name = '%s'", application);
    double sum = 0;
    for (char *end; *pids; pids = end + (*end == ' ')) {
        unsigned long long ns = 0;
        FILE *file = fopen(test_format("/proc/%ld/schedstat", strtol(pids, &end, 10)), "r");
        if (file) {
            if (fscanf(file, "%llu", &ns) == 1)
                sum += (double)ns / 1000;
            fclose(file);
        }
    }
    return sum;
}

/* Whatever else the machine does: how long the server's processes ran for one. */
static double worked_us(bench *b, const char *application, bench_fn fn)
{
    enum { TIMES = 400 };
    double before = server_us(b, application);
    fn(b, TIMES);
    return (server_us(b, application) - before) / TIMES;
}

/* Of how many questions the very nearest of the partition was found. */
static double recall(bench *b, const lc_index *index)
{
    size_t right = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        lc_neighbour out[1];
        double best = -2;
        for (size_t i = q % b->partitions; i < b->records; i += b->partitions)
            best = fmax(best, test_cosine(b->queries[b->kind][q], b->vectors + i * DIM, DIM));
        right += find(index, b, q, out, 1) == 1 && out[0].similarity > best - 1e-5;
    }
    return (double)right / QUERIES;
}

/* ---- The sizes -------------------------------------------------------------------------------------------------- */

static void measure_recall(bench_report *report, bench *b, const lc_index *index, const char *what)
{
    static const char *const kinds[] = {"other words for a kept question", "any question"};
    for (b->kind = 0; b->kind < 2; b->kind++)
        bench_note(report, test_format("  recall@1, %s%s", kinds[b->kind], what), recall(b, index), "of 1");
    b->kind = 0;
}

static void measure(bench_report *report, bench *b, size_t records, size_t partitions)
{
    llmcache_error err;
    const char *name = test_format("%zu records, %zu partition%s", records, partitions, partitions > 1 ? "s" : "");
    size_t rounds = bench_quick() ? 3 : 9, count = 50;
    b->records = records;
    b->partitions = partitions;
    make_vectors(b);
    make_queries(b);
    b->index = open_index(b, "");
    bench_note(report, test_format("%s: adding one, %d at a time", name, WRITERS), fill_server(b), "us");
    bench_note(report, "  on disk, a vector",
               atof(test_postgres_ask(&b->server, "SELECT pg_total_relation_size('%s')", table(b))) / (double)records,
               "bytes");
    test_postgres_ask(&b->server, "VACUUM ANALYZE %s", table(b));
    prepare_look_up(b);
    if (lc_index_open("flat:", NULL, &b->flat, &err))
        test_give_up("%s", err.message);
    for (size_t i = 0; i < records; i++)
        add(&b->flat, b, i);
    bench_compare(report, test_format("search, %s", name), "row by primary key", search, look_up, b, count,
                  (int)rounds, 0);
    bench_pair(report, "  processor's time in the server", "row by primary key", worked_us(b, "llmcache", search),
               worked_us(b, "raw", look_up), 0);
    bench_compare(report, "  the same", "flat:", search, search_flat, b, count, (int)rounds, 0);
    measure_recall(report, b, &b->index, "");
    lc_index_close(&b->index);
    b->other = open_index(b, "#from=0&iterative=off");
    bench_compare(report, "  with from=0, iterative=off", "row by primary key", search_other, look_up, b, count,
                  (int)rounds, 0);
    bench_note(report, "  processor's time in the server, so", worked_us(b, "llmcache", search_other), "us");
    measure_recall(report, b, &b->other, ", so");
    lc_index_close(&b->other);
    lc_index_close(&b->flat);
    lc_free(b->vectors);
}

static size_t from_environment(const char *name, size_t otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

int main(void)
{
    static bench b;
    size_t first = from_environment("LLMCACHE_BENCH_FROM", 1000);
    size_t limit = from_environment("LLMCACHE_BENCH_RECORDS", 10000);
    static const size_t partitions[] = {1, 10, 1000};
    if (test_pgvector_missing()) {
        printf("skipped: %s\n", test_pgvector_missing());
        return 0;
    }
    test_pgvector_start(&b.server);
    b.server.buffers = "256MB";
    test_postgres_kill(&b.server);
    test_postgres_restart(&b.server);
    b.raw = PQconnectdb(test_format("%s?application_name=raw", b.server.uri));
    bench_report *report = bench_new("The index pgvector:, 384 dimensions");
    for (size_t records = first; records <= limit; records *= 10)
        for (int i = 0; i < 3; i++)
            measure(report, &b, records, partitions[i]);
    PQfinish(b.raw);
    return bench_done(report);
}
