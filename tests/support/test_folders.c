/*
 * Folders, files and strings of one test. Everything made is on one list that is walked at exit;
 * a forked child that exits must not remove its parent's folder, so the list knows its process.
 */
#include "support.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct kept {
    struct kept *next;
    int is_folder;
    char text[];
} kept;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static kept *all;
static pid_t owner;

void test_give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("test support: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    if (kind == FTW_DNR)
        chmod(path, 0700);
    remove(path);
    return 0; /* go on: what cannot be removed is left */
}

static void clean_up(void)
{
    if (getpid() != owner)
        return;
    while (all) {
        kept *one = all;
        all = one->next;
        if (one->is_folder)
            nftw(one->text, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(one);
    }
}

/* Room for a string of `size` bytes and its NUL that lives until the test ends. */
static char *keep(size_t size, int is_folder)
{
    kept *one = malloc(sizeof *one + size + 1);
    if (!one)
        test_give_up("out of memory");
    one->is_folder = is_folder;
    one->text[size] = '\0';
    pthread_mutex_lock(&lock);
    if (owner != getpid()) {
        owner = getpid();
        all = NULL;
        atexit(clean_up);
    }
    one->next = all;
    all = one;
    pthread_mutex_unlock(&lock);
    return one->text;
}

const char *test_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0)
        test_give_up("bad format %s", format);
    char *text = keep((size_t)size, 0);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

char *test_keep(const void *bytes, size_t size)
{
    char *copy = keep(size, 0);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

const char *test_folder(void)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base || strlen(base) > 60) /* a socket's path has 107 bytes */
        base = "/tmp";
    char *path = keep(strlen(base) + sizeof "/llmcache-XXXXXX" - 1, 1);
    sprintf(path, "%s/llmcache-XXXXXX", base);
    if (!mkdtemp(path))
        test_give_up("no folder in %s: %s", base, strerror(errno));
    return path;
}

char *test_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    struct stat about;
    size_t room = fstat(fileno(file), &about) ? 0 : (size_t)about.st_size;
    char *bytes = keep(room, 0);
    size_t got = fread(bytes, 1, room, file);
    fclose(file);
    bytes[got] = '\0';
    if (size)
        *size = got;
    return bytes;
}

void test_write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "we");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        test_give_up("cannot write %s: %s", path, strerror(errno));
}

void test_write_text(const char *path, const char *text)
{
    test_write_file(path, text, strlen(text));
}

int test_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

const char *test_source_path(const char *below)
{
    return test_format("%s/%s", TEST_SOURCE_ROOT, below);
}

const char *test_build_path(const char *below)
{
    return test_format("%s/%s", TEST_BUILD_ROOT, below);
}

const char *test_shared_data(const char *name)
{
    const char *path = test_format("%s/../shared/data/%s", TEST_SOURCE_ROOT, name);
    return test_exists(path) ? path : NULL;
}
