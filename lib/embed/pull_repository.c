/*
 * A model out of a Hugging Face repository: GET BASE/owner/name/resolve/REVISION/FILE.
 * The files lie in a folder of the repository's own until all are there, so that a broken
 * pull goes on where it was.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "embed/download.h"
#include "embed/model_pull.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PART    128 /* of a name */
#define MAX_WEIGHTS (16ull << 30)
#define MAX_OTHER   (64ull << 20)

/* "owner/name[@revision][/file.gguf]", taken apart. */
typedef struct hf_repository {
    char owner[MAX_PART], name[MAX_PART], revision[MAX_PART];
    char file[MAX_PART]; /* "" for safetensors */
} hf_repository;

typedef struct pull_session {
    const lc_pull_options *options;
    hf_repository repository;
    char *folder;
    char license[64]; /* as README.md states it, "" if it does not */
} pull_session;

/* ---- Names ----------------------------------------------------------------------- */

/* Copies up to one of `ends`; the part must be a plain name. */
static const char *take_part(const char *text, const char *ends, char part[MAX_PART])
{
    size_t size = strcspn(text, ends);
    if (size == 0 || size >= MAX_PART)
        return NULL;
    memcpy(part, text, size);
    part[size] = '\0';
    return lc_model_name_ok(part) ? text + size : NULL;
}

static int read_name(const char *name, hf_repository *repository, llmcache_error *err)
{
    const char *at = take_part(name, "/", repository->owner);
    *repository->file = '\0';
    snprintf(repository->revision, MAX_PART, "main");
    if (at && *at == '/')
        at = take_part(at + 1, "/@", repository->name);
    else
        at = NULL;
    if (at && *at == '@')
        at = take_part(at + 1, "/", repository->revision);
    if (at && *at == '/')
        at = take_part(at + 1, "", repository->file);
    size_t size = strlen(repository->file);
    if (!at || *at ||
        (size && (size < 6 || strcasecmp(repository->file + size - 5, ".gguf"))))
        return lc_fail(
            err, LLMCACHE_INVALID,
            "\"%.100s\" is neither owner/name[@revision] nor owner/name/file.gguf", name);
    return 0;
}

/* ---- Fetching -------------------------------------------------------------------- */

/* `file` below the working folder, with the folders it lies in. */
static int path_of(const pull_session *session, const char *file, lc_buffer *path,
                   llmcache_error *err)
{
    const char *slash = strchr(file, '/');
    lc_buffer_clear(path);
    if (slash &&
        !lc_buffer_format(path, "%s/%.*s", session->folder, (int)(slash - file), file)) {
        if (mkdir(path->data, 0777) && errno != EEXIST)
            return lc_fail(err, LLMCACHE_IO, "cannot make folder %s: %s", path->data,
                           strerror(errno));
        lc_buffer_clear(path);
    }
    lc_buffer_format(path, "%s/%s", session->folder, file);
    return path->broken ? lc_fail_memory(err) : 0;
}

static int fetch(const pull_session *session, const char *file, uint64_t max_bytes,
                 llmcache_error *err)
{
    const hf_repository *from = &session->repository;
    lc_buffer url, path;
    lc_buffer_init(&url, 0);
    lc_buffer_init(&path, 0);
    lc_buffer_format(&url, "%s/%s/%s/resolve/%s/%s", session->options->base_url,
                     from->owner, from->name, from->revision, file);
    int rc = path_of(session, file, &path, err);
    if (rc == 0 && url.broken)
        rc = lc_fail_memory(err);
    if (rc == 0 && access(path.data, F_OK) != 0) {
        lc_download download = {session->options->http, url.data, path.data, max_bytes,
                                &session->options->import.ticker};
        rc = lc_download_file(&download, err);
    }
    lc_buffer_done(&url);
    lc_buffer_done(&path);
    return rc;
}

/* A file that the repository may be without; *there says whether it is. */
static int fetch_maybe(const pull_session *session, const char *file, int *there,
                       llmcache_error *err)
{
    llmcache_error why;
    int rc = fetch(session, file, MAX_OTHER, &why);
    *there = rc == 0;
    if (rc == 0 || rc == LLMCACHE_NOT_FOUND)
        return 0;
    if (err)
        *err = why;
    return rc;
}

