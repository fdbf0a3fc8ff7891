/*
 * Rows of the three tables, all of one shape: the key, the expiry, the facts as the one line of JSON that Redis
 * has too (people can ask for facts->>'model'), the body, and for records the vector (float32, little-endian).
 */
#include "store/postgres_inside.h"

#include "base/error.h"
#include "base/memory.h"
#include "store/store.h"

#include <arpa/inet.h>
#include <string.h>

enum { SPACE, FINGERPRINT, FACTS, BODY, VECTOR };
enum { HEAD_SIZE = (LLMCACHE_ID_SIZE - 1) / 2 };

#define COLUMNS "space, fingerprint, facts, body, vector"
#define LIVE    "NOT damaged"

/* The size of a body is known without reading it. */
#define BODILESS "space, fingerprint, facts, octet_length(body), vector"

/* The statements of one table; `number` makes their slots differ. */
#define TABLE(number, name)                                                                        \
    {                                                                                              \
        [LC_PG_GET] = {number * LC_PG_VERBS + LC_PG_GET,                                           \
                       "SELECT " COLUMNS " FROM " name " WHERE space = $1 AND fingerprint = $2"    \
                       " AND " LIVE},                                                              \
        [LC_PG_GET_HEAD] = {number * LC_PG_VERBS + LC_PG_GET_HEAD,                                 \
                            "SELECT " COLUMNS " FROM " name " WHERE space = $1 AND"                \
                            " fingerprint >= $2 AND fingerprint <= $3 AND " LIVE                   \
                            " ORDER BY fingerprint LIMIT 1"},                                      \
        [LC_PG_PUT] = {number * LC_PG_VERBS + LC_PG_PUT,                                           \
                       "INSERT INTO " name " (space, fingerprint, expires_ms, facts, body, vector)" \
                       " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (space, fingerprint) DO UPDATE" \
                       " SET expires_ms = EXCLUDED.expires_ms, facts = EXCLUDED.facts,"            \
                       " body = EXCLUDED.body, vector = EXCLUDED.vector, damaged = false"          \
                       " RETURNING xmax = 0"},                                                     \
        [LC_PG_REMOVE] = {number * LC_PG_VERBS + LC_PG_REMOVE,                                     \
                          "DELETE FROM " name " WHERE space = $1 AND fingerprint = $2"},           \
        [LC_PG_REMOVE_HEAD] = {number * LC_PG_VERBS + LC_PG_REMOVE_HEAD,                           \
                               "DELETE FROM " name " WHERE space = $1 AND fingerprint >= $2"       \
                               " AND fingerprint <= $3"},                                          \
        [LC_PG_EACH] = {number * LC_PG_VERBS + LC_PG_EACH,                                         \
                        "SELECT " COLUMNS " FROM " name " WHERE (space, fingerprint) > ($1, $2)"   \
                        " AND (expires_ms = 0 OR expires_ms > $3) AND " LIVE                       \
                        " ORDER BY space, fingerprint LIMIT 256"},                                 \
        [LC_PG_EACH_SPACE] = {number * LC_PG_VERBS + LC_PG_EACH_SPACE,                             \
                              "SELECT " COLUMNS " FROM " name " WHERE space = $1 AND"              \
                              " fingerprint > $2 AND (expires_ms = 0 OR expires_ms > $3) AND " LIVE \
                              " ORDER BY space, fingerprint LIMIT 256"},                           \
        [LC_PG_EACH_VECTOR] = {number * LC_PG_VERBS + LC_PG_EACH_VECTOR,                           \
                               "SELECT " BODILESS " FROM " name " WHERE (space, fingerprint) > ($1, $2)" \
                               " AND (expires_ms = 0 OR expires_ms > $3) AND " LIVE                \
                               " ORDER BY space, fingerprint LIMIT 1024"},                         \
        [LC_PG_SWEEP] = {number * LC_PG_VERBS + LC_PG_SWEEP,                                       \
                         "DELETE FROM " name " WHERE ctid = ANY (ARRAY (SELECT ctid FROM " name    \
                         " WHERE expires_ms > 0 AND expires_ms <= $1 LIMIT 1000"                   \
                         " FOR UPDATE SKIP LOCKED))"},                                             \
        [LC_PG_ASIDE] = {number * LC_PG_VERBS + LC_PG_ASIDE,                                       \
                         "UPDATE " name " SET damaged = true WHERE space = $1 AND fingerprint = $2"}, \
    }

static const lc_pg_statement statements[3][LC_PG_VERBS] = {
    TABLE(0, "llmcache_prompt"), TABLE(1, "llmcache_embed"), TABLE(2, "llmcache_observation")};

