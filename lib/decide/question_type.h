/* What a question asks for: a reason, a time, a place, a person, a quantity, a way, a
 * thing, a yes. */
#ifndef LC_DECIDE_QUESTION_TYPE_H
#define LC_DECIDE_QUESTION_TYPE_H

#include "decide/reading.h"

typedef enum lc_question_type {
    LC_ASKS_UNKNOWN,
    LC_ASKS_WHY,
    LC_ASKS_WHEN,
    LC_ASKS_WHERE,
    LC_ASKS_WHO,
    LC_ASKS_NUMBER,
    LC_ASKS_HOW,
    LC_ASKS_WHAT,
    LC_ASKS_YES
} lc_question_type;

/* By its first question word; `leads` (may be NULL) tells whether that word begins a
 * sentence, which in English tells a question ("when does it open") from a clause ("when
 * it opens"). */
lc_question_type lc_question_type_of(const lc_reading *reading, int *leads);

/* The same behind "can you tell me" and its like: what is really asked. */
lc_question_type lc_question_asked(const lc_reading *reading, int *leads);

/* Is "how" here no "why"? How can I, 如何; but not "how is it still pending", 怎麼. */
int lc_asks_for_a_way(const lc_reading *reading);

/* Both known, different, and one of them a reason, a time, a place, a person or a
 * quantity. */
int lc_question_types_differ(lc_question_type a, lc_question_type b);

/* An article, a pronoun, a question word or an auxiliary: no name by its capital. */
int lc_is_function_word(const lc_reading *reading, size_t term);

#endif
