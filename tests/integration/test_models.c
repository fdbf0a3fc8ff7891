/* <llmcache/model.h> without a network: importing, listing, showing, checking, and what
 * stays behind. */
#include "base/memory.h"
#include "embed/model_import.h"
#include "support.h"
#include "tiny_files.h"

#include <llmcache/model.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static llmcache_options *options;
static const char *folder; /* of the models; not there at first */

static void start(void)
{
    folder = test_format("%s/deep/models", test_folder());
    cr_assert_eq(llmcache_options_new_bare(&options, NULL), 0);
    cr_assert_eq(llmcache_options_set(options, "models-folder", folder, NULL), 0);
}

static void stop(void)
{
    llmcache_options_free(options);
}

TestSuite(models, .init = start, .fini = stop, .timeout = 60);

/* ---- What the tests share -------------------------------------------------------- */

/* A copy of what was shown. */
typedef struct seen {
    char name[128], path[512], license[64], source[512], weights[80], sha256[80],
        precision[16], tokenizer[16], pooling[16];
    uint64_t bytes;
    uint32_t dimension, max_tokens, words;
    double threshold;
    int known, is_default, count;
} seen;

static int see(void *user, const llmcache_model *model)
{
    seen *s = user;
    snprintf(s->name, sizeof s->name, "%s", model->name);
    snprintf(s->path, sizeof s->path, "%s", model->path);
    snprintf(s->license, sizeof s->license, "%s", model->license);
    snprintf(s->source, sizeof s->source, "%s", model->source);
    snprintf(s->weights, sizeof s->weights, "%s", model->weights);
    snprintf(s->sha256, sizeof s->sha256, "%s", model->sha256);
    snprintf(s->precision, sizeof s->precision, "%s", model->precision);
    snprintf(s->tokenizer, sizeof s->tokenizer, "%s", model->tokenizer);
    snprintf(s->pooling, sizeof s->pooling, "%s", model->pooling);
    s->bytes = model->bytes;
    s->dimension = model->dimension;
    s->max_tokens = model->max_tokens;
    s->words = model->words;
    s->threshold = model->threshold;
    s->known = model->known;
    s->is_default = model->is_default;
    s->count++;
    return 0;
}

static seen imported(const char *path, const llmcache_model_options *how)
{
    seen s = {.count = 0};
    llmcache_error err;
    cr_assert_eq(llmcache_model_import(options, path, how, see, &s, &err), 0, "%s",
                 err.message);
    cr_assert_eq(s.count, 1);
    return s;
}

static void refuses(const char *path, const llmcache_model_options *how, int code,
                    const char *says)
{
    llmcache_error err;
    cr_assert_eq(llmcache_model_import(options, path, how, NULL, NULL, &err), code,
                 "%s: %s", says, err.message);
    cr_assert(strstr(err.message, says), "'%s' does not say '%s'", err.message, says);
}

static const char *repository(tiny_kind kind)
{
    const char *made = test_format("%s/my-model", test_folder());
    mkdir(made, 0777);
    tiny_write_repository(made, kind);
    return made;
}

static int files_in(const char *path)
{
    DIR *open = opendir(path);
    int count = 0;
    for (struct dirent *entry; open && (entry = readdir(open));)
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    if (open)
        closedir(open);
    return count;
}

static const char *gguf_file(const char *name, tiny_kind kind)
{
    const char *path = test_format("%s/%s.gguf", test_folder(), name);
    lc_span file = tiny_gguf(kind);
    test_write_file(path, file.data, file.size);
    return path;
}

/* ---- Importing ------------------------------------------------------------------- */

Test(models, a_repository_becomes_a_model)
{
    const char *from = repository(TINY_WORDPIECE);
    test_write_text(test_format("%s/LICENSE", from), "All of the terms.");
    seen s = imported(from, NULL);
    cr_assert_str_eq(s.name, "my-model");
    cr_assert_str_eq(s.path, test_format("%s/my-model.gguf", folder));
    cr_assert_str_eq(s.precision, "Q8_0");
    cr_assert_str_eq(s.tokenizer, "wordpiece");
    cr_assert_str_eq(s.pooling, "cls");
    cr_assert(s.dimension == TINY_HIDDEN && s.max_tokens == TINY_POSITIONS &&
              s.words == TINY_ROWS);
    cr_assert_eq(strlen(s.weights), 64);
    cr_assert_eq(strlen(s.sha256), 64);
    cr_assert_str_eq(test_read_file(test_format("%s/my-model.LICENSE.txt", folder), NULL),
                     "All of the terms.");
    cr_assert_eq(files_in(folder), 3,
                 "the model, its manifest, its licence, nothing else");
}

