/* What the fixtures of Redis over its several ways in have in common. */
#ifndef TEST_REDIS_FIXTURE_H
#define TEST_REDIS_FIXTURE_H

#include "redis_server.h"
#include "store_fixture.h"

extern test_redis fixture_redis;

void redis_damage(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other);
void redis_wipe(int part);
int64_t redis_left(void);

#endif
