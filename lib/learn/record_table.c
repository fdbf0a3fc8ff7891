#include "learn/record_table.h"

#include "base/memory.h"

#include <llmcache/llmcache.h>
#include <string.h>

void lc_records_init(lc_record_table *table, size_t max)
{
    *table = (lc_record_table){.room_max = LC_RECORD_WAYS};
    while (table->room_max <= max / 2)
        table->room_max *= 2;
}

void lc_records_done(lc_record_table *table)
{
    lc_free(table->records);
    table->records = NULL;
    table->room = table->count = 0;
}

/* Keys are hashes already, but a store may number its records. */
static uint64_t mix(uint64_t key)
{
    key ^= key >> 33;
    key *= 0xff51afd7ed558ccdu;
    key ^= key >> 33;
    return key;
}

static lc_record *bucket_of(const lc_record_table *table, uint64_t key)
{
    size_t buckets = table->room / LC_RECORD_WAYS;
    return table->records + (mix(key) & (buckets - 1)) * LC_RECORD_WAYS;
}

static lc_record *find(const lc_record_table *table, uint64_t key)
{
    if (!table->records || key == 0)
        return NULL;
    lc_record *bucket = bucket_of(table, key);
    for (int i = 0; i < LC_RECORD_WAYS; i++)
        if (bucket[i].key == key)
            return &bucket[i];
    return NULL;
}

const lc_record *lc_records_find(const lc_record_table *table, uint64_t key)
{
    return find(table, key);
}

int lc_records_reserve(lc_record_table *table, size_t room)
{
    lc_record *records = room ? lc_zalloc_array(room, sizeof *records) : NULL;
    if (room && !records)
        return LLMCACHE_MEMORY;
    lc_records_done(table);
    table->records = records;
    table->room = room;
    return 0;
}

/* Where a new record goes: an empty place, or NULL. */
static lc_record *empty_place(lc_record *bucket)
{
    for (int i = 0; i < LC_RECORD_WAYS; i++)
        if (bucket[i].key == 0)
            return &bucket[i];
    return NULL;
}

/* Both halves of a bucket's records fit into the two buckets it becomes. */
static int grow(lc_record_table *table)
{
    lc_record_table larger = {.room_max = table->room_max};
    size_t room = table->room ? table->room * 2 : LC_RECORD_WAYS;
    if (room > table->room_max || lc_records_reserve(&larger, room))
        return 0;
    for (size_t i = 0; i < table->room; i++)
        if (table->records[i].key)
            *empty_place(bucket_of(&larger, table->records[i].key)) = table->records[i];
    larger.count = table->count;
    lc_free(table->records);
    *table = larger;
    return 1;
}

static lc_record *oldest(lc_record *bucket)
{
    lc_record *found = bucket;
    for (int i = 1; i < LC_RECORD_WAYS; i++)
        if (bucket[i].minute < found->minute)
            found = &bucket[i];
    return found;
}

lc_record *lc_records_get(lc_record_table *table, uint64_t key)
{
    lc_record *record = find(table, key);
    if (record || key == 0)
        return record;
    if (!table->records && !grow(table))
        return NULL;
    record = empty_place(bucket_of(table, key));
    while (!record && grow(table))
        record = empty_place(bucket_of(table, key));
    if (!record) {
        record = oldest(bucket_of(table, key));
        table->count--;
    }
    *record = (lc_record){.key = key};
    table->count++;
    return record;
}

size_t lc_records_drop(lc_record_table *table, uint32_t before_minute)
{
    size_t dropped = 0;
    for (size_t i = 0; i < table->room; i++)
        if (table->records[i].key && table->records[i].minute < before_minute) {
            table->records[i] = (lc_record){0};
            dropped++;
        }
    table->count -= dropped;
    return dropped;
}