Test(models, precision_is_as_asked)
{
    llmcache_model_options how = {
        .struct_size = sizeof how, .precision = "F32", .name = "exact"};
    seen exact = imported(repository(TINY_UNIGRAM), &how);
    cr_assert_str_eq(exact.precision, "F32");
    cr_assert_str_eq(exact.path, test_format("%s/exact.gguf", folder));
    how.precision = "f16";
    how.name = "half";
    seen half = imported(repository(TINY_UNIGRAM), &how);
    cr_assert_lt(half.bytes, exact.bytes);
    cr_assert(strcmp(half.weights, exact.weights), "other numbers, other identity");
    how.precision = "q3";
    refuses(repository(TINY_UNIGRAM), &how, LLMCACHE_INVALID, "precision");
}

Test(models, weights_come_out_as_they_went_in)
{
    llmcache_model_options how = {.struct_size = sizeof how, .precision = "f32"};
    seen s = imported(repository(TINY_UNIGRAM), &how);
    lc_span weights = tiny_safetensors("F32");
    lc_gguf *gguf;
    uint64_t header;
    memcpy(&header, weights.data, sizeof header);
    cr_assert_eq(lc_gguf_open(s.path, &gguf, NULL), 0);
    const lc_gguf_tensor *words = lc_gguf_tensor_of(gguf, "token_embd.weight");
    cr_assert_eq(words->bytes, TINY_ROWS * TINY_HIDDEN * 4);
    cr_assert_eq(memcmp(words->data, weights.data + 8 + header, words->bytes), 0);
    lc_gguf_close(gguf);
}

Test(models, a_pack_is_repacked_without_loss)
{
    const char *path = test_format("%s/tiny.bin", test_folder());
    lc_span pack = tiny_pack();
    lc_gguf *gguf;
    test_write_file(path, pack.data, pack.size);
    llmcache_model_options how = {.struct_size = sizeof how, .name = "packed"};
    seen s = imported(path, &how);
    cr_assert_str_eq(s.precision, "Q4_0");
    cr_assert_str_eq(s.pooling, "mean");
    cr_assert_str_eq(s.license, "mit");
    cr_assert_eq(lc_gguf_open(s.path, &gguf, NULL), 0);
    static const char *const names[] = {"token_embd.weight", "blk.0.ffn_up.weight",
                                        "blk.0.attn_q.bias", "position_embd.weight"};
    for (size_t i = 0; i < 4; i++) {
        const lc_gguf_tensor *tensor = lc_gguf_tensor_of(gguf, names[i]);
        cr_assert(memmem(pack.data, pack.size, tensor->data, tensor->bytes), "%s",
                  names[i]);
    }
    lc_gguf_close(gguf);
}

Test(models, a_gguf_file_stays_as_it_is)
{
    const char *path = gguf_file("given", TINY_WORDPIECE);
    size_t size, placed_size;
    char *bytes = test_read_file(path, &size);
    llmcache_model_options how = {
        .struct_size = sizeof how, .threshold = .8, .license = "BSD-3-Clause"};
    seen s = imported(path, &how);
    char *placed = test_read_file(s.path, &placed_size);
    cr_assert(size == placed_size && memcmp(bytes, placed, size) == 0);
    cr_assert_eq(s.threshold, .8);
    cr_assert_str_eq(s.license, "BSD-3-Clause");
    cr_assert_str_eq(s.source, path);
}

Test(models, importing_again_replaces)
{
    llmcache_model_options how = {.struct_size = sizeof how, .name = "same"};
    seen first = imported(gguf_file("one", TINY_WORDPIECE), &how);
    seen second = imported(gguf_file("two", TINY_UNIGRAM), &how);
    cr_assert_str_eq(first.path, second.path);
    cr_assert(strcmp(first.sha256, second.sha256));
    cr_assert_eq(llmcache_model_check(options, "same", NULL, NULL, NULL), 0);
    cr_assert_eq(files_in(folder), 2);
}

