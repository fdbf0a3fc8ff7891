/*
 * Questions about now: their answers do not last, so they are not shared by meaning, and
 * what is kept of them is kept for a short time.
 */
#include "decide/marks.h"

#include <stdio.h>
#include <string.h>

#define STORY_TERMS   10
#define STORY_HAN     30
#define STATEMENT_HAN 15

static const lc_mark marks[] = {
#include "decide/volatile.def"
};

/* Words before a mark that take its meaning of now: electric current, "what do I do now".
 */
static int is_idiom(const lc_reading *reading, const lc_sighting *mark)
{
    static const char *const idioms[] = {
        "alternating current",
        "direct current",
        "electric current",
        "electrical current",
        "ocean current",
        "rip current",
        "do now",
        "what now",
        "by now",
        "just now",
        "until now",
        "up to now",
        "and now",
        "but now",
        "before now",
        "not up to date",
        "not current",
        "出現在",
        "出现在",
        "發現在",
        "发现在",
        "呈現在",
        "呈现在",
        "表現在",
        "表现在",
        "實現在",
        "实现在",
        "體現在",
        "体现在",
        "展現在",
        "展现在",
        "浮現在",
    };
    if (strcmp(mark->value, "told") == 0 && mark->at + mark->size < reading->size &&
        strncmp(reading->text + mark->at, "current account", 15) == 0)
        return 1;
    for (size_t i = 0; i < sizeof idioms / sizeof idioms[0]; i++) {
        size_t size = strlen(idioms[i]);
        size_t end = (size_t)mark->at + mark->size;
        if (end >= size && memcmp(reading->text + end - size, idioms[i], size) == 0)
            return 1;
    }
    return 0;
}

/* A text that asks for something. */
static int asks(const lc_reading *reading)
{
    static const char *const openers[] = {
        "any",  "are",   "can",   "check", "could", "did",  "do",     "does",
        "find", "get",   "give",  "has",   "have",  "how",  "how's",  "is",
        "list", "show",  "tell",  "was",   "were",  "what", "what's", "whats",
        "when", "where", "which", "who",   "who's", "why",  "will",   "would",
    };
    static const char *const signs[] = {
        "?",  "嗎", "吗", "什", "甚", "多少", "幾", "几", "如何", "怎", "哪",
        "誰", "谁", "何", "請", "请", "幫",   "帮", "查", "告",   "呢", "是否"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (lc_reading_contains(reading, signs[i], strlen(signs[i])))
            return 1;
    return lc_term_in(reading, 0, openers, sizeof openers / sizeof openers[0]);
}

/* A long text, in English one that speaks of its writer, tells what happened: its
 * "yesterday" does not make it a question about now. */
static int is_story(const lc_reading *reading)
{
    static const char *const persons[] = {"i", "i'm", "i've", "me", "my", "we"};
    if (reading->han_count > 0)
        return reading->han_count > STORY_HAN ||
               (reading->han_count > STATEMENT_HAN && !asks(reading));
    if (reading->term_count <= STORY_TERMS)
        return 0;
    for (size_t i = 0; i < reading->term_count; i++)
        if (lc_term_in(reading, i, persons, sizeof persons / sizeof persons[0]))
            return 1;
    return !asks(reading);
}

/* The mark that makes it a question about now, or NULL. */
static const lc_sighting *about_now(const lc_reading *reading, lc_sightings *found)
{
    int story = is_story(reading);
    lc_marks_find(marks, sizeof marks / sizeof marks[0], reading, found);
    for (size_t i = 0; i < found->count; i++)
        if (!is_idiom(reading, &found->list[i]) &&
            !(story && strcmp(found->list[i].value, "told") == 0))
            return &found->list[i];
    return NULL;
}

int lc_rule_volatile(const lc_case *c, char *detail)
{
    lc_sightings in_a, in_b;
    const lc_sighting *left = about_now(&c->a, &in_a), *right = about_now(&c->b, &in_b);
    if (!left && !right)
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}

int lc_volatile(const char *text, size_t size, char word[LC_DETAIL_SIZE])
{
    lc_reading reading;
    lc_sightings found;
    int code = lc_reading_init(&reading, text, size < LC_TEXT_MAX ? size : LC_TEXT_MAX);
    if (code)
        return code;
    const lc_sighting *mark = about_now(&reading, &found);
    if (mark && word)
        snprintf(word, LC_DETAIL_SIZE, "%.*s", (int)mark->size, reading.text + mark->at);
    lc_reading_done(&reading);
    return mark != NULL;
}
