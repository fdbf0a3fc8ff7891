/* Writing shapes: a walk over the tree that digests by the canonical form of the keys. */
#include "protocol/shape.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "protocol/asked.h"
#include "protocol/canonical.h"
#include "protocol/controls.h"
#include "protocol/shape_inside.h"
#include "protocol/spots.h"

#include <stdio.h>
#include <string.h>

enum {
    PATH_SIZE = 96,
    WORD_SIZE = 48,       /* longest word shown */
    DEPTH = 6,
    WHOLE_MESSAGES = 6,   /* first messages given field by field */
    SCANNED = 64 * 1024,  /* of a text, for steps and spots */
    SPOTS = 6
};

typedef struct writer {
    lc_buffer *out;
    int bulky; /* within what people and tools said: numbers are digests too */
    int status;
} writer;

typedef struct path {
    char text[PATH_SIZE]; /* no NUL behind */
    size_t size;
} path;

/* ---- Paths --------------------------------------------------------------------------- */

/* Paths hold no blanks and no controls; what does not fit is left out. */
static void path_add(path *p, const char *text, size_t size)
{
    size_t taken = size < PATH_SIZE - p->size ? size : PATH_SIZE - p->size;
    while (taken && taken < size && !lc_utf8_valid(text, taken))
        taken--;
    for (size_t i = 0; i < taken; i++)
        p->text[p->size++] = (unsigned char)text[i] > ' ' ? text[i] : '_';
}

static path path_member(const path *p, const lc_tree *member)
{
    path inner = *p;
    if (inner.size)
        path_add(&inner, ".", 1);
    path_add(&inner, member->name, member->name_size);
    return inner;
}

static path path_item(const path *p, const char *name, size_t size)
{
    path inner = *p;
    path_add(&inner, "[", 1);
    path_add(&inner, name, size);
    path_add(&inner, "]", 1);
    return inner;
}

static path path_number(const path *p, size_t number)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%zu", number);
    return path_item(p, digits, (size_t)size);
}

/* ---- Digests --------------------------------------------------------------------------- */

static void put_digits(lc_buffer *out, uint64_t bits, int count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < count; i++, bits >>= 6)
        lc_buffer_byte(out, digits[bits & 63]);
}

static uint64_t digest_end(writer *w, lc_canonical *form)
{
    unsigned char digest[LC_SHA256_SIZE] = {0};
    uint64_t bits;
    int status = lc_canonical_end(form, digest);
    if (status)
        w->status = status;
    memcpy(&bits, digest, sizeof bits);
    return bits;
}

/* Of the value, or of it and all behind it. */
static uint64_t digest_of(writer *w, const lc_tree *value, int rest)
{
    lc_canonical form;
    lc_canonical_init(&form, "llmcache shape line 1");
    for (const lc_tree *at = value; at; at = rest ? at->next : NULL) {
        if (rest && at->name)
            lc_canonical_member(&form, at);
        else
            lc_canonical_value(&form, at);
    }
    return digest_end(w, &form);
}

static int is_among(const lc_tree *member, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (lc_tree_named(member, names[i]))
            return 1;
    return 0;
}

/* What may be long comes last, so that it is what is cut short. */
static int is_bulky(const lc_tree *member)
{
    static const char *const names[] = {"messages", "input", "prompt"};
    return is_among(member, names, sizeof names / sizeof *names);
}

static int is_full(const writer *w)
{
    return w->out->size > LC_SHAPE_BYTES;
}

static void line_begin(writer *w, const path *p)
{
    lc_buffer_add(w->out, p->text, p->size);
    lc_buffer_byte(w->out, ' ');
}

/* What there is no room for, in one line: the members from here on. */
static void line_members(writer *w, const path *p, lc_tree *const *members, uint32_t count,
                         unsigned key_fields)
{
    path rest = *p;
    lc_canonical form;
    lc_canonical_init(&form, "llmcache shape line 1");
    for (uint32_t i = 0; i < count; i++)
        if (p->size || (lc_member_counts(members[i], key_fields) && !is_bulky(members[i])))
            lc_canonical_member(&form, members[i]);
    path_add(&rest, "..", 2);
    line_begin(w, &rest);
    lc_buffer_byte(w->out, '=');
    put_digits(w->out, digest_end(w, &form), LC_SHAPE_DIGITS);
    lc_buffer_byte(w->out, '\n');
}

static void line_digest(writer *w, const path *p, const lc_tree *value, int rest)
{
    line_begin(w, p);
    lc_buffer_byte(w->out, '=');
    put_digits(w->out, digest_of(w, value, rest), LC_SHAPE_DIGITS);
    lc_buffer_byte(w->out, '\n');
}

/* ---- Texts ----------------------------------------------------------------------------- */

