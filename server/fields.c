#include "fields.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    unsigned char size, flags;
} rows[] = {
#define FIELD_ROW(name, text, flags) {text, sizeof text - 1, flags},
    FIELDS(FIELD_ROW)
#undef FIELD_ROW
};

/* Size and first letter rule out nearly all rows before letters are compared. */
static field_name find(const char *name)
{
    size_t size = strlen(name);
    char first = (char)(*name | 0x20);
    for (int i = 0; i < FIELD_COUNT; i++)
        if (rows[i].size == size && rows[i].name[0] == first &&
            strncasecmp(rows[i].name, name, size) == 0)
            return (field_name)i;
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
