/* Hears what a store tells of its changes, for tests that ask what was said. Any thread may ask. */
#ifndef TEST_STORE_EAR_H
#define TEST_STORE_EAR_H

#include "store/store.h"

#include <pthread.h>

typedef struct store_heard {
    int trusted; /* now */
    int distrusts, trusts;
    int changes; /* since store_ear_forget, as all below */
    int parts;   /* that changed */
    char space[64], id[LLMCACHE_ID_SIZE]; /* of the last change */
} store_heard;

typedef struct store_ear {
    pthread_mutex_t lock; /* guards the rest */
    store_heard heard;
    char only[LLMCACHE_ID_SIZE]; /* changes of others are not heard; "": all are */
} store_ear;

#define STORE_EAR {.lock = PTHREAD_MUTEX_INITIALIZER}

/* Watches the store, or ends the test. The ear outlives the store. */
void store_ear_watch(store_ear *ear, const lc_store *store);
store_heard store_ear_heard(store_ear *ear);
/* No change has been heard; from now on those of this entry are, NULL: all. */
void store_ear_forget(store_ear *ear, const char *id);

#endif
