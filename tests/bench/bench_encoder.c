/*
 * The encoder in this process beside onnxruntime's int8 of the same model
 * (onnx_encoder.py, where Python has onnxruntime: LLMCACHE_BENCH_PYTHON names an
 * interpreter that does), on one thread, round by round in turn; then what two threads
 * bring, what loading takes, and what stays in memory. Models are those of the models
 * folder.
 */
#include "base/clock.h"
#include "bench.h"
#include "embed/encoder.h"
#include "embed/model_folder.h"
#include "embed/tokenizer.h"
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_TOKENS 512
#define ROUNDS      15

/* ---- onnxruntime ------------------------------------------------------------------ */

/* The script at the other end of two pipes; pid 0: there is none. */
typedef struct peer {
    pid_t pid;
    FILE *ask, *answer;
} peer;

static void start_other(peer *other, const char *model)
{
    int to[2], from[2];
    const char *named = getenv("LLMCACHE_BENCH_PYTHON"),
               *python = named ? named : "python3";
    const char *script = test_source_path("tests/bench/onnx_encoder.py");
    char line[256] = "";
    if (pipe(to) || pipe(from))
        test_give_up("no pipes");
    if ((other->pid = fork()) == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execlp(python, python, script, model, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    other->ask = fdopen(to[1], "w");
    other->answer = fdopen(from[0], "r");
    if (!fgets(line, sizeof line, other->answer) || strncmp(line, "onnxruntime", 11)) {
        printf("no comparison with onnxruntime: %s\n",
               *line ? line : "the script did not start");
        waitpid(other->pid, NULL, 0);
        other->pid = 0;
        return;
    }
    printf("%s", line);
}

static void stop_other(peer *other)
{
    if (other->ask)
        fclose(other->ask);
    if (other->answer)
        fclose(other->answer);
    if (other->pid)
        waitpid(other->pid, NULL, 0);
    *other = (peer){0};
}

/* ---- One model -------------------------------------------------------------------- */

typedef struct bench {
    const char *path;
    lc_gguf *gguf;
    lc_encoder *encoder;
    lc_scratch *scratch;
    uint32_t ids[MOST_TOKENS];
    size_t tokens;
    const char *kind; /* of the other's precision */
    peer other;
} bench;

static void run_tokens(const bench *b, lc_scratch *scratch, size_t count)
{
    lc_tokens text = {b->ids, b->tokens, 0};
    float vector[2048];
    llmcache_error err;
    for (size_t i = 0; i < count; i++)
        if (lc_encoder_run(b->encoder, scratch, &text, 1, vector, NULL, &err))
            test_give_up("%s", err.message);
}

static void run_ours(void *user, size_t count)
{
    const bench *b = user;
    run_tokens(b, b->scratch, count);
}

static void run_other(void *user, size_t count)
{
    const bench *b = user;
    char line[16];
    fprintf(b->other.ask, "%s %zu %zu\n", b->kind, b->tokens, count);
    fflush(b->other.ask);
    if (!fgets(line, sizeof line, b->other.answer))
        test_give_up("onnx_encoder.py ended");
}

static void open_encoder(bench *b, const char *kernels, lc_precision precision)
{
    lc_encoder_options options = {kernels, precision, 0};
    llmcache_error err;
    if (lc_gguf_open(b->path, &b->gguf, &err) ||
        lc_encoder_new(b->gguf, &options, &b->encoder, &err) ||
        lc_scratch_new(&b->scratch, &err))
        test_give_up("%s", err.message);
}

static void close_encoder(bench *b)
{
    lc_scratch_free(b->scratch);
    lc_encoder_free(b->encoder);
    lc_gguf_close(b->gguf);
}

/* ---- Speed ------------------------------------------------------------------------ */

static void compare(bench_report *report, bench *b, lc_precision precision,
                    const double *aims)
{
    static const size_t tokens[] = {8, 16, 32, 128};
    const char *precisions[] = {"int8", "f32"};
    open_encoder(b, NULL, precision);
    b->kind = precisions[precision];
    for (size_t i = 0; i < 4; i++) {
        const char *name = test_format("%s, %zu tokens", b->kind, b->tokens = tokens[i]);
        const char *bound = test_format("onnxruntime %s", b->kind);
        bench_compare(report, name, b->other.pid ? bound : NULL, run_ours,
                      b->other.pid ? run_other : NULL, b, tokens[i] > 32 ? 4 : 20, ROUNDS,
                      aims[i]);
    }
    close_encoder(b);
}

static void compare_variants(bench_report *report, bench *b)
{
    const lc_kernels *kernels;
    for (size_t i = 0; (kernels = lc_kernels_at(i)); i++) {
        open_encoder(b, kernels->name, LC_INT8);
        b->tokens = 16;
        bench_compare(report, test_format("int8, 16 tokens, kernels %s", kernels->name),
                      NULL, run_ours, NULL, b, 5, 7, 0);
        close_encoder(b);
    }
}

/* Half of the work, on a thread. */
typedef struct share {
    const bench *b;
    lc_scratch *scratch;
    size_t count;
} share;

static void *run_half(void *user)
{
    share *half = user;
    run_tokens(half->b, half->scratch, half->count);
    return NULL;
}

static void run_two(void *user, size_t count)
{
    const bench *b = user;
    share mine = {b, b->scratch, count / 2}, theirs = {b, NULL, count - count / 2};
    pthread_t thread;
    llmcache_error err;
    if (lc_scratch_new(&theirs.scratch, &err) ||
        pthread_create(&thread, NULL, run_half, &theirs))
        test_give_up("no thread");
    run_half(&mine);
    pthread_join(thread, NULL);
    lc_scratch_free(theirs.scratch);
}

static void compare_threads(bench_report *report, bench *b)
{
    open_encoder(b, NULL, LC_INT8);
    b->tokens = 16;
    bench_compare(report, "int8, 16 tokens, on two threads", "on one", run_two, run_ours,
                  b, 200, ROUNDS, 1 / 1.8);
    close_encoder(b);
}

/* ---- Load and memory -------------------------------------------------------------- */

static double resident_mb(void)
{
    long pages = 0, all;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* From nothing to the first vector, tokenizer included. */
static double load_ms(bench *b)
{
    lc_tokenizer *tokenizer;
    llmcache_error err;
    int64_t start = lc_mono_us();
    open_encoder(b, NULL, LC_INT8);
    if (lc_tokenizer_new(b->gguf, &tokenizer, &err))
        test_give_up("%s", err.message);
    b->tokens = 16;
    run_ours(b, 1);
    double ms = (double)(lc_mono_us() - start) / 1000;
    lc_tokenizer_free(tokenizer);
    close_encoder(b);
    return ms;
}

static const char *const questions[] = {
    "什麼是快取？",
    "請解釋快取是什麼",
    "如何退貨？",
    "台北今天天氣如何",
    "What is a cache?",
    "How do I reset my password?",
    "turn on two-factor authentication",
    "Why is the sky blue, and why is it red at sunset?",
    "請用三句話說明半導體產業對台灣經濟的影響。",
    "Write a short poem about the sea.",
};

/* The texts of a small program's morning. */
static void run_questions(bench *b, const lc_tokenizer *tokenizer)
{
    lc_token_scratch *scratch;
    llmcache_error err;
    if (lc_token_scratch_new(tokenizer, MOST_TOKENS, &scratch, &err))
        test_give_up("%s", err.message);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        lc_tokenizer_encode(tokenizer, scratch, questions[i], strlen(questions[i]),
                            b->ids, MOST_TOKENS, &b->tokens, NULL);
        run_ours(b, 1);
    }
    lc_token_scratch_free(scratch);
}

/* In a process of its own: what a program that embeds keeps resident. A page of the word
 * table stays once one of its words was used, so the most it can be is measured too. */
static void measure_memory(bench *b)
{
    lc_tokenizer *tokenizer;
    lc_encoder_facts facts;
    llmcache_error err;
    double before = resident_mb();
    open_encoder(b, NULL, LC_INT8);
    if (lc_tokenizer_new(b->gguf, &tokenizer, &err))
        test_give_up("%s", err.message);
    lc_encoder_facts_of(b->encoder, &facts);
    run_questions(b, tokenizer);
    printf("%-52s %12.2f MB\n", "resident, tokenizer included, after ten questions",
           resident_mb() - before);
    b->tokens = 128;
    for (uint32_t word = 0; word < facts.words; word += 10) {
        b->ids[word / 10 % 128] = word;
        if (word / 10 % 128 == 127)
            run_ours(b, 1);
    }
    printf("%-52s %12.2f MB\n", "the same once every page of the word table was used",
           resident_mb() - before);
    fflush(stdout);
    _exit(0);
}

static void load_and_memory(bench_report *report, bench *b)
{
    double best = load_ms(b);
    for (int i = 0; i < 4; i++) {
        double ms = load_ms(b);
        best = ms < best ? ms : best;
    }
    bench_note(report, "load to first vector, tokenizer included", best, "ms");
    fflush(stdout);
    malloc_trim(0);
    pid_t child = fork();
    if (child == 0)
        measure_memory(b);
    waitpid(child, NULL, 0);
}

static int bench_model(const char *name)
{
    static const double none[4];
    static const double aims[] = {0.5, 0.5, 0.5, 0.8};
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    lc_model_file file;
    llmcache_error err;
    bench b = {0};
    if (lc_model_find(folder ? folder : "", name, 0, &file, &err)) {
        printf("skipped: %s\n", err.message);
        return 0;
    }
    b.path = file.path;
    for (uint32_t i = 0; i < MOST_TOKENS; i++)
        b.ids[i] = 1000 + i;
    bench_report *report = bench_new(
        test_format("%s, one thread, kernels %s", name, lc_kernels_best()->name));
    load_and_memory(report, &b);
    start_other(&b.other, b.path);
    compare(report, &b, LC_INT8, aims);
    if (!bench_quick())
        compare(report, &b, LC_FLOAT, none);
    stop_other(&b.other);
    if (!bench_quick()) {
        compare_variants(report, &b);
        compare_threads(report, &b);
    }
    lc_model_file_done(&file);
    return bench_done(report);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    return bench_model("multilingual-e5-small") | bench_model("all-MiniLM-L6-v2");
}
