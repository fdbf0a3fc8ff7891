#include "env_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void env_name(const char *setting, char name[80])
{
    int size = snprintf(name, 80, "LLMCACHE_");
    for (; *setting && size < 79; setting++)
        name[size++] = *setting == '-' ? '_' : (char)toupper((unsigned char)*setting);
    name[size] = '\0';
}

/* Which of the variables this line sets, -1 for none. */
static int set_by(const char *line, const env_line *lines, int count)
{
    line += strspn(line, " \t");
    if (strncmp(line, "export ", 7) == 0)
        line += 7 + strspn(line + 7, " \t");
    size_t size = strcspn(line, "= \t\n");
    if (line[size + strspn(line + size, " \t")] != '=')
        return -1;
    for (int i = 0; i < count; i++)
        if (strlen(lines[i].name) == size && memcmp(lines[i].name, line, size) == 0)
            return i;
    return -1;
}

static void put_line(FILE *to, const env_line *line)
{
    int plain = line->value[strcspn(line->value, " #'\"")] == '\0';
    fprintf(to, plain ? "%s=%s\n" : "%s=\"%s\"\n", line->name, line->value);
}

/* Later lines that set the same variable again are left out: the last one would win. */
static void copy_lines(FILE *from, FILE *to, const env_line *lines, int count, char *written)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    while (from && (size = getline(&line, &room, from)) > 0) {
        int at = set_by(line, lines, count);
        if (at < 0) {
            fwrite(line, 1, (size_t)size, to);
            if (line[size - 1] != '\n')
                fputc('\n', to);
        } else if (!written[at]++) {
            put_line(to, &lines[at]);
        }
    }
    free(line);
    for (int i = 0; i < count; i++)
        if (!written[i])
            put_line(to, &lines[i]);
}

/* So that a rename outlives a crash; a folder that cannot be synchronised is no failure. */
static void keep_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

int env_file_rename(const char *from, const char *to)
{
    if (rename(from, to))
        return -1;
    unlink(from); /* two names of one file are left as they are by rename */
    keep_folder(to);
    return 0;
}

int env_file_replace(const char *path, const char *text, unsigned size)
{
    char beside[4096];
    struct stat was;
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int there = stat(path, &was) == 0;
    FILE *to = fopen(beside, "we");
    if (!to)
        return -1;
    int failed = fwrite(text, 1, size, to) != size;
    if (there)
        failed |= fchmod(fileno(to), was.st_mode & 07777) != 0;
    failed |= fflush(to) != 0 || fsync(fileno(to)) != 0;
    failed |= fclose(to) != 0;
    if (!failed && env_file_rename(beside, path) == 0)
        return 0;
    int why = errno;
    unlink(beside);
    errno = why;
    return -1;
}

int env_file_set(const char *path, const env_line *lines, int count)
{
    char *text = NULL, *written = calloc((size_t)count + 1, 1);
    size_t size = 0;
    FILE *from = fopen(path, "re");
    FILE *to = written && (from || errno == ENOENT) ? open_memstream(&text, &size) : NULL;
    int code = -1;
    if (to) {
        copy_lines(from, to, lines, count, written);
        code = fclose(to) != 0 || (from && ferror(from)) ? -1 : env_file_replace(path, text, (unsigned)size);
    }
    if (from)
        fclose(from);
    free(written);
    free(text);
    return code;
}
