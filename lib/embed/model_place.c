/*
 * Placing a model: it is written under a hidden name in the models folder itself, made
 * durable, and renamed; so a file of a model's name is always whole. The old manifest
 * goes before the rename and the new one comes after it: a crash between leaves a model
 * without a manifest, never one with a false one.
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "embed/model_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (1u << 20)

int lc_tick(const lc_ticker *ticker, const char *step, uint64_t done, uint64_t total,
            llmcache_error *err)
{
    if (ticker && ticker->tick && ticker->tick(ticker->user, step, done, total))
        return lc_fail(err, LLMCACHE_ABORTED, "stopped while %s", step);
    return 0;
}

int lc_file_hash(const char *path, const char *step, const lc_ticker *ticker,
                 char text[LC_HASH_TEXT], llmcache_error *err)
{
    unsigned char digest[LC_SHA256_SIZE];
    struct stat about = {0};
    lc_sha256 hash;
    char *chunk = lc_alloc(CHUNK);
    int file = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    uint64_t done = 0;
    ssize_t size = 1;
    if (!chunk)
        rc = lc_fail_memory(err);
    else if (file < 0 || fstat(file, &about))
        rc = lc_fail(err, LLMCACHE_IO, "cannot open %s: %s", path, strerror(errno));
    lc_sha256_init(&hash);
    while (rc == 0 && size != 0) {
        size = read(file, chunk, CHUNK);
        if (size < 0 && errno != EINTR)
            rc = lc_fail(err, LLMCACHE_IO, "cannot read %s: %s", path, strerror(errno));
        else if (size > 0) {
            lc_sha256_add(&hash, chunk, (size_t)size);
            done += (uint64_t)size;
            rc = lc_tick(ticker, step, done, (uint64_t)about.st_size, err);
        }
    }
    lc_sha256_end(&hash, digest);
    lc_hex(digest, sizeof digest, text);
    if (file >= 0)
        close(file);
    lc_free(chunk);
    return rc;
}

/* ---- Drafts ---------------------------------------------------------------------- */

/* mkdir -p; `path` is changed meanwhile and left as it was. */
static int make_folders(char *path, llmcache_error *err)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0777) && errno != EEXIST;
        *slash = '/';
        if (failed)
            return lc_fail(err, LLMCACHE_IO, "cannot make folder %s: %s", path,
                           strerror(errno));
    }
    if (mkdir(path, 0777) && errno != EEXIST)
        return lc_fail(err, LLMCACHE_IO, "cannot make folder %s: %s", path,
                       strerror(errno));
    return 0;
}

/* PATH/NAME ENDING in memory of its own; NULL if there is none. */
static char *path_in(const char *folder, const char *name, const char *ending)
{
    lc_buffer path;
    lc_buffer_init(&path, 0);
    if (lc_buffer_format(&path, "%s/%s%s", folder, name, ending)) {
        lc_buffer_done(&path);
        return NULL;
    }
    return lc_buffer_take(&path, NULL);
}

/* A name of its own for each draft: the process, and the time to the nanosecond. */
static int open_draft(lc_model_draft *draft, llmcache_error *err)
{
    char name[64];
    do {
        snprintf(name, sizeof name, ".draft-%ld-%lld", (long)getpid(),
                 (long long)lc_mono_ns());
        lc_free(draft->path);
        draft->path = path_in(draft->folder, name, "");
        if (!draft->path)
            return lc_fail_memory(err);
        draft->file = open(draft->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (draft->file < 0 && errno == EEXIST);
    if (draft->file >= 0)
        return 0;
    lc_free(draft->path);
    draft->path = NULL;
    return lc_fail(err, LLMCACHE_IO, "cannot write in %s: %s", draft->folder,
                   strerror(errno));
}

int lc_model_draft_new(const char *setting, lc_model_draft *out, llmcache_error *err)
{
    lc_model_draft draft = {.file = -1};
    int rc = lc_models_folder(setting, &draft.folder, err);
    if (rc == 0)
        rc = make_folders(draft.folder, err);
    if (rc == 0)
        rc = open_draft(&draft, err);
    if (rc)
        lc_model_draft_done(&draft);
    else
        *out = draft;
    return rc;
}

void lc_model_draft_done(lc_model_draft *draft)
{
    if (draft->path) {
        unlink(draft->path);
        close(draft->file);
    }
    lc_free(draft->path);
    lc_free(draft->folder);
    *draft = (lc_model_draft){.file = -1};
}

/* ---- Placing --------------------------------------------------------------------- */

static int write_all(int file, const char *bytes, size_t size)
{
    while (size) {
        ssize_t done = write(file, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return LLMCACHE_IO;
        bytes += done;
        size -= (size_t)done;
    }
    return 0;
}

/* A small text file, whole or not at all. */
static int place_text(const char *folder, const char *path, const char *text, size_t size,
                      llmcache_error *err)
{
    lc_model_draft draft = {.file = -1, .folder = lc_strdup(folder)};
    int rc = draft.folder ? open_draft(&draft, err) : lc_fail_memory(err);
    if (rc == 0 && (write_all(draft.file, text, size) || fsync(draft.file) ||
                    rename(draft.path, path)))
        rc = lc_fail(err, LLMCACHE_IO, "cannot write %s: %s", path, strerror(errno));
    lc_model_draft_done(&draft);
    return rc;
}

static void sync_folder(const char *folder)
{
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        fsync(file);
        close(file);
    }
}

static int place_model(lc_model_draft *draft, const char *path, const char *manifest,
                       llmcache_error *err)
{
    if (fsync(draft->file))
        return lc_fail(err, LLMCACHE_IO, "cannot write %s: %s", path, strerror(errno));
    unlink(manifest);
    if (rename(draft->path, path))
        return lc_fail(err, LLMCACHE_IO, "cannot write %s: %s", path, strerror(errno));
    close(draft->file);
    lc_free(draft->path);
    draft->path = NULL;
    return 0;
}

int lc_model_draft_place(lc_model_draft *draft, lc_model_file *file, const char *notice,
                         llmcache_error *err)
{
    char *path = path_in(draft->folder, file->name, ".gguf");
    char *manifest = path_in(draft->folder, file->name, ".json");
    char *license = path_in(draft->folder, file->name, ".LICENSE.txt");
    lc_buffer text;
    lc_buffer_init(&text, 0);
    lc_manifest_write(file, &text);
    int rc = path && manifest && license && !text.broken ? 0 : lc_fail_memory(err);
    if (rc == 0 && *notice)
        rc = place_text(draft->folder, license, notice, strlen(notice), err);
    if (rc == 0)
        rc = place_model(draft, path, manifest, err);
    if (rc == 0)
        rc = place_text(draft->folder, manifest, text.data, text.size, err);
    if (rc == 0) {
        sync_folder(draft->folder);
        lc_free(file->path);
        file->path = path;
        path = NULL;
    }
    lc_buffer_done(&text);
    lc_free(path);
    lc_free(manifest);
    lc_free(license);
    return rc;
}
