/* Sentinels write into their configuration what they learn, so each has a folder of its own. */
#include "redis_sentinel_server.h"

#include <stdlib.h>
#include <string.h>

#define NAME "mymaster"

static const char *node_configuration(const test_redis_sentinel *all, int number,
                                      const test_redis_sentinel_options *options)
{
    const char *follow = number ? test_format("replicaof 127.0.0.1 %d\n", all->nodes[0].port) : "";
    const char *login = options->password ? test_format("masterauth %s\n", options->password) : "";
    if (options->user)
        login = test_format("%smasteruser %s\n", login, options->user);
    return test_format("repl-diskless-sync-delay 0\n%s%s%s", follow, login, options->tls ? "tls-replication yes\n" : "");
}

static const char *sentinel_configuration(const test_redis_sentinel *all, const test_redis_sentinel_options *options)
{
    const char *login = "";
    if (options->password)
        login = test_format("sentinel auth-pass " NAME " %s\n", options->password);
    if (options->user)
        login = test_format("%ssentinel auth-user " NAME " %s\n", login, options->user);
    if (options->sentinel_password)
        login = test_format("%ssentinel sentinel-pass %s\n", login, options->sentinel_password);
    return test_format("sentinel monitor " NAME " 127.0.0.1 %d 2\nsentinel down-after-milliseconds " NAME " %d\n"
                       "sentinel failover-timeout " NAME " 4000\nsentinel parallel-syncs " NAME " 2\n%s%s",
                       all->nodes[0].port, options->down_after_ms ? options->down_after_ms : 500, login,
                       options->tls ? "tls-replication yes\n" : "");
}

static int works(const test_redis_sentinel *all)
{
    for (int i = 1; i < TEST_SENTINEL_NODES; i++)
        if (!test_redis_says(&all->nodes[i], "INFO replication", "master_link_status:up"))
            return 0;
    for (int i = 0; i < TEST_SENTINELS; i++)
        if (!test_redis_says(&all->sentinels[i], "SENTINEL MASTER " NAME, "\nnum-slaves\n2\n") ||
            !test_redis_says(&all->sentinels[i], "SENTINEL CKQUORUM " NAME, "OK 3 usable"))
            return 0;
    return 1;
}

static void start_nodes(test_redis_sentinel *all, const test_redis_sentinel_options *options)
{
    for (int i = 0; i < TEST_SENTINEL_NODES; i++) {
        const test_redis_options node = {.user = options->user, .password = options->password, .tls = options->tls,
                                         .tls_like = i ? &all->nodes[0] : NULL, .durable = options->durable,
                                         .program = options->program,
                                         .config = node_configuration(all, i, options)};
        test_redis_start(&all->nodes[i], &node);
    }
}

static void start_sentinels(test_redis_sentinel *all, const test_redis_sentinel_options *options)
{
    const test_redis_options sentinel = {.sentinel = 1, .password = options->sentinel_password, .tls = options->tls,
                                         .tls_like = &all->nodes[0], .config = sentinel_configuration(all, options)};
    all->hosts = "";
    for (int i = 0; i < TEST_SENTINELS; i++) {
        test_redis *one = &all->sentinels[i];
        test_redis_start(one, &sentinel);
        all->hosts = test_format("%s%s127.0.0.1:%d", all->hosts, i ? "," : "", one->port);
    }
    if (!options->unhurried)
        test_redis_sentinel_hurry(all, 1);
}

void test_redis_sentinel_start(test_redis_sentinel *all, const test_redis_sentinel_options *options)
{
    static const test_redis_sentinel_options plain;
    options = options ? options : &plain;
    start_nodes(all, options);
    start_sentinels(all, options);
    const char *login = "", *more = "";
    if (options->password)
        login = test_format("%s:%s@", options->user ? options->user : "", options->password);
    if (options->sentinel_password)
        more = test_format("?sentinel_password=%s", options->sentinel_password);
    all->uri = test_format("%s+sentinel://%s%s/" NAME "%s", options->tls ? "rediss" : "redis", login, all->hosts, more);
    if (!test_wait_until(works(all), 40000))
        test_give_up("the sentinels do not find each other");
}

/* Redis 7 can; older ones take some seconds more. */
void test_redis_sentinel_hurry(const test_redis_sentinel *all, int hurried)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_command(&all->sentinels[i], "SENTINEL DEBUG INFO-PERIOD %d PUBLISH-PERIOD %d ASK-PERIOD %d",
                           hurried ? 300 : 10000, hurried ? 200 : 2000, hurried ? 200 : 1000);
}

int test_redis_sentinel_primary(const test_redis_sentinel *all, int by)
{
    const char *said = test_redis_command(&all->sentinels[by], "SENTINEL GET-MASTER-ADDR-BY-NAME " NAME);
    const char *port = said ? strchr(said, '\n') : NULL;
    for (int i = 0; port && i < TEST_SENTINEL_NODES; i++)
        if (atoi(port + 1) == all->nodes[i].port)
            return i;
    return -1;
}

int test_redis_sentinel_fails_over(const test_redis_sentinel *all, int from)
{
    int to = test_redis_sentinel_primary(all, 0);
    if (to >= 0 && to != from)
        return 1;
    if (test_redis_sentinel_primary(all, 1) == from &&
        !test_redis_says(&all->sentinels[1], "SENTINEL MASTER " NAME, "failover_in_progress"))
        test_redis_command(&all->sentinels[1], "SENTINEL FAILOVER " NAME);
    return 0;
}