Test(models, what_is_no_model_is_refused_and_leaves_nothing)
{
    const char *text = test_format("%s/notes.txt", test_folder());
    test_write_text(text, "just text");
    refuses(text, NULL, LLMCACHE_UNSUPPORTED, "neither GGUF nor safetensors");
    refuses("/no/such/file", NULL, LLMCACHE_NOT_FOUND, "/no/such/file");
    refuses(test_folder(), NULL, LLMCACHE_NOT_FOUND, "neither model.safetensors nor");
    const char *from = repository(TINY_WORDPIECE);
    unlink(test_format("%s/config.json", from));
    refuses(from, NULL, LLMCACHE_NOT_FOUND, "config.json");
    test_write_text(test_format("%s/config.json", from), "{\"model_type\":\"llama\"}");
    refuses(from, NULL, LLMCACHE_UNSUPPORTED, "llama");
    test_write_text(test_format("%s/config.json", from), tiny_config_json());
    test_write_text(test_format("%s/tokenizer.json", from),
                    "{\"model\":{\"type\":\"BPE\"}}");
    refuses(from, NULL, LLMCACHE_UNSUPPORTED, "BPE");
    llmcache_model_options how = {.struct_size = sizeof how, .name = "../out"};
    refuses(gguf_file("fine", TINY_WORDPIECE), &how, LLMCACHE_INVALID, "../out");
    how = (llmcache_model_options){.struct_size = sizeof how, .sha256 = "00"};
    refuses(gguf_file("fine", TINY_WORDPIECE), &how, LLMCACHE_CORRUPT, "SHA-256");
    cr_assert_eq(files_in(folder), 0, "no draft stays behind");
}

Test(models, numbers_that_are_none_are_refused)
{
    const char *path = gguf_file("odd", TINY_WORDPIECE);
    lc_gguf *gguf;
    size_t size;
    char *bytes = test_read_file(path, &size);
    cr_assert_eq(lc_gguf_open(path, &gguf, NULL), 0);
    size_t at =
        (size_t)((const char *)lc_gguf_tensor_of(gguf, "blk.0.ffn_up.bias")->data -
                 lc_gguf_bytes(gguf).data);
    memcpy(bytes + at + 8, &(uint32_t){0x7fc00000}, 4);
    test_write_file(path, bytes, size);
    lc_gguf_close(gguf);
    refuses(path, NULL, LLMCACHE_CORRUPT, "blk.0.ffn_up.bias");
}

/* ---- Finding and showing --------------------------------------------------------- */

Test(models, an_empty_folder_lists_what_is_known)
{
    seen s = {.count = 0};
    llmcache_error err;
    cr_assert_eq(llmcache_model_list(options, see, &s, &err), 0, "%s", err.message);
    cr_assert_geq(s.count, 2);
    cr_assert_str_eq(s.path, "");
    cr_assert_eq(s.known, 1);
    cr_assert_eq(llmcache_model_info(options, "", see, &s, &err), LLMCACHE_NOT_FOUND);
    cr_assert(strstr(err.message, "model pull"), "%s", err.message);
    cr_assert_eq(llmcache_model_info(options, "multilingual-e5-small", see, &s, &err),
                 LLMCACHE_NOT_FOUND);
    cr_assert(strstr(err.message, "model pull multilingual-e5-small"), "%s", err.message);
    cr_assert_eq(llmcache_model_info(options, "other", see, &s, &err),
                 LLMCACHE_NOT_FOUND);
}

Test(models, by_name_by_path_and_by_default)
{
    seen s = {.count = 0};
    seen first = imported(gguf_file("First", TINY_WORDPIECE), NULL);
    cr_assert_eq(llmcache_model_info(options, NULL, see, &s, NULL), 0,
                 "the only one is the default");
    cr_assert_eq(s.is_default, 1);
    cr_assert_eq(llmcache_model_info(options, "fIRST", see, &s, NULL), 0,
                 "names have no case");
    cr_assert_str_eq(s.path, first.path);
    cr_assert_str_eq(s.weights, first.weights);
    cr_assert_eq(llmcache_model_info(options, first.path, see, &s, NULL), 0);
    imported(gguf_file("second", TINY_UNIGRAM), NULL);
    cr_assert_eq(llmcache_model_info(options, NULL, see, &s, NULL), LLMCACHE_NOT_FOUND,
                 "of two others none is the default");
    llmcache_model_options how = {.struct_size = sizeof how, .name = "all-minilm-l6-v2"};
    imported(gguf_file("third", TINY_WORDPIECE), &how);
    cr_assert_eq(llmcache_model_info(options, NULL, see, &s, NULL), 0, "a known one is");
    cr_assert_str_eq(s.name, "all-minilm-l6-v2");
    cr_assert_gt(s.threshold, 0, "with the advice for its name");
}

