/*
 * Comparing shapes. Lines of one path belong together; where a list has grown or shrunk, that is the one
 * difference told, not every item that moved with it.
 */
#include "protocol/shape.h"
#include "protocol/shape_inside.h"
#include "protocol/spots.h"

#include <stdlib.h>
#include <string.h>

/* ---- Lines ----------------------------------------------------------------------------- */

size_t lc_shape_cut(const char *shape, lc_shape_line lines[LC_SHAPE_LINES])
{
    size_t count = 0;
    for (const char *at = shape; *at && count < LC_SHAPE_LINES;) {
        size_t size = strcspn(at, "\n"), path = strcspn(at, " \n");
        if (path && path < size)
            lines[count++] = (lc_shape_line){at, at + path + 1, path, size - path - 1};
        at += size + (at[size] == '\n');
    }
    return count;
}

typedef struct lines {
    lc_shape_line all[LC_SHAPE_LINES];
    size_t count;
} lines;

static int same_path(const lc_shape_line *a, const lc_shape_line *b)
{
    return a->path_size == b->path_size && memcmp(a->path, b->path, a->path_size) == 0;
}

static int same_value(const lc_shape_line *a, const lc_shape_line *b)
{
    return a->value_size == b->value_size && memcmp(a->value, b->value, a->value_size) == 0;
}

/* The line of this path; `likely` is where it stands when nothing was put in. */
static const lc_shape_line *find(const lines *in, const lc_shape_line *line, size_t likely)
{
    if (likely < in->count && same_path(&in->all[likely], line))
        return &in->all[likely];
    for (size_t i = 0; i < in->count; i++)
        if (same_path(&in->all[i], line))
            return &in->all[i];
    return NULL;
}

/* ---- The fields of a text's value ---------------------------------------------------------- */

enum { CHARACTERS, DIGEST, MASKED, STEPS, PLACES, TEXT_FIELDS };

typedef struct text_value {
    const char *field[TEXT_FIELDS];
    size_t size[TEXT_FIELDS];
} text_value;

static int read_text(const lc_shape_line *line, text_value *text)
{
    const char *at = line->value + 1, *end = line->value + line->value_size;
    if (!line->value_size || line->value[0] != '~')
        return 0;
    for (int i = 0; i < TEXT_FIELDS; i++) {
        const char *stop = memchr(at, '=', (size_t)(end - at));
        if (!stop && i + 1 < TEXT_FIELDS)
            return 0;
        if (!stop)
            stop = end;
        text->field[i] = at;
        text->size[i] = (size_t)(stop - at);
        at = stop + (stop < end);
    }
    return 1;
}

static int same_field(const text_value *a, const text_value *b, int field)
{
    return a->size[field] == b->size[field] &&
           memcmp(a->field[field], b->field[field], a->size[field]) == 0;
}

/* One spot: its letter, the character it begins at, its digest. */
typedef struct place {
    char kind;
    int64_t at;
    const char *digest;
} place;

static int next_place(const char **at, const char *end, place *out)
{
    if (*at >= end)
        return 0;
    out->kind = *(*at)++;
    for (out->at = 0; *at < end && **at >= '0' && **at <= '9' && out->at < INT32_MAX; ++*at)
        out->at = out->at * 10 + (**at - '0');
    if (end - *at < 3 || **at != '.')
        return 0;
    out->digest = *at + 1;
    *at += 3;
    return 1;
}

/* The texts differ in spots only: which kind, and where the first of them is. */
static void differing_spot(const text_value *here, const text_value *there, lc_difference *d)
{
    const char *a = here->field[PLACES], *b = there->field[PLACES];
    const char *a_end = a + here->size[PLACES], *b_end = b + there->size[PLACES];
    place left, right;
    while (next_place(&a, a_end, &left) && next_place(&b, b_end, &right)) {
        if (left.kind == right.kind && memcmp(left.digest, right.digest, 2) == 0)
            continue;
        d->kind = lc_spot_word(left.kind);
        d->from = d->to = left.at;
        return;
    }
}

static int64_t characters_of(const text_value *text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text->size[CHARACTERS] && count < INT32_MAX; i++)
        count = count * 10 + (text->field[CHARACTERS][i] - '0');
    return count;
}

/* Between which steps the first difference lies. */
static void first_difference(const text_value *here, const text_value *there, lc_difference *d)
{
    size_t at = 0, step = lc_shape_step(0), i = 0;
    int64_t shorter = characters_of(here), other = characters_of(there);
    shorter = other < shorter ? other : shorter;
    for (; i + 2 <= here->size[STEPS] && i + 2 <= there->size[STEPS]; i += 2) {
        if (memcmp(here->field[STEPS] + i, there->field[STEPS] + i, 2) != 0)
            break;
        at = step;
        step = lc_shape_step(step);
    }
    d->from = (int64_t)at < shorter ? (int64_t)at : shorter;
    d->to = (int64_t)step < shorter ? (int64_t)step : shorter;
}

/* ---- Differences ---------------------------------------------------------------------------- */

