/* What a person does with redis-cli: on one Redis, on the primaries of a cluster, or where sentinels say. From any thread. */
#ifndef KEPT_TRUE_REDIS_HAND_H
#define KEPT_TRUE_REDIS_HAND_H

#include "redis_server.h"

void hand_open(const test_redis *nodes, int count);
/* Asks before each use which node is the one to be spoken to; -1: none. */
void hand_ask_first(int (*which)(void));
int hand_remove(const char *id, int parts);
int hand_remove_all(void);
int hand_overwrite(const char *id, int number);

#endif
