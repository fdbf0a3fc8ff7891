/* Finding models: paths, names, the default, and what is known of a file. */
#include "embed/model_folder.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "embed/model_manifest.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SUFFIX      ".gguf"
#define SUFFIX_SIZE 5
#define MAX_NAME    96

void lc_model_file_done(lc_model_file *file)
{
    lc_free(file->name);
    lc_free(file->path);
    lc_free(file->license);
    lc_free(file->languages);
    lc_free(file->source);
    *file = (lc_model_file){0};
}

int lc_models_folder(const char *setting, char **folder, llmcache_error *err)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    lc_buffer path;
    lc_buffer_init(&path, 0);
    if (setting && *setting)
        lc_buffer_text(&path, setting);
    else if (data && *data == '/')
        lc_buffer_format(&path, "%s/llmcache/models", data);
    else if (home && *home == '/')
        lc_buffer_format(&path, "%s/.local/share/llmcache/models", home);
    else
        return lc_fail(err, LLMCACHE_SETTING,
                       "models-folder: neither it nor XDG_DATA_HOME nor HOME is set");
    if (path.broken) {
        lc_buffer_done(&path);
        return lc_fail_memory(err);
    }
    *folder = lc_buffer_take(&path, NULL);
    return 0;
}

int lc_model_name_ok(const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > MAX_NAME || *name == '.' || *name == '-')
        return 0;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return 0;
    return 1;
}

/* ---- One file -------------------------------------------------------------------- */

/* "PATH/NAME.gguf" with another ending. */
static char *sibling(const char *path, const char *ending)
{
    size_t size = strlen(path);
    if (size > SUFFIX_SIZE && strcasecmp(path + size - SUFFIX_SIZE, SUFFIX) == 0)
        size -= SUFFIX_SIZE;
    lc_buffer made;
    lc_buffer_init(&made, 0);
    lc_buffer_add(&made, path, size);
    if (lc_buffer_text(&made, ending) == 0)
        return lc_buffer_take(&made, NULL);
    lc_buffer_done(&made);
    return NULL;
}

static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return sibling(slash ? slash + 1 : path, "");
}

/* For a file without a manifest: the table's advice for its name, and the file's own
 * words. */
static int guess_facts(lc_model_file *file, const lc_gguf *gguf, llmcache_error *err)
{
    const lc_model_row *row = lc_model_row_of(file->name);
    lc_span license = {0};
    if (lc_gguf_text(gguf, "general.license", LC_GGUF_MAYBE, &license, NULL))
        license.size = 0;
    lc_free(file->license);
    file->license = lc_strndup(license.data ? license.data : "", license.size);
    if (!file->license || lc_strset(&file->languages, row ? row->languages : "") ||
        lc_strset(&file->source, ""))
        return lc_fail_memory(err);
    file->threshold = row ? row->threshold : 0;
    return 0;
}

/* Fills what the manifest does not say. */
static int complete(lc_model_file *file, int manifest, int weights, llmcache_error *err)
{
    unsigned char digest[LC_SHA256_SIZE];
    lc_gguf *gguf;
    if (manifest && (file->weights[0] || !weights))
        return 0;
    int rc = lc_gguf_open(file->path, &gguf, err);
    if (rc)
        return rc;
    if (!manifest)
        rc = guess_facts(file, gguf, err);
    if (rc == 0 && weights) {
        lc_gguf_weights_hash(gguf, digest);
        lc_hex(digest, sizeof digest, file->weights);
    }
    lc_gguf_close(gguf);
    return rc;
}

/* A manifest speaks of the file as it was then: one that was changed later is another
 * model. */
static int is_of(const char *manifest, const struct stat *file)
{
    struct stat about;
    if (stat(manifest, &about))
        return 0;
    return about.st_mtim.tv_sec != file->st_mtim.tv_sec
               ? about.st_mtim.tv_sec > file->st_mtim.tv_sec
               : about.st_mtim.tv_nsec >= file->st_mtim.tv_nsec;
}

static int load(const char *path, int weights, lc_model_file *out, llmcache_error *err)
{
    lc_model_file file = {.path = lc_strdup(path), .name = name_of(path)};
    char *manifest = sibling(path, ".json");
    struct stat about;
    int rc = file.path && file.name && manifest ? 0 : lc_fail_memory(err);
    if (rc == 0 && (stat(path, &about) || !S_ISREG(about.st_mode)))
        rc = lc_fail(err, LLMCACHE_NOT_FOUND, "there is no model file %s", path);
    if (rc == 0) {
        file.bytes = (uint64_t)about.st_size;
        file.known = lc_model_row_of(file.name) != NULL;
        rc = is_of(manifest, &about) ? lc_manifest_read(manifest, file.bytes, &file)
                                     : LLMCACHE_NOT_FOUND;
        rc = rc == LLMCACHE_MEMORY ? lc_fail_memory(err)
                                   : complete(&file, rc == 0, weights, err);
    }
    lc_free(manifest);
    if (rc)
        lc_model_file_done(&file);
    else
        *out = file;
    return rc;
}

