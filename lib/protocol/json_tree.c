/* Looking into trees, making and changing them, writing them. Reading is json_read.c. */
#include "protocol/json_tree.h"

#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Looking --------------------------------------------------------------------- */

lc_tree *lc_tree_children(const lc_tree *value)
{
    return value && value->type >= LC_TREE_ARRAY ? value->first : NULL;
}

int lc_tree_is_type(const lc_tree *value, lc_tree_type type)
{
    return value && value->type == type;
}

int lc_tree_named(const lc_tree *member, const char *name)
{
    size_t size = strlen(name);
    return member->name_size == size && memcmp(member->name, name, size) == 0;
}

lc_tree *lc_tree_member(const lc_tree *object, const char *name, size_t name_size)
{
    if (!lc_tree_is_type(object, LC_TREE_OBJECT))
        return NULL;
    for (lc_tree *member = object->first; member; member = member->next)
        if (member->name_size == name_size && memcmp(member->name, name, name_size) == 0)
            return member;
    return NULL;
}

lc_tree *lc_tree_find(const lc_tree *object, const char *name)
{
    return lc_tree_member(object, name, strlen(name));
}

int lc_tree_is_text(const lc_tree *value, const char *text)
{
    size_t size = strlen(text);
    return lc_tree_is_type(value, LC_TREE_STRING) && value->size == size &&
           memcmp(value->text, text, size) == 0;
}

int lc_tree_is_true(const lc_tree *value)
{
    return lc_tree_is_type(value, LC_TREE_TRUE);
}

int lc_tree_is_nothing(const lc_tree *value)
{
    return !value || value->type == LC_TREE_NULL;
}

int lc_tree_same(const lc_tree *a, const lc_tree *b)
{
    if (a->type != b->type || a->size != b->size)
        return 0;
    if (a->type >= LC_TREE_NUMBER && a->type <= LC_TREE_NUMBERS)
        return memcmp(a->text, b->text, a->size) == 0;
    const lc_tree *left = lc_tree_children(a), *right = lc_tree_children(b);
    for (; left && right; left = left->next, right = right->next)
        if (left->name_size != right->name_size ||
            (left->name && memcmp(left->name, right->name, left->name_size) != 0) ||
            !lc_tree_same(left, right))
            return 0;
    return left == right;
}

/* Digits are counted, not handed to strtod, whose decimal point is the locale's. */
int lc_tree_integer(const lc_tree *value, int64_t *number)
{
    char digits[48];
    if (!lc_tree_is_type(value, LC_TREE_NUMBER) || value->size >= sizeof digits)
        return -1;
    memcpy(digits, value->text, value->size);
    digits[value->size] = '\0';
    int64_t whole = 0, scale = 0;
    int behind_point = 0;
    const char *at = digits + (digits[0] == '-');
    for (; *at && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            behind_point = 1;
            continue;
        }
        if (whole > INT64_MAX / 10 - 1)
            return -1;
        whole = whole * 10 + (*at - '0');
        scale -= behind_point;
    }
    long long power = *at ? strtoll(at + 1, NULL, 10) : 0;
    if (power > 18 || power < -48)
        return -1;
    for (scale += power; scale > 0 && whole <= INT64_MAX / 10; scale--)
        whole *= 10;
    for (; scale < 0 && whole % 10 == 0 && whole; scale++)
        whole /= 10;
    if (scale && whole)
        return -1;
    *number = digits[0] == '-' ? -whole : whole;
    return 0;
}

int lc_tree_next_number(const lc_tree *numbers, const char **at, lc_tree *number)
{
    const char *end = numbers->text + numbers->size;
    while (*at < end && !((**at >= '0' && **at <= '9') || **at == '-'))
        ++*at;
    *number = (lc_tree){.type = LC_TREE_NUMBER, .text = *at};
    while (*at < end && !strchr(", \t\r\n]", **at))
        ++*at;
    number->size = (uint32_t)(*at - number->text);
    return number->size > 0;
}

static int by_name(const void *left, const void *right)
{
    const lc_tree *a = *(lc_tree *const *)left, *b = *(lc_tree *const *)right;
    uint32_t common = a->name_size < b->name_size ? a->name_size : b->name_size;
    int order = memcmp(a->name, b->name, common);
    return order ? order : (a->name_size > b->name_size) - (a->name_size < b->name_size);
}

