/*
 * An entry's facts as one line of JSON: what stands before the answer in a Redis value, readable with
 * redis-cli and jq. One table of fields serves writing and reading. The reader takes exactly one
 * flat object of strings and whole numbers: a store's value is outside data, so everything else is
 * damage, and a general JSON parser would cost a hit ten times as much. Names it does not know are passed
 * over, so that a later version may add some.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "store/store.h"

#include <stddef.h>
#include <string.h>

#define FACTS_VERSION 1

enum kind { TEXT, NUMBER, FLAGS, SIZE, DIGEST };

typedef struct field {
    const char *name;
    enum kind kind;
    enum { ALWAYS, RECORD, /* of records only: all of them or none */
           ENTRY           /* of exact entries only, and only since a later version */
    } where;
    size_t offset;
} field;

#define FIELD(member, kind, where) {#member, kind, where, offsetof(llmcache_entry, member)}
static const field fields[] = {
    FIELD(space, TEXT, ALWAYS), FIELD(protocol, TEXT, ALWAYS), FIELD(model, TEXT, ALWAYS),
    FIELD(question, TEXT, ALWAYS), FIELD(tags, TEXT, ALWAYS),
    FIELD(fingerprint, DIGEST, ALWAYS), FIELD(partition, DIGEST, ALWAYS),
    FIELD(created_ms, NUMBER, ALWAYS), FIELD(expires_ms, NUMBER, ALWAYS),
    FIELD(stale_ms, NUMBER, ALWAYS), FIELD(model_ms, NUMBER, ALWAYS),
    FIELD(input_tokens, NUMBER, ALWAYS), FIELD(output_tokens, NUMBER, ALWAYS),
    FIELD(cost_nano, NUMBER, ALWAYS), FIELD(flags, FLAGS, ALWAYS),
    FIELD(body_size, SIZE, ALWAYS), FIELD(embedder, TEXT, RECORD),
    FIELD(dimension, SIZE, RECORD), FIELD(shape, TEXT, ENTRY),
};
#undef FIELD
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_value(const field *f, const llmcache_entry *entry, lc_buffer *out)
{
    const void *at = (const char *)entry + f->offset;
    char hex[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    const char *text;
    switch (f->kind) {
    case TEXT:
        memcpy(&text, at, sizeof text);
        lc_buffer_json_text(out, text ? text : "");
        break;
    case DIGEST:
        lc_hex(at, LLMCACHE_FINGERPRINT_SIZE, hex);
        lc_buffer_json_text(out, hex);
        break;
    case NUMBER:
        lc_buffer_format(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case FLAGS:
        lc_buffer_format(out, "%lu", (unsigned long)*(const uint32_t *)at);
        break;
    case SIZE:
        lc_buffer_format(out, "%zu", *(const size_t *)at);
        break;
    }
}

int lc_facts_write(const llmcache_entry *entry, int with_record, lc_buffer *out)
{
    char id[LLMCACHE_ID_SIZE];
    lc_entry_id(entry->fingerprint, id);
    lc_buffer_format(out, "{\"version\":%d,\"id\":\"%s\"", FACTS_VERSION, id);
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (fields[i].where == RECORD ? !with_record : fields[i].where == ENTRY && with_record)
            continue;
        if (fields[i].where == ENTRY && !*lc_entry_shape(entry))
            continue;
        lc_buffer_format(out, ",\"%s\":", fields[i].name);
        write_value(&fields[i], entry, out);
    }
    return lc_buffer_byte(out, '}');
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Where reading stands. Decoded strings are never longer than they stood in the line, so they fit into
 * as many bytes. */
typedef struct reader {
    const char *at, *end;
    char *free; /* next free byte of the strings' memory */
} reader;

static void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n'))
        r->at++;
}

/* Takes `byte`, with white space before it; 1 if it was there. */
static int take(reader *r, char byte)
{
    skip_space(r);
    if (r->at >= r->end || *r->at != byte)
        return 0;
    r->at++;
    return 1;
}

/* Four hexadecimal digits; -1 if there are none. */
static int32_t read_unit(reader *r)
{
    char digits[5] = {0};
    unsigned char bytes[2];
    if (r->end - r->at < 4)
        return -1;
    memcpy(digits, r->at, 4);
    if (lc_unhex(digits, bytes, 2))
        return -1;
    r->at += 4;
    return bytes[0] << 8 | bytes[1];
}

/* What follows \u, with its second half where it is a surrogate. NUL is refused: texts end with it. */
static int read_escaped_unit(reader *r)
{
    int32_t cp = read_unit(r);
    if (cp >= 0xd800 && cp <= 0xdbff) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
            return 0;
        r->at += 2;
        int32_t low = read_unit(r);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    } else if (cp <= 0 || (cp >= 0xdc00 && cp <= 0xdfff)) {
        return 0;
    }
    char bytes[4];
    size_t size = lc_utf8_encode((uint32_t)cp, bytes);
    memcpy(r->free, bytes, size);
    r->free += size;
    return 1;
}

