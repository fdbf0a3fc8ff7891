/* jansson behind lc_json. An lc_json is a json_t; the root holds the one reference. */
#include "base/json.h"

#include "base/error.h"

#include <jansson.h>

static const json_t *as_json(const lc_json *value)
{
    return (const json_t *)value;
}

int lc_json_parse(const char *text, size_t size, lc_json **root, llmcache_error *err)
{
    json_error_t error;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value) {
        *root = (lc_json *)value;
        return 0;
    }
    if (json_error_code(&error) == json_error_out_of_memory)
        return lc_fail_memory(err);
    return lc_fail(err, LLMCACHE_INVALID, "not JSON at byte %d",
                   error.position > 0 ? error.position : 0);
}

void lc_json_free(lc_json *root)
{
    json_decref((json_t *)root);
}

const lc_json *lc_json_get(const lc_json *object, const char *key)
{
    return (const lc_json *)json_object_get(as_json(object), key);
}

const lc_json *lc_json_at(const lc_json *array, size_t position)
{
    return (const lc_json *)json_array_get(as_json(array), position);
}

size_t lc_json_count(const lc_json *array)
{
    return json_array_size(as_json(array));
}

int lc_json_each(const lc_json *object,
                 int (*fn)(void *user, const char *key, const lc_json *value), void *user)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        int rc = fn(user, key, (const lc_json *)value);
        if (rc)
            return rc;
    }
    return 0;
}

const char *lc_json_text(const lc_json *value, size_t *size)
{
    const char *text = json_string_value(as_json(value));
    if (text && size)
        *size = json_string_length(as_json(value));
    return text;
}

int lc_json_integer(const lc_json *value, int64_t *integer)
{
    if (!json_is_integer(as_json(value)))
        return 0;
    *integer = json_integer_value(as_json(value));
    return 1;
}

int lc_json_number(const lc_json *value, double *number)
{
    if (!json_is_number(as_json(value)))
        return 0;
    *number = json_number_value(as_json(value));
    return 1;
}

int lc_json_is_true(const lc_json *value)
{
    return json_is_true(as_json(value));
}

int lc_json_is_boolean(const lc_json *value)
{
    return json_is_boolean(as_json(value));
}
