/* What the fixtures of clusters have in common. */
#ifndef TEST_REDIS_CLUSTER_FIXTURE_H
#define TEST_REDIS_CLUSTER_FIXTURE_H

#include "redis_cluster_server.h"
#include "store_fixture.h"

/* Its URI; NULL when there can be none. */
const char *redis_cluster_start(const test_redis_cluster_options *options);
const char *redis_cluster_ca_file(void);

void redis_cluster_damage(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other);
void redis_cluster_wipe(int part);
int64_t redis_cluster_left(void);

#endif
