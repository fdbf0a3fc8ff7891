/* Statements, and the way between rows and entries. */
#include "store/sqlite_rows.h"

#include "base/memory.h"
#include "base/sha256.h"
#include "store/store.h"
#include "store/vector_sum.h"

#include <string.h>

#define HEAD_SIZE ((LLMCACHE_ID_SIZE - 1) / 2)

/* ---- SQL --------------------------------------------------------------------------------------- */

#define COMMON "space, fingerprint, partition, protocol, model, question, tags, created_ms, expires_ms," \
               " model_ms, input_tokens, output_tokens, stale_ms, cost_nano, flags, checksum, body"

enum column {
    SPACE, FINGERPRINT, PARTITION, PROTOCOL, MODEL, QUESTION, TAGS, CREATED, EXPIRES, MODEL_MS,
    INPUT, OUTPUT, STALE, COST, FLAGS, CHECKSUM, BODY, EMBEDDER, VECTOR, SHAPE, ID
};

/* Those of LC_SQL_VECTORS, in the order of the table: SQLite reads no further in a row than it must. */
#define OF_VECTORS "id, space, fingerprint, partition, expires_ms, flags, embedder, vector"

enum vector_column { V_ID, V_SPACE, V_FINGERPRINT, V_PARTITION, V_EXPIRES, V_FLAGS, V_EMBEDDER, V_VECTOR };

#define PUT_COMMON                                                                             \
    " ON CONFLICT(fingerprint, space) DO UPDATE SET partition=excluded.partition,"             \
    " protocol=excluded.protocol, model=excluded.model, question=excluded.question,"           \
    " tags=excluded.tags, created_ms=excluded.created_ms, expires_ms=excluded.expires_ms,"     \
    " model_ms=excluded.model_ms, input_tokens=excluded.input_tokens,"                         \
    " output_tokens=excluded.output_tokens, stale_ms=excluded.stale_ms,"                       \
    " cost_nano=excluded.cost_nano, flags=excluded.flags, checksum=excluded.checksum,"         \
    " body=excluded.body"

#define OF_LEASE " WHERE fingerprint=?1 AND space=?2 AND lane=?3"

/* One row of statements: the same for all parts but for the table, what each has more, and what is read of
 * it for an answer and for a list. */