Test(models, a_file_without_a_manifest_is_a_model_too)
{
    seen s = {.count = 0};
    seen placed = imported(gguf_file("dropped", TINY_WORDPIECE), NULL);
    unlink(test_format("%s/dropped.json", folder));
    cr_assert_eq(llmcache_model_info(options, "dropped", see, &s, NULL), 0);
    cr_assert_str_eq(s.weights, placed.weights, "worked out from the file");
    cr_assert_str_eq(s.sha256, "");
    cr_assert_str_eq(s.license, "mit", "as the file says");
    test_write_text(test_format("%s/dropped.json", folder),
                    "{\"bytes\": 1, \"license\": \"false\", \"weights\": \"\"}");
    cr_assert_eq(llmcache_model_info(options, "dropped", see, &s, NULL), 0);
    cr_assert_str_eq(s.license, "mit", "a manifest of another file does not count");
}

Test(models, a_file_changed_behind_its_manifest_is_another_model)
{
    seen s = {.count = 0};
    seen placed = imported(gguf_file("changing", TINY_WORDPIECE), NULL);
    size_t size;
    char *bytes = test_read_file(placed.path, &size);
    bytes[size - 64] ^= 1;
    test_write_file(placed.path, bytes, size);
    const struct timespec later[2] = {{.tv_sec = time(NULL) + 60},
                                      {.tv_sec = time(NULL) + 60}};
    cr_assert_eq(utimensat(AT_FDCWD, placed.path, later, 0), 0);
    cr_assert_eq(llmcache_model_info(options, "changing", see, &s, NULL), 0);
    cr_assert(strcmp(s.weights, placed.weights),
              "its vectors must not meet the old ones");
    cr_assert_str_eq(s.sha256, "");
}

Test(models, other_files_do_not_disturb)
{
    seen s = {.count = 0};
    imported(gguf_file("fine", TINY_WORDPIECE), NULL);
    test_write_text(test_format("%s/broken.gguf", folder), "GGUF");
    test_write_text(test_format("%s/readme.txt", folder), "hello");
    int known = 0;
    cr_assert_eq(llmcache_model_list(options, see, &s, NULL), 0);
    known = s.count;
    cr_assert_str_eq(s.name, "fine");
    cr_assert_eq(llmcache_model_info(options, "broken", see, &s, NULL), LLMCACHE_CORRUPT);
    cr_assert_eq(s.count, known);
}

/* ---- Checking -------------------------------------------------------------------- */

static int count_steps(void *user, const char *step, uint64_t done, uint64_t total)
{
    (void)step;
    cr_assert(total == 0 || done <= total);
    ++*(int *)user;
    return 0;
}

Test(models, check_sees_every_changed_byte)
{
    llmcache_error err;
    int steps = 0;
    seen s = imported(gguf_file("whole", TINY_WORDPIECE), NULL);
    cr_assert_eq(llmcache_model_check(options, "whole", count_steps, &steps, &err), 0);
    cr_assert_gt(steps, 5);
    size_t size;
    char *bytes = test_read_file(s.path, &size);
    for (size_t at = 4; at < size; at += size / 7) {
        bytes[at] ^= 1;
        test_write_file(s.path, bytes, size);
        cr_assert_eq(llmcache_model_check(options, "whole", NULL, NULL, &err),
                     LLMCACHE_CORRUPT);
        bytes[at] ^= 1;
    }
    test_write_file(s.path, bytes, size - 64);
    cr_assert_neq(llmcache_model_check(options, "whole", NULL, NULL, &err), 0);
}

static int refuse_to_go_on(void *user, const char *step, uint64_t done, uint64_t total)
{
    (void)user;
    (void)done;
    (void)total;
    return strcmp(step, "checking") == 0;
}

