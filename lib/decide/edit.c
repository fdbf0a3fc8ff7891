/*
 * What both gists begin and end with is set aside; the rest is aligned by its longest
 * common subsequence (at most 64 by 64 items). Places where they differ are blocks. Two
 * blocks that hold each other's items are exchanged; so are the ends of a rest that reads
 * X M Y here and Y M X there.
 */
#include "decide/edit.h"

#include <string.h>

#define BLOCKS_MAX 12
#define SAME_HEAD_MAX 4 /* items of the head that members of a list repeat */
#define TURNED_MAX 16 /* items of an exchanged part */

struct block {
    lc_run a, b;
};

struct blocks {
    struct block list[BLOCKS_MAX];
    size_t count;
    int whole;   /* no more than fit */
    size_t kept; /* items the two have in common, in order */
};

static size_t size_of(lc_run run)
{
    return run.end - run.begin;
}

static int same_run(const lc_gist *a, lc_run x, const lc_gist *b, lc_run y)
{
    if (size_of(x) != size_of(y))
        return 0;
    for (size_t i = 0; i < size_of(x); i++)
        if (a->items[x.begin + i].key != b->items[y.begin + i].key)
            return 0;
    return 1;
}

/* What is left between what both begin and end with. */
static struct block rest_of(const lc_gist *a, const lc_gist *b)
{
    uint32_t front = 0, back = 0;
    uint32_t least = (uint32_t)(a->count < b->count ? a->count : b->count);
    while (front < least && a->items[front].key == b->items[front].key)
        front++;
    while (back < least - front &&
           a->items[a->count - 1 - back].key == b->items[b->count - 1 - back].key)
        back++;
    return (struct block){{front, (uint32_t)a->count - back},
                          {front, (uint32_t)b->count - back}};
}

typedef unsigned char lengths[LC_ITEMS_MAX + 1][LC_ITEMS_MAX + 1];

/* common[i][j]: how much the rests from i and j on have in common. */
static void measure(const lc_gist *a, const lc_gist *b, const struct block *rest,
                    lengths common)
{
    size_t rows = size_of(rest->a), columns = size_of(rest->b);
    memset(common[rows], 0, columns + 1);
    for (size_t i = rows; i-- > 0;) {
        common[i][columns] = 0;
        for (size_t j = columns; j-- > 0;) {
            unsigned char down = common[i + 1][j], right = common[i][j + 1];
            if (a->items[rest->a.begin + i].key == b->items[rest->b.begin + j].key)
                common[i][j] = (unsigned char)(common[i + 1][j + 1] + 1);
            else
                common[i][j] = down > right ? down : right;
        }
    }
}

static void add_block(struct blocks *blocks, lc_run a, lc_run b)
{
    if (size_of(a) == 0 && size_of(b) == 0)
        return;
    if (blocks->count == BLOCKS_MAX)
        blocks->whole = 0;
    else
        blocks->list[blocks->count++] = (struct block){a, b};
}

static void find_blocks(const lc_gist *a, const lc_gist *b, const struct block *rest,
                        struct blocks *blocks)
{
    lengths common;
    lc_run x = {rest->a.begin, rest->a.begin}, y = {rest->b.begin, rest->b.begin};
    *blocks = (struct blocks){.whole = 1, .kept = a->count - size_of(rest->a)};
    measure(a, b, rest, common);
    while (x.end < rest->a.end && y.end < rest->b.end) {
        size_t i = x.end - rest->a.begin, j = y.end - rest->b.begin;
        if (a->items[x.end].key == b->items[y.end].key) {
            add_block(blocks, x, y);
            blocks->kept++;
            x.begin = ++x.end, y.begin = ++y.end;
        } else if (common[i + 1][j] >= common[i][j + 1]) {
            x.end++;
        } else {
            y.end++;
        }
    }
    x.end = rest->a.end, y.end = rest->b.end;
    add_block(blocks, x, y);
}

