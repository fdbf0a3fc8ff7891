/* Settings in a file of NAME=value lines, such as .env. */
#ifndef ENV_FILE_H
#define ENV_FILE_H

typedef struct env_line {
    char name[80]; /* LLMCACHE_THRESHOLD */
    char value[512];
} env_line;

/* The variable of a setting: "score-threshold-en" gives LLMCACHE_SCORE_THRESHOLD_EN. */
void env_name(const char *setting, char name[80]);

/*
 * Sets the variables in the file, which need not be there: a line that sets one is exchanged, others are
 * appended, everything else stays as it is. The file is replaced as a whole, its mode is kept. 0, or -1 with
 * errno.
 */
int env_file_set(const char *path, const env_line *lines, int count);

/* The whole of a file is replaced by `text` (size 0666 less the umask when it is new). 0, or -1 with errno. */
int env_file_replace(const char *path, const char *text, unsigned size);

/* Takes the place of `to`, also when both name one file; then `from` is no more. 0, or -1 with errno. */
int env_file_rename(const char *from, const char *to);

#endif
