/* The suite over postgresql:, on a server of the test's own. */
#include "postgres_server.h"
#include "store_fixture.h"

#include "base/sha256.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static test_postgres server;

static const char *start(lc_store_options *options)
{
    if (test_postgres_missing())
        return NULL;
    test_postgres_start(&server);
    options->connect_ms = 10000;
    return server.uri;
}

static const char *table(int part)
{
    return part == LLMCACHE_PART_PROMPT        ? "llmcache_prompt"
           : part == LLMCACHE_PART_OBSERVATION ? "llmcache_observation"
                                               : "llmcache_embed";
}

static const char *this_row(const llmcache_key *key)
{
    char hex[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    lc_hex(key->fingerprint, LLMCACHE_FINGERPRINT_SIZE, hex);
    return test_format("space = '%s' AND fingerprint = '\\x%s'", key->space, hex);
}

static void damage(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other)
{
    char hex[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    const char *t = table(part);
    switch (how) {
    case DAMAGE_FACTS:
        test_postgres_ask(&server, "UPDATE %s SET facts = '{}' WHERE %s", t, this_row(key));
        break;
    case DAMAGE_BODY:
        test_postgres_ask(&server, "UPDATE %s SET body = substr(body, 1, length(body) / 2) WHERE %s", t,
                          this_row(key));
        break;
    case DAMAGE_OTHER_KEY:
        lc_hex(key->fingerprint, LLMCACHE_FINGERPRINT_SIZE, hex);
        test_postgres_ask(&server, "DELETE FROM %s WHERE %s", t, this_row(key));
        test_postgres_ask(&server, "UPDATE %s SET space = '%s', fingerprint = '\\x%s' WHERE %s", t, key->space,
                          hex, this_row(other));
        break;
    }
}

static void wipe(int part)
{
    test_postgres_ask(&server, "DELETE FROM %s", table(part));
}

static int64_t left(void)
{
    return atoll(test_postgres_ask(&server, "SELECT (SELECT count(*) FROM llmcache_prompt)"
                                            " + (SELECT count(*) FROM llmcache_embed)"
                                            " + (SELECT count(*) FROM llmcache_observation)"));
}

static void set_clock_back(void)
{
    test_postgres_ask(&server, "UPDATE llmcache_lease SET expires_ms = expires_ms + 3600000");
}

const store_fixture fixture = {.name = "postgresql", .persistent = 1, .start = start, .damage = damage,
                               .wipe = wipe, .left = left, .set_clock_back = set_clock_back};
