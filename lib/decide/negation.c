/* Counting negations: each word of the list, unless an idiom stands around it or it asks
 * (A不A). */
#include "decide/negation.h"

#include <string.h>

static const char *const words[] = {
#define LC_NEGATION(word) word,
#define LC_NEGATION_ZH(character)
#define LC_NEGATION_IDIOM(phrase)
#include "decide/negations.def"
#undef LC_NEGATION
#undef LC_NEGATION_ZH
#undef LC_NEGATION_IDIOM
};

static const char *const characters[] = {
#define LC_NEGATION(word)
#define LC_NEGATION_ZH(character) character,
#define LC_NEGATION_IDIOM(phrase)
#include "decide/negations.def"
#undef LC_NEGATION
#undef LC_NEGATION_ZH
#undef LC_NEGATION_IDIOM
};

static const char *const idioms[] = {
#define LC_NEGATION(word)
#define LC_NEGATION_ZH(character)
#define LC_NEGATION_IDIOM(phrase) phrase,
#include "decide/negations.def"
#undef LC_NEGATION
#undef LC_NEGATION_ZH
#undef LC_NEGATION_IDIOM
};

#define LONGEST 12

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* "don't" and "dont" are one word. */
static int is_negative_word(const lc_reading *reading, const lc_term *term)
{
    char word[LONGEST];
    size_t size = 0;
    for (size_t i = 0; i < term->size; i++) {
        char c = reading->text[term->at + i];
        if (c == '\'')
            continue;
        if (size + 1 == sizeof word)
            return 0;
        word[size++] = c;
    }
    word[size] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], word) == 0)
            return 1;
    return 0;
}

static int is_negative_character(const lc_reading *reading, const lc_term *term)
{
    for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++)
        if (memcmp(reading->text + term->at, characters[i], 3) == 0)
            return 1;
    return 0;
}

/* 是不是, 會不會, 要沒要: the character before is the one behind. */
static int asks(const lc_reading *reading, size_t position)
{
    if (position == 0 || position + 1 >= reading->term_count)
        return 0;
    const lc_term *before = &reading->terms[position - 1],
                  *behind = &reading->terms[position + 1];
    return before->kind == LC_TERM_HAN && behind->kind == LC_TERM_HAN &&
           memcmp(reading->text + before->at, reading->text + behind->at, 3) == 0;
}

static int stands_alone(const lc_reading *reading, size_t at, size_t size)
{
    return !(is_letter(reading->text[at]) && at > 0 &&
             is_letter(reading->text[at - 1])) &&
           !(is_letter(reading->text[at + size - 1]) &&
             is_letter(reading->text[at + size]));
}

/* Does one of the idioms cover this term? */
static int in_idiom(const lc_reading *reading, const lc_term *term)
{
    for (size_t i = 0; i < sizeof idioms / sizeof idioms[0]; i++) {
        size_t size = strlen(idioms[i]);
        for (size_t k = 0; k + term->size <= size && k <= term->at; k++) {
            size_t at = term->at - k;
            if (at + size <= reading->size && idioms[i][k] == reading->text[term->at] &&
                memcmp(reading->text + at, idioms[i], size) == 0 &&
                stands_alone(reading, at, size))
                return 1;
        }
    }
    return 0;
}

/* The "No," that opens an answer, and the "No." of numbers. */
static int is_particle(const lc_reading *reading, const lc_term *term)
{
    char behind = reading->text[term->at + term->size];
    return term->size == 2 && (behind == ',' || behind == '.');
}

int lc_negation_at(const lc_reading *reading, size_t position)
{
    const lc_term *term = &reading->terms[position];
    if (term->kind == LC_TERM_HAN)
        return is_negative_character(reading, term) && !asks(reading, position) &&
               !in_idiom(reading, term);
    return is_negative_word(reading, term) && !is_particle(reading, term) &&
           !in_idiom(reading, term);
}

size_t lc_negations_count(const lc_reading *reading, size_t *first)
{
    size_t count = 0;
    for (size_t i = 0; i < reading->term_count; i++) {
        if (!lc_negation_at(reading, i))
            continue;
        if (count++ == 0 && first)
            *first = i;
    }
    if (count == 0 && first)
        *first = reading->term_count;
    return count;
}
