/* What a person does with redis-cli: on one Redis, or on the primaries of a cluster. From any thread. */
#ifndef KEPT_TRUE_REDIS_HAND_H
#define KEPT_TRUE_REDIS_HAND_H

#include "redis_server.h"

void hand_open(const test_redis *nodes, int count);
int hand_remove(const char *id, int parts);
int hand_remove_all(void);
int hand_overwrite(const char *id, int number);

#endif
