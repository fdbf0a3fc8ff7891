/* Slots, redirects and maps. Nothing a server says is believed before it is checked. */
#include "store/redis_slots.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { NOBODY = UINT16_MAX };

/* ---- Slots -------------------------------------------------------------------------------------- */

static uint16_t crc16(const unsigned char *bytes, size_t size)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint16_t)(bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

int lc_redis_slot_of(lc_redis_word name)
{
    const char *text = name.bytes;
    const char *open = name.size ? memchr(text, '{', name.size) : NULL;
    if (open) {
        size_t left = name.size - (size_t)(open + 1 - text);
        const char *close = left ? memchr(open + 1, '}', left) : NULL;
        if (close && close > open + 1)
            return crc16((const unsigned char *)open + 1, (size_t)(close - open - 1)) % LC_REDIS_SLOTS;
    }
    return crc16(name.bytes, name.size) % LC_REDIS_SLOTS;
}

/* ---- Batches ------------------------------------------------------------------------------------ */

/* "*3\r\n" or "$3\r\n" at *at; -1 for anything else. */
static long long read_head(const lc_buffer *bytes, size_t *at, char kind)
{
    size_t i = *at;
    long long value = 0;
    if (i >= bytes->size || bytes->data[i++] != kind)
        return -1;
    for (; i < bytes->size && bytes->data[i] >= '0' && bytes->data[i] <= '9'; i++) {
        if (value > (1LL << 40))
            return -1;
        value = value * 10 + (bytes->data[i] - '0');
    }
    if (bytes->size - i < 2 || bytes->data[i] != '\r')
        return -1;
    *at = i + 2;
    return value;
}

typedef struct command {
    lc_redis_word name, key; /* key.bytes NULL: it has none */
} command;

static int is_word(lc_redis_word word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.bytes, text, word.size) == 0;
}

/* The command at *at; *at goes behind it. 0 for no command. */
static int read_command(const lc_buffer *bytes, size_t *at, command *found)
{
    long long words = read_head(bytes, at, '*');
    *found = (command){0};
    for (long long i = 0; i < words; i++) {
        long long size = read_head(bytes, at, '$');
        if (size < 0 || (unsigned long long)size + 2 > bytes->size - *at)
            return 0;
        lc_redis_word word = {bytes->data + *at, (size_t)size};
        if (i == 0)
            found->name = word;
        else if (i == (is_word(found->name, "EVAL") ? 3 : 1)) /* behind its script and the number of its keys */
            found->key = word;
        *at += (size_t)size + 2;
    }
    return words > 0;
}

int lc_redis_units_read(const lc_redis_batch *batch, lc_redis_unit **units, size_t *count)
{
    lc_redis_unit *fresh = lc_zalloc_array(batch->count ? batch->count : 1, sizeof *fresh);
    size_t made = 0, at = 0;
    int inside = 0;
    if (!fresh)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < batch->count; i++) {
        command found;
        size_t start = at;
        if (!read_command(&batch->bytes, &at, &found)) {
            lc_free(fresh);
            return LLMCACHE_INVALID;
        }
        if (!inside)
            fresh[made++] = (lc_redis_unit){.at = start, .first = i, .slot = -1};
        lc_redis_unit *unit = &fresh[made - 1];
        unit->size = at - unit->at;
        unit->count++;
        if (unit->slot < 0 && found.key.bytes)
            unit->slot = lc_redis_slot_of(found.key);
        inside = (inside || is_word(found.name, "MULTI")) && !is_word(found.name, "EXEC");
    }
    *units = fresh;
    *count = made;
    return 0;
}

/* ---- Redirects ---------------------------------------------------------------------------------- */

/* 0 when it is no host and port. */
static int set_address(const char *host, size_t size, long long port, const lc_redis_address *asked,
                       lc_redis_address *to)
{
    if (size == 0 || (size == 1 && *host == '?')) {
        host = asked->host;
        size = strlen(host);
    }
    return lc_redis_address_set(host, size, port, to);
}

/* Digits only, all of them; -1 otherwise. */
static long read_digits(const char *text, size_t size)
{
    long value = 0;
    if (size == 0 || size > 5)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

lc_redis_redirect lc_redis_redirect_read(const redisReply *reply, const lc_redis_address *asked,
                                         int *slot, lc_redis_address *to)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return LC_REDIS_STAYS;
    int moved = strncmp(reply->str, "MOVED ", 6) == 0;
    if (!moved && strncmp(reply->str, "ASK ", 4) != 0)
        return LC_REDIS_STAYS;
    const char *text = reply->str + (moved ? 6 : 4);
    size_t digits = strcspn(text, " ");
    long number = read_digits(text, digits);
    if (number < 0 || number >= LC_REDIS_SLOTS || text[digits] != ' ')
        return LC_REDIS_STAYS;
    const char *host = text + digits + 1;
    const char *colon = strrchr(host, ':');
    if (!colon || !set_address(host, (size_t)(colon - host),
                               read_digits(colon + 1, strlen(colon + 1)), asked, to))
        return LC_REDIS_STAYS;
    *slot = (int)number;
    return moved ? LC_REDIS_MOVED : LC_REDIS_ASK;
}

/* ---- Maps --------------------------------------------------------------------------------------- */

