/*
 * What a server says about its cluster: replies of any shape, as its map, as a redirect, as what it says of itself. Every slot
 * has an owner that is among the nodes, or none, and every address could be connected to. The same replies as a sentinel's;
 * and the bytes as a URI.
 */
#include "fuzz.h"
#include "store/redis_seeds.h"
#include "store/redis_slots.h"

#include "base/memory.h"
#include "net/redis_sentinel_reply.h"

#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/topology", NULL};

static const lc_redis_address asked = {"10.0.0.1", 7000};

static void check_address(const lc_redis_address *address)
{
    FUZZ_CHECK(address->port >= 1 && address->port <= 65535);
    FUZZ_CHECK(memchr(address->host, '\0', sizeof address->host) && address->host[0]);
    FUZZ_CHECK(!strpbrk(address->host, " @/\\?#[]\r\n\t"));
}

static void check_map(const redisReply *reply)
{
    static lc_redis_map map;
    if (lc_redis_map_read(reply, &asked, &map, NULL))
        return;
    FUZZ_CHECK(map.count <= LC_REDIS_MAX_NODES);
    for (size_t i = 0; i < map.count; i++) {
        check_address(&map.nodes[i]);
        for (size_t before = 0; before < i; before++)
            FUZZ_CHECK(!lc_redis_same_address(&map.nodes[i], &map.nodes[before]));
    }
    for (size_t i = 0; i < LC_REDIS_MAX_NODES; i++)
        FUZZ_CHECK((map.follows[i] < map.count && map.follows[i] != i) || map.follows[i] == UINT16_MAX);
    for (size_t slot = 0; slot < LC_REDIS_SLOTS; slot++)
        FUZZ_CHECK(map.owner[slot] < map.count || map.owner[slot] == UINT16_MAX);
    lc_redis_map_done(&map);
}

static void check_rest(const redisReply *reply)
{
    int slot = -1, works;
    uint64_t epoch;
    lc_redis_address to = {.port = -1};
    if (lc_redis_redirect_read(reply, &asked, &slot, &to) != LC_REDIS_STAYS) {
        FUZZ_CHECK(slot >= 0 && slot < LC_REDIS_SLOTS);
        check_address(&to);
    }
    lc_redis_replication replication;
    if (lc_redis_replication_read(reply, &replication))
        FUZZ_CHECK(*replication.history && memchr(replication.history, '\0', sizeof replication.history));
    lc_redis_info_read(reply, &works, &epoch);
    FUZZ_CHECK(works == 0 || works == 1);
    lc_redis_word own = lc_redis_own_slots(reply);
    FUZZ_CHECK(own.size == 0 || !memchr(own.bytes, '\n', own.size));
}

static void check_sentinel(const redisReply *address, const redisReply *facts)
{
    lc_redis_word_of_sentinel word;
    if (lc_redis_sentinel_read(address, facts, "s", "m", &word, NULL) == 0)
        check_address(&word.address);
    FUZZ_CHECK(!lc_redis_sentinel_concerns(facts, "m") || facts->elements == 3);
    FUZZ_CHECK(!lc_redis_role_is_primary(facts) || facts->type == REDIS_REPLY_ARRAY);
}

/* As a whole URI, and behind the schemes that a fuzzer would have to guess. */
static void check_uri(const uint8_t *data, size_t size)
{
    static const char *const schemes[] = {"", "redis://", "redis+sentinel://", "redis+cluster://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        lc_redis_uri uri;
        lc_redis_seeds seeds;
        lc_buffer text;
        lc_buffer_init(&text, 0);
        lc_buffer_text(&text, schemes[i]);
        lc_buffer_add(&text, data, size);
        if (text.data && lc_redis_uri_read(text.data, &uri, NULL) == 0) {
            FUZZ_CHECK(uri.name && (!uri.sentinels || (uri.sentinels->count && *uri.sentinels->service)));
            lc_redis_uri_done(&uri);
        }
        if (text.data && lc_redis_seeds_read(text.data, &seeds, NULL) == 0) {
            FUZZ_CHECK(seeds.count && seeds.name);
            lc_redis_seeds_done(&seeds);
        }
        lc_buffer_done(&text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReader *reader = lc_redis_reader_new();
    void *reply = NULL;
    redisReply *before = NULL;
    if (!reader)
        return 0;
    check_uri(data, size);
    redisReaderFeed(reader, (const char *)data, size);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
        check_map(reply);
        check_rest(reply);
        check_sentinel(before ? before : reply, reply);
        lc_redis_reply_free(before);
        before = reply;
        reply = NULL;
    }
    lc_redis_reply_free(before);
    redisReaderFree(reader);
    lc_redis_batch batch = {.count = size % 5};
    lc_redis_unit *units;
    size_t count;
    lc_buffer_init(&batch.bytes, 0);
    lc_buffer_add(&batch.bytes, data, size);
    if (batch.bytes.data && lc_redis_units_read(&batch, &units, &count) == 0) {
        FUZZ_CHECK(count <= batch.count);
        for (size_t i = 0; i < count; i++)
            FUZZ_CHECK(units[i].at + units[i].size <= size && units[i].slot < LC_REDIS_SLOTS);
        lc_free(units);
    }
    lc_redis_batch_done(&batch);
    return 0;
}
