/*
 * Where the time goes: the steps of an exact hit, of a semantic hit and of a miss, each called by itself in one
 * thread as lib/ask calls it, beside the least such a step can cost. Rounds are shorter than a turn on the processor, so
 * that most of them are whole on a machine that others use too.
 */
#include "ask/cache.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "bench.h"
#include "embed/model_folder.h"
#include "index/codes.h"
#include "test_cache.h"
#include "test_vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT    "/v1/chat/completions"
#define RECORDS 10000
#define ASKED   "What is the capital of France?"
#define AGAIN   "Could you please tell me what the capital of France is?"

typedef struct bench {
    llmcache *cache;
    llmcache_request request;
    lc_job job;
    lc_entry *entry;
    double similarity;
    float *vector;
    size_t vectors_read; /* bytes of the index */
    unsigned char *bytes;
    uint64_t next;
    char answer[1024], copy[1024];
    volatile uint64_t sum; /* so that nothing is left out */
} bench;

static int take_begin(void *user, int status, const llmcache_header *headers, size_t count, int64_t body_size)
{
    if (status != 200)
        test_give_up("status %d", status);
    return 0;
}

static int take_bytes(void *user, const void *bytes, size_t size)
{
    return 0;
}

static const llmcache_sink sink = {NULL, take_begin, take_bytes};

/* A request of about 1 KB. */
static void make_request(bench *b, const char *question)
{
    char filler[861];
    memset(filler, 'a', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    const char *body = test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"%s\"},"
                                   "{\"role\":\"user\",\"content\":\"%s\"}]}", filler, question);
    b->request = (llmcache_request){.struct_size = sizeof b->request, .method = "POST", .target = CHAT,
                                    .body = body, .body_size = strlen(body)};
}

static void call(bench *b)
{
    llmcache_error err;
    if (llmcache_call(b->cache, &b->request, &sink, &err))
        test_give_up("%s", err.message);
}

/* The job as it is after `identify` and, if asked for, `read`, `find space` and `fingerprint`. */
static void begin_job(bench *b, int read)
{
    llmcache_error err;
    lc_job_init(&b->job, b->cache, &b->request, &sink);
    int code = lc_identify(&b->job, &err);
    if (!code && read)
        code = lc_job_read(&b->job, &err);
    if (!code && read)
        code = lc_find_space(&b->job, &err);
    if (code)
        test_give_up("%s", err.message);
    if (read)
        lc_fingerprint(&b->job);
}

/* ---- Steps ------------------------------------------------------------------------------------------- */

static void whole_hit(void *user, size_t count)
{
    for (size_t i = 0; i < count; i++)
        call(user);
}

static void identify(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        begin_job(b, 0);
        b->sum += b->job.raw[0];
    }
}

static void find_known(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        if (!lc_find_known(&b->job))
            test_give_up("not known");
        lc_entry_unref(b->job.entry);
        b->job.entry = NULL;
    }
}

static void reply(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        lc_reply_entry(&b->job, NULL);
}

static void read_body(void *user, size_t count)
{
    bench *b = user;
    llmcache_error err;
    for (size_t i = 0; i < count; i++) {
        if (lc_job_read(&b->job, &err))
            test_give_up("%s", err.message);
        lc_question_done(&b->job.question);
        b->job.has_question = 0;
    }
}

static void fingerprint(void *user, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lc_fingerprint(&((bench *)user)->job);
}

static void find_nothing(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        b->job.fingerprint[0]++;
        if (lc_find_exact(&b->job))
            test_give_up("found");
    }
}

static void embed(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_error err;
        float *vector;
        size_t dimension;
        char text[128];
        snprintf(text, sizeof text, "What is the capital of France number %llu?", (unsigned long long)b->next++);
        if (lc_embed_question(b->cache, "default", text, &vector, &dimension, &err))
            test_give_up("%s", err.message);
        b->sum += (uint64_t)(vector[0] * 1000);
        lc_free(vector);
    }
}

static void search(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        lc_neighbour near[4];
        size_t found;
        llmcache_error err;
        if (lc_vectors_search(&b->job, near, 4, &found, &err) || !found)
            test_give_up("nothing found");
        b->sum += found;
    }
}

static void fetch(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_error err;
        lc_entry *entry;
        if (lc_fetch_record(b->cache, "default", b->entry->facts.fingerprint, b->job.now_ms, &entry, &err))
            test_give_up("%s", err.message);
        lc_entry_unref(entry);
    }
}

static void decide(void *user, size_t count)
{
    bench *b = user;
    lc_verdict verdict;
    for (size_t i = 0; i < count; i++)
        b->sum += (uint64_t)lc_judge(&b->job, b->entry, b->similarity, 0, &verdict);
}

static void shape(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        lc_buffer text;
        lc_buffer_init(&text, 0);
        if (lc_request_shape(b->cache, b->job.protocol, 0, &b->request, &text))
            test_give_up("no shape");
        lc_buffer_done(&text);
    }
}

static void remember(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_error err;
        llmcache_entry facts = {.struct_size = sizeof facts, .space = "default", .protocol = "chat", .model = "m",
                                .question = ASKED, .tags = "", .embedder = "", .body = b->answer,
                                .body_size = sizeof b->answer, .created_ms = b->job.now_ms};
        test_digest(b->next++, facts.fingerprint);
        lc_entry *entry = lc_entry_new(&facts);
        if (!entry || lc_remember(b->cache, entry, "", NULL, 0, &err))
            test_give_up("not kept");
        lc_entry_unref(entry);
    }
}