Test(models, work_can_be_stopped)
{
    llmcache_error err;
    llmcache_model_options how = {.struct_size = sizeof how, .progress = refuse_to_go_on};
    cr_assert_eq(llmcache_model_import(options, gguf_file("m", TINY_WORDPIECE), &how,
                                       NULL, NULL, &err),
                 LLMCACHE_ABORTED);
    cr_assert_eq(files_in(folder), 0);
}

/* ---- What goes wrong ------------------------------------------------------------- */

Test(models, folders_that_cannot_be_written)
{
    const char *file = test_format("%s/file", test_folder());
    test_write_text(file, "x");
    llmcache_options_set(options, "models-folder", test_format("%s/below", file), NULL);
    refuses(gguf_file("m", TINY_WORDPIECE), NULL, LLMCACHE_IO, "below");
}

Test(models, every_failing_allocation_is_reported)
{
    const char *from = repository(TINY_WORDPIECE);
    lc_import_options how = {.setting = folder, .precision = LC_TENSOR_Q8_0};
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        lc_model_file placed = {0};
        cr_assert_lt(n, 5000);
        lc_memory_fail_at(n);
        int code = lc_model_import(from, &how, &placed, NULL);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        if (code == 0 && failed)
            cr_assert(placed.name && placed.path, "what is not needed may fail");
        else
            cr_assert_eq(code, failed ? LLMCACHE_MEMORY : 0, "allocation %d", (int)n);
        lc_model_file_done(&placed);
        cr_assert_leq(files_in(folder), 2, "no draft stays behind");
    }
}

/* More than a buffer of standard output holds, which then fails in the middle. */
Test(models, a_list_that_cannot_be_written_says_so_in_one_line)
{
    const char *cli = test_build_path("cli/llmcache-cli");
    for (int i = 0; i < 80; i++) {
        const char *name = test_format("m%02d", i);
        llmcache_model_options how = {.struct_size = sizeof how, .name = name};
        cr_assert_eq(llmcache_model_import(options, gguf_file(name, TINY_WORDPIECE), &how, NULL, NULL, NULL), 0);
    }
    const char *line = test_format("%s model list --models-folder %s > /dev/full", cli, folder);
    test_run_result full = test_run_line("sh", "-c", line);
    cr_expect_eq(full.status, 1);
    cr_expect_eq(test_count(full.err, "\n"), 1, "%s", full.err);
    cr_expect_not_null(strstr(full.err, "No space left"), "%s", full.err);
}

Test(models, a_list_that_failed_says_why)
{
    llmcache_model_options how = {.struct_size = sizeof how, .name = "fine"};
    cr_assert_eq(llmcache_model_import(options, gguf_file("fine", TINY_WORDPIECE), &how, NULL, NULL, NULL), 0);
    seen all = {.count = 0};
    cr_assert_eq(llmcache_model_list(options, see, &all, NULL), 0);
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        llmcache_error err;
        seen s = {.count = 0};
        cr_assert_lt(n, 1000);
        memset(&err, 'x', sizeof err);
        lc_memory_fail_at(n);
        int code = llmcache_model_list(options, see, &s, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(code || s.count == all.count, "allocation %d: %d of %d", (int)n, s.count, all.count);
        cr_assert(!code || (err.code == code && memchr(err.message, '\0', sizeof err.message)),
                  "allocation %d: %d and no word of it", (int)n, code);
    }
}

Test(models, arguments_are_checked)
{
    llmcache_error err;
    cr_assert_eq(llmcache_model_list(options, NULL, NULL, &err), LLMCACHE_INVALID);
    cr_assert_eq(llmcache_model_info(options, "x", NULL, NULL, &err), LLMCACHE_INVALID);
    cr_assert_eq(llmcache_model_import(options, NULL, NULL, NULL, NULL, &err),
                 LLMCACHE_INVALID);
    cr_assert_eq(llmcache_model_pull(options, "no-such-model", NULL, NULL, NULL, &err),
                 LLMCACHE_NOT_FOUND);
    llmcache_model_options how = {.struct_size = sizeof how, .threshold = 2};
    cr_assert_eq(llmcache_model_import(options, "x", &how, NULL, NULL, &err),
                 LLMCACHE_INVALID);
}