const lc_pg_statement *lc_pg_statement_of(enum lc_pg_verb verb, int part)
{
    int table = part == LLMCACHE_PART_OBSERVATION ? 2 : part == LLMCACHE_PART_EMBED;
    return &statements[table][verb];
}

/* ---- Values ------------------------------------------------------------------------------------------ */

void lc_pg_add_key(lc_pg_values *values, const llmcache_key *key, lc_pg_range *room)
{
    lc_pg_add(values, key->space, strlen(key->space));
    if (!key->head_only) {
        lc_pg_add(values, key->fingerprint, sizeof key->fingerprint);
        return;
    }
    memset(room->low, 0, sizeof room->low);
    memset(room->high, 0xff, sizeof room->high);
    memcpy(room->low, key->fingerprint, HEAD_SIZE);
    memcpy(room->high, key->fingerprint, HEAD_SIZE);
    lc_pg_add(values, room->low, sizeof room->low);
    lc_pg_add(values, room->high, sizeof room->high);
}

/* ---- Reading ----------------------------------------------------------------------------------------- */

void lc_pg_row_done(lc_pg_row *row)
{
    lc_free(row->memory);
    lc_free(row->vector);
    *row = (lc_pg_row){0};
}

void lc_pg_row_key(const PGresult *result, int row, const char **space, size_t *space_size,
                   const unsigned char **fingerprint, size_t *fingerprint_size)
{
    *space = PQgetvalue(result, row, SPACE);
    *space_size = (size_t)PQgetlength(result, row, SPACE);
    *fingerprint = (const unsigned char *)PQgetvalue(result, row, FINGERPRINT);
    *fingerprint_size = (size_t)PQgetlength(result, row, FINGERPRINT);
}

/* Do the facts speak of the row they stand in, and do body and vector have their sizes? */
static int is_whole(const PGresult *result, int row, int part, size_t body_size, const llmcache_entry *entry)
{
    const char *space;
    const unsigned char *fingerprint;
    size_t space_size, fingerprint_size, vector_size = (size_t)PQgetlength(result, row, VECTOR);
    lc_pg_row_key(result, row, &space, &space_size, &fingerprint, &fingerprint_size);
    return space_size == strlen(entry->space) && memcmp(space, entry->space, space_size) == 0 &&
           fingerprint_size == sizeof entry->fingerprint &&
           memcmp(fingerprint, entry->fingerprint, fingerprint_size) == 0 &&
           entry->body_size == body_size &&
           (part != LLMCACHE_PART_EMBED ||
            (entry->dimension && vector_size == entry->dimension * sizeof(float)));
}

static int read_row(const PGresult *result, int row, int part, size_t body_size, lc_pg_row *out,
                    llmcache_error *err)
{
    llmcache_entry *entry = &out->entry;
    *out = (lc_pg_row){.entry.struct_size = sizeof *entry};
    if (PQnfields(result) != VECTOR + 1)
        return lc_fail(err, LLMCACHE_CORRUPT, "a row of the store has other columns");
    int rc = lc_facts_read(PQgetvalue(result, row, FACTS), (size_t)PQgetlength(result, row, FACTS), entry,
                           &out->memory, err);
    if (!rc && !is_whole(result, row, part, body_size, entry))
        rc = lc_fail(err, LLMCACHE_CORRUPT, "a row of the store is not what its facts say");
    if (!rc && part == LLMCACHE_PART_EMBED) {
        out->vector = lc_memdup(PQgetvalue(result, row, VECTOR), entry->dimension * sizeof(float));
        if (!out->vector)
            rc = lc_fail_memory(err);
        entry->vector = out->vector;
    }
    if (part != LLMCACHE_PART_EMBED) {
        entry->embedder = "";
        entry->dimension = 0;
    }
    return rc;
}

int lc_pg_row_read(const PGresult *result, int row, int part, lc_pg_row *out, llmcache_error *err)
{
    int rc = read_row(result, row, part, (size_t)PQgetlength(result, row, BODY), out, err);
    out->entry.body = PQgetvalue(result, row, BODY);
    return rc;
}

int lc_pg_row_read_vector(const PGresult *result, int row, lc_pg_row *out, llmcache_error *err)
{
    uint32_t size = 0;
    if (PQgetlength(result, row, BODY) == sizeof size)
        memcpy(&size, PQgetvalue(result, row, BODY), sizeof size);
    int rc = read_row(result, row, LLMCACHE_PART_EMBED, ntohl(size), out, err);
    out->entry.body = "";
    out->entry.body_size = 0;
    return rc;
}
