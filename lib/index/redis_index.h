/*
 * An index in a Redis 8: one vector set for each partition, shared by all caches of the store, so that no server has
 * to hold every vector.
 *
 *   redis:            in the store's own Redis (store redis://, rediss://, unix: or redis+sentinel://)
 *   redis:<uri>       in another one; redis://... is read as redis:redis://..., and redis+sentinel://... likewise
 *
 * Keys, all under "vector_cache:<digest of the vector space's name>":
 *
 *   :<namespace>:<partition>   vector set; an element is "<fingerprint>:<expires_ms>"
 *   :places                    hash: "<namespace>:<id>" to partition, digest of the vector, element
 *   :expiries                  sorted set of the same names, of those that expire
 *   :partitions                hash: partition to namespace
 *   :facts                     hash: name, dimension, generation, filled
 *   :filling                   string, for seconds: who fills it just now
 *
 * Changes are scripts, so each is atomic whoever else makes one. A search asks the vector set alone. Vectors are kept
 * as floats (NOQUANT), since a similarity that the index says decides about an answer; and M is Redis's own default.
 *
 * `filled` is the run and the reign of the Redis that was filled, "<run id>:<replication id>": one that was started
 * again may have lost its last writes, and a replica that took over, too, also when the first one has taken over
 * again since. `generation` is a random word that goes with all else when the index is emptied, by us or by
 * FLUSHALL; only the generation that somebody began to fill is marked, and only in the reign in which he began.
 *
 * Vector sets are looked for when the server first answers, and again whenever it seems to have lost them. Without them,
 * vectors are kept and searched here, by a flat index.
 */
#ifndef LC_INDEX_REDIS_INDEX_H
#define LC_INDEX_REDIS_INDEX_H

#include "index/index.h"

/* `rest` is what follows "redis:". */
int lc_redis_index_open(const char *rest, const lc_index_options *options, lc_index *index,
                        llmcache_error *err);

#endif
