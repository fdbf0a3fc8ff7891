/*
 * Different units: each question has one that the other lacks. A unit counts where a
 * number or "how many" stands before it; long English names of units count anywhere,
 * because Chinese ones (天, 年, 米) and short ones (m, g) are mostly something else.
 */
#include "decide/marks.h"

#include <string.h>

static const lc_mark marks[] = {
#include "decide/units.def"
};

#define LONG_NAME 5

static int follows(const lc_reading *reading, size_t end, const char *phrase)
{
    size_t size = strlen(phrase);
    return end >= size && memcmp(reading->text + end - size, phrase, size) == 0;
}

static int is_counted(const lc_reading *reading, const lc_numbers *numbers,
                      const lc_sighting *unit)
{
    size_t end =
        unit->at > 0 && reading->text[unit->at - 1] == ' ' ? unit->at - 1 : unit->at;
    for (size_t i = 0; i < numbers->count; i++)
        if (numbers->list[i].at + numbers->list[i].size == end)
            return 1;
    return follows(reading, end, "how many") || follows(reading, end, "多少") ||
           follows(reading, end, "幾") || follows(reading, end, "几");
}

static void find(const lc_reading *reading, const lc_numbers *numbers,
                 lc_sightings *found)
{
    size_t kept = 0;
    lc_marks_find(marks, sizeof marks / sizeof marks[0], reading, found);
    for (size_t i = 0; i < found->count; i++) {
        const lc_sighting *unit = &found->list[i];
        int is_long =
            (unsigned char)reading->text[unit->at] < 0x80 && unit->size >= LONG_NAME;
        if (is_long || is_counted(reading, numbers, unit))
            found->list[kept++] = *unit;
    }
    found->count = kept;
}

int lc_rule_unit(const lc_case *c, char *detail)
{
    lc_sightings in_a, in_b;
    find(&c->a, &c->a_numbers, &in_a);
    find(&c->b, &c->b_numbers, &in_b);
    const lc_sighting *left = lc_sighting_alone(&in_a, &in_b);
    const lc_sighting *right = lc_sighting_alone(&in_b, &in_a);
    if (!left || !right)
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}
