/*
 * The memory cache before every store (L1): bounded in bytes, scan-resistant, holding immutable
 * reference-counted answers under 32-byte digests. An answer may stand under several digests: its
 * fingerprint, raw request digests, wordings matched by meaning. Killing the answer kills them all.
 */
#ifndef LC_STORE_MEMORY_CACHE_H
#define LC_STORE_MEMORY_CACHE_H

#include <llmcache/llmcache.h>
#include <stdatomic.h>

/*
 * One immutable answer: the public entry with its strings and body in the same allocation. Made with one
 * reference. `dead` is set once when it is removed or replaced; who finds a dead one must not serve it.
 */
typedef struct lc_entry {
    /* What a find looks at stands together. */
    atomic_int references;
    atomic_int dead;
    int64_t expires_ms;           /* as in facts */
    size_t bytes;                 /* what this allocation takes, renderings not included */
    atomic_int recorded;          /* its record was seen in the store while it stood in memory; only rises */
    _Atomic(char *) rendering[2]; /* replayed streams, made at first need: [0] without, [1] with usage */
    size_t rendering_size[2];     /* valid once the rendering was seen */
    llmcache_entry facts;         /* vector NULL, unless made by lc_entry_new_record */
} lc_entry;

/* Copies all but the vector. NULL: no memory. */
lc_entry *lc_entry_new(const llmcache_entry *facts);
lc_entry *lc_entry_new_record(const llmcache_entry *facts); /* the vector too */
lc_entry *lc_entry_ref(lc_entry *entry);
void lc_entry_unref(lc_entry *entry); /* accepts NULL */

typedef struct lc_memory_cache lc_memory_cache;

typedef struct lc_memory_stats {
    uint64_t answers, digests, bytes, evictions;
} lc_memory_stats;

int lc_memory_cache_new(size_t max_bytes, lc_memory_cache **cache, llmcache_error *err);
void lc_memory_cache_free(lc_memory_cache *cache);

/* What a digest leads to. */
typedef struct lc_memory_hit {
    lc_entry *entry;   /* a reference for the caller to unref */
    int semantic;      /* the digest is of another wording */
    int form;          /* what lc_memory_cache_alias was given, 0 for the fingerprint itself */
    double similarity; /* 1 unless semantic */
} lc_memory_hit;

/* 1 and *hit when the digest leads to a live answer that has not expired at now_ms, else 0. */
int lc_memory_cache_find(lc_memory_cache *cache, const unsigned char digest[32], int64_t now_ms,
                         lc_memory_hit *hit);

/*
 * Every removal raises the generation. Read it before asking the store, hand it to put: when it changed in
 * between for this entry's slot, what was read may be stale and is not kept.
 */
uint64_t lc_memory_cache_generation(lc_memory_cache *cache, const char *space,
                                    const unsigned char fingerprint[32]);

/*
 * Puts the entry under its fingerprint. An older answer there dies. `generation` as read before, or
 * UINT64_MAX for one that cannot have been removed since. Best effort: 0 also when it was not kept.
 */
int lc_memory_cache_put(lc_memory_cache *cache, lc_entry *entry, uint64_t generation);

/*
 * The same for an entry that was just written to the store, `generation` as read before that. When something was
 * removed or written meanwhile, it may have been this one, and nothing is kept under its id.
 */
void lc_memory_cache_put_new(lc_memory_cache *cache, lc_entry *entry, uint64_t generation);

/*
 * Lets another digest lead to an entry (no-op when it is dead or has left). `form` is a small number
 * (0 to 255) of the caller's, handed back by find: how that request wants its reply. Best effort.
 */
int lc_memory_cache_alias(lc_memory_cache *cache, const unsigned char digest[32], lc_entry *entry,
                          int semantic, int form, double similarity);

/*
 * Gives the entry a rendering and counts its bytes. Takes `text` over (an lc_alloc allocation). When
 * another thread was first, its rendering stays and `text` is freed. Read it back from the entry.
 */
void lc_memory_cache_render(lc_memory_cache *cache, lc_entry *entry, int which, char *take_text,
                            size_t size);

/* Kills the answers of this namespace whose id is `id`. Raises the generation even when none is here. */
void lc_memory_cache_remove(lc_memory_cache *cache, const char *space, const char *id);
void lc_memory_cache_clear(lc_memory_cache *cache);

/* No digest of another wording leads to an answer any more; the answers stay. */
void lc_memory_cache_forget_semantic(lc_memory_cache *cache);

/* Only until this time (lc_mono_ms) is anything found; what is there stays. INT64_MAX, as at the start: for ever. */
void lc_memory_cache_trust_until(lc_memory_cache *cache, int64_t until_ms);

/* Switched off, nothing is found or kept: the store's word about changes was lost. Clears. */
void lc_memory_cache_enable(lc_memory_cache *cache, int enabled);
void lc_memory_cache_stats(lc_memory_cache *cache, lc_memory_stats *stats);

#endif