/* ---- Exchanges ------------------------------------------------------------------- */

static int begins_with(const char *text, size_t size, const char *word)
{
    size_t length = strlen(word);
    return size >= length && memcmp(text, word, length) == 0;
}

static const char *const joins[] = {" and ", " or ", " vs ", " & ", ", ", "、",  "和",
                                    "跟",    "與",   "与",   "及",  "或", "還是", "还是"};

static int joins_at(const lc_reading *reading, size_t at)
{
    for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++)
        if (begins_with(reading->text + at, reading->size - at, joins[i]))
            return 1;
    return 0;
}

static int joins_before(const lc_reading *reading, size_t end)
{
    static const char *const articles[] = {"a ", "an ", "the "};
    for (size_t i = 0; i < sizeof articles / sizeof articles[0]; i++) {
        size_t size = strlen(articles[i]);
        if (end >= size && memcmp(reading->text + end - size, articles[i], size) == 0)
            end -= size;
    }
    for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++) {
        size_t size = strlen(joins[i]);
        if (end >= size && memcmp(reading->text + end - size, joins[i], size) == 0)
            return 1;
    }
    return 0;
}

/* Members of a list may stand in any order: A and B; A、M、B; A version and B version. */
static int are_listed(const lc_reading *reading, const lc_gist *gist, lc_run x, lc_run y)
{
    const lc_item *last = &gist->items[x.end - 1], *first = &gist->items[y.begin];
    return joins_before(reading, first->at) &&
           (joins_at(reading, last->at + last->size) || y.begin - x.end <= SAME_HEAD_MAX);
}

static int has_any(const lc_reading *reading, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)words[i][0] < 0x80
                ? lc_reading_has(reading, words[i], strlen(words[i]))
                : lc_reading_contains(reading, words[i], strlen(words[i])))
            return 1;
    return 0;
}

#define HAS_ANY(reading, list) has_any(reading, list, sizeof(list) / sizeof(list)[0])

/* Relations that hold both ways, and the passive, which exchanges the two by itself. */
static int may_turn(const lc_reading *a, const lc_reading *b)
{
    static const char *const both_ways[] = {
        "acquaintance", "adjacent", "between", "both",    "close",    "colleagues",
        "compare",      "compared", "connected", "dating", "differ",   "difference",
        "differences",  "different", "engaged", "equal",   "friend",   "friends",
        "married",      "near",     "next",    "related", "same",     "similar",
        "together",     "交往",     "兄弟",    "區別",    "区别",     "同事",
        "同學",         "同学",     "差別",    "差异",    "差別",     "差異",
        "朋友",         "比較",     "比较",    "相同",    "相似",     "相等",
        "結婚",         "结婚",     "親戚",    "亲戚",    "鄰居",     "邻居",
        "不同",         "一樣",     "一样",    "之間",    "之间"};
    static const char *const passive[] = {"by", "被", "由", "遭", "受"};
    return HAS_ANY(a, both_ways) || HAS_ANY(a, passive) != HAS_ANY(b, passive);
}

/* Two parts in each other's place: where they stand in a, and where in b. */
struct exchange {
    struct block first, last;
};

static int find_crossed(const lc_gist *a, const lc_gist *b, const struct blocks *blocks,
                        struct exchange *found)
{
    for (size_t i = 0; i < blocks->count; i++)
        for (size_t j = i + 1; j < blocks->count; j++) {
            const struct block *one = &blocks->list[i], *other = &blocks->list[j];
            if (size_of(one->a) == 0 || size_of(one->b) == 0 ||
                !same_run(a, one->a, b, other->b) || !same_run(a, other->a, b, one->b))
                continue;
            *found = (struct exchange){*one, *other};
            return 1;
        }
    return 0;
}

/* Does what stands before both rests agree, articles aside? Where a clause has moved it
 * does not. */
