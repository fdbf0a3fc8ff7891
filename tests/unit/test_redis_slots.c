/* lib/store/redis_slots and redis_seeds: slots, units of a batch, redirects, maps, and the URI of a cluster. */
#include "store/redis_seeds.h"
#include "store/redis_slots.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <string.h>

static int slot_of(const char *name)
{
    return lc_redis_slot_of(lc_redis_text(name));
}

/* 31C3 is the checksum that the specification gives for 123456789; the others are those of CLUSTER KEYSLOT. */
Test(redis_slots, of_names_and_hash_tags)
{
    cr_expect_eq(slot_of("123456789"), 0x31C3 % LC_REDIS_SLOTS);
    cr_expect_eq(slot_of("foo"), 12182);
    cr_expect_eq(slot_of("bar"), 5061);
    cr_expect_eq(slot_of(""), 0);
    cr_expect_eq(slot_of("{foo}.x"), slot_of("foo"));
    cr_expect_eq(slot_of("a{foo}{bar}"), slot_of("foo"));
    cr_expect_eq(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    cr_expect_neq(slot_of("foo{}{bar}"), slot_of("bar"), "an empty tag is none");
    cr_expect_neq(slot_of("a{foo"), slot_of("foo"), "one that does not end is none");
    cr_expect_neq(slot_of("a{"), slot_of("a"));
}

Test(redis_slots, a_batch_is_taken_apart)
{
    lc_redis_batch batch;
    lc_redis_unit *units;
    size_t count;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("EXISTS"), lc_redis_text("foo"));
    LC_REDIS_ADD(&batch, lc_redis_text("MULTI"));
    LC_REDIS_ADD(&batch, lc_redis_text("UNLINK"), lc_redis_text("bar"));
    LC_REDIS_ADD(&batch, lc_redis_text("HSET"), lc_redis_text("bar"), lc_redis_text("f"), lc_redis_text("EXEC"));
    LC_REDIS_ADD(&batch, lc_redis_text("EXEC"));
    LC_REDIS_ADD(&batch, lc_redis_text("PING"));
    LC_REDIS_ADD(&batch, lc_redis_text("EVAL"), lc_redis_text("return {foo}"), lc_redis_text("1"), lc_redis_text("bar"),
                 lc_redis_text("foo"));
    cr_assert_eq(lc_redis_units_read(&batch, &units, &count), 0);
    cr_assert_eq(count, 4u);
    cr_expect_eq(units[0].slot, 12182);
    cr_expect_eq(units[0].count, 1u);
    cr_expect_eq(units[1].slot, 5061);
    cr_expect_eq(units[1].first, 1u);
    cr_expect_eq(units[1].count, 4u);
    cr_expect_eq(units[2].slot, -1);
    cr_expect_eq(units[2].first, 5u);
    cr_expect_eq(units[1].at, units[0].size);
    cr_expect_eq(units[3].slot, 5061, "the script is no key");
    cr_expect_eq(units[3].at + units[3].size, batch.bytes.size);
    lc_free(units);
    batch.bytes.size--;
    cr_expect_eq(lc_redis_units_read(&batch, &units, &count), LLMCACHE_INVALID);
    lc_redis_batch_done(&batch);
}

static const lc_redis_address asked = {"10.0.0.1", 7000};

