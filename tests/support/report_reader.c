/* Reports of tuning: see report_reader.h. */
#include "report_reader.h"

#include <string.h>

const json_t *test_tune_part(const json_t *report, const char *name)
{
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(report, "parts"), i, part)
        if (strcmp(json_string_value(json_object_get(part, "part")), name) == 0)
            return part;
    return NULL;
}

double test_tune_number(const json_t *object, const char *name, const char *inner)
{
    const json_t *value = json_object_get(object, name);
    return json_number_value(inner ? json_object_get(value, inner) : value);
}

int test_try_embedder(llmcache *cache, llmcache_error *err)
{
    float *vector;
    size_t dimension;
    int code = llmcache_embed(cache, (const char *const[]){"x"}, 1, &vector, &dimension, err);
    if (!code)
        llmcache_free(vector);
    return code;
}
