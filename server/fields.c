#include "fields.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    unsigned char flags;
} rows[] = {
#define FIELD_ROW(name, text, flags) {text, flags},
    FIELDS(FIELD_ROW)
#undef FIELD_ROW
};

/* The rows' sizes by themselves: memchr passes over the others many at a time. */
static const unsigned char sizes[] = {
#define FIELD_SIZE(name, text, flags) sizeof text - 1,
    FIELDS(FIELD_SIZE)
#undef FIELD_SIZE
};

/* Size and first letter rule out nearly all rows before letters are compared. */
static field_name find(const char *name)
{
    const unsigned char *end = sizes + FIELD_COUNT, *at = sizes;
    size_t size = strlen(name);
    char first = (char)(*name | 0x20);
    if (size > UCHAR_MAX)
        return FIELD_COUNT;
    for (; (at = memchr(at, (int)size, (size_t)(end - at))) != NULL; at++)
        if (rows[at - sizes].name[0] == first && strncasecmp(rows[at - sizes].name, name, size) == 0)
            return (field_name)(at - sizes);
    return FIELD_COUNT;
}

void fields_find(header_fields *fields, const struct mg_request_info *info)
{
    for (int i = 0; i < info->num_headers; i++) {
        field_name name = find(info->http_headers[i].name);
        fields->kind[i] = (unsigned char)name;
        if (name == FIELD_COUNT)
            continue;
        if (!fields->value[name])
            fields->value[name] = info->http_headers[i].value;
        else
            fields->doubled |= rows[name].flags & FIELD_SINGLE;
    }
}

int field_stays(field_name name)
{
    return name < FIELD_COUNT && (rows[name].flags & FIELD_STAYS);
}