lc_tree **lc_tree_sorted(const lc_tree *object)
{
    lc_tree **members = lc_alloc_array(object->size, sizeof(lc_tree *));
    uint32_t count = 0;
    if (!members)
        return NULL;
    for (lc_tree *member = object->first; member; member = member->next)
        members[count++] = member;
    qsort(members, count, sizeof(lc_tree *), by_name);
    return members;
}

/* ---- Making ---------------------------------------------------------------------- */

lc_tree *lc_tree_new(lc_arena *arena, lc_tree_type type)
{
    lc_tree *value = lc_arena_take(arena, sizeof *value);
    if (value)
        *value = (lc_tree){.type = (uint8_t)type};
    return value;
}

static const char *copy_text(lc_arena *arena, const char *text, size_t size)
{
    char *copy = lc_arena_take(arena, size ? size : 1);
    if (copy && size)
        memcpy(copy, text, size);
    return copy;
}

lc_tree *lc_tree_string(lc_arena *arena, const char *text, size_t size)
{
    lc_tree *value = lc_tree_new(arena, LC_TREE_STRING);
    if (!value || !(value->text = copy_text(arena, text, size)))
        return NULL;
    value->size = (uint32_t)size;
    return value;
}

lc_tree *lc_tree_number(lc_arena *arena, int64_t number)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRId64, number);
    lc_tree *value = lc_tree_string(arena, digits, (size_t)size);
    if (value)
        value->type = LC_TREE_NUMBER;
    return value;
}

/* Recursion is bounded by the depth that reading allows. */
lc_tree *lc_tree_copy(lc_arena *arena, const lc_tree *value)
{
    lc_tree *copy = lc_tree_new(arena, (lc_tree_type)value->type);
    if (!copy)
        return NULL;
    if (value->type < LC_TREE_ARRAY) {
        copy->size = value->size;
        copy->text = copy_text(arena, value->text, value->size);
        return copy->text ? copy : NULL;
    }
    lc_tree **link = &copy->first;
    for (const lc_tree *child = value->first; child; child = child->next) {
        lc_tree *twin = lc_tree_copy(arena, child);
        if (!twin)
            return NULL;
        if (child->name &&
            !(twin->name = copy_text(arena, child->name, child->name_size)))
            return NULL;
        twin->name_size = child->name_size;
        *link = copy->last = twin;
        link = &twin->next;
        copy->size++;
    }
    return copy;
}

int lc_tree_add(lc_tree *array, lc_tree *value)
{
    if (!value)
        return LLMCACHE_MEMORY;
    if (array->last)
        array->last->next = value;
    else
        array->first = value;
    array->last = value;
    array->size++;
    return 0;
}

void lc_tree_insert(lc_tree *array, lc_tree *before, lc_tree *value)
{
    lc_tree **link = before ? &before->next : &array->first;
    value->next = *link;
    *link = value;
    if (array->last == before)
        array->last = value;
    array->size++;
}

int lc_tree_set(lc_arena *arena, lc_tree *object, const char *name, size_t name_size,
                lc_tree *value)
{
    if (!value || !(value->name = copy_text(arena, name, name_size)))
        return LLMCACHE_MEMORY;
    value->name_size = (uint32_t)name_size;
    lc_tree *old = lc_tree_member(object, name, name_size);
    if (!old)
        return lc_tree_add(object, value);
    lc_tree **link = &object->first;
    while (*link != old)
        link = &(*link)->next;
    *link = value;
    value->next = old->next;
    if (object->last == old)
        object->last = value;
    return 0;
}

void lc_tree_drop(lc_tree *object, const char *name)
{
    lc_tree *before = NULL;
    for (lc_tree *member = object->first; member;
         before = member, member = member->next) {
        if (!lc_tree_named(member, name))
            continue;
        if (before)
            before->next = member->next;
        else
            object->first = member->next;
        if (object->last == member)
            object->last = before;
        object->size--;
        return;
    }
}

int lc_tree_unpack(lc_arena *arena, lc_tree *numbers)
{
    lc_tree array = *numbers, number;
    array.type = LC_TREE_ARRAY;
    array.first = array.last = NULL;
    array.size = array.grown = 0;
    for (const char *at = numbers->text; lc_tree_next_number(numbers, &at, &number);)
        if (lc_tree_add(&array, lc_tree_copy(arena, &number)))
            return LLMCACHE_MEMORY;
    *numbers = array;
    return 0;
}

