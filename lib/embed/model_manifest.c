/* Reading and writing manifests. A manifest of another size of file is an old one and
 * does not count. */
#include "embed/model_manifest.h"

#include "base/json.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_MANIFEST 65536

/* The whole of a small file; *size 0 when it cannot be read or is larger. */
static int read_small(const char *path, char *bytes, size_t room, size_t *size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    *size = 0;
    if (file < 0)
        return LLMCACHE_NOT_FOUND;
    while (*size < room && (got = read(file, bytes + *size, room - *size)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        *size += got > 0 ? (size_t)got : 0;
    }
    close(file);
    return got < 0 || *size == room ? LLMCACHE_NOT_FOUND : 0;
}

static int set_text(char **slot, const lc_json *value)
{
    const char *text = lc_json_text(value, NULL);
    return lc_strset(slot, text ? text : "");
}

static void set_hash(char hash[LC_HASH_TEXT], const lc_json *value)
{
    size_t size = 0;
    const char *text = lc_json_text(value, &size);
    if (text && size == LC_HASH_TEXT - 1)
        memcpy(hash, text, LC_HASH_TEXT);
}

static int take_facts(const lc_json *root, lc_model_file *file)
{
    if (set_text(&file->license, lc_json_get(root, "license")) ||
        set_text(&file->languages, lc_json_get(root, "languages")) ||
        set_text(&file->source, lc_json_get(root, "source")))
        return LLMCACHE_MEMORY;
    set_hash(file->sha256, lc_json_get(root, "sha256"));
    set_hash(file->weights, lc_json_get(root, "weights"));
    lc_json_number(lc_json_get(root, "threshold"), &file->threshold);
    return 0;
}

int lc_manifest_read(const char *path, uint64_t bytes, lc_model_file *file)
{
    char *text = lc_alloc(MAX_MANIFEST);
    lc_json *root = NULL;
    size_t size;
    int64_t wanted = -1;
    if (!text)
        return LLMCACHE_MEMORY;
    int rc = read_small(path, text, MAX_MANIFEST, &size);
    if (rc == 0)
        rc = lc_json_parse(text, size, &root, NULL);
    if (rc == 0)
        lc_json_integer(lc_json_get(root, "bytes"), &wanted);
    if (rc == 0 && wanted >= 0 && (bytes == 0 || (uint64_t)wanted == bytes))
        rc = take_facts(root, file);
    else if (rc != LLMCACHE_MEMORY)
        rc = LLMCACHE_NOT_FOUND;
    lc_json_free(root);
    lc_free(text);
    return rc;
}

static void put_text(lc_buffer *out, const char *key, const char *text)
{
    lc_buffer_format(out, "  \"%s\": ", key);
    lc_buffer_json_text(out, text);
    lc_buffer_text(out, ",\n");
}

void lc_manifest_write(const lc_model_file *file, lc_buffer *out)
{
    lc_buffer_text(out, "{\n");
    put_text(out, "name", file->name);
    put_text(out, "source", file->source);
    put_text(out, "license", file->license);
    put_text(out, "languages", file->languages);
    put_text(out, "sha256", file->sha256);
    put_text(out, "weights", file->weights);
    lc_buffer_format(out, "  \"threshold\": %.6g,\n  \"bytes\": %llu\n}\n",
                     file->threshold, (unsigned long long)file->bytes);
}
