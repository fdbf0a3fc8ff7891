/*
 * Building the double-array trie of charsmap.c: depth first over the sorted rules, each
 * node's children placed first-fit in one block of 256 units. Bases are used once, so
 * that a label is proof enough of whose child a unit is. Thousands of rules take
 * milliseconds; this runs when a model is imported.
 */
#include "base/error.h"
#include "base/memory.h"
#include "embed/charsmap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HAS_LEAF  (1u << 8)
#define IS_VALUE  (1u << 31)
#define BLOCK     256u
#define MAX_UNITS (1u << 21) /* offsets below this need no extension bit */
#define MAX_KEY   64         /* bytes replaced by one rule: bounds the recursion */

typedef struct lc_charsmap_rule {
    uint32_t key; /* where in builder->keys */
    uint32_t size;
    uint32_t value; /* where in builder->texts; grows with every rule added */
} map_rule;

void lc_charsmap_builder_init(lc_charsmap_builder *builder)
{
    *builder = (lc_charsmap_builder){0};
    lc_buffer_init(&builder->keys, IS_VALUE - 1);
    lc_buffer_init(&builder->texts, IS_VALUE - 1);
}

void lc_charsmap_builder_done(lc_charsmap_builder *builder)
{
    lc_free(builder->rules);
    lc_buffer_done(&builder->keys);
    lc_buffer_done(&builder->texts);
    lc_charsmap_builder_init(builder);
}

static int make_room(lc_charsmap_builder *builder)
{
    if (builder->count < builder->room)
        return 0;
    size_t room = builder->room ? 2 * builder->room : 8192;
    map_rule *rules = lc_realloc_array(builder->rules, room, sizeof *rules);
    if (!rules)
        return LLMCACHE_MEMORY;
    builder->rules = rules;
    builder->room = room;
    return 0;
}

void lc_charsmap_add(lc_charsmap_builder *builder, lc_span from, lc_span to)
{
    assert(from.size > 0 && from.size <= MAX_KEY);
    if (builder->broken || (builder->broken = make_room(builder)))
        return;
    builder->rules[builder->count++] = (map_rule){.key = (uint32_t)builder->keys.size,
                                                  .size = (uint32_t)from.size,
                                                  .value = (uint32_t)builder->texts.size};
    lc_buffer_add(&builder->keys, from.data, from.size);
    lc_buffer_add(&builder->texts, to.data, to.size);
    lc_buffer_byte(&builder->texts, '\0');
    builder->broken = builder->keys.broken ? builder->keys.broken : builder->texts.broken;
}

/* ---- The trie -------------------------------------------------------------------- */

typedef struct trie {
    const map_rule *rules;
    const char *keys;
    uint32_t *units;
    unsigned char *taken; /* per unit: in use */
    unsigned char *based; /* per unit: some node's children are addressed from here */
    uint32_t room;
    uint32_t first; /* all units before this are taken */
} trie;

static int grow(trie *t)
{
    uint32_t room = t->room + 64 * BLOCK;
    if (room > MAX_UNITS)
        return LLMCACHE_TOO_LARGE;
    uint32_t *units = lc_realloc_array(t->units, room, sizeof *units);
    if (units)
        t->units = units;
    unsigned char *taken = units ? lc_realloc(t->taken, room) : NULL;
    if (taken)
        t->taken = taken;
    unsigned char *based = taken ? lc_realloc(t->based, room) : NULL;
    if (!based)
        return LLMCACHE_MEMORY;
    t->based = based;
    memset(units + t->room, 0, (room - t->room) * sizeof *units);
    memset(taken + t->room, 0, room - t->room);
    memset(based + t->room, 0, room - t->room);
    t->room = room;
    return 0;
}

static int fits(const trie *t, uint32_t base, const unsigned char *labels, unsigned count)
{
    if (t->based[base])
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (t->taken[base ^ labels[i]])
            return 0;
    return 1;
}

