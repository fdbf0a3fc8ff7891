/*
 * A shared index whose "server" is this process: caches opened over the same one share it, as they would share one in
 * a Redis. It counts what is asked of it, and can be told to be away, to refuse additions and to lose everything.
 */
#ifndef TEST_FAKE_SHARED_INDEX_H
#define TEST_FAKE_SHARED_INDEX_H

#include "index/flat_index.h"

#include <stdatomic.h>

typedef struct fake_shared_index {
    lc_flat *flat;
    atomic_int away;      /* nothing works */
    atomic_int refusing;  /* so many additions fail; -1: all */
    atomic_int own;       /* falls back: it turns out that caches have their own */
    atomic_int filled, generation, wanted; /* the mark; of what is filled; for which it was last wanted */
    atomic_int adds, marks;
} fake_shared_index;

void fake_shared_start(fake_shared_index *server);
void fake_shared_empty(fake_shared_index *server); /* all is gone, the mark too */
void fake_shared_done(fake_shared_index *server);
lc_index fake_shared_open(fake_shared_index *server);

#endif
