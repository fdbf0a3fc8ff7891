/*
 * What is known of pairs, by their names: a bounded table in memory, asked at every near candidate. Groups of eight
 * places, chosen by the name's first bytes; the table doubles until its bound, then a new pair takes the place that
 * is least worth keeping in its group: right before wrong, a machine's word before a person's, older before newer.
 * One lock, held for a look at one group (and for the doubling). Any thread may call.
 */
#ifndef LC_ASK_VERDICT_TABLE_H
#define LC_ASK_VERDICT_TABLE_H

#include "ask/pair.h"

typedef struct lc_verdict_table lc_verdict_table;

/* What somebody said of a pair. */
typedef struct lc_known {
    unsigned char pair[16]; /* the name's head */
    unsigned char id[10];   /* of the observation, as bytes */
    unsigned char verdict, observer; /* llmcache_verdict, not UNJUDGED; llmcache_observer */
    int64_t time_ms, expires_ms;
} lc_known;

/* max_pairs 0: 131072, which take 6 MiB. */
int lc_verdict_table_new(size_t max_pairs, lc_verdict_table **table, llmcache_error *err);
void lc_verdict_table_free(lc_verdict_table *table);

/* Takes a word in. The stronger of two stays: a person's before a machine's, then the later. 1 when the pair is
 * wrong now and was not before, else 0. */
int lc_verdict_table_note(lc_verdict_table *table, const lc_known *known);

/* 1 and *known when something is known that has not expired. */
int lc_verdict_table_find(lc_verdict_table *table, const unsigned char name[LC_PAIR_SIZE],
                          int64_t now_ms, lc_known *known);

/* The observation is gone: 1 when a pair is not known any more because of that. Looks at all places. */
int lc_verdict_table_forget(lc_verdict_table *table, const unsigned char id[10]);

/*
 * Reading the whole store anew. From begin on what is noted counts at once and is also collected; end makes what was
 * collected all that is known; drop forgets the collection. One reading at a time. begin: 0 or LLMCACHE_MEMORY.
 */
int lc_verdict_table_begin(lc_verdict_table *table);
void lc_verdict_table_end(lc_verdict_table *table);
void lc_verdict_table_drop(lc_verdict_table *table);

size_t lc_verdict_table_count(const lc_verdict_table *table);   /* without the lock */
uint64_t lc_verdict_table_dropped(const lc_verdict_table *table); /* for want of room */

/* Rises whenever a pair becomes wrong. */
uint64_t lc_verdict_table_turn(const lc_verdict_table *table);

#endif