int lc_model_recorded(const lc_model_file *file, char weights[LC_HASH_TEXT],
                      char sha256[LC_HASH_TEXT], llmcache_error *err)
{
    lc_model_file recorded = {0};
    char *manifest = sibling(file->path, ".json");
    int rc = manifest ? lc_manifest_read(manifest, 0, &recorded) : LLMCACHE_MEMORY;
    memcpy(weights, recorded.weights, LC_HASH_TEXT);
    memcpy(sha256, recorded.sha256, LC_HASH_TEXT);
    lc_model_file_done(&recorded);
    lc_free(manifest);
    return rc == LLMCACHE_MEMORY ? lc_fail_memory(err) : 0;
}

/* ---- The folder ------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcasecmp(*(char *const *)a, *(char *const *)b);
}

/* The paths of all model files, sorted by name. Free each and the array. */
typedef struct path_list {
    char **items;
    size_t count;
    size_t room;
} path_list;

static void paths_done(path_list *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        lc_free(paths->items[i]);
    lc_free(paths->items);
}

static int add_path(path_list *paths, const char *folder, const char *name)
{
    if (paths->count == paths->room) {
        size_t room = paths->room ? 2 * paths->room : 16;
        char **items = lc_realloc_array(paths->items, room, sizeof *items);
        if (!items)
            return LLMCACHE_MEMORY;
        paths->items = items;
        paths->room = room;
    }
    lc_buffer path;
    lc_buffer_init(&path, 0);
    if (lc_buffer_format(&path, "%s/%s", folder, name)) {
        lc_buffer_done(&path);
        return LLMCACHE_MEMORY;
    }
    paths->items[paths->count++] = lc_buffer_take(&path, NULL);
    return 0;
}

static int list(const char *folder, path_list *paths, llmcache_error *err)
{
    DIR *open = opendir(folder);
    int rc = 0;
    if (!open && errno == ENOENT)
        return 0;
    if (!open)
        return lc_fail(err, LLMCACHE_IO, "cannot read %s: %s", folder, strerror(errno));
    for (struct dirent *entry; rc == 0 && (entry = readdir(open));) {
        size_t size = strlen(entry->d_name);
        if (entry->d_name[0] != '.' && size > SUFFIX_SIZE &&
            strcasecmp(entry->d_name + size - SUFFIX_SIZE, SUFFIX) == 0)
            rc = add_path(paths, folder, entry->d_name);
    }
    closedir(open);
    if (rc)
        return lc_fail_memory(err);
    if (paths->count)
        qsort(paths->items, paths->count, sizeof *paths->items, compare_names);
    return 0;
}

int lc_models_each(const char *setting, int (*fn)(void *user, const lc_model_file *file),
                   void *user, llmcache_error *err)
{
    path_list paths = {0};
    char *folder;
    int rc = lc_models_folder(setting, &folder, err);
    if (rc)
        return rc;
    rc = list(folder, &paths, err);
    for (size_t i = 0; rc == 0 && i < paths.count; i++) {
        lc_model_file file = {0};
        rc = load(paths.items[i], 0, &file, NULL);
        if (rc == LLMCACHE_MEMORY)
            rc = lc_fail_memory(err);
        else if (rc)
            rc = 0; /* not a model, or gone meanwhile: it does not hide the others */
        else
            rc = fn(user, &file);
        lc_model_file_done(&file);
    }
    paths_done(&paths);
    lc_free(folder);
    return rc;
}

/* ---- Finding --------------------------------------------------------------------- */

static int absent(const char *name, llmcache_error *err)
{
    if (!*name)
        return lc_fail(err, LLMCACHE_NOT_FOUND,
                       "there is no model yet: llmcache-cli model pull gets one");
    if (lc_model_row_of(name))
        return lc_fail(err, LLMCACHE_NOT_FOUND,
                       "model %s is not here: llmcache-cli model pull %s gets it", name,
                       name);
    return lc_fail(err, LLMCACHE_NOT_FOUND,
                   "there is no model %.96s: see llmcache-cli model list", name);
}

static int is_named(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    size_t size = strlen(name);
    path = slash ? slash + 1 : path;
    return strncasecmp(path, name, size) == 0 && strcasecmp(path + size, SUFFIX) == 0;
}

static const char *path_named(const path_list *paths, const char *name)
{
    for (size_t i = 0; i < paths->count; i++)
        if (is_named(paths->items[i], name))
            return paths->items[i];
    return NULL;
}

/* The first of the table's models that is there; otherwise the only file there is. */
static const char *default_path(const path_list *paths)
{
    const char *path = NULL;
    const lc_model_row *row;
    for (size_t i = 0; !path && (row = lc_model_row_at(i)); i++)
        path = path_named(paths, row->name);
    return !path && paths->count == 1 ? paths->items[0] : path;
}

int lc_model_find(const char *setting, const char *name, int weights, lc_model_file *file,
                  llmcache_error *err)
{
    path_list paths = {0};
    char *folder;
    name = name ? name : "";
    size_t size = strlen(name);
    if (strchr(name, '/') ||
        (size > SUFFIX_SIZE && strcasecmp(name + size - SUFFIX_SIZE, SUFFIX) == 0))
        return load(name, weights, file, err);
    int rc = lc_models_folder(setting, &folder, err);
    if (rc)
        return rc;
    rc = list(folder, &paths, err);
    if (rc == 0) {
        const char *path = *name ? path_named(&paths, name) : default_path(&paths);
        rc = path ? load(path, weights, file, err) : absent(name, err);
    }
    paths_done(&paths);
    lc_free(folder);
    return rc;
}