/* [host, port, ...]; its place among the nodes, NOBODY for nonsense or too many. */
static size_t place_of(lc_redis_map *map, const redisReply *reply, const lc_redis_address *asked)
{
    lc_redis_address address;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
        reply->element[1]->type != REDIS_REPLY_INTEGER)
        return NOBODY;
    const redisReply *host = reply->element[0];
    int is_text = host->type == REDIS_REPLY_STRING && strlen(host->str) == (size_t)host->len;
    if ((!is_text && host->type != REDIS_REPLY_NIL) ||
        !set_address(is_text ? host->str : "", is_text ? host->len : 0, reply->element[1]->integer, asked,
                     &address))
        return NOBODY;
    for (size_t i = 0; i < map->count; i++)
        if (lc_redis_same_address(&map->nodes[i], &address))
            return i;
    if (map->count == LC_REDIS_MAX_NODES)
        return NOBODY;
    map->nodes[map->count] = address;
    return map->count++;
}

/* [first slot, last slot, owner, replicas ...]; 0 for nonsense. */
static int read_share(lc_redis_map *map, const redisReply *share, const lc_redis_address *asked)
{
    if (share->type != REDIS_REPLY_ARRAY || share->elements < 3 ||
        share->element[0]->type != REDIS_REPLY_INTEGER || share->element[1]->type != REDIS_REPLY_INTEGER)
        return 0;
    long long first = share->element[0]->integer, last = share->element[1]->integer;
    size_t owner = place_of(map, share->element[2], asked);
    if (first < 0 || last < first || last >= LC_REDIS_SLOTS || owner == NOBODY)
        return 0;
    for (size_t i = 3; i < share->elements; i++) {
        size_t replica = place_of(map, share->element[i], asked);
        if (replica != NOBODY && replica != owner) /* one without an address is just not known */
            map->follows[replica] = (uint16_t)owner;
    }
    for (long long slot = first; slot <= last; slot++) {
        if (map->owner[slot] != NOBODY)
            return 0;
        map->owner[slot] = (uint16_t)owner;
    }
    return 1;
}

int lc_redis_map_read(const redisReply *reply, const lc_redis_address *asked, lc_redis_map *map,
                      llmcache_error *err)
{
    int fine = reply->type == REDIS_REPLY_ARRAY && reply->elements <= LC_REDIS_SLOTS;
    memset(map->owner, 0xff, sizeof map->owner);
    memset(map->follows, 0xff, sizeof map->follows);
    map->count = 0;
    map->nodes = lc_zalloc_array(LC_REDIS_MAX_NODES, sizeof *map->nodes);
    if (!map->nodes)
        return lc_fail_memory(err);
    for (size_t i = 0; fine && i < reply->elements; i++)
        fine = read_share(map, reply->element[i], asked);
    if (fine)
        return 0;
    lc_redis_map_done(map);
    return lc_fail(err, LLMCACHE_STORE, "%s:%d describes its cluster in a way of its own", asked->host,
                   asked->port);
}

void lc_redis_map_done(lc_redis_map *map)
{
    lc_free(map->nodes);
    map->nodes = NULL;
    map->count = 0;
}

/* ---- What a node says of itself ------------------------------------------------------------------- */

static int is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

void lc_redis_info_read(const redisReply *reply, int *works, uint64_t *epoch)
{
    static const char field[] = "cluster_current_epoch:";
    *works = 0;
    *epoch = 0;
    if (!is_text(reply))
        return;
    const char *at = strstr(reply->str, field);
    *works = strstr(reply->str, "cluster_state:ok") != NULL;
    if (at)
        *epoch = strtoull(at + sizeof field - 1, NULL, 10);
}

/* Behind "\n<name>:", up to the end of the line. */
static lc_redis_word field_of(const char *text, const char *name)
{
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        size_t size = strlen(name);
        if (strncmp(at, name, size) == 0 && at[size] == ':')
            return (lc_redis_word){at + size + 1, strcspn(at + size + 1, "\r\n")};
    }
    return (lc_redis_word){"", 0};
}

int lc_redis_replication_read(const redisReply *reply, lc_redis_replication *replication)
{
    if (!is_text(reply))
        return 0;
    lc_redis_replication fresh = {.is_primary = is_word(field_of(reply->str, "role"), "master"),
                                  .link_is_up = is_word(field_of(reply->str, "master_link_status"), "up")};
    lc_redis_word history = field_of(reply->str, "master_replid");
    lc_redis_word offset = field_of(reply->str, fresh.is_primary ? "master_repl_offset" : "slave_repl_offset");
    if (history.size == 0 || history.size >= sizeof fresh.history || offset.size == 0 || offset.size > 19)
        return 0;
    memcpy(fresh.history, history.bytes, history.size);
    fresh.offset = strtoull(offset.bytes, NULL, 10);
    *replication = fresh;
    return 1;
}

lc_redis_word lc_redis_own_slots(const redisReply *reply)
{
    const lc_redis_word nothing = {"", 0};
    const char *line = is_text(reply) ? reply->str : "";
    for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *end = line + strcspn(line, "\n"), *at = line;
        int mine = 0;
        for (int field = 0; field < 8 && at < end; field++) { /* id, address, flags and five more */
            size_t size = strcspn(at, " \n");
            const char *me = field == 2 ? strstr(at, "myself") : NULL;
            mine |= me && me < at + size;
            at += size + (at[size] == ' ');
        }
        if (mine)
            return at < end ? (lc_redis_word){at, (size_t)(end - at)} : nothing;
    }
    return nothing;
}
