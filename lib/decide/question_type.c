/* The question's type by its first question word; none and an auxiliary in front: yes or no. */
#include "decide/question_type.h"

#include <string.h>

struct row {
    const char *word;
    lc_question_type type;
};

static const struct row english[] = {
#define LC_ASKS(word, type) {word, LC_ASKS_##type},
#define LC_ASKS_ZH(word, type)
#include "decide/question_types.def"
#undef LC_ASKS
#undef LC_ASKS_ZH
};

static const struct row chinese[] = {
#define LC_ASKS(word, type)
#define LC_ASKS_ZH(word, type) {word, LC_ASKS_##type},
#include "decide/question_types.def"
#undef LC_ASKS
#undef LC_ASKS_ZH
};

static const char *const auxiliaries[] = {
    "am", "are",   "can",  "could", "did",    "do",  "does", "had",  "has",   "have", "is",
    "may", "might", "must", "shall", "should", "was", "were", "will", "would",
};

/* "how many", "how long": asks for a quantity. */
static const char *const quantities[] = {
    "big", "deep", "far", "fast", "heavy", "high", "large", "long", "many", "much", "often", "old", "tall", "wide",
};

/* Not names when they have a capital: the score's own list. */
static const char *const function_words[] = {
    "a",  "am", "an", "are", "at", "can", "could", "did", "do", "does", "had", "has", "have", "how", "i", "if", "in",
    "is", "it", "my", "on", "should", "the", "was", "were", "what", "when", "where", "which", "who", "why", "will",
    "would",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

int lc_is_function_word(const lc_reading *reading, size_t term)
{
    return lc_term_in(reading, term, function_words, COUNT(function_words));
}

static lc_question_type type_english(const lc_reading *reading)
{
    if (lc_term_in(reading, 0, auxiliaries, COUNT(auxiliaries)))
        return LC_ASKS_YES;
    for (size_t i = 0; i < reading->term_count; i++)
        for (size_t row = 0; row < COUNT(english); row++)
            if (lc_term_is(reading, i, english[row].word))
                return english[row].type == LC_ASKS_HOW &&
                               lc_term_in(reading, i + 1, quantities, COUNT(quantities))
                           ? LC_ASKS_NUMBER
                           : english[row].type;
    return LC_ASKS_UNKNOWN;
}

lc_question_type lc_question_type_of(const lc_reading *reading)
{
    if (reading->han_count == 0)
        return type_english(reading);
    for (size_t row = 0; row < COUNT(chinese); row++)
        if (lc_reading_contains(reading, chinese[row].word, strlen(chinese[row].word)))
            return chinese[row].type;
    return LC_ASKS_UNKNOWN;
}

static int is_narrow(lc_question_type type)
{
    return type >= LC_ASKS_WHY && type <= LC_ASKS_NUMBER;
}

int lc_question_types_differ(lc_question_type a, lc_question_type b)
{
    return a != LC_ASKS_UNKNOWN && b != LC_ASKS_UNKNOWN && a != b &&
           (is_narrow(a) || is_narrow(b));
}
