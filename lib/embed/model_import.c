/* Importing a model. Sources are mapped; what is written is read again before it gets its
 * name. */
#include "embed/model_import.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "embed/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NOTICE (1u << 20)

/* ---- Mapped files ---------------------------------------------------------------- */

/* A file that is not there is an empty span, unless it is needed. */
static int map_file(const char *path, int needed, lc_span *span, llmcache_error *err)
{
    struct stat about;
    *span = (lc_span){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return needed ? lc_fail(err, LLMCACHE_NOT_FOUND, "cannot open %s: %s", path,
                                strerror(errno))
                      : 0;
    if (fstat(file, &about) || !S_ISREG(about.st_mode)) {
        close(file);
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "%s is not a file", path);
    }
    size_t size = (size_t)about.st_size;
    void *bytes = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    int why = errno;
    close(file);
    if (bytes == MAP_FAILED)
        return lc_fail(err, LLMCACHE_IO, "cannot map %s: %s", path, strerror(why));
    *span = (lc_span){bytes, size};
    return 0;
}

static void unmap(lc_span *span)
{
    if (span->size)
        munmap((void *)(uintptr_t)span->data, span->size);
    *span = (lc_span){0};
}

static int map_in(const char *folder, const char *name, int needed, lc_span *span,
                  llmcache_error *err)
{
    lc_buffer path;
    lc_buffer_init(&path, 0);
    int rc = lc_buffer_format(&path, "%s/%s", folder, name)
                 ? lc_fail_memory(err)
                 : map_file(path.data, needed, span, err);
    lc_buffer_done(&path);
    return rc;
}

/* ---- What is to be imported ------------------------------------------------------ */

typedef enum model_form { GGUF, E5S1, SAFETENSORS } model_form;

typedef struct import_job {
    const lc_import_options *options;
    model_form form;
    char *path;   /* of the weights file */
    char *folder; /* that it lies in */
    char *name;
} import_job;

static void job_done(import_job *job)
{
    lc_free(job->path);
    lc_free(job->folder);
    lc_free(job->name);
}

/* The file of a folder to import: model.safetensors, or the only .gguf. */
static int look_inside(const char *folder, char **path, llmcache_error *err)
{
    lc_buffer made;
    int found = 0;
    DIR *open = opendir(folder);
    if (!open)
        return lc_fail(err, LLMCACHE_IO, "cannot read %s: %s", folder, strerror(errno));
    lc_buffer_init(&made, 0);
    for (struct dirent *entry; (entry = readdir(open));) {
        size_t size = strlen(entry->d_name);
        int weights = strcmp(entry->d_name, "model.safetensors") == 0;
        int model = size > 5 && strcasecmp(entry->d_name + size - 5, ".gguf") == 0;
        if (!weights && !model)
            continue;
        lc_buffer_clear(&made);
        lc_buffer_format(&made, "%s/%s", folder, entry->d_name);
        found = weights ? 1 : found + 1;
        if (weights)
            break;
    }
    closedir(open);
    int rc = made.broken ? lc_fail_memory(err) : 0;
    if (rc == 0 && found != 1)
        rc = lc_fail(err, LLMCACHE_NOT_FOUND, "%s holds %s", folder,
                     found ? "several models"
                           : "neither model.safetensors nor a GGUF file");
    if (rc == 0)
        *path = lc_buffer_take(&made, NULL);
    lc_buffer_done(&made);
    return rc;
}

static int split_path(import_job *job)
{
    const char *slash = strrchr(job->path, '/');
    job->folder =
        slash ? lc_strndup(job->path, slash > job->path ? (size_t)(slash - job->path) : 1)
              : lc_strdup(".");
    return job->folder ? 0 : LLMCACHE_MEMORY;
}

static int recognise(import_job *job, llmcache_error *err)
{
    lc_span file;
    size_t size = strlen(job->path);
    int rc = map_file(job->path, 1, &file, err);
    if (rc)
        return rc;
    if (file.size >= 4 && memcmp(file.data, "GGUF", 4) == 0)
        job->form = GGUF;
    else if (file.size >= 4 && memcmp(file.data, "E5S1", 4) == 0)
        job->form = E5S1;
    else if (size > 12 && strcmp(job->path + size - 12, ".safetensors") == 0)
        job->form = SAFETENSORS;
    else
        rc = lc_fail(err, LLMCACHE_UNSUPPORTED,
                     "%s is neither GGUF nor safetensors nor an E5S1 pack", job->path);
    unmap(&file);
    return rc;
}

/* The file's name without its ending, or for safetensors the folder's; odd characters
 * become dashes. */
