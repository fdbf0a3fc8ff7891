/* Servers that share a file. It cannot be lost as a server can. */
#include "lease_fixture.h"
#include "support.h"

static const char *start(void)
{
    return test_format("sqlite:%s/cache.db", test_folder());
}

const lease_fixture fixture = {.name = "sqlite", .start = start};
