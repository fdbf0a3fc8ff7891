/*
 * The reader: recursive descent over the bytes, one pass. The depth limit keeps the stack
 * small (about 200 KB at most), and what a string holds is checked while it is skipped,
 * eight bytes at a time.
 */
#include "protocol/json_tree.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <string.h>

typedef struct reader {
    lc_arena *arena;
    const char *text;
    size_t size;
    size_t at;
    int depth;
    int values;
    llmcache_error *err;
} reader;

static int read_value(reader *in, lc_tree *value);

static int refuse(reader *in, const char *what)
{
    return lc_fail(in->err, LLMCACHE_INVALID, "body: %s at byte %zu", what, in->at);
}

static void skip_space(reader *in)
{
    while (in->at < in->size) {
        char c = in->text[in->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        in->at++;
    }
}

static int next_is(reader *in, char c)
{
    if (in->at >= in->size || in->text[in->at] != c)
        return 0;
    in->at++;
    return 1;
}

/* ---- Strings --------------------------------------------------------------------- */

/* 1 when none of the eight bytes is a quote, a backslash, a control character or beyond
 * ASCII. */
static int eight_plain(const char *bytes)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t bad = word | (word - ones * 0x20) | ((quote - ones) & ~quote) |
                   ((slash - ones) & ~slash);
    return !(bad & tops);
}

/* Moves past bytes that stand for themselves, up to a quote or backslash. */
static int skip_plain(reader *in)
{
    while (in->at < in->size) {
        if (in->size - in->at >= 8 && eight_plain(in->text + in->at)) {
            in->at += 8;
            continue;
        }
        unsigned char c = (unsigned char)in->text[in->at];
        if (c == '"' || c == '\\')
            return 0;
        if (c < 0x20)
            return refuse(in, "control character in a string");
        size_t length = lc_utf8_length(in->text + in->at, in->size - in->at);
        if (!length)
            return refuse(in, "not UTF-8");
        in->at += length;
    }
    return refuse(in, "unfinished string");
}

static int read_hex(reader *in, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        char c = in->at < in->size ? in->text[in->at] : '\0';
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return refuse(in, "bad escape");
        *unit = *unit << 4 | digit;
    }
    return 0;
}

/* Behind "\u": the code point, taking the second half of a pair along. */
static int read_unicode(reader *in, char *to, size_t *length)
{
    uint32_t cp, low;
    if (read_hex(in, &cp))
        return LLMCACHE_INVALID;
    if (cp >= 0xdc00 && cp <= 0xdfff)
        return refuse(in, "half of a surrogate pair");
    if (cp >= 0xd800 && cp <= 0xdbff) {
        if (!next_is(in, '\\') || !next_is(in, 'u'))
            return refuse(in, "half of a surrogate pair");
        if (read_hex(in, &low))
            return LLMCACHE_INVALID;
        if (low < 0xdc00 || low > 0xdfff)
            return refuse(in, "half of a surrogate pair");
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    }
    *length = lc_utf8_encode(cp, to);
    return 0;
}

/* Behind a backslash. Writes 1 to 4 bytes, never more than the escape was long. */
static int read_escape(reader *in, char *to, size_t *length)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char c = in->at < in->size ? in->text[in->at] : '\0';
    const char *found = c ? strchr(letters, c) : NULL;
    if (!found && c != 'u')
        return refuse(in, "bad escape");
    in->at++;
    if (!found)
        return read_unicode(in, to, length);
    *to = means[found - letters];
    *length = 1;
    return 0;
}

/* From the first backslash on: finds the string's end to size the copy, then decodes into
 * it. */