static char *own_name(const import_job *job)
{
    const char *from = job->form == SAFETENSORS ? job->folder : job->path;
    const char *slash = strrchr(from, '/');
    from = slash && slash[1] ? slash + 1 : from;
    size_t size = strlen(from);
    if (job->form == E5S1)
        return lc_strdup("multilingual-e5-small");
    if (job->form == GGUF && size > 5 && strcasecmp(from + size - 5, ".gguf") == 0)
        size -= 5;
    char *name = lc_strndup(from, size < 96 ? size : 96);
    for (char *at = name; at && *at; at++) {
        char one[2] = {*at, '\0'};
        if (!lc_model_name_ok(one) && !(at > name && strchr(".-", *at)))
            *at = at == name ? 'm' : '-';
    }
    return name;
}

static int job_init(import_job *job, const char *path, const lc_import_options *options,
                    llmcache_error *err)
{
    struct stat about;
    *job = (import_job){.options = options};
    if (stat(path, &about))
        return lc_fail(err, LLMCACHE_NOT_FOUND, "cannot open %s: %s", path,
                       strerror(errno));
    int rc = 0;
    if (S_ISDIR(about.st_mode))
        rc = look_inside(path, &job->path, err);
    else if (!(job->path = lc_strdup(path)))
        rc = lc_fail_memory(err);
    if (rc == 0 && split_path(job))
        rc = lc_fail_memory(err);
    if (rc == 0)
        rc = recognise(job, err);
    if (rc)
        return rc;
    job->name = options->name ? lc_strdup(options->name) : own_name(job);
    if (!job->name)
        return lc_fail_memory(err);
    if (!lc_model_name_ok(job->name))
        return lc_fail(err, LLMCACHE_INVALID,
                       "\"%.60s\" cannot name a model: letters, digits, . _ -",
                       job->name);
    return 0;
}

/* ---- Converting ------------------------------------------------------------------ */

static int copy_as_is(const import_job *job, int to, llmcache_error *err)
{
    lc_gguf *gguf;
    int rc = lc_gguf_open(job->path, &gguf, err);
    if (rc)
        return rc;
    lc_span bytes = lc_gguf_bytes(gguf);
    for (size_t at = 0, size; rc == 0 && at < bytes.size; at += size) {
        size = bytes.size - at < 1u << 20 ? bytes.size - at : 1u << 20;
        ssize_t done = write(to, bytes.data + at, size);
        if (done < 0 && errno != EINTR)
            rc = lc_fail(err, LLMCACHE_IO, "cannot write the model file: %s",
                         strerror(errno));
        size = done > 0 ? (size_t)done : 0;
        if (rc == 0)
            rc = lc_tick(&job->options->ticker, "converting", at + size, bytes.size, err);
    }
    lc_gguf_close(gguf);
    return rc;
}

static int convert_pack(const import_job *job, int to, llmcache_error *err)
{
    lc_gguf_writer writer;
    lc_span pack;
    int rc = map_file(job->path, 1, &pack, err);
    if (rc)
        return rc;
    lc_gguf_writer_init(&writer);
    rc = lc_import_e5s1(pack, &writer, err);
    if (rc == 0)
        rc = lc_gguf_write(&writer, to, err);
    lc_gguf_writer_done(&writer);
    unmap(&pack);
    return rc;
}

/* The files of a repository, in the order of lc_hf_files. */
static const char *const hf_names[] = {
    "model.safetensors",     "config.json",
    "tokenizer.json",        "vocab.txt",
    "tokenizer_config.json", "sentence_bert_config.json",
    "1_Pooling/config.json",
};
_Static_assert(sizeof(lc_hf_files) ==
                   sizeof hf_names / sizeof *hf_names * sizeof(lc_span),
               "one span a file");

static int convert_repository(const import_job *job, int to, llmcache_error *err)
{
    enum { COUNT = sizeof hf_names / sizeof *hf_names };
    lc_span spans[COUNT] = {{0}};
    lc_gguf_writer writer;
    lc_hf_files files;
    int rc = map_file(job->path, 1, &spans[0], err);
    for (int i = 1; rc == 0 && i < COUNT; i++)
        rc = map_in(job->folder, hf_names[i], i == 1, &spans[i], err);
    memcpy(&files, spans, sizeof files);
    lc_gguf_writer_init(&writer);
    if (rc == 0)
        rc = lc_import_safetensors(&files, job->name,
                                   job->options->license ? job->options->license : "",
                                   job->options->precision, &writer, err);
    if (rc == 0)
        rc = lc_gguf_write(&writer, to, err);
    lc_gguf_writer_done(&writer);
    for (int i = 0; i < COUNT; i++)
        unmap(&spans[i]);
    return rc;
}

