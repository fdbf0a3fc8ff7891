/* Entries for tests of a store: made by number, put, read back, compared. Any thread may call. */
#ifndef TEST_STORE_ENTRIES_H
#define TEST_STORE_ENTRIES_H

#include "store/store.h"

/* What a read may come to beside the codes: there was an answer, and it was not the right one. */
enum { WRONG_ANSWER = 1 };

/* Opens or ends the test. ca_file may be NULL. */
lc_store store_at(const char *uri, const char *ca_file);

/* Entry `number` of a namespace: its own fingerprint, answer and vector. Lives until the test ends. */
const llmcache_entry *numbered_entry(const char *space, int number);
llmcache_key key_of_entry(const llmcache_entry *entry);

/* Both parts. */
int put_entry_in(lc_store *store, const llmcache_entry *entry, int64_t deadline_ms,
                 llmcache_error *err);

/* 0 when the part is there and right in every byte, WRONG_ANSWER when it is another, or the code. */
int get_entry_from(lc_store *store, int part, const llmcache_entry *entry, int64_t deadline_ms,
                   llmcache_error *err);

/* The keys of its parts, as redis-cli takes them; for namespaces of letters. */
const char *prompt_key_name(const llmcache_entry *entry);
const char *embed_key_name(const llmcache_entry *entry);

#endif
