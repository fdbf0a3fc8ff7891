/*
 * What each record's labels said: a table of buckets, eight records each, that doubles
 * while it may and then lets the record go seen last longest ago in its bucket. So
 * memory is bounded, a look costs one bucket, and nothing has to be moved or swept.
 */
#ifndef LC_LEARN_RECORD_TABLE_H
#define LC_LEARN_RECORD_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define LC_RECORD_WAYS 8

typedef struct lc_record {
    uint64_t key;    /* 0: empty */
    float wrong;     /* labels that were wrong */
    float expected;  /* how many were, going by the curve */
    uint16_t labels; /* in all, at most UINT16_MAX */
    uint16_t served; /* since the last label, the same */
    uint32_t minute; /* of the last label or hit */
} lc_record;

typedef struct lc_record_table {
    lc_record *records; /* NULL while empty */
    size_t room;        /* LC_RECORD_WAYS times a power of two, or 0 */
    size_t room_max;
    size_t count;
} lc_record_table;

/* At most `max` records, rounded down to what the table can hold (at least one bucket). */
void lc_records_init(lc_record_table *table, size_t max);
void lc_records_done(lc_record_table *table);

const lc_record *lc_records_find(const lc_record_table *table, uint64_t key);
/* The record, made if it is not there; NULL when there is no memory for a first bucket. */
lc_record *lc_records_get(lc_record_table *table, uint64_t key);
/* An empty table of exactly this room (0 or as above, not over the most). */
int lc_records_reserve(lc_record_table *table, size_t room);
size_t lc_records_drop(lc_record_table *table, uint32_t before_minute);

#endif
