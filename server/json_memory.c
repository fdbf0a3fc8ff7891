#include "json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static _Thread_local int failed;

static void *take(size_t size)
{
    void *memory = malloc(size);
    failed |= !memory;
    return memory;
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(take, free);
}

void json_memory_begin(void)
{
    failed = 0;
}

int json_memory_failed(void)
{
    return failed;
}