/* Digests of the text up to each step, and how many characters it has. */
static size_t put_steps(const char *text, size_t size, lc_buffer *out)
{
    uint64_t hash = LC_MIX_START;
    size_t characters = 0, step = lc_shape_step(0), begin = 0;
    for (size_t at = 0; at < size; at++) {
        if ((text[at] & 0xc0) == 0x80)
            continue;
        if (characters == step) {
            hash = lc_mix(hash, text + begin, at - begin);
            begin = at;
            put_digits(out, hash >> 40, 2);
            step = lc_shape_step(step);
        }
        characters++;
    }
    return characters;
}

static void put_spots(const char *text, size_t size, lc_buffer *out)
{
    size_t at = 0, from, to, characters = 0;
    lc_spot_kind kind;
    for (int i = 0; i < SPOTS && (kind = lc_spot_next(text, size, at, &from, &to)); i++, at = to) {
        for (size_t byte = at; byte < from; byte++)
            characters += (text[byte] & 0xc0) != 0x80;
        lc_buffer_format(out, "%c%zu.", kind, characters);
        put_digits(out, lc_mix(LC_MIX_START, text + from, to - from) >> 40, 2);
        for (size_t byte = from; byte < to; byte++)
            characters += (text[byte] & 0xc0) != 0x80;
    }
}

/* ~CHARACTERS=DIGEST=MASKED=STEPS=SPOTS */
static void line_text(writer *w, const path *p, const lc_tree *value)
{
    lc_buffer steps;
    lc_buffer_init(&steps, 0);
    size_t scanned = value->size < SCANNED ? value->size : SCANNED;
    size_t characters = put_steps(value->text, scanned, &steps);
    if (scanned < value->size)
        characters += value->size - scanned;
    uint64_t masked = lc_mix_masked(LC_MIX_START, value->text, scanned);
    line_begin(w, p);
    lc_buffer_format(w->out, "~%zu=", characters);
    put_digits(w->out, digest_of(w, value, 0), LC_SHAPE_DIGITS);
    lc_buffer_byte(w->out, '=');
    put_digits(w->out, masked, LC_SHAPE_DIGITS);
    lc_buffer_byte(w->out, '=');
    lc_buffer_add(w->out, steps.data, steps.size);
    lc_buffer_byte(w->out, '=');
    put_spots(value->text, scanned, w->out);
    lc_buffer_byte(w->out, '\n');
    if (steps.broken)
        w->status = steps.broken;
    lc_buffer_done(&steps);
}

/* Members whose texts are words of the interface, not of a person. */
static int is_word_member(const lc_tree *value)
{
    static const char *const names[] = {
        "model",  "role",      "type",     "effort",      "reasoning_effort", "verbosity",
        "format", "detail",    "summary",  "tool_choice", "service_tier",     "encoding_format",
        "mode",   "truncation", "quality", "prompt_cache_retention"};
    for (size_t i = 0; value->name && i < sizeof names / sizeof *names; i++)
        if (lc_tree_named(value, names[i]))
            return 1;
    return 0;
}

static int is_word(const lc_tree *value)
{
    if (!is_word_member(value) || value->size > WORD_SIZE)
        return 0;
    for (uint32_t i = 0; i < value->size; i++)
        if ((unsigned char)value->text[i] < ' ' || value->text[i] == 0x7f)
            return 0;
    return 1;
}

/* ---- Values ------------------------------------------------------------------------------ */

static void line_scalar(writer *w, const path *p, const lc_tree *value)
{
    static const char *const words[] = {
        [LC_TREE_NULL] = "null", [LC_TREE_FALSE] = "false", [LC_TREE_TRUE] = "true"};
    if (value->type == LC_TREE_STRING && !value->marked && !is_word(value)) {
        line_text(w, p, value);
        return;
    }
    if (value->type == LC_TREE_NUMBER && (w->bulky || value->size > WORD_SIZE)) {
        line_digest(w, p, value, 0);
        return;
    }
    line_begin(w, p);
    if (value->marked) {
        lc_buffer_byte(w->out, '?');
    } else if (value->type == LC_TREE_STRING) {
        lc_buffer_byte(w->out, '\'');
        lc_buffer_add(w->out, value->text, value->size);
    } else if (value->type == LC_TREE_NUMBER) {
        int status = lc_canonical_number(value, w->out);
        if (status)
            w->status = status;
    } else {
        lc_buffer_text(w->out, words[value->type]);
    }
    lc_buffer_byte(w->out, '\n');
}

static void write_value(writer *w, const path *p, const lc_tree *value, int depth);

static void write_object(writer *w, const path *p, const lc_tree *object, int depth)
{
    lc_tree **members = lc_tree_sorted(object);
    if (!members) {
        w->status = LLMCACHE_MEMORY;
        return;
    }
    for (uint32_t i = 0; i < object->size && !w->status; i++) {
        path inner = path_member(p, members[i]);
        if (is_full(w)) {
            line_members(w, p, members + i, object->size - i, 0);
            break;
        }
        write_value(w, &inner, members[i], depth + 1);
    }
    lc_free(members);
}