Test(redis_slots, redirects)
{
    const struct {
        const char *text;
        lc_redis_redirect how;
        int slot;
        const char *host;
        int port;
    } cases[] = {
        {"MOVED 3999 127.0.0.1:6381", LC_REDIS_MOVED, 3999, "127.0.0.1", 6381},
        {"ASK 0 node.example:1", LC_REDIS_ASK, 0, "node.example", 1},
        {"MOVED 16383 ::1:6381", LC_REDIS_MOVED, 16383, "::1", 6381},
        {"MOVED 1 :6381", LC_REDIS_MOVED, 1, "10.0.0.1", 6381},
        {"MOVED 1 ?:6381", LC_REDIS_MOVED, 1, "10.0.0.1", 6381},
        {"MOVED 16384 h:1", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED -1 h:1", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1 h:0", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1 h:65536", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1 h:12x", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1 h", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1 a/b:1", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1 a b:1", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED 1", LC_REDIS_STAYS, 0, NULL, 0},
        {"MOVED", LC_REDIS_STAYS, 0, NULL, 0},
        {"ERR MOVED 1 h:1", LC_REDIS_STAYS, 0, NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        redisReply reply = {.type = REDIS_REPLY_ERROR, .str = (char *)cases[i].text, .len = strlen(cases[i].text)};
        int slot = -1;
        lc_redis_address to = {.port = -1};
        cr_expect_eq(lc_redis_redirect_read(&reply, &asked, &slot, &to), cases[i].how, "%s", cases[i].text);
        cr_expect_eq(slot, cases[i].how ? cases[i].slot : -1);
        cr_expect_eq(to.port, cases[i].how ? cases[i].port : -1);
        cr_expect_str_eq(to.host, cases[i].how ? cases[i].host : "");
        reply.type = REDIS_REPLY_STRING; /* a value that looks like one */
        cr_expect_eq(lc_redis_redirect_read(&reply, &asked, &slot, &to), LC_REDIS_STAYS);
    }
}

/* What a server's bytes say. */
static redisReply *reply_of(const char *bytes)
{
    redisReader *reader = lc_redis_reader_new();
    void *reply = NULL;
    cr_assert_eq(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    cr_assert_not_null(reply);
    redisReaderFree(reader);
    return reply;
}

#define NODE(port) "*3\r\n$1\r\nh\r\n:" port "\r\n$2\r\nid\r\n"

Test(redis_slots, maps)
{
    static lc_redis_map map;
    llmcache_error err;
    redisReply *reply = reply_of("*2\r\n*4\r\n:0\r\n:99\r\n" NODE("1") NODE("2")
                                 "*3\r\n:101\r\n:16383\r\n*4\r\n$-1\r\n:3\r\n$2\r\nid\r\n*0\r\n");
    cr_assert_eq(lc_redis_map_read(reply, &asked, &map, &err), 0);
    cr_expect_eq(map.count, 3u);
    cr_expect_eq(map.nodes[map.owner[0]].port, 1);
    cr_expect_eq(map.nodes[map.owner[99]].port, 1);
    cr_expect_eq(map.nodes[map.follows[1]].port, 1, "2 is a replica of 1");
    cr_expect_geq(map.follows[0], map.count);
    cr_expect_geq(map.follows[2], map.count);
    cr_expect_geq(map.owner[100], map.count, "nobody's");
    cr_expect_str_eq(map.nodes[map.owner[101]].host, asked.host, "a host not known is that of the one asked");
    cr_expect_eq(map.nodes[map.owner[16383]].port, 3);
    lc_redis_map_done(&map);
    lc_redis_reply_free(reply);
}

Test(redis_slots, maps_that_make_no_sense)
{
    static lc_redis_map map;
    static const char *const texts[] = {
        ":1\r\n", "$-1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("1"),
        "*1\r\n*3\r\n:-1\r\n:1\r\n" NODE("1"), "*1\r\n*3\r\n:5\r\n:4\r\n" NODE("1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("0"), "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("65536"),
        "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nh\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$3\r\na@b\r\n:1\r\n",
        "*2\r\n*3\r\n:0\r\n:1\r\n" NODE("1") "*3\r\n:1\r\n:2\r\n" NODE("2"), "*1\r\n*3\r\n$1\r\n0\r\n:1\r\n" NODE("1")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        llmcache_error err;
        redisReply *reply = reply_of(texts[i]);
        cr_expect_eq(lc_redis_map_read(reply, &asked, &map, &err), LLMCACHE_STORE, "%zu", i);
        cr_expect_null(map.nodes);
        lc_redis_reply_free(reply);
    }
}

Test(redis_slots, what_a_node_says_of_itself)
{
    int works;
    uint64_t epoch;
    static const char info[] = "cluster_state:ok\r\ncluster_current_epoch:18446744073709551615\r\n";
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = (char *)info, .len = sizeof info - 1};
    lc_redis_info_read(&reply, &works, &epoch);
    cr_expect_eq(works, 1);
    cr_expect_eq(epoch, UINT64_MAX);
    reply.str = (char *)"cluster_state:fail\r\n";
    lc_redis_info_read(&reply, &works, &epoch);
    cr_expect_eq(works, 0);
    cr_expect_eq(epoch, 0u);
    static const char nodes[] = "a 1:1@2 master - 0 0 1 connected 7-8\n"
                                "b 1:2@3 myself,master - 0 0 2 connected 0-5 [93-<-a]\nc 1:3@4 slave a 0 0 1 connected\n";
    reply = (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)nodes, .len = sizeof nodes - 1};
    lc_redis_word own = lc_redis_own_slots(&reply);
    cr_expect_eq(own.size, strlen("0-5 [93-<-a]"));
    cr_expect_eq(memcmp(own.bytes, "0-5 [93-<-a]", own.size), 0);
    reply.str = (char *)"c 1:3@4 myself,slave a 0 0 1 connected\nb 1:2@3 master - 0 0 2 connected 0-5\n";
    cr_expect_eq(lc_redis_own_slots(&reply).size, 0u);
    reply.str = (char *)"x";
    cr_expect_eq(lc_redis_own_slots(&reply).size, 0u);
}

Test(redis_slots, how_far_a_node_is)
{
    lc_redis_replication said;
    static const char primary[] = "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:abc\r\n"
                                  "master_replid2:000\r\nmaster_repl_offset:1234\r\n";
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = (char *)primary, .len = sizeof primary - 1};
    cr_assert(lc_redis_replication_read(&reply, &said));
    cr_expect(said.is_primary);
    cr_expect_str_eq(said.history, "abc");
    cr_expect_eq(said.offset, 1234u);
    reply.str = (char *)"# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nslave_repl_offset:99\r\n"
                        "master_replid:abc\r\nmaster_repl_offset:98\r\n";
    cr_assert(lc_redis_replication_read(&reply, &said));
    cr_expect_not(said.is_primary);
    cr_expect(said.link_is_up);
    cr_expect_eq(said.offset, 99u);
    reply.str = (char *)"role:slave\r\nmaster_link_status:down\r\nslave_repl_offset:99\r\nmaster_replid:abc\r\n";
    cr_assert(lc_redis_replication_read(&reply, &said));
    cr_expect_not(said.link_is_up);
    static const char *const nothing[] = {"", "role:master\r\n", "role:master\r\nmaster_replid:abc\r\n",
                                          "role:slave\r\nmaster_replid:\r\nslave_repl_offset:1\r\n"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        reply.str = (char *)nothing[i];
        cr_expect_not(lc_redis_replication_read(&reply, &said));
    }
}

