/* Key names, there and back. */
#include "store/redis_keys.h"

#include "base/sha256.h"
#include "store/store.h"

#include <string.h>

enum { ID_DIGITS = LLMCACHE_ID_SIZE - 1, FINGERPRINT_DIGITS = 2 * LLMCACHE_FINGERPRINT_SIZE };

static int is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~@+=,/", c) != NULL);
}

static const struct shape {
    int part;
    const char *prefix;
    size_t digits; /* of the last joint */
} shapes[] = {{LLMCACHE_PART_PROMPT, LC_REDIS_PROMPT_PREFIX, FINGERPRINT_DIGITS},
              {LLMCACHE_PART_EMBED, LC_REDIS_EMBED_PREFIX, ID_DIGITS},
              {LLMCACHE_PART_OBSERVATION, LC_REDIS_OBSERVATION_PREFIX, ID_DIGITS}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const struct shape *shape_of(int part)
{
    size_t at = 0;
    while (at < SHAPES - 1 && shapes[at].part != part)
        at++;
    return &shapes[at];
}

static void add_space(const char *space, lc_buffer *name)
{
    for (; *space; space++)
        if (is_plain((unsigned char)*space))
            lc_buffer_byte(name, *space);
        else
            lc_buffer_format(name, "%%%02x", (unsigned char)*space);
}

int lc_redis_key_name(int part, const llmcache_key *key, lc_buffer *name)
{
    char digits[FINGERPRINT_DIGITS + 1];
    const struct shape *shape = shape_of(part);
    lc_hex(key->fingerprint, shape->digits / 2, digits);
    lc_buffer_text(name, shape->prefix);
    add_space(key->space, name);
    lc_buffer_byte(name, ':');
    return lc_buffer_text(name, digits);
}

int lc_redis_lease_name(const char *prefix, const llmcache_key *key, int lane, lc_buffer *name)
{
    lc_buffer_text(name, prefix);
    lc_buffer_byte(name, '{');
    lc_redis_key_name(LLMCACHE_PART_PROMPT, key, name);
    return lc_buffer_text(name, lane ? "}1" : "}");
}

int lc_redis_key_pattern(int part, const char *space, const char *head, lc_buffer *pattern)
{
    lc_buffer_text(pattern, shape_of(part)->prefix);
    if (space)
        add_space(space, pattern);
    else
        lc_buffer_byte(pattern, '*');
    lc_buffer_byte(pattern, ':');
    lc_buffer_text(pattern, head);
    return lc_buffer_byte(pattern, '*');
}

static int digit_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 0 unless it is exactly what add_space writes. */
static int read_space(const char *text, size_t size, char *space)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? digit_value(text[i + 1]) : -1;
            int low = high >= 0 ? digit_value(text[i + 2]) : -1;
            if (low < 0 || high * 16 + low == 0)
                return 0;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (!is_plain((unsigned char)c)) {
            return 0;
        }
        *space++ = c;
    }
    *space = '\0';
    return 1;
}

static const struct shape *shape_of_name(const char *name, size_t size)
{
    for (size_t i = 0; i < SHAPES; i++) {
        size_t head = strlen(shapes[i].prefix);
        if (size >= head && memcmp(name, shapes[i].prefix, head) == 0)
            return &shapes[i];
    }
    return NULL;
}

static int read_part(const char *name, size_t size, char *space, char id[LLMCACHE_ID_SIZE])
{
    const struct shape *shape = shape_of_name(name, size);
    if (!shape)
        return 0;
    size_t digits = shape->digits, head = strlen(shape->prefix);
    if (size < head + 1 + digits || name[size - digits - 1] != ':')
        return 0;
    for (size_t i = size - digits; i < size; i++)
        if (digit_value(name[i]) < 0)
            return 0;
    if (!read_space(name + head, size - digits - 1 - head, space))
        return 0;
    memcpy(id, name + size - digits, ID_DIGITS);
    id[ID_DIGITS] = '\0';
    return shape->part;
}

/* What stands between the braces of a mark's name; 0 when it is no such name. */
static size_t leased_name(const char *name, size_t size, const char **leased)
{
    static const char head[] = LC_REDIS_GIVEN_UP_PREFIX "{";
    size_t head_size = sizeof head - 1;
    if (size < head_size || memcmp(name, head, head_size) != 0)
        return 0;
    const char *end = memchr(name, '}', size);
    *leased = name + head_size;
    return end ? (size_t)(end - *leased) : 0;
}

int lc_redis_key_read(const char *name, size_t size, char *space, char id[LLMCACHE_ID_SIZE])
{
    const char *leased;
    size_t leased_size = leased_name(name, size, &leased);
    if (!leased_size)
        return read_part(name, size, space, id);
    return read_part(leased, leased_size, space, id) == LLMCACHE_PART_PROMPT ? LLMCACHE_PART_LEASE : 0;
}
