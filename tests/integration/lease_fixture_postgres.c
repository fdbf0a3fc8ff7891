/* Servers that share a PostgreSQL. */
#include "lease_fixture.h"
#include "postgres_server.h"

static test_postgres postgres;

static const char *start(void)
{
    if (test_postgres_missing())
        return NULL;
    test_postgres_start(&postgres);
    return postgres.uri;
}

static void kill_it(void)
{
    test_postgres_kill(&postgres);
}

static void pause_it(void)
{
    test_postgres_pause(&postgres);
}

const lease_fixture fixture = {.name = "postgres", .start = start, .kill = kill_it, .pause = pause_it};
