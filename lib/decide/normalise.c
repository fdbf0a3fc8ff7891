/*
 * A phrase at the beginning is left out when a word ends with it and something is left
 * behind it; what follows it (commas, spaces) goes too. The end works the same way, its
 * question mark stays.
 */
#include "decide/normalise.h"

#include "base/utf8.h"
#include "decide/folding.h"

#include <llmcache/llmcache.h>
#include <string.h>
#include <strings.h>

static const char *const before[] = {
#define LC_POLITE_BEFORE(phrase) phrase,
#define LC_POLITE_BEHIND(phrase)
#include "decide/politeness.def"
#undef LC_POLITE_BEFORE
#undef LC_POLITE_BEHIND
};

static const char *const behind[] = {
#define LC_POLITE_BEFORE(phrase)
#define LC_POLITE_BEHIND(phrase) phrase,
#include "decide/politeness.def"
#undef LC_POLITE_BEFORE
#undef LC_POLITE_BEHIND
};

struct span {
    const char *text;
    size_t size;
};

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '\'';
}

/* Commas, stops and spaces, in ASCII and as Chinese has them. */
static size_t pause_at(struct span span)
{
    static const char *const pauses[] = {" ", ",", "!", ".", ";", ":", "、", "。"};
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        size_t size = strlen(pauses[i]);
        if (size <= span.size && memcmp(span.text, pauses[i], size) == 0)
            return size;
    }
    return 0;
}

static struct span skip_pauses(struct span span)
{
    for (size_t size; (size = pause_at(span)) > 0;)
        span = (struct span){span.text + size, span.size - size};
    return span;
}

/* What is left behind one polite phrase at the beginning; the whole when there is none or
 * nothing would be left. */
static struct span cut_before(struct span span)
{
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        size_t size = strlen(before[i]);
        if (size >= span.size || strncasecmp(span.text, before[i], size) != 0 ||
            (is_letter(span.text[size - 1]) && is_letter(span.text[size])))
            continue;
        struct span rest = skip_pauses((struct span){span.text + size, span.size - size});
        if (rest.size > 0 && rest.text[0] != '?')
            return rest;
    }
    return span;
}

/* Where the text ends without its last punctuation. */
static size_t end_of_words(struct span span)
{
    size_t end = span.size;
    while (end > 0 && strchr(" ,.!?;", span.text[end - 1]))
        end--;
    return end;
}

/* The same at the end; *mark tells whether a question mark went with the phrase. */
static struct span cut_behind(struct span span, int *mark)
{
    size_t end = end_of_words(span);
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        size_t size = strlen(behind[i]);
        if (size >= end || strncasecmp(span.text + end - size, behind[i], size) != 0 ||
            (is_letter(span.text[end - size]) && is_letter(span.text[end - size - 1])))
            continue;
        size_t left = end - size;
        while (left > 0 && strchr(" ,.;", span.text[left - 1]))
            left--;
        if (left == 0)
            continue;
        *mark |= memchr(span.text + end, '?', span.size - end) != NULL &&
                 span.text[left - 1] != '?';
        return (struct span){span.text, left};
    }
    return span;
}

int lc_normalise_question(const char *text, size_t size, lc_buffer *out)
{
    lc_buffer folded;
    int mark = 0;
    lc_buffer_init(&folded, 0);
    int code = lc_fold_text(text, size, &folded);
    if (code) {
        lc_buffer_done(&folded);
        return out->broken = code;
    }
    struct span span = {folded.data ? folded.data : "", folded.size};
    for (struct span last = {NULL, 0}; last.size != span.size;) {
        last = span;
        span = cut_behind(cut_before(span), &mark);
    }
    lc_buffer_add(out, span.text, span.size);
    if (mark)
        lc_buffer_byte(out, '?');
    lc_buffer_done(&folded);
    return out->broken;
}
