/*
 * Immutable entries with their strings, body and vector in one allocation, so that a hit touches few cache
 * lines and eviction frees one block. Owned by their references.
 */
#include "base/memory.h"
#include "store/memory_cache.h"
#include "store/store.h"

#include <stddef.h>
#include <string.h>

/* The texts of an entry, in the order they are laid out. */
#define TEXT_COUNT 7
static void texts_of(llmcache_entry *facts, const char **texts[TEXT_COUNT])
{
    texts[0] = &facts->space;
    texts[1] = &facts->protocol;
    texts[2] = &facts->model;
    texts[3] = &facts->question;
    texts[4] = &facts->tags;
    texts[5] = &facts->embedder;
    texts[6] = &facts->shape;
}

const char *lc_entry_shape(const llmcache_entry *entry)
{
    int has = !entry->struct_size ||
              entry->struct_size >= offsetof(llmcache_entry, shape) + sizeof entry->shape;
    return has && entry->shape ? entry->shape : "";
}

/* Programs built against an older header hand in a shorter struct. */
static llmcache_entry whole_entry(const llmcache_entry *from)
{
    llmcache_entry whole = {.struct_size = sizeof whole};
    int shorter = from->struct_size && from->struct_size < sizeof whole;
    memcpy(&whole, from, shorter ? from->struct_size : sizeof whole);
    return whole;
}

/* Bytes of the whole allocation; 0 when they cannot be counted. */
static size_t whole_size(const size_t lengths[TEXT_COUNT], size_t body_size, size_t dimension)
{
    size_t size = sizeof(lc_entry), vector;
    if (__builtin_mul_overflow(dimension, sizeof(float), &vector) ||
        __builtin_add_overflow(size, vector, &size) ||
        __builtin_add_overflow(size, body_size, &size) || __builtin_add_overflow(size, 1, &size))
        return 0;
    for (int i = 0; i < TEXT_COUNT; i++)
        if (__builtin_add_overflow(size, lengths[i] + 1, &size))
            return 0;
    return size;
}

static char *lay(char *at, const void *bytes, size_t size)
{
    if (size)
        memcpy(at, bytes, size);
    at[size] = '\0';
    return at + size + 1;
}

static lc_entry *make(const llmcache_entry *from, int with_vector)
{
    llmcache_entry facts = whole_entry(from);
    const char **texts[TEXT_COUNT];
    size_t lengths[TEXT_COUNT];
    texts_of(&facts, texts);
    for (int i = 0; i < TEXT_COUNT; i++)
        lengths[i] = *texts[i] ? strlen(*texts[i]) : 0;
    size_t dimension = with_vector && from->vector ? from->dimension : 0;
    size_t size = whole_size(lengths, from->body_size, dimension);
    lc_entry *entry = size ? lc_alloc(size) : NULL;
    if (!entry)
        return NULL;
    char *at = (char *)(entry + 1);
    facts.struct_size = sizeof facts;
    facts.vector = NULL;
    facts.dimension = dimension;
    if (dimension) {
        facts.vector = memcpy(at, from->vector, dimension * sizeof(float));
        at += dimension * sizeof(float);
    }
    for (int i = 0; i < TEXT_COUNT; i++) {
        const char *text = at;
        at = lay(at, *texts[i], lengths[i]);
        *texts[i] = text;
    }
    facts.body = at;
    lay(at, from->body, from->body_size);
    lc_entry_id(facts.fingerprint, facts.id);
    *entry = (lc_entry){.references = 1, .expires_ms = facts.expires_ms,
                        .bytes = lc_alloc_cost(entry), .facts = facts};
    return entry;
}

lc_entry *lc_entry_new(const llmcache_entry *facts)
{
    return make(facts, 0);
}

lc_entry *lc_entry_new_record(const llmcache_entry *facts)
{
    return make(facts, 1);
}

lc_entry *lc_entry_ref(lc_entry *entry)
{
    atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
    return entry;
}

void lc_entry_unref(lc_entry *entry)
{
    if (!entry || atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel) != 1)
        return;
    lc_free(atomic_load_explicit(&entry->rendering[0], memory_order_relaxed));
    lc_free(atomic_load_explicit(&entry->rendering[1], memory_order_relaxed));
    lc_free(entry);
}