static int read_escape(reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->at >= r->end)
        return 0;
    char letter = *r->at++;
    if (letter == 'u')
        return read_escaped_unit(r);
    const char *which = letter ? strchr(from, letter) : NULL;
    if (!which)
        return 0;
    *r->free++ = to[which - from];
    return 1;
}

/* A string; NULL if there is none. */
static const char *read_text(reader *r)
{
    if (!take(r, '"'))
        return NULL;
    char *text = r->free;
    while (r->at < r->end && *r->at != '"') {
        unsigned char byte = (unsigned char)*r->at++;
        if (byte == '\\' ? !read_escape(r) : byte < 0x20)
            return NULL;
        if (byte != '\\')
            *r->free++ = (char)byte;
    }
    if (!take(r, '"'))
        return NULL;
    *r->free++ = '\0';
    return text;
}

/* A whole number from 0 to INT64_MAX; negative if there is none. Nothing in the facts is below zero. */
static int64_t read_number(reader *r)
{
    skip_space(r);
    const char *start = r->at;
    int64_t number = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *r->at - '0', &number))
            return -1;
    int leading_zero = r->at - start > 1 && *start == '0';
    return r->at == start || leading_zero ? -1 : number;
}

static int read_value(reader *r, const field *f, llmcache_entry *entry)
{
    void *at = (char *)entry + f->offset;
    if (f->kind == TEXT || f->kind == DIGEST) {
        const char *text = read_text(r);
        if (!text)
            return 0;
        if (f->kind == DIGEST)
            return lc_unhex(text, at, LLMCACHE_FINGERPRINT_SIZE) == 0;
        memcpy(at, &text, sizeof text);
        return 1;
    }
    int64_t number = read_number(r);
    if (number < 0 || (f->kind == FLAGS && number > UINT32_MAX))
        return 0;
    if (f->kind == NUMBER)
        *(int64_t *)at = number;
    else if (f->kind == FLAGS)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(size_t *)at = (size_t)number;
    return 1;
}

/* A value of a later version's: a string, or anything without quotes and nesting. */
static int skip_value(reader *r)
{
    skip_space(r);
    if (r->at < r->end && *r->at == '"')
        return read_text(r) != NULL;
    const char *start = r->at;
    while (r->at < r->end && !strchr(",}{[]\"", *r->at))
        r->at++;
    return r->at > start;
}

static int find_field(const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(fields[i].name, name) == 0)
            return i;
    return -1;
}

/* What is seen beside the table's fields. */
enum { SEEN_VERSION = 1u << FIELD_COUNT, SEEN_ID = 2u << FIELD_COUNT };

static int read_member(reader *r, llmcache_entry *entry, unsigned *seen)
{
    const char *name = read_text(r);
    if (!name || !take(r, ':'))
        return 0;
    int at = find_field(name);
    unsigned bit = at >= 0 ? 1u << at
                   : strcmp(name, "version") == 0 ? SEEN_VERSION
                   : strcmp(name, "id") == 0 ? SEEN_ID : 0;
    if (*seen & bit)
        return 0;
    *seen |= bit;
    if (at >= 0)
        return read_value(r, &fields[at], entry);
    if (bit == SEEN_VERSION)
        return read_number(r) == FACTS_VERSION;
    if (bit == SEEN_ID) {
        const char *id = read_text(r);
        return id && strlen(id) == LLMCACHE_ID_SIZE - 1 && memcpy(entry->id, id, LLMCACHE_ID_SIZE);
    }
    return skip_value(r);
}

static int read_object(reader *r, llmcache_entry *entry, unsigned *seen)
{
    if (!take(r, '{'))
        return 0;
    do {
        if (!read_member(r, entry, seen))
            return 0;
    } while (take(r, ','));
    if (!take(r, '}'))
        return 0;
    skip_space(r);
    return r->at == r->end;
}

/* Is everything there, and does the id belong to the fingerprint? */
static int complete(const llmcache_entry *entry, unsigned seen)
{
    unsigned always = SEEN_VERSION | SEEN_ID, record = 0;
    for (int i = 0; i < FIELD_COUNT; i++)
        if (fields[i].where != ENTRY)
            *(fields[i].where == RECORD ? &record : &always) |= 1u << i;
    char id[LLMCACHE_ID_SIZE];
    lc_entry_id(entry->fingerprint, id);
    return (seen & always) == always && ((seen & record) == record || !(seen & record)) &&
           strcmp(id, entry->id) == 0;
}

int lc_facts_read(const char *line, size_t size, llmcache_entry *entry, char **memory,
                  llmcache_error *err)
{
    char *strings = lc_alloc(size + 1);
    if (!strings)
        return lc_fail_memory(err);
    reader r = {.at = line, .end = line + size, .free = strings};
    llmcache_entry facts = {.struct_size = sizeof facts, .embedder = "", .shape = ""};
    unsigned seen = 0;
    if (!lc_utf8_valid(line, size) || !read_object(&r, &facts, &seen) || !complete(&facts, seen)) {
        lc_free(strings);
        return lc_fail(err, LLMCACHE_CORRUPT, "the facts of a stored entry are damaged");
    }
    *entry = facts;
    *memory = strings;
    return 0;
}
