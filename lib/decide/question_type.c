/* The question's type by its first question word; none and an auxiliary in front: yes or
 * no. */
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
    "am", "are", "can",   "could", "did",   "do",     "does", "had",  "has",  "have",
    "is", "may", "might", "must",  "shall", "should", "was",  "were", "will", "would",
};

/* "how many", "how long": asks for a quantity. */
static const char *const quantities[] = {
    "big",  "deep", "far",  "fast",  "heavy", "high", "large",
    "long", "many", "much", "often", "old",   "tall", "wide",
};

/* Not names when they have a capital: the score's own list. */
static const char *const function_words[] = {
    "a",     "am",    "an",  "are",    "at",   "can",   "could", "did",  "do",
    "does",  "had",   "has", "have",   "how",  "i",     "if",    "in",   "is",
    "it",    "my",    "on",  "should", "the",  "was",   "were",  "what", "when",
    "where", "which", "who", "why",    "will", "would",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

int lc_is_function_word(const lc_reading *reading, size_t term)
{
    return lc_term_in(reading, term, function_words, COUNT(function_words));
}

static lc_question_type type_from(const lc_reading *reading, size_t from, size_t *at)
{
    *at = 0;
    for (size_t i = from; i < reading->term_count; i++)
        for (size_t row = 0; row < COUNT(english); row++) {
            if (!lc_term_is(reading, i, english[row].word))
                continue;
            *at = i;
            if (lc_term_is(reading, i, "how") && lc_term_is(reading, i + 1, "come"))
                return LC_ASKS_WHY;
            return english[row].type == LC_ASKS_HOW &&
                           lc_term_in(reading, i + 1, quantities, COUNT(quantities))
                       ? LC_ASKS_NUMBER
                       : english[row].type;
        }
    return LC_ASKS_UNKNOWN;
}

static lc_question_type type_english(const lc_reading *reading, size_t *at)
{
    *at = 0;
    if (lc_term_in(reading, 0, auxiliaries, COUNT(auxiliaries)))
        return LC_ASKS_YES;
    return type_from(reading, 0, at);
}

/* "Is called what" holds the letters of "why": 稱為什麼, 成為什麼. */
static int is_called_what(const lc_reading *reading, const char *found)
{
    static const char *const before[] = {"稱", "称", "成", "作", "列", "改", "名",
                                         "視", "视", "譯", "译", "認", "认"};
    size_t at = (size_t)(found - reading->text);
    for (size_t i = 0; i < COUNT(before); i++)
        if (at >= 3 && memcmp(found - 3, before[i], 3) == 0)
            return 1;
    return 0;
}

/* 在哪一年, 在哪個國家 ask for a year, a country. */
static int is_which(const char *found, const char *word)
{
    static const char *const behind[] = {"一", "個", "个", "年", "位", "種",
                                         "种", "些", "場", "场", "國", "国"};
    if (strcmp(word, "在哪") != 0 && strcmp(word, "去哪") != 0)
        return 0;
    for (size_t i = 0; i < COUNT(behind); i++)
        if (strncmp(found + strlen(word), behind[i], 3) == 0)
            return 1;
    return 0;
}

static lc_question_type type_chinese(const lc_reading *reading)
{
    for (size_t row = 0; row < COUNT(chinese); row++) {
        const char *found = strstr(reading->text, chinese[row].word);
        if (found &&
            !(chinese[row].type == LC_ASKS_WHY && is_called_what(reading, found)) &&
            !is_which(found, chinese[row].word))
            return chinese[row].type;
    }
    return LC_ASKS_UNKNOWN;
}

lc_question_type lc_question_type_of(const lc_reading *reading, int *leads)
{
    size_t at = 0;
    int is_chinese = reading->han_count > 0;
    lc_question_type type =
        is_chinese ? type_chinese(reading) : type_english(reading, &at);
    if (leads)
        *leads = is_chinese || (at < reading->term_count && reading->terms[at].opens);
    return type;
}

lc_question_type lc_question_asked(const lc_reading *reading, int *leads)
{
    static const char *const whom[] = {"anybody", "anyone", "somebody", "someone", "you"};
    static const char *const telling[] = {"explain", "know", "say", "show", "tell"};
    size_t at, i = lc_term_is(reading, 2, "please") ? 3 : 2;
    if (reading->han_count == 0 && lc_term_in(reading, 0, auxiliaries, COUNT(auxiliaries)) &&
        lc_term_in(reading, 1, whom, COUNT(whom)) &&
        lc_term_in(reading, i, telling, COUNT(telling))) {
        lc_question_type type = type_from(reading, i + 1, &at);
        if (type != LC_ASKS_UNKNOWN) {
            *leads = 1;
            return type;
        }
    }
    return lc_question_type_of(reading, leads);
}

int lc_asks_for_a_way(const lc_reading *reading)
{
    static const char *const behind[] = {"can", "could", "do", "should", "to"};
    static const char *const ways[] = {"如何", "怎樣", "怎样"};
    for (size_t i = 0; i < COUNT(ways); i++)
        if (strstr(reading->text, ways[i]))
            return 1;
    for (size_t i = 0; i < reading->term_count; i++)
        if (lc_term_is(reading, i, "how"))
            return lc_term_in(reading, i + 1, behind, COUNT(behind));
    return 0;
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