/* Finds a base at which every child's place is free, and takes those places. */
static int place(trie *t, const unsigned char *labels, unsigned count, uint32_t *found)
{
    for (uint32_t at = t->first;; at++) {
        int rc = at < t->room ? 0 : grow(t);
        if (rc)
            return rc;
        uint32_t base = at ^ labels[0];
        if (t->taken[at] || !fits(t, base, labels, count))
            continue;
        t->based[base] = 1;
        for (unsigned i = 0; i < count; i++)
            t->taken[base ^ labels[i]] = 1;
        while (t->first < t->room && t->taken[t->first])
            t->first++;
        *found = base;
        return 0;
    }
}

/* The byte of a rule's key at some depth; 0 past its end. */
static unsigned char byte_at(const trie *t, size_t i, size_t depth)
{
    const map_rule *rule = &t->rules[i];
    return depth < rule->size ? (unsigned char)t->keys[rule->key + depth] : 0;
}

/* Lays out the children of `node`, which stands for rules low to high - 1, equal up to
 * `depth`. */
static int add_children(trie *t, uint32_t node, size_t low, size_t high, size_t depth)
{
    unsigned char labels[BLOCK];
    unsigned count = 0;
    uint32_t base;
    for (size_t i = low; i < high; i++) {
        unsigned char byte = byte_at(t, i, depth);
        if (count == 0 || labels[count - 1] != byte)
            labels[count++] = byte;
    }
    int rc = place(t, labels, count, &base);
    if (rc)
        return rc;
    t->units[node] |= (node ^ base) << 10 | (labels[0] == 0 ? HAS_LEAF : 0);
    for (size_t i = low, end; rc == 0 && i < high; i = end) {
        unsigned char byte = byte_at(t, i, depth);
        for (end = i + 1; end < high && byte_at(t, end, depth) == byte;)
            end++;
        t->units[base ^ byte] = byte ? byte : t->rules[i].value | IS_VALUE;
        if (byte)
            rc = add_children(t, base ^ byte, i, end, depth + 1);
    }
    return rc;
}

static int compare_rules(const void *a, const void *b, void *keys)
{
    const map_rule *left = a, *right = b;
    const char *text = keys;
    int order = memcmp(text + left->key, text + right->key,
                       left->size < right->size ? left->size : right->size);
    if (order)
        return order;
    if (left->size != right->size)
        return left->size > right->size ? 1 : -1;
    return (left->value > right->value) - (left->value < right->value);
}

static int make_trie(const lc_charsmap_builder *builder, trie *t)
{
    int rc = grow(t);
    if (rc)
        return rc;
    t->taken[0] = 1;
    t->first = 1;
    return builder->count ? add_children(t, 0, 0, builder->count, 0) : 0;
}

static void put_blob(const trie *t, const lc_buffer *texts, lc_buffer *blob)
{
    uint32_t used = t->room;
    while (used > BLOCK && !memchr(t->taken + used - BLOCK, 1, BLOCK))
        used -= BLOCK;
    uint32_t size = used * (uint32_t)sizeof *t->units;
    lc_buffer_add(blob, &size, sizeof size);
    lc_buffer_add(blob, t->units, size);
    lc_buffer_add(blob, texts->data, texts->size);
}

int lc_charsmap_finish(lc_charsmap_builder *builder, lc_buffer *blob, llmcache_error *err)
{
    trie t = {.rules = builder->rules, .keys = builder->keys.data};
    int rc = builder->broken;
    if (rc == 0 && builder->count)
        qsort_r(builder->rules, builder->count, sizeof *builder->rules, compare_rules,
                builder->keys.data);
    if (rc == 0)
        rc = make_trie(builder, &t);
    if (rc == 0) {
        put_blob(&t, &builder->texts, blob);
        rc = blob->broken;
    }
    lc_free(t.units);
    lc_free(t.taken);
    lc_free(t.based);
    return rc ? lc_fail(err, rc, "the character map cannot be built: %s",
                        lc_code_text(rc))
              : 0;
}
