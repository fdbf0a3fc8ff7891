/*
 * What belongs to one test: folders, files, strings, and whatever else is to be undone
 * when it ends. Everything is on one list that is walked at exit, latest first; a forked
 * child that exits must not remove its parent's folder, so the list knows its process.
 */
#include "support.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct kept {
    struct kept *next, *before;
    void (*undo)(void *what); /* NULL: only the string below */
    void *what;
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

static int remove_one(const char *path, const struct stat *about, int kind,
                      struct FTW *walk)
{
    if (kind == FTW_DNR)
        chmod(path, 0700);
    remove(path);
    return 0; /* go on: what cannot be removed is left */
}

static void remove_folder(void *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void unlink_kept(kept *one)
{
    pthread_mutex_lock(&lock);
    *(one->before ? &one->before->next : &all) = one->next;
    if (one->next)
        one->next->before = one->before;
    pthread_mutex_unlock(&lock);
}

static void clean_up(void)
{
    while (getpid() == owner && all) {
        kept *one = all;
        unlink_kept(one);
        if (one->undo)
            one->undo(one->what);
        free(one);
    }
}

static void link_kept(kept *one)
{
    pthread_mutex_lock(&lock);
    if (owner != getpid()) {
        owner = getpid();
        all = NULL;
        atexit(clean_up);
    }
    one->before = NULL;
    one->next = all;
    if (all)
        all->before = one;
    all = one;
    pthread_mutex_unlock(&lock);
}

/* Room for a string of `size` bytes and its NUL that lives until the test ends. */
static char *keep(size_t size)
{
    kept *one = malloc(sizeof *one + size + 1);
    if (!one)
        test_give_up("out of memory");
    one->undo = NULL;
    one->text[size] = '\0';
    link_kept(one);
    return one->text;
}

void test_release(char *kept_text)
{
    if (!kept_text)
        return;
    kept *one = (kept *)(void *)(kept_text - offsetof(kept, text));
    unlink_kept(one);
    free(one);
}

void test_at_end(void (*undo)(void *what), void *what)
{
    kept *one = calloc(1, sizeof *one + 1);
    if (!one)
        test_give_up("out of memory");
    one->undo = undo;
    one->what = what;
    link_kept(one);
}

static void drop_json(void *root)
{
    json_decref(root);
}

json_t *test_json(const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!root)
        test_give_up("no JSON: %s: %.200s", error.text, text);
    test_at_end(drop_json, root);
    return root;
}

const char *test_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0)
        test_give_up("bad format %s", format);
    char *text = keep((size_t)size);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

char *test_keep(const void *bytes, size_t size)
{
    char *copy = keep(size);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

int test_count(const char *text, const char *what)
{
    int count = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        count++;
    return count;
}

const char *test_folder(void)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base || strlen(base) > 60) /* a socket's path has 107 bytes */
        base = "/tmp";
    char *path = keep(strlen(base) + sizeof "/llmcache-XXXXXX" - 1);
    sprintf(path, "%s/llmcache-XXXXXX", base);
    if (!mkdtemp(path))
        test_give_up("no folder in %s: %s", base, strerror(errno));
    test_at_end(remove_folder, path);
    return path;
}

/* By reading, not by the size the system says: files of /proc have none. */
char *test_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *bytes = NULL;
    size_t got = 0, room = 0, more;
    do {
        if (got == room)
            bytes = realloc(bytes, room = room * 2 + 4096);
        if (!bytes)
            test_give_up("out of memory");
        more = fread(bytes + got, 1, room - got, file);
        got += more;
    } while (more);
    fclose(file);
    char *copy = test_keep(bytes, got);
    free(bytes);
    if (size)
        *size = got;
    return copy;
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
