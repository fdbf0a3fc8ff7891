/* What the files of the store suite share: the store under test, entries to put, and short forms of its
 * operations that end the test when the store fails. */
#ifndef TEST_STORE_SUITE_H
#define TEST_STORE_SUITE_H

#include "store_fixture.h"

#include "store/memory_cache.h"

#define WAIT 10000 /* ms for what should be quick */

extern lc_store store;
extern int64_t now; /* wall clock: some stores have one of their own */

lc_store open_store(void);
int try_to_open(lc_store *opened, llmcache_error *err);

/* Skipping leaves out the suite's end, and a store's threads must not outlive its test. */
#define SKIP(...)                                                                             \
    do {                                                                                      \
        lc_store_close(&store);                                                               \
        cr_skip_test(__VA_ARGS__);                                                            \
    } while (0)

uint64_t next_random(uint64_t *state);
void fill(uint64_t seed, void *out, size_t size);

llmcache_key key_in(const char *space, uint64_t number);
llmcache_key key_of(uint64_t number); /* in "default" */

/* The entry of a key; strings live until the test ends. */
llmcache_entry entry_of(const llmcache_key *key, int version);

void put_entry(const llmcache_entry *entry, int parts);
void put(const llmcache_key *key, int parts, int version);

/* A copy of what the store has, NULL when it has nothing; *code receives the outcome. */
lc_entry *get_at(const llmcache_key *key, int part, int64_t at, int *code);
lc_entry *get(const llmcache_key *key, int part);
int has(const llmcache_key *key, int part);

void same(const llmcache_entry *a, const llmcache_entry *b, int part);
void expect(const llmcache_entry *entry, int part); /* the part is there and is exactly this */

uint64_t take(const llmcache_key *keys, size_t count, int parts);

typedef struct walk {
    uint64_t count;
    uint64_t stop_after;
    int removing;
    const llmcache_entry *wanted; /* compared when met */
    int part;
} walk;

uint64_t walk_all(int part, const char *space, int64_t at, walk *w, uint64_t *damaged);
uint64_t count_of(int part);

#endif
