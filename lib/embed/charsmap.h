/*
 * SentencePiece's precompiled character map: which beginnings of a text are replaced by
 * what, before a unigram tokenizer looks at it. In GGUF it is the key
 * tokenizer.ggml.precompiled_charsmap.
 *
 * The blob is a u32 size, a double-array trie of u32 units of that size in bytes
 * (darts-clone's layout: S. Yata; each unit packs label, offset and leaf flag), then
 * replacements, each ended by a NUL.
 */
#ifndef LC_EMBED_CHARSMAP_H
#define LC_EMBED_CHARSMAP_H

#include "base/buffer.h"
#include "embed/gguf.h"

typedef struct lc_charsmap {
    const char *units; /* unaligned */
    uint32_t unit_count;
    lc_span texts;
} lc_charsmap;

/* A view into `blob`. An empty blob is an empty map. LLMCACHE_CORRUPT if it cannot be
 * one. */
int lc_charsmap_open(lc_span blob, lc_charsmap *map, llmcache_error *err);

/*
 * The longest entry the text starts with: how many bytes it replaces (0: none), *with its
 * replacement. Never leaves the blob, whatever is in it.
 */
size_t lc_charsmap_match(const lc_charsmap *map, const char *text, size_t size,
                         lc_span *with);

/* Making a blob: init, any number of adds, finish, done. Failures are kept until finish.
 */
typedef struct lc_charsmap_builder {
    struct lc_charsmap_rule *rules;
    size_t count;
    size_t room;
    lc_buffer keys;  /* what is replaced, end to end */
    lc_buffer texts; /* the replacements as the blob has them */
    int broken;
} lc_charsmap_builder;

void lc_charsmap_builder_init(lc_charsmap_builder *builder);
void lc_charsmap_builder_done(lc_charsmap_builder *builder);

/* `from` is not empty, neither holds NUL bytes. Of two rules for the same text the first
 * wins. */
void lc_charsmap_add(lc_charsmap_builder *builder, lc_span from, lc_span to);

/* Appends the blob. Sorts the rules, so that the result does not depend on their order.
 */
int lc_charsmap_finish(lc_charsmap_builder *builder, lc_buffer *blob,
                       llmcache_error *err);

#endif
