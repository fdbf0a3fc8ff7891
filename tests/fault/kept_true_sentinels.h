/* A Redis with two replicas and three sentinels under the servers, and what goes wrong with it. */
#ifndef KEPT_TRUE_SENTINELS_H
#define KEPT_TRUE_SENTINELS_H

#include "kept_true_engine.h"

void sentinels_start(const char *program); /* of the Redis; NULL: the usual one */
const char *sentinels_uri(int server);
/* Waits until all is whole, and tells the book of a failover that nobody asked for. */
void sentinels_look(void);
extern const kept_trouble sentinels_troubles[];

#endif