/* ---- Bounds ----------------------------------------------------------------------------------------- */

static void hash(void *user, size_t count)
{
    bench *b = user;
    unsigned char digest[32];
    for (size_t i = 0; i < count; i++) {
        lc_sha256_once(b->request.body, b->request.body_size, digest);
        b->sum += digest[0];
    }
}

static void hash_digest(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            lc_sha256_once(b->job.fingerprint, 32, b->job.fingerprint);
}

static void copy(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        b->answer[0] = (char)i;
        memcpy(b->copy, b->answer, sizeof b->copy);
        b->sum += (unsigned char)b->copy[i % sizeof b->copy];
    }
}

static void read_vectors(void *user, size_t count)
{
    bench *b = user;
    const uint64_t *words = (const void *)b->bytes;
    for (size_t i = 0; i < count; i++) {
        uint64_t sums[8] = {0};
        for (size_t k = 0; k + 8 <= b->vectors_read / 8; k += 8)
            for (int j = 0; j < 8; j++)
                sums[j] += words[k + (size_t)j];
        for (int j = 0; j < 8; j++)
            b->sum += sums[j];
    }
}

/* ---- The three ways --------------------------------------------------------------------------------- */

static void exact_hit(bench_report *report, bench *b)
{
    b->cache = test_cache(NULL, "provider", "demo:", "demo-latency-ms", "0");
    make_request(b, ASKED);
    call(b);
    call(b);
    bench_compare(report, "exact hit: the whole call", "SHA-256 of the request", whole_hit, hash, b, 500, 101, 0);
    bench_compare(report, "  identify", "SHA-256 of the request", identify, hash, b, 500, 101, 0);
    begin_job(b, 0);
    bench_compare(report, "  find in memory", "copying an answer of 1 KB", find_known, copy, b, 500, 101, 0);
    if (!lc_find_known(&b->job))
        test_give_up("not known");
    bench_compare(report, "  reply: its head, handing over the body", "copying an answer of 1 KB", reply, copy, b, 500,
                  101, 0);
    lc_job_done(&b->job);
}

static void miss(bench_report *report, bench *b)
{
    begin_job(b, 0);
    bench_compare(report, "miss: identify", "SHA-256 of the request", identify, hash, b, 500, 101, 0);
    bench_compare(report, "  read the body", "SHA-256 of the request", read_body, hash, b, 50, 101, 0);
    begin_job(b, 1);
    bench_compare(report, "  fingerprint and partition", "two SHA-256 of 32 bytes", fingerprint, hash_digest, b, 500,
                  101, 0);
    bench_compare(report, "  find nothing, memory and store memory:", "copying an answer of 1 KB", find_nothing, copy, b,
                  500, 101, 0);
    bench_compare(report, "  shape, before it is kept", "SHA-256 of the request", shape, hash, b, 50, 101, 0);
    bench_compare(report, "  remember, memory and store memory:", "copying an answer of 1 KB", remember, copy, b, 200,
                  101, 0);
    lc_job_done(&b->job);
    llmcache_close(b->cache);
}

static void fill_index(bench *b)
{
    llmcache_error err;
    lc_index_stats stats;
    for (uint64_t n = 0; n < RECORDS; n++) {
        unsigned char digest[32];
        float vector[4096];
        lc_record record = {.space = "default", .fingerprint = digest, .partition = b->job.partition,
                            .vector = vector, .dimension = b->job.dimension};
        test_digest(n, digest);
        test_vector(n, vector, b->job.dimension);
        if (b->cache->index.ops.add(b->cache->index.self, &record, 1000, &err))
            test_give_up("%s", err.message);
    }
    b->cache->index.ops.stats(b->cache->index.self, &stats);
    b->vectors_read = RECORDS * (lc_codes_stride(b->job.dimension) + 2 * sizeof(float));
    b->bytes = calloc(1, b->vectors_read);
}

static void semantic_hit(bench_report *report, bench *b)
{
    b->cache = test_cache(NULL, "provider", "demo:", "demo-latency-ms", "0", "embedder", "local:multilingual-e5-small");
    make_request(b, ASKED);
    call(b);
    make_request(b, AGAIN);
    begin_job(b, 1);
    if (!lc_find_similar(&b->job))
        test_give_up("no semantic hit: %s", b->job.why);
    b->entry = b->job.entry;
    b->similarity = b->job.similarity;
    fill_index(b);
    bench_compare(report, "semantic hit: embed, a new question of 10 words", NULL, embed, NULL, b, 1, 101, 0);
    bench_compare(report, test_format("  search among %d", RECORDS), test_format("reading %.1f MB", (double)b->vectors_read / 1e6),
                  search, read_vectors, b, 5, 101, 0);
    bench_compare(report, "  fetch the candidate, from memory", "copying an answer of 1 KB", fetch, copy, b, 500, 101, 0);
    bench_compare(report, "  decide, both questions encoded lately", NULL, decide, NULL, b, 5, 101, 0);
    lc_job_done(&b->job);
    llmcache_close(b->cache);
    free(b->bytes);
}

int main(void)
{
    static bench b;
    lc_model_file file;
    llmcache_error err;
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    bench_report *report = bench_new("The steps of a question, 1 KB request, one thread");
    exact_hit(report, &b);
    miss(report, &b);
    if (lc_model_find(folder ? folder : "", "multilingual-e5-small", 0, &file, &err)) {
        printf("skipped: the semantic hit: %s\n", err.message);
    } else {
        lc_model_file_done(&file);
        semantic_hit(report, &b);
    }
    return bench_done(report);
}
