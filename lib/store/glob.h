/* Patterns as shells have them, over characters. */
#ifndef LC_STORE_GLOB_H
#define LC_STORE_GLOB_H

/*
 * Does the pattern match all of the text? * is any text, ? one character, [abc], [a-z] and [!a-z] one of
 * these, \ takes what follows as it is. A bracket that is never closed stands for itself. Time is at worst
 * the product of both lengths.
 */
int lc_glob_matches(const char *pattern, const char *text);

#endif