static void write_array(writer *w, const path *p, const lc_tree *array, int depth)
{
    size_t at = 0;
    line_begin(w, p);
    lc_buffer_format(w->out, "[%u\n", array->size);
    for (const lc_tree *item = array->first; item && !w->status; item = item->next, at++) {
        path inner = path_number(p, at);
        if (is_full(w)) {
            path_add(&inner, "..", 2);
            line_digest(w, &inner, item, 1);
            break;
        }
        if (at >= WHOLE_MESSAGES && item->next && item->type == LC_TREE_OBJECT)
            line_digest(w, &inner, item, 0);
        else
            write_value(w, &inner, item, depth + 1);
    }
}

static void write_value(writer *w, const path *p, const lc_tree *value, int depth)
{
    if (value->type < LC_TREE_NUMBERS)
        line_scalar(w, p, value);
    else if (value->type == LC_TREE_ARRAY && depth < DEPTH)
        write_array(w, p, value, depth);
    else if (value->type == LC_TREE_OBJECT && depth < DEPTH && !is_full(w))
        write_object(w, p, value, depth);
    else
        line_digest(w, p, value, 0);
}

/* Tools by name, so that one more or another order is seen as what it is. */
static void write_tools(writer *w, const path *p, const lc_tree *tools)
{
    line_begin(w, p);
    lc_buffer_format(w->out, "[%u=", tools->size);
    put_digits(w->out, digest_of(w, tools, 0), LC_SHAPE_DIGITS);
    lc_buffer_byte(w->out, '\n');
    for (const lc_tree *tool = tools->first; tool && !w->status; tool = tool->next) {
        const lc_tree *name = lc_tree_find(tool, "name");
        if (!name)
            name = lc_tree_find(lc_tree_find(tool, "function"), "name");
        if (!name)
            name = lc_tree_find(tool, "type");
        int named = lc_tree_is_type(name, LC_TREE_STRING) && name->size && name->size <= WORD_SIZE;
        path inner = path_item(p, named ? name->text : "?", named ? name->size : 1);
        if (is_full(w)) {
            path_add(&inner, "..", 2);
            line_digest(w, &inner, tool, 1);
            break;
        }
        line_digest(w, &inner, tool, 0);
    }
}

/* ---- The body ---------------------------------------------------------------------------- */

static int is_tools(const lc_tree *member)
{
    static const char *const names[] = {"tools", "functions"};
    return is_among(member, names, sizeof names / sizeof *names) && member->type == LC_TREE_ARRAY;
}

static void write_body(writer *w, const lc_tree *body, unsigned key_fields)
{
    const path none = {.size = 0};
    lc_tree **members = lc_tree_sorted(body);
    if (!members) {
        w->status = LLMCACHE_MEMORY;
        return;
    }
    for (int bulky = 0; bulky <= 1; bulky++)
        for (uint32_t i = 0; i < body->size && !w->status; i++) {
            if (is_bulky(members[i]) != bulky || !lc_member_counts(members[i], key_fields))
                continue;
            path p = path_member(&none, members[i]);
            w->bulky = bulky;
            if (!bulky && is_full(w)) {
                line_members(w, &none, members + i, body->size - i, key_fields);
                break;
            }
            if (is_tools(members[i]))
                write_tools(w, &p, members[i]);
            else
                write_value(w, &p, members[i], 0);
        }
    lc_free(members);
}

int lc_shape_write(lc_protocol protocol, const char *body, size_t size, unsigned key_fields,
                   lc_buffer *shape, llmcache_error *err)
{
    lc_arena arena = {0};
    lc_tree *root, *part;
    writer w = {.out = shape};
    int status = lc_tree_read(&arena, body, size, &root, err);
    if (!status && root->type != LC_TREE_OBJECT)
        status = lc_fail(err, LLMCACHE_INVALID, "body: not a JSON object");
    if (!status) {
        lc_asked asked = lc_asked_find(protocol, root);
        for (lc_tree *text = lc_asked_first(&asked, &part); text; text = lc_asked_next(&part))
            text->marked = 1;
        write_body(&w, root, key_fields);
        status = w.status ? w.status : shape->broken;
        if (status)
            lc_fail(err, status, "body: its shape could not be written");
    }
    lc_arena_done(&arena);
    return status;
}

void lc_shape_add(const char *name, const char *value, int shown, lc_buffer *shape)
{
    path p = {.size = 0};
    path_add(&p, name, strlen(name));
    lc_buffer_add(shape, p.text, p.size);
    size_t size = strlen(value);
    lc_buffer_text(shape, shown ? " '" : " =");
    if (!shown)
        put_digits(shape, lc_mix(LC_MIX_START, value, size) >> 8, LC_SHAPE_DIGITS);
    for (size_t i = 0; shown && i < size && i < LC_SHAPE_SHOWN - 1; i++)
        lc_buffer_byte(shape, value[i] >= ' ' && value[i] < 0x7f ? value[i] : '_');
    lc_buffer_byte(shape, '\n');
}
