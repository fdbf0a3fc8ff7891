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

static const char *prefix_of(int part)
{
    return part == LLMCACHE_PART_EMBED ? LC_REDIS_EMBED_PREFIX : LC_REDIS_PROMPT_PREFIX;
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
    if (part == LLMCACHE_PART_EMBED)
        lc_entry_id(key->fingerprint, digits);
    else
        lc_hex(key->fingerprint, LLMCACHE_FINGERPRINT_SIZE, digits);
    lc_buffer_text(name, prefix_of(part));
    add_space(key->space, name);
    lc_buffer_byte(name, ':');
    return lc_buffer_text(name, digits);
}

int lc_redis_key_pattern(int part, const char *space, const char *head, lc_buffer *pattern)
{
    lc_buffer_text(pattern, prefix_of(part));
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

int lc_redis_key_read(const char *name, size_t size, char *space, char id[LLMCACHE_ID_SIZE])
{
    int part = LLMCACHE_PART_PROMPT;
    size_t digits = FINGERPRINT_DIGITS, head = strlen(LC_REDIS_PROMPT_PREFIX);
    if (size < head || memcmp(name, LC_REDIS_PROMPT_PREFIX, head) != 0) {
        part = LLMCACHE_PART_EMBED;
        digits = ID_DIGITS;
        head = strlen(LC_REDIS_EMBED_PREFIX);
        if (size < head || memcmp(name, LC_REDIS_EMBED_PREFIX, head) != 0)
            return 0;
    }
    if (size < head + 1 + digits || name[size - digits - 1] != ':')
        return 0;
    for (size_t i = size - digits; i < size; i++)
        if (digit_value(name[i]) < 0)
            return 0;
    if (!read_space(name + head, size - digits - 1 - head, space))
        return 0;
    memcpy(id, name + size - digits, ID_DIGITS);
    id[ID_DIGITS] = '\0';
    return part;
}