static int read_escaped(reader *in, size_t begin, const char **text, uint32_t *size)
{
    size_t first = in->at, end = in->at;
    while (end < in->size && in->text[end] != '"')
        end += in->text[end] == '\\' ? 2 : 1;
    if (end >= in->size)
        return refuse(in, "unfinished string");
    char *copy = lc_arena_take(in->arena, end - begin);
    if (!copy)
        return lc_fail_memory(in->err);
    size_t used = first - begin;
    memcpy(copy, in->text + begin, used);
    for (;;) {
        size_t from = in->at;
        if (skip_plain(in))
            return LLMCACHE_INVALID;
        memcpy(copy + used, in->text + from, in->at - from);
        used += in->at - from;
        if (next_is(in, '"'))
            break;
        size_t length = 0;
        in->at++;
        if (read_escape(in, copy + used, &length))
            return LLMCACHE_INVALID;
        used += length;
    }
    *text = copy;
    *size = (uint32_t)used;
    return 0;
}

/* At the opening quote. */
static int read_string(reader *in, const char **text, uint32_t *size)
{
    size_t begin = ++in->at;
    if (skip_plain(in))
        return LLMCACHE_INVALID;
    if (in->text[in->at] == '\\')
        return read_escaped(in, begin, text, size);
    *text = in->text + begin;
    *size = (uint32_t)(in->at - begin);
    in->at++;
    return 0;
}

/* ---- Numbers and words ----------------------------------------------------------- */

static size_t skip_digits(reader *in)
{
    size_t from = in->at;
    while (in->at < in->size && in->text[in->at] >= '0' && in->text[in->at] <= '9')
        in->at++;
    return in->at - from;
}

static int read_number(reader *in, lc_tree *value)
{
    size_t begin = in->at;
    next_is(in, '-');
    if (!next_is(in, '0') && !skip_digits(in))
        return refuse(in, "not JSON");
    if (next_is(in, '.') && !skip_digits(in))
        return refuse(in, "bad number");
    if (next_is(in, 'e') || next_is(in, 'E')) {
        if (!next_is(in, '+'))
            next_is(in, '-');
        if (!skip_digits(in))
            return refuse(in, "bad number");
    }
    value->type = LC_TREE_NUMBER;
    value->text = in->text + begin;
    value->size = (uint32_t)(in->at - begin);
    return 0;
}

static int read_word(reader *in, lc_tree *value, const char *word, lc_tree_type type)
{
    size_t length = strlen(word);
    if (in->size - in->at < length || memcmp(in->text + in->at, word, length) != 0)
        return refuse(in, "not JSON");
    in->at += length;
    value->type = (uint8_t)type;
    return 0;
}

/* ---- Containers ------------------------------------------------------------------ */

static lc_tree *new_child(reader *in)
{
    if (++in->values > LC_TREE_VALUES)
        return NULL;
    lc_tree *child = lc_arena_take(in->arena, sizeof *child);
    if (child)
        *child = (lc_tree){0};
    return child;
}

/* Why there is no child. */
static int no_child(reader *in)
{
    return in->values > LC_TREE_VALUES ? refuse(in, "too many values")
                                       : lc_fail_memory(in->err);
}

/* From the first item of an array: past its end when all are numbers; 0 when they are
 * not. */
static int skip_numbers(reader *in)
{
    lc_tree number;
    for (;;) {
        skip_space(in);
        char c = in->at < in->size ? in->text[in->at] : '\0';
        if ((c != '-' && (c < '0' || c > '9')) || read_number(in, &number))
            return 0;
        skip_space(in);
        if (next_is(in, ']'))
            return 1;
        if (!next_is(in, ','))
            return 0;
    }
}

static int read_array(reader *in, lc_tree *array)
{
    lc_tree **link = &array->first;
    size_t begin = in->at++;
    if (skip_numbers(in)) {
        array->type = LC_TREE_NUMBERS;
        array->text = in->text + begin;
        array->size = (uint32_t)(in->at - begin);
        return 0;
    }
    array->type = LC_TREE_ARRAY;
    in->at = begin + 1;
    skip_space(in);
    if (next_is(in, ']'))
        return 0;
    for (;;) {
        lc_tree *item = new_child(in);
        if (!item)
            return no_child(in);
        int status = read_value(in, item);
        if (status)
            return status;
        *link = array->last = item;
        link = &item->next;
        array->size++;
        skip_space(in);
        if (next_is(in, ']'))
            return 0;
        if (!next_is(in, ','))
            return refuse(in, "not JSON");
    }
}