static int fetch_safetensors(const pull_session *session, llmcache_error *err)
{
    int there;
    int rc = fetch(session, "config.json", MAX_OTHER, err);
    if (rc == 0)
        rc = fetch_maybe(session, "tokenizer.json", &there, err);
    if (rc == 0 && !there)
        rc = fetch(session, "vocab.txt", MAX_OTHER, err);
    if (rc == 0)
        rc = fetch_maybe(session, "tokenizer_config.json", &there, err);
    if (rc == 0)
        rc = fetch_maybe(session, "sentence_bert_config.json", &there, err);
    if (rc == 0)
        rc = fetch_maybe(session, "1_Pooling/config.json", &there, err);
    if (rc == 0)
        rc = fetch(session, "model.safetensors", MAX_WEIGHTS, err);
    return rc;
}

/* ---- Licence --------------------------------------------------------------------- */

/* README.md begins with facts between lines of dashes; one of them is "license: mit". */
static void read_license(pull_session *session, const char *path)
{
    char line[256];
    FILE *file = fopen(path, "re");
    int inside = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "---", 3) == 0 && inside++)
            break;
        if (inside && strncmp(line, "license: ", 9) == 0) {
            char *value = line + 9 + strspn(line + 9, " \"'");
            value[strcspn(value, "\"'\r\n")] = '\0';
            snprintf(session->license, sizeof session->license, "%.63s", value);
        }
    }
    if (file)
        fclose(file);
}

static int fetch_license(pull_session *session, llmcache_error *err)
{
    int there;
    lc_buffer path;
    int rc = fetch_maybe(session, "LICENSE", &there, err);
    if (rc == 0)
        rc = fetch_maybe(session, "README.md", &there, err);
    if (rc || !there)
        return rc;
    lc_buffer_init(&path, 0);
    rc = path_of(session, "README.md", &path, err);
    if (rc == 0)
        read_license(session, path.data);
    lc_buffer_done(&path);
    return rc;
}

/* ---- All of it ------------------------------------------------------------------- */

/* What the model is called here: the file's name, or the repository's. */
static void name_model(const pull_session *session, char name[MAX_PART])
{
    const hf_repository *from = &session->repository;
    size_t size = strlen(from->file);
    if (session->options->import.name)
        snprintf(name, MAX_PART, "%s", session->options->import.name);
    else
        snprintf(name, MAX_PART, "%.*s", size ? (int)size - 5 : MAX_PART,
                 size ? from->file : from->name);
}

static int place(const pull_session *session, lc_model_file *placed, llmcache_error *err)
{
    const hf_repository *from = &session->repository;
    lc_import_options import = session->options->import;
    char name[MAX_PART];
    lc_buffer path, source;
    name_model(session, name);
    lc_buffer_init(&path, 0);
    lc_buffer_init(&source, 0);
    int rc = path_of(session, *from->file ? from->file : "model.safetensors", &path, err);
    if (rc == 0 && lc_buffer_format(&source, "%s/%s/%s@%s", session->options->base_url,
                                    from->owner, from->name, from->revision))
        rc = lc_fail_memory(err);
    import.source = import.source ? import.source : source.data;
    import.name = name;
    if (!import.license && session->license[0])
        import.license = session->license;
    if (rc == 0)
        rc = lc_model_import(path.data, &import, placed, err);
    lc_buffer_done(&path);
    lc_buffer_done(&source);
    return rc;
}

/* All that has to be there, then the model in place. */
static int fetch_and_place(pull_session *session, lc_model_file *placed,
                           llmcache_error *err)
{
    const char *file = session->repository.file;
    int rc = fetch_license(session, err);
    if (rc == 0)
        rc = *file ? fetch(session, file, MAX_WEIGHTS, err)
                   : fetch_safetensors(session, err);
    return rc ? rc : place(session, placed, err);
}

int lc_pull_repository(const char *name, const lc_pull_options *options,
                       lc_model_file *placed, llmcache_error *err)
{
    pull_session session = {.options = options};
    char folder[3 * MAX_PART + 16], here[MAX_PART];
    hf_repository *from = &session.repository;
    int rc = read_name(name, from, err);
    if (rc)
        return rc;
    name_model(&session, here);
    if (!options->again && !lc_model_find(options->import.setting, here, 1, placed, NULL))
        return 0;
    snprintf(folder, sizeof folder, ".part-%s--%s@%s", from->owner, from->name,
             from->revision);
    rc = lc_pull_folder(options->import.setting, folder, &session.folder, err);
    if (rc)
        return rc;
    rc = fetch_and_place(&session, placed, err);
    if (rc == 0 || rc == LLMCACHE_CORRUPT || rc == LLMCACHE_UNSUPPORTED ||
        rc == LLMCACHE_NOT_FOUND)
        lc_pull_remove(session.folder); /* there is nothing to go on with */
    lc_free(session.folder);
    return rc;
}
