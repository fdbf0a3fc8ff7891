/* The usual walk: on a mismatch the last star takes one character more. Nothing is kept but two places. */
#include "store/glob.h"

#include "base/utf8.h"

#include <string.h>

static uint32_t take(const char **at)
{
    size_t length;
    uint32_t cp = lc_utf8_decode(*at, strlen(*at), &length);
    *at += length;
    return cp;
}

/* A character of a bracket, its escape taken off. */
static uint32_t take_member(const char **at)
{
    if (**at == '\\' && (*at)[1])
        ++*at;
    return take(at);
}

/* Is `cp` in the bracket behind `*at`? -1: it is never closed. *at moves behind it. */
static int in_bracket(const char **at, uint32_t cp)
{
    const char *p = *at;
    int found = 0, inverted = *p == '!' || *p == '^';
    p += inverted;
    for (int first = 1; *p && (first || *p != ']'); first = 0) {
        uint32_t low = take_member(&p), high = low;
        if (p[0] == '-' && p[1] && p[1] != ']') {
            p++;
            high = take_member(&p);
        }
        found |= cp >= low && cp <= high;
    }
    if (*p != ']')
        return -1;
    *at = p + 1;
    return found != inverted;
}

/* Takes one character of text by one term of the pattern that is no star. */
static int step(const char **pattern, const char **text)
{
    const char *p = *pattern, *t = *text;
    if (!*p || !*t)
        return 0;
    uint32_t cp = take(&t);
    int matches;
    if (*p == '?') {
        p++;
        matches = 1;
    } else if (*p == '[') {
        p++;
        matches = in_bracket(&p, cp);
        if (matches < 0)
            matches = cp == '[';
    } else {
        matches = take_member(&p) == cp;
    }
    if (matches) {
        *pattern = p;
        *text = t;
    }
    return matches;
}

int lc_glob_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *again = NULL;
    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            again = text;
            continue;
        }
        if (!*pattern && !*text)
            return 1;
        if (step(&pattern, &text))
            continue;
        if (!star || !*again)
            return 0;
        take(&again);
        pattern = star;
        text = again;
    }
}