static void show(const lc_shape_line *line, char out[LC_SHAPE_SHOWN])
{
    const char *value = line->value;
    size_t size = line->value_size;
    out[0] = '\0';
    if (!size || strchr("~=?", *value))
        return;
    if (*value == '\'' || *value == '[') {
        value++;
        size--;
    }
    const char *stop = line->value[0] == '[' ? memchr(value, '=', size) : NULL;
    if (stop)
        size = (size_t)(stop - value);
    if (size > LC_SHAPE_SHOWN - 1)
        size = LC_SHAPE_SHOWN - 1;
    memcpy(out, value, size);
    out[size] = '\0';
}

static lc_difference difference(const lc_shape_line *line, const char *kind)
{
    lc_difference d = {.kind = kind, .from = -1, .to = -1};
    size_t size = line->path_size < sizeof d.field - 1 ? line->path_size : sizeof d.field - 1;
    memcpy(d.field, line->path, size);
    return d;
}

/* A list: its length where that differs, else the order where its items are all the same. */
static const char *list_kind(const lc_shape_line *here, const lc_shape_line *there)
{
    char a[LC_SHAPE_SHOWN], b[LC_SHAPE_SHOWN];
    show(here, a);
    show(there, b);
    return strcmp(a, b) != 0 ? "length" : "order";
}

static lc_difference compare_lines(const lc_shape_line *here, const lc_shape_line *there)
{
    lc_difference d = difference(here, "value");
    text_value a, b;
    show(here, d.here);
    show(there, d.there);
    if (*here->value == '[' && *there->value == '[') {
        d.kind = list_kind(here, there);
    } else if (read_text(here, &a) && read_text(there, &b)) {
        d.kind = "text";
        first_difference(&a, &b, &d);
        if (same_field(&a, &b, MASKED))
            differing_spot(&a, &b, &d);
    }
    return d;
}

/* ---- Two shapes -------------------------------------------------------------------------------- */

/* Is the line an item (or a part of one) of this list? */
static int is_below(const lc_shape_line *line, const lc_shape_line *list)
{
    return line->path_size > list->path_size && line->path[list->path_size] == '[' &&
           memcmp(line->path, list->path, list->path_size) == 0;
}

static int is_named_list(const lc_shape_line *line)
{
    return line->value[0] == '[' && memchr(line->value, '=', line->value_size);
}

static int any_below_differs(const lines *here, const lines *there, const lc_shape_line *list)
{
    for (size_t i = 0; i < here->count; i++) {
        const lc_shape_line *line = &here->all[i];
        const lc_shape_line *twin = is_below(line, list) ? find(there, line, i) : NULL;
        if (is_below(line, list) && (!twin || !same_value(line, twin)))
            return 1;
    }
    return 0;
}

typedef struct report {
    lc_difference *list;
    size_t room, count;
} report;

static void add(report *r, lc_difference d)
{
    if (r->count < r->room)
        r->list[r->count] = d;
    r->count++;
}

/* Lists without names whose lengths differ: what is in them has moved and says nothing. */
static int moved(const lines *here, const lines *there, const lc_shape_line *line)
{
    for (size_t i = 0; i < here->count; i++) {
        const lc_shape_line *list = &here->all[i];
        if (list->value[0] != '[' || is_named_list(list) || !is_below(line, list))
            continue;
        const lc_shape_line *twin = find(there, list, i);
        if (twin && !same_value(list, twin))
            return 1;
    }
    return 0;
}

static void compare_one(const lines *here, const lines *there, size_t at, report *r)
{
    const lc_shape_line *line = &here->all[at], *twin = find(there, line, at);
    if (twin && same_value(line, twin))
        return;
    if (moved(here, there, line))
        return;
    if (!twin) {
        lc_difference d = difference(line, "added");
        show(line, d.here);
        add(r, d);
        return;
    }
    lc_difference d = compare_lines(line, twin);
    if (is_named_list(line) &&
        (any_below_differs(here, there, line) || any_below_differs(there, here, line)))
        return; /* the items say it better */
    add(r, d);
}

size_t lc_shape_compare(const char *here_text, const char *there_text, lc_difference *list,
                        size_t room)
{
    report r = {list, room, 0};
    lines here, there;
    here.count = lc_shape_cut(here_text, here.all);
    there.count = lc_shape_cut(there_text, there.all);
    for (size_t i = 0; i < here.count; i++)
        compare_one(&here, &there, i, &r);
    for (size_t i = 0; i < there.count; i++) {
        const lc_shape_line *line = &there.all[i];
        if (find(&here, line, i) || moved(&there, &here, line))
            continue;
        lc_difference d = difference(line, "removed");
        show(line, d.there);
        add(&r, d);
    }
    return r.count;
}

uint64_t lc_shape_masked(const lc_shape_line *line)
{
    text_value text;
    uint64_t hash = lc_mix(LC_MIX_START, line->path, line->path_size);
    if (read_text(line, &text))
        return lc_mix(hash, text.field[MASKED], text.size[MASKED]);
    if (is_named_list(line))
        return lc_mix(hash, line->value, (size_t)((const char *)memchr(line->value, '=', line->value_size) -
                                                  line->value));
    if (line->value_size && (*line->value == '-' || (*line->value >= '0' && *line->value <= '9')))
        return lc_mix(hash, "0", 1);
    return lc_mix(hash, line->value, line->value_size);
}