static int begin_alike(const lc_reading *a, const lc_gist *a_gist, const lc_reading *b,
                       const lc_gist *b_gist, const struct block *rest)
{
    static const char *const articles[] = {"a", "an", "the"};
    size_t front = a_gist->items[rest->a.begin].term;
    size_t b_front = b_gist->items[rest->b.begin].term;
    while (front > 0 && lc_term_in(a, front - 1, articles, 3))
        front--;
    while (b_front > 0 && lc_term_in(b, b_front - 1, articles, 3))
        b_front--;
    return lc_border_same(a, front - 1, b, b_front - 1);
}

/* X M Y against Y M X, M not empty. */
static int find_turned(const lc_gist *a, const lc_gist *b, const struct block *rest,
                       struct exchange *found)
{
    uint32_t size = (uint32_t)size_of(rest->a), begin = rest->a.begin;
    if (size != size_of(rest->b))
        return 0;
    for (uint32_t x = 1; x + 2 <= size && x <= TURNED_MAX; x++) {
        lc_run first = {begin, begin + x}, b_last = {rest->b.end - x, rest->b.end};
        for (uint32_t y = 1; same_run(a, first, b, b_last) && x + y < size; y++) {
            lc_run last = {rest->a.end - y, rest->a.end};
            lc_run b_first = {rest->b.begin, rest->b.begin + y};
            if (y > TURNED_MAX)
                break;
            if (!same_run(a, last, b, b_first) ||
                !same_run(a, (lc_run){first.end, last.begin}, b,
                          (lc_run){b_first.end, b_last.begin}))
                continue;
            *found = (struct exchange){{first, b_first}, {last, b_last}};
            return 1;
        }
    }
    return 0;
}

/* One way round: which of several alignments of the same length is found depends on it. */
static void find_edit(const lc_reading *a, const lc_gist *a_gist, const lc_reading *b,
                      const lc_gist *b_gist, lc_edit *edit)
{
    struct block rest = rest_of(a_gist, b_gist);
    struct blocks blocks;
    struct exchange found;
    *edit = (lc_edit){.kind = LC_EDIT_OTHER};
    find_blocks(a_gist, b_gist, &rest, &blocks);
    if (blocks.count == 0) {
        edit->kind = LC_EDIT_NONE;
    } else if ((find_crossed(a_gist, b_gist, &blocks, &found) ||
                (find_turned(a_gist, b_gist, &rest, &found) &&
                 begin_alike(a, a_gist, b, b_gist, &rest))) &&
               !are_listed(a, a_gist, found.first.a, found.last.a) &&
               !are_listed(b, b_gist, found.first.b, found.last.b) && !may_turn(a, b)) {
        *edit = (lc_edit){LC_EDIT_EXCHANGED, found.first.a, found.first.b};
    } else if (blocks.count == 1 && blocks.kept > 0) {
        *edit = (lc_edit){LC_EDIT_REPLACED, blocks.list[0].a, blocks.list[0].b};
        if (size_of(edit->x) == 0 || size_of(edit->y) == 0)
            edit->kind = LC_EDIT_ADDED;
    }
}

void lc_edit_find(const lc_reading *a, const lc_gist *a_gist, const lc_reading *b,
                  const lc_gist *b_gist, lc_edit *edit)
{
    *edit = (lc_edit){.kind = LC_EDIT_OTHER};
    if (!a_gist->whole || !b_gist->whole)
        return;
    find_edit(a, a_gist, b, b_gist, edit);
    if (edit->kind == LC_EDIT_OTHER) {
        find_edit(b, b_gist, a, a_gist, edit);
        lc_run x = edit->x;
        edit->x = edit->y, edit->y = x;
    }
}

lc_slice lc_run_slice(const lc_reading *reading, const lc_gist *gist, lc_run run)
{
    if (size_of(run) == 0)
        return (lc_slice){NULL, 0};
    const lc_item *first = &gist->items[run.begin], *last = &gist->items[run.end - 1];
    return (lc_slice){reading->text + first->at, last->at + last->size - first->at};
}