static int same_name(const lc_tree *a, const lc_tree *b)
{
    return a->name_size == b->name_size && memcmp(a->name, b->name, a->name_size) == 0;
}

/* Two members of one name mean something else to every reader; few are compared in pairs,
 * many sorted. */
static int check_names(reader *in, const lc_tree *object)
{
    int twice = 0;
    if (object->size <= 16) {
        for (const lc_tree *a = object->first; a && !twice; a = a->next)
            for (const lc_tree *b = a->next; b && !twice; b = b->next)
                twice = same_name(a, b);
    } else {
        lc_tree **sorted = lc_tree_sorted(object);
        if (!sorted)
            return lc_fail_memory(in->err);
        for (uint32_t i = 1; i < object->size && !twice; i++)
            twice = same_name(sorted[i - 1], sorted[i]);
        lc_free(sorted);
    }
    return twice ? refuse(in, "two members of the same name in the object that ends") : 0;
}

static int read_member(reader *in, lc_tree *member)
{
    skip_space(in);
    member->name_at = (uint32_t)in->at;
    if (in->at >= in->size || in->text[in->at] != '"')
        return refuse(in, "not JSON");
    int status = read_string(in, &member->name, &member->name_size);
    if (status)
        return status;
    skip_space(in);
    if (!next_is(in, ':'))
        return refuse(in, "not JSON");
    return read_value(in, member);
}

static int read_object(reader *in, lc_tree *object)
{
    lc_tree **link = &object->first;
    object->type = LC_TREE_OBJECT;
    in->at++;
    skip_space(in);
    if (next_is(in, '}'))
        return 0;
    for (;;) {
        lc_tree *member = new_child(in);
        if (!member)
            return no_child(in);
        int status = read_member(in, member);
        if (status)
            return status;
        *link = object->last = member;
        link = &member->next;
        object->size++;
        skip_space(in);
        if (next_is(in, '}'))
            return check_names(in, object);
        if (!next_is(in, ','))
            return refuse(in, "not JSON");
    }
}

static int read_container(reader *in, lc_tree *value)
{
    if (++in->depth > LC_TREE_DEPTH)
        return refuse(in, "nested too deep");
    int status = in->text[in->at] == '{' ? read_object(in, value) : read_array(in, value);
    in->depth--;
    return status;
}

static int read_value(reader *in, lc_tree *value)
{
    skip_space(in);
    value->start = (uint32_t)in->at;
    int status;
    switch (in->at < in->size ? in->text[in->at] : '\0') {
    case '{':
    case '[':
        status = read_container(in, value);
        break;
    case '"':
        value->type = LC_TREE_STRING;
        status = read_string(in, &value->text, &value->size);
        break;
    case 't':
        status = read_word(in, value, "true", LC_TREE_TRUE);
        break;
    case 'f':
        status = read_word(in, value, "false", LC_TREE_FALSE);
        break;
    case 'n':
        status = read_word(in, value, "null", LC_TREE_NULL);
        break;
    default:
        status = read_number(in, value);
    }
    value->end = (uint32_t)in->at;
    return status;
}

int lc_tree_read(lc_arena *arena, const char *text, size_t size, lc_tree **root,
                 llmcache_error *err)
{
    reader in = {.arena = arena, .text = text, .size = size, .err = err};
    if (size >= UINT32_MAX)
        return lc_fail(err, LLMCACHE_INVALID, "body: too large to be read");
    lc_tree *value = new_child(&in);
    if (!value)
        return no_child(&in);
    int status = read_value(&in, value);
    if (status)
        return status;
    skip_space(&in);
    if (in.at != in.size)
        return refuse(&in, "something follows the JSON value");
    *root = value;
    return 0;
}