static int convert(const import_job *job, int to, llmcache_error *err)
{
    int rc = lc_tick(&job->options->ticker, "converting", 0, 0, err);
    if (rc)
        return rc;
    switch (job->form) {
    case GGUF:
        return copy_as_is(job, to, err);
    case E5S1:
        return convert_pack(job, to, err);
    default:
        return convert_repository(job, to, err);
    }
}

/* ---- All of it ------------------------------------------------------------------- */

/* The licence text to lay beside the model; *made is the caller's to free where it is not
 * NULL. */
static const char *notice_for(const import_job *job, char **made)
{
    static const char *const names[] = {"LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"};
    if (job->options->notice)
        return job->options->notice;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lc_span text;
        if (map_in(job->folder, names[i], 0, &text, NULL) || text.size == 0)
            continue;
        *made = lc_strndup(text.data, text.size < MAX_NOTICE ? text.size : MAX_NOTICE);
        unmap(&text);
        return *made ? *made : "";
    }
    return "";
}

static int check_source(const import_job *job, llmcache_error *err)
{
    char found[LC_HASH_TEXT];
    const char *wanted = job->options->sha256;
    if (!wanted)
        return 0;
    int rc = lc_file_hash(job->path, "checking", &job->options->ticker, found, err);
    if (rc == 0 && strcasecmp(found, wanted))
        rc = lc_fail(err, LLMCACHE_CORRUPT, "%s has the SHA-256 %s, not %s", job->path,
                     found, wanted);
    return rc;
}

static char *or_empty(const char *text)
{
    return lc_strdup(text ? text : "");
}

static int read_license(const import_job *job, const char *path, char **license,
                        llmcache_error *err)
{
    lc_span found = {"", 0};
    lc_gguf *gguf;
    int rc = lc_gguf_open(path, &gguf, err);
    if (rc)
        return rc;
    if (job->options->license)
        found = (lc_span){job->options->license, strlen(job->options->license)};
    else
        lc_gguf_text(gguf, "general.license", LC_GGUF_MAYBE, &found, NULL);
    *license = lc_strndup(found.data, found.size);
    lc_gguf_close(gguf);
    return *license ? 0 : lc_fail_memory(err);
}

/* What is known of the model before it is placed: the draft is whole and gets its hashes.
 */
static int describe(const import_job *job, const lc_model_draft *draft,
                    lc_model_file *file, llmcache_error *err)
{
    const lc_import_options *options = job->options;
    struct stat about;
    file->name = lc_strdup(job->name);
    file->languages = or_empty(options->languages);
    file->source = lc_strdup(options->source ? options->source : job->path);
    const lc_model_row *row = lc_model_row_of(job->name);
    file->threshold = options->threshold > 0 ? options->threshold
                      : row                  ? row->threshold
                                             : 0;
    file->known = row != NULL;
    if (!file->name || !file->languages || !file->source)
        return lc_fail_memory(err);
    if (fstat(draft->file, &about))
        return lc_fail(err, LLMCACHE_IO, "cannot read %s: %s", draft->path,
                       strerror(errno));
    file->bytes = (uint64_t)about.st_size;
    int rc = lc_model_verify_content(draft->path, &options->ticker, file->weights, err);
    if (rc == 0)
        rc = read_license(job, draft->path, &file->license, err);
    if (rc == 0)
        rc = lc_file_hash(draft->path, "checking", &options->ticker, file->sha256, err);
    return rc;
}

static int import(const import_job *job, lc_model_file *file, llmcache_error *err)
{
    lc_model_draft draft;
    char *made = NULL;
    int rc = lc_model_draft_new(job->options->setting, &draft, err);
    if (rc)
        return rc;
    rc = convert(job, draft.file, err);
    if (rc == 0)
        rc = describe(job, &draft, file, err);
    if (rc == 0)
        rc = lc_model_draft_place(&draft, file, notice_for(job, &made), err);
    lc_free(made);
    lc_model_draft_done(&draft);
    return rc;
}

int lc_model_import(const char *path, const lc_import_options *options,
                    lc_model_file *placed, llmcache_error *err)
{
    lc_model_file file = {0};
    import_job job;
    int rc = job_init(&job, path, options, err);
    if (rc == 0)
        rc = check_source(&job, err);
    if (rc == 0)
        rc = import(&job, &file, err);
    job_done(&job);
    if (rc)
        lc_model_file_done(&file);
    else
        *placed = file;
    return rc;
}
