/* The suite over memory: */
#include "store_fixture.h"

static const char *start(lc_store_options *options)
{
    options->max_bytes = 128 << 20;
    return "memory:";
}

const store_fixture fixture = {.name = "memory", .start = start};