/* ---- The URI ------------------------------------------------------------------------------------- */

Test(redis_slots, uris)
{
    llmcache_error err;
    lc_redis_seeds seeds;
    cr_assert_eq(lc_redis_seeds_read("redis+cluster://me:p%40ss,w@a:7000,b,[::1]:7002", &seeds, &err), 0, "%s",
                 err.message);
    cr_expect_eq(seeds.count, 3u);
    cr_expect_str_eq(seeds.name, "redis+cluster://a:7000,b:6379,::1:7002");
    cr_expect_str_eq(seeds.uris[1].host, "b");
    cr_expect_str_eq(seeds.uris[2].host, "::1");
    for (size_t i = 0; i < seeds.count; i++) {
        cr_expect_str_eq(seeds.uris[i].user, "me");
        cr_expect_str_eq(seeds.uris[i].password, "p@ss,w");
        cr_expect_eq(seeds.uris[i].target.tls, 0);
    }
    lc_redis_seeds_done(&seeds);
    cr_assert_eq(lc_redis_seeds_read("rediss+cluster://a/0?user=u&password=p", &seeds, &err), 0);
    cr_expect_eq(seeds.uris[0].target.tls, 1);
    cr_expect_str_eq(seeds.uris[0].password, "p");
    cr_expect_not(seeds.read_replicas);
    lc_redis_seeds_done(&seeds);
    cr_assert_eq(lc_redis_seeds_read("redis+cluster://a,b?user=u&read=replica&password=p", &seeds, &err), 0);
    cr_expect(seeds.read_replicas);
    cr_expect_str_eq(seeds.uris[1].user, "u");
    cr_expect_str_eq(seeds.uris[1].password, "p");
    lc_redis_seeds_done(&seeds);
    cr_assert_eq(lc_redis_seeds_read("redis+cluster://a?read=replica&user=u&password=p", &seeds, &err), 0);
    cr_expect_str_eq(seeds.uris[0].user, "u");
    lc_redis_seeds_done(&seeds);
    cr_assert_eq(lc_redis_seeds_read("redis+cluster://a?read=primary", &seeds, &err), 0);
    cr_expect_not(seeds.read_replicas);
    lc_redis_seeds_done(&seeds);
}

Test(redis_slots, uris_refused)
{
    static const char *const texts[] = {"redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a,",
                                        "redis+cluster://a:0", "redis+cluster://a/1", "redis+cluster://u@a,b:x",
                                        "redis+cluster://hunter2@a?x=1", "redis+cluster://a?read=", "redis+cluster://a?read=both",
                                        "redis://a,b", "redis+cluster:a"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        llmcache_error err;
        lc_redis_seeds seeds;
        cr_expect_eq(lc_redis_seeds_read(texts[i], &seeds, &err), LLMCACHE_SETTING, "%s", texts[i]);
        cr_expect_null(strstr(err.message, "hunter2"));
    }
    char many[200] = "redis+cluster://a";
    for (int i = 0; i < LC_REDIS_MAX_SEEDS; i++)
        strcat(many, ",a");
    llmcache_error err;
    lc_redis_seeds seeds;
    cr_expect_eq(lc_redis_seeds_read(many, &seeds, &err), LLMCACHE_SETTING);
}
