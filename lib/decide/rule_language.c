/*
 * The answer is asked for in another language, natural or of programming: each question
 * names one that the other lacks, or one asks for it ("in French", 用日文) and the other
 * does not name it.
 */
#include "decide/marks.h"

#include <string.h>

static const lc_mark marks[] = {
#include "decide/languages.def"
};

static int is_asked_for(const lc_reading *reading, const lc_sighting *language)
{
    static const char *const before[] = {" in ", " into ", " using ", "用", "以", "成",
                                         "翻",   "譯",     "译",      "為", "为"};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        size_t size = strlen(before[i]);
        if (language->at >= size &&
            memcmp(reading->text + language->at - size, before[i], size) == 0)
            return 1;
    }
    return 0;
}

/* One that is asked for here and not named there. */
static const lc_sighting *asked_alone(const lc_reading *reading, const lc_sightings *here,
                                      const lc_sightings *there)
{
    for (size_t i = 0; i < here->count; i++) {
        lc_sightings one = {.count = 1};
        one.list[0] = here->list[i];
        if (is_asked_for(reading, &here->list[i]) && lc_sighting_alone(&one, there))
            return &here->list[i];
    }
    return NULL;
}

int lc_rule_language(const lc_case *c, char *detail)
{
    lc_sightings in_a, in_b;
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->a, &in_a);
    lc_marks_find(marks, sizeof marks / sizeof marks[0], &c->b, &in_b);
    const lc_sighting *left = lc_sighting_alone(&in_a, &in_b);
    const lc_sighting *right = lc_sighting_alone(&in_b, &in_a);
    if (!left || !right) {
        left = asked_alone(&c->a, &in_a, &in_b);
        right = asked_alone(&c->b, &in_b, &in_a);
    }
    if (!left && !right)
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}