static size_t grown_room(size_t size)
{
    size_t room = 64;
    while (room < size)
        room *= 2;
    return room;
}

int lc_tree_append(lc_arena *arena, lc_tree *string, const char *text, size_t size)
{
    size_t sum = string->size + size;
    if (sum >= UINT32_MAX)
        return LLMCACHE_MEMORY;
    if (!string->grown || sum > grown_room(string->size)) {
        char *larger = lc_arena_take(arena, grown_room(sum));
        if (!larger)
            return LLMCACHE_MEMORY;
        memcpy(larger, string->text, string->size);
        string->text = larger;
        string->grown = 1;
    }
    memcpy((char *)string->text + string->size, text, size);
    string->size = (uint32_t)sum;
    return 0;
}

/* ---- Writing --------------------------------------------------------------------- */

/* How many bytes at text[at] cannot stand for themselves; 0 when they can. */
static size_t special(const char *text, size_t size, size_t at)
{
    unsigned char c = (unsigned char)text[at];
    if (c < 0x20 || c == '"' || c == '\\')
        return 1;
    if (c == 0xc2 && at + 1 < size && (unsigned char)text[at + 1] == 0x85)
        return 2;
    if (c == 0xe2 && at + 2 < size && (unsigned char)text[at + 1] == 0x80 &&
        ((unsigned char)text[at + 2] & 0xfe) == 0xa8)
        return 3;
    return 0;
}

static void write_escape(const char *text, size_t length, lc_buffer *out)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = length == 1 && *text ? strchr(plain, *text) : NULL;
    const char pair[2] = {'\\', found ? letters[found - plain] : 'u'};
    if (found)
        lc_buffer_add(out, pair, sizeof pair);
    else if (length == 1)
        lc_buffer_format(out, "\\u%04x", (unsigned char)*text);
    else if (length == 2)
        lc_buffer_text(out, "\\u0085");
    else
        lc_buffer_text(out, text[2] & 1 ? "\\u2029" : "\\u2028");
}

int lc_tree_write_string(const char *text, size_t size, lc_buffer *out)
{
    lc_buffer_byte(out, '"');
    for (size_t at = 0; at < size;) {
        size_t from = at, length = 0;
        while (at < size && !(length = special(text, size, at)))
            at++;
        lc_buffer_add(out, text + from, at - from);
        if (at < size)
            write_escape(text + at, length, out);
        at += length;
    }
    return lc_buffer_byte(out, '"');
}

/* Without the white space, which may hold line ends. */
static int write_numbers(const lc_tree *numbers, lc_buffer *out)
{
    lc_tree number;
    const char *at = numbers->text;
    if (!memchr(at, '\n', numbers->size) && !memchr(at, '\r', numbers->size))
        return lc_buffer_add(out, at, numbers->size);
    for (char before = '['; lc_tree_next_number(numbers, &at, &number); before = ',') {
        lc_buffer_byte(out, before);
        lc_buffer_add(out, number.text, number.size);
    }
    return lc_buffer_byte(out, ']');
}

static int write_children(const lc_tree *value, lc_buffer *out)
{
    int object = value->type == LC_TREE_OBJECT;
    lc_buffer_byte(out, object ? '{' : '[');
    for (const lc_tree *child = value->first; child; child = child->next) {
        if (child != value->first)
            lc_buffer_byte(out, ',');
        if (object) {
            lc_tree_write_string(child->name, child->name_size, out);
            lc_buffer_byte(out, ':');
        }
        if (lc_tree_write(child, out))
            break;
    }
    return lc_buffer_byte(out, object ? '}' : ']');
}

int lc_tree_write(const lc_tree *value, lc_buffer *out)
{
    switch (value->type) {
    case LC_TREE_NULL:
        return lc_buffer_text(out, "null");
    case LC_TREE_FALSE:
        return lc_buffer_text(out, "false");
    case LC_TREE_TRUE:
        return lc_buffer_text(out, "true");
    case LC_TREE_NUMBER:
        return lc_buffer_add(out, value->text, value->size);
    case LC_TREE_STRING:
        return lc_tree_write_string(value->text, value->size, out);
    case LC_TREE_NUMBERS:
        return write_numbers(value, out);
    default:
        return write_children(value, out);
    }
}
