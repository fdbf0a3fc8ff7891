/*
 * Names of Redis keys: prompt_cache:<namespace>:<fingerprint>, embed_cache:<namespace>:<id> and
 * observation_cache:<namespace>:<id>; and llmcache_lease:{<the entry's prompt_cache: name>} and llmcache_given_up:{...},
 * in a cluster in the entry's own slot. In the namespace, whatever is not a letter, a digit or one of -._~@+=,/ stands as % and two digits, so that the
 * colons of a key are its joints and no pattern matches more than it says. Pure.
 */
#ifndef LC_STORE_REDIS_KEYS_H
#define LC_STORE_REDIS_KEYS_H

#include "base/buffer.h"

#include <llmcache/backend.h>

#define LC_REDIS_PROMPT_PREFIX      "prompt_cache:"
#define LC_REDIS_EMBED_PREFIX       "embed_cache:"
#define LC_REDIS_OBSERVATION_PREFIX "observation_cache:"
#define LC_REDIS_DAMAGED_PREFIX     "llmcache_damaged:"
#define LC_REDIS_LEASE_PREFIX       "llmcache_lease:"
#define LC_REDIS_GIVEN_UP_PREFIX    "llmcache_given_up:"

/* Appends the key's name, a NUL not counted. Return name->broken. */
int lc_redis_key_name(int part, const llmcache_key *key, lc_buffer *name);

/* The same for the lease on an exact entry, or the mark that it was given up: by its prefix. */
int lc_redis_lease_name(const char *prefix, const llmcache_key *key, int lane, lc_buffer *name);

/* The pattern of all keys of a part; space NULL: of all namespaces; head: digits the last joint starts
 * with, "" for any. */
int lc_redis_key_pattern(int part, const char *space, const char *head, lc_buffer *pattern);

/*
 * Takes a name apart: the part (0 when it is none of ours; a lease given up is LLMCACHE_PART_LEASE), the namespace and the id. `space` must have room
 * for `size` bytes.
 */
int lc_redis_key_read(const char *name, size_t size, char *space, char id[LLMCACHE_ID_SIZE]);

#endif