#define STATEMENTS(table, more, marks, update, answered, listed)                               \
    [LC_SQL_GET] = "SELECT " COMMON answered " FROM " table " WHERE fingerprint=?1 AND space=?2", \
    [LC_SQL_GET_HEAD] = "SELECT " COMMON answered " FROM " table                               \
                        " WHERE fingerprint BETWEEN ?1 AND ?2 AND space=?3",                   \
    [LC_SQL_PAGE] = "SELECT " COMMON listed " FROM " table                                     \
                    " WHERE id > ?1 AND (?2 IS NULL OR space=?2) ORDER BY id LIMIT ?3",        \
    [LC_SQL_PUT] = "INSERT INTO " table "(" COMMON more ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9," \
                   "?10,?11,?12,?13,?14,?15,?16,?17" marks ")" PUT_COMMON update,                      \
    [LC_SQL_REMOVE] = "DELETE FROM " table " WHERE fingerprint=?1 AND space=?2",               \
    [LC_SQL_REMOVE_HEAD] = "DELETE FROM " table " WHERE fingerprint BETWEEN ?1 AND ?2 AND space=?3", \
    [LC_SQL_DROP] = "DELETE FROM " table " WHERE id=?1 AND checksum=?2",                       \
    [LC_SQL_SWEEP] = "DELETE FROM " table " WHERE id IN (SELECT id FROM " table                \
                     " WHERE expires_ms > 0 AND expires_ms <= ?1 LIMIT ?2)",                   \
    [LC_SQL_BEGIN] = "BEGIN IMMEDIATE", [LC_SQL_COMMIT] = "COMMIT",                            \
    [LC_SQL_LAST_CHANGE] = "SELECT seq FROM changes ORDER BY seq DESC LIMIT 1",                \
    [LC_SQL_PRUNE] = "DELETE FROM changes WHERE seq IN"                                        \
                     " (SELECT seq FROM changes WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",       \
    [LC_SQL_PAGES] = "PRAGMA page_count", [LC_SQL_FREE_PAGES] = "PRAGMA freelist_count",       \
    [LC_SQL_LEASE_LOOK] = "SELECT holder, until_ms, lasts_ms FROM lease" OF_LEASE,             \
    [LC_SQL_LEASE_SET] = "INSERT INTO lease(fingerprint, space, lane, holder, until_ms, lasts_ms)" \
                         " VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(fingerprint, space, lane) DO UPDATE SET" \
                         " holder=excluded.holder, until_ms=excluded.until_ms, lasts_ms=excluded.lasts_ms", \
    [LC_SQL_LEASE_DROP] = "DELETE FROM lease" OF_LEASE,                                        \
    [LC_SQL_LEASE_SWEEP] = "DELETE FROM lease WHERE until_ms <= ?1 OR until_ms > ?1 + lasts_ms"

static const char *const sql[LC_SQL_PARTS][LC_SQL_COUNT] = {
    {STATEMENTS("prompt_cache", ", shape", ",?18", ", shape=excluded.shape",
                ", '', NULL, '', id", ", '', NULL, shape, id"),
     [LC_SQL_TOTAL] = "SELECT rows FROM totals WHERE part = 1"},
    {STATEMENTS("embed_cache", ", embedder, vector", ",?18,?19",
                ", embedder=excluded.embedder, vector=excluded.vector",
                ", embedder, vector, '', id", ", embedder, vector, '', id"),
     [LC_SQL_VECTORS] = "SELECT " OF_VECTORS " FROM embed_cache WHERE id > ?1 ORDER BY id LIMIT ?3",
     [LC_SQL_TOTAL] = "SELECT rows FROM totals WHERE part = 2"},
    {STATEMENTS("observation_cache", "", "", "", ", '', NULL, '', id", ", '', NULL, '', id"),
     [LC_SQL_TOTAL] = "SELECT rows FROM totals WHERE part = 4"},
};

static int row_of(int part)
{
    return part == LLMCACHE_PART_OBSERVATION ? 2 : part == LLMCACHE_PART_EMBED;
}

/* ---- Connections ------------------------------------------------------------------------------- */

lc_sqlite_connection *lc_sqlite_connection_new(void)
{
    return lc_zalloc(sizeof(lc_sqlite_connection));
}

void lc_sqlite_connection_free(lc_sqlite_connection *connection)
{
    if (!connection)
        return;
    for (int i = 0; i < LC_SQL_COUNT; i++)
        for (int part = 0; part < LC_SQL_PARTS; part++)
            sqlite3_finalize(connection->statements[i][part]);
    sqlite3_close(connection->db);
    lc_free(connection->vector);
    lc_free(connection);
}

sqlite3_stmt *lc_sqlite_statement(lc_sqlite_connection *connection, enum lc_sqlite_statement which,
                                  int part, int *rc)
{
    sqlite3_stmt **slot = &connection->statements[which][row_of(part)];
    *rc = SQLITE_OK;
    if (*slot)
        sqlite3_reset(*slot);
    else
        *rc = sqlite3_prepare_v3(connection->db, sql[row_of(part)][which], -1,
                                 SQLITE_PREPARE_PERSISTENT, slot, NULL);
    return *slot;
}

int lc_sqlite_run(lc_sqlite_connection *connection, enum lc_sqlite_statement which, int part,
                  int64_t *number)
{
    int rc;
    sqlite3_stmt *statement = lc_sqlite_statement(connection, which, part, &rc);
    if (!statement)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW && number)
        *number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void lc_sqlite_bind_key(sqlite3_stmt *statement, const llmcache_key *key)
{
    int at = 1;
    if (key->head_only) {
        unsigned char low[LLMCACHE_FINGERPRINT_SIZE], high[LLMCACHE_FINGERPRINT_SIZE];
        memset(low, 0, sizeof low);
        memset(high, 0xff, sizeof high);
        memcpy(low, key->fingerprint, HEAD_SIZE);
        memcpy(high, key->fingerprint, HEAD_SIZE);
        sqlite3_bind_blob(statement, at++, low, sizeof low, SQLITE_TRANSIENT);
        sqlite3_bind_blob(statement, at++, high, sizeof high, SQLITE_TRANSIENT);
    } else {
        sqlite3_bind_blob(statement, at++, key->fingerprint, LLMCACHE_FINGERPRINT_SIZE, SQLITE_STATIC);
    }
    sqlite3_bind_text(statement, at, key->space, -1, SQLITE_STATIC);
}

/* ---- Rows -------------------------------------------------------------------------------------- */

/*
 * 64 bits of SHA-256 over what must belong together for the answer to be right: whose it is, what it
 * answers, the answer, and the vector that leads to it. Times and counts may be edited by hand.
 */
static int64_t checksum_of(const llmcache_entry *entry, int part)
{
    unsigned char digest[LC_SHA256_SIZE];
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_text(&hash, entry->space);
    lc_sha256_add(&hash, entry->fingerprint, sizeof entry->fingerprint);
    lc_sha256_add(&hash, entry->partition, sizeof entry->partition);
    lc_sha256_text(&hash, entry->protocol);
    lc_sha256_field(&hash, entry->body, entry->body_size);
    if (part == LLMCACHE_PART_EMBED) {
        lc_sha256_text(&hash, entry->embedder);
        lc_sha256_field(&hash, entry->vector, entry->dimension * sizeof *entry->vector);
    }
    lc_sha256_end(&hash, digest);
    int64_t checksum;
    memcpy(&checksum, digest, sizeof checksum);
    return checksum;
}

/*
 * The checksum takes the answer to compute. So that vectors can be read without their answers, a record has a sum
 * of its own over what leads to it, in the upper half of its flags; 0: none, as in files of older versions.
 */
#define SUM_SHIFT 32

static int64_t flags_of(const llmcache_entry *entry, int part)
{
    uint64_t sum = part == LLMCACHE_PART_EMBED ? lc_vector_sum(entry) : 0;
    return (int64_t)(sum << SUM_SHIFT | entry->flags);
}

void lc_sqlite_bind_entry(sqlite3_stmt *statement, int part, const llmcache_entry *entry)
{
    const char *const texts[] = {entry->protocol, entry->model, entry->question, entry->tags};
    sqlite3_bind_text(statement, SPACE + 1, entry->space, -1, SQLITE_STATIC);
    sqlite3_bind_blob(statement, FINGERPRINT + 1, entry->fingerprint, sizeof entry->fingerprint,
                      SQLITE_STATIC);
    sqlite3_bind_blob(statement, PARTITION + 1, entry->partition, sizeof entry->partition,
                      SQLITE_STATIC);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_text(statement, PROTOCOL + 1 + i, texts[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, CREATED + 1, entry->created_ms);
    sqlite3_bind_int64(statement, EXPIRES + 1, entry->expires_ms);
    sqlite3_bind_int64(statement, MODEL_MS + 1, entry->model_ms);
    sqlite3_bind_int64(statement, INPUT + 1, entry->input_tokens);
    sqlite3_bind_int64(statement, OUTPUT + 1, entry->output_tokens);
    sqlite3_bind_int64(statement, STALE + 1, entry->stale_ms);
    sqlite3_bind_int64(statement, COST + 1, entry->cost_nano);
    sqlite3_bind_int64(statement, FLAGS + 1, flags_of(entry, part));
    sqlite3_bind_int64(statement, CHECKSUM + 1, checksum_of(entry, part));
    sqlite3_bind_text64(statement, BODY + 1, entry->body, entry->body_size, SQLITE_STATIC,
                        SQLITE_UTF8);
    if (part == LLMCACHE_PART_EMBED) {
        sqlite3_bind_text(statement, EMBEDDER + 1, entry->embedder, -1, SQLITE_STATIC);
        sqlite3_bind_blob64(statement, VECTOR + 1, entry->vector,
                            entry->dimension * sizeof *entry->vector, SQLITE_STATIC);
    } else if (part == LLMCACHE_PART_PROMPT) {
        sqlite3_bind_text(statement, EMBEDDER + 1, lc_entry_shape(entry), -1, SQLITE_STATIC);
    }
}

/* A text without a NUL inside; NULL when it is none. */
static const char *text_at(sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
        return NULL;
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text && strlen(text) == (size_t)sqlite3_column_bytes(statement, column) ? text : NULL;
}

static int read_digest(sqlite3_stmt *statement, int column, unsigned char digest[32])
{
    const void *blob = sqlite3_column_blob(statement, column);
    if (!blob || sqlite3_column_bytes(statement, column) != LLMCACHE_FINGERPRINT_SIZE)
        return LLMCACHE_CORRUPT;
    memcpy(digest, blob, LLMCACHE_FINGERPRINT_SIZE);
    return 0;
}

static int read_vector(lc_sqlite_connection *connection, sqlite3_stmt *statement, int column,
                       llmcache_entry *entry)
{
    const void *blob = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    if (!blob || !size || size % sizeof(float))
        return LLMCACHE_CORRUPT;
    if (size > connection->vector_room) {
        float *vector = lc_realloc(connection->vector, size);
        if (!vector)
            return LLMCACHE_MEMORY;
        connection->vector = vector;
        connection->vector_room = size;
    }
    memcpy(connection->vector, blob, size);
    entry->vector = connection->vector;
    entry->dimension = size / sizeof(float);
    return 0;
}

static int read_texts(sqlite3_stmt *statement, llmcache_entry *entry)
{
    const char **const texts[] = {&entry->protocol, &entry->model, &entry->question, &entry->tags};
    for (int i = 0; i < 4; i++)
        if (!(*texts[i] = text_at(statement, PROTOCOL + i)))
            return LLMCACHE_CORRUPT;
    entry->space = text_at(statement, SPACE);
    entry->embedder = text_at(statement, EMBEDDER);
    entry->shape = text_at(statement, SHAPE);
    entry->body = (const char *)sqlite3_column_text(statement, BODY);
    entry->body_size = (size_t)sqlite3_column_bytes(statement, BODY);
    return entry->space && entry->embedder && entry->shape && entry->body ? 0 : LLMCACHE_CORRUPT;
}

static void read_numbers(sqlite3_stmt *statement, llmcache_entry *entry, lc_sqlite_row *row)
{
    entry->created_ms = sqlite3_column_int64(statement, CREATED);
    entry->expires_ms = sqlite3_column_int64(statement, EXPIRES);
    entry->model_ms = sqlite3_column_int64(statement, MODEL_MS);
    entry->input_tokens = sqlite3_column_int64(statement, INPUT);
    entry->output_tokens = sqlite3_column_int64(statement, OUTPUT);
    entry->stale_ms = sqlite3_column_int64(statement, STALE);
    entry->cost_nano = sqlite3_column_int64(statement, COST);
    entry->flags = (uint32_t)sqlite3_column_int64(statement, FLAGS);
    row->checksum = sqlite3_column_int64(statement, CHECKSUM);
    row->id = sqlite3_column_int64(statement, ID);
}

int lc_sqlite_read(lc_sqlite_connection *connection, sqlite3_stmt *statement, int part,
                   llmcache_entry *entry, lc_sqlite_row *row)
{
    llmcache_entry read = {.struct_size = sizeof read};
    read_numbers(statement, &read, row);
    int code = read_digest(statement, FINGERPRINT, read.fingerprint);
    if (!code)
        code = read_digest(statement, PARTITION, read.partition);
    if (!code)
        code = read_texts(statement, &read);
    if (!code && part == LLMCACHE_PART_EMBED)
        code = read_vector(connection, statement, VECTOR, &read);
    if (!code && checksum_of(&read, part) != row->checksum)
        code = LLMCACHE_CORRUPT;
    if (code == LLMCACHE_CORRUPT && sqlite3_errcode(connection->db) == SQLITE_NOMEM)
        code = LLMCACHE_MEMORY;
    if (code)
        return code;
    lc_entry_id(read.fingerprint, read.id);
    *entry = read;
    return 0;
}

/* ---- Vectors alone --------------------------------------------------------------------------------- */

/* The whole row, then as `entry` again. */
static int check_whole(lc_sqlite_connection *connection, const llmcache_entry *entry)
{
    llmcache_entry whole;
    lc_sqlite_row row;
    llmcache_key key = {.space = entry->space};
    int rc;
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    sqlite3_stmt *statement = lc_sqlite_statement(connection, LC_SQL_GET, LLMCACHE_PART_EMBED, &rc);
    if (!statement)
        return LLMCACHE_MEMORY;
    lc_sqlite_bind_key(statement, &key);
    int code = sqlite3_step(statement) == SQLITE_ROW
                   ? lc_sqlite_read(connection, statement, LLMCACHE_PART_EMBED, &whole, &row)
                   : LLMCACHE_CORRUPT;
    sqlite3_reset(statement);
    return code;
}

int lc_sqlite_read_vector(lc_sqlite_connection *connection, sqlite3_stmt *statement, llmcache_entry *entry,
                          lc_sqlite_row *row)
{
    llmcache_entry read = {.struct_size = sizeof read, .protocol = "", .model = "", .question = "", .tags = "",
                           .shape = "", .body = ""};
    uint64_t flags = (uint64_t)sqlite3_column_int64(statement, V_FLAGS);
    *row = (lc_sqlite_row){.id = sqlite3_column_int64(statement, V_ID)};
    read.expires_ms = sqlite3_column_int64(statement, V_EXPIRES);
    read.flags = (uint32_t)flags;
    int code = read_digest(statement, V_FINGERPRINT, read.fingerprint);
    if (!code)
        code = read_digest(statement, V_PARTITION, read.partition);
    read.space = text_at(statement, V_SPACE);
    read.embedder = text_at(statement, V_EMBEDDER);
    if (!code && !(read.space && read.embedder))
        code = LLMCACHE_CORRUPT;
    if (!code)
        code = read_vector(connection, statement, V_VECTOR, &read);
    if (!code && !(flags >> SUM_SHIFT))
        code = check_whole(connection, &read); /* it leaves the same vector in the connection's room */
    else if (!code && lc_vector_sum(&read) != flags >> SUM_SHIFT)
        code = LLMCACHE_CORRUPT;
    if (code == LLMCACHE_CORRUPT && sqlite3_errcode(connection->db) == SQLITE_NOMEM)
        code = LLMCACHE_MEMORY;
    if (code)
        return code;
    lc_entry_id(read.fingerprint, read.id);
    *entry = read;
    return 0;
}
