/*
 * What the store suite (store_suite.c) needs to know of the store it runs over. One suite, one
 * program a store: each links the suite with one fixture_*.c.
 */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include "store/store.h"
#include "support.h"

enum store_damage {
    DAMAGE_FACTS,     /* what says which entry it is, is no longer readable */
    DAMAGE_BODY,      /* half of the answer is missing */
    DAMAGE_OTHER_KEY  /* a good value of another entry stands under this key */
};

typedef struct store_fixture {
    const char *name;
    int persistent; /* outlives its process, and other processes may share it */

    /* Makes an empty store for this test. Returns its URI, NULL when it cannot be had here: skip. Options
     * may be filled in. */
    const char *(*start)(lc_store_options *options);

    /* Damages one part of an entry behind the store's back. `other` is another key of which the part is
     * there too. NULL: nobody can. */
    void (*damage)(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other);

    /* Removes all of a part behind the store's back. NULL: nobody can. */
    void (*wipe)(int part);

    /* What the raw engine holds, in entries and records together. NULL: nobody can see. */
    int64_t (*left)(void);

    /* As if the engine's clock, or the machine's, had been an hour later when the leases that are there were taken. NULL:
     * its clock is its own affair. */
    void (*set_clock_back)(void);
} store_fixture;

extern const store_fixture fixture;

#endif
