/*
 * One or the other is not both: one question has "or" and no "and", the other the
 * reverse, and the rest is the same.
 */
#include "decide/overlap.h"

#include <string.h>

struct joins {
    int either, both;
};

static int has_any(const lc_reading *reading, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)words[i][0] < 0x80
                ? lc_reading_has(reading, words[i], strlen(words[i]))
                : lc_reading_contains(reading, words[i], strlen(words[i])))
            return 1;
    return 0;
}

static struct joins joins_of(const lc_reading *reading)
{
    static const char *const either[] = {"or", "either", "或者", "還是", "还是", "或"};
    static const char *const both[] = {
        "and", "both", "simultaneously", "同時", "同时", "和", "與", "与", "及"};
    return (struct joins){has_any(reading, either, sizeof either / sizeof either[0]),
                          has_any(reading, both, sizeof both / sizeof both[0])};
}

int lc_rule_conjunction(const lc_case *c, char *detail)
{
    struct joins a = joins_of(&c->a), b = joins_of(&c->b);
    int same, left = a.either && !a.both && b.both && !b.either;
    if (!left && !(b.either && !b.both && a.both && !a.either))
        return 0;
    int code = lc_overlap_same(c, &same);
    if (code || !same)
        return code;
    static const lc_slice either = {"or", 2}, both = {"and", 3};
    lc_detail(detail, left ? either : both, left ? both : either);
    return 1;
}
