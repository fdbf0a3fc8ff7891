/*
 * The tables, made at the first use and migrated from version to version (postgres_migrate.h). A trigger tells of
 * every change to a row, whoever makes it, psql included (LISTEN and NOTIFY); rows that have expired go without a word.
 */
#include "store/postgres_inside.h"

#include "net/postgres_migrate.h"

#define TABLE(name, part)                                                                           \
    "CREATE TABLE " name " (space text COLLATE \"C\" NOT NULL, fingerprint bytea NOT NULL,"          \
    " expires_ms bigint NOT NULL, facts json NOT NULL, body bytea NOT NULL, vector bytea,"           \
    " damaged boolean NOT NULL DEFAULT false, PRIMARY KEY (space, fingerprint));"                    \
    "ALTER TABLE " name " ALTER body SET STORAGE EXTERNAL;"                                          \
    "CREATE INDEX " name "_expiry ON " name " (expires_ms) WHERE expires_ms > 0;"                    \
    "CREATE TRIGGER " name "_tell AFTER INSERT OR UPDATE OR DELETE ON " name                         \
    " FOR EACH ROW EXECUTE FUNCTION llmcache_tell('" part "');"                                      \
    "CREATE TRIGGER " name "_tell_all AFTER TRUNCATE ON " name                                       \
    " FOR EACH STATEMENT EXECUTE FUNCTION llmcache_tell('" part "');"

static const char *const migrations[] = {
    "CREATE OR REPLACE FUNCTION llmcache_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
    " IF TG_OP = 'TRUNCATE' THEN PERFORM pg_notify('" LC_PG_CHANNEL "', 'all'); RETURN NULL; END IF;\n"
    " IF TG_OP = 'DELETE' AND OLD.expires_ms > 0 AND OLD.expires_ms <="
    " extract(epoch FROM now()) * 1000 THEN RETURN NULL; END IF;\n"
    " IF TG_OP <> 'INSERT' THEN PERFORM pg_notify('" LC_PG_CHANNEL "', TG_ARGV[0] || ' ' ||"
    " encode(substr(OLD.fingerprint, 1, 10), 'hex') || ' ' || OLD.space); END IF;\n"
    " IF TG_OP <> 'DELETE' THEN PERFORM pg_notify('" LC_PG_CHANNEL "', TG_ARGV[0] || ' ' ||"
    " encode(substr(NEW.fingerprint, 1, 10), 'hex') || ' ' || NEW.space); END IF;\n"
    " RETURN NULL; END $$;" TABLE("llmcache_prompt", "1") TABLE("llmcache_embed", "2")
        TABLE("llmcache_observation", "4"),

    /* Only of a lease given up is anything told: of one that ends with an answer the answer tells. */
    "CREATE UNLOGGED TABLE llmcache_lease (space text COLLATE \"C\" NOT NULL, fingerprint bytea NOT NULL,"
    " lane bigint NOT NULL, holder text NOT NULL, expires_ms bigint NOT NULL,"
    " PRIMARY KEY (space, fingerprint, lane));"
    "CREATE TRIGGER llmcache_lease_given_up AFTER UPDATE ON llmcache_lease"
    " FOR EACH ROW WHEN (NEW.holder = '') EXECUTE FUNCTION llmcache_tell('8');",

    /* Where the index pgvector: is in the same database, a record's vector goes with it. A vector that cannot be
     * removed must not keep the record. */
    "CREATE FUNCTION llmcache_forget_vectors() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE one record; BEGIN\n"
    " IF to_regclass('llmcache_vectors') IS NULL THEN RETURN NULL; END IF;\n"
    " FOR one IN SELECT name FROM llmcache_vectors WHERE dimension > 0 LOOP BEGIN\n"
    " IF TG_OP = 'TRUNCATE' THEN EXECUTE format('DELETE FROM %I', one.name);\n"
    " ELSE EXECUTE format('DELETE FROM %I v USING gone g WHERE v.space = g.space AND"
    " v.fingerprint = g.fingerprint', one.name); END IF;\n"
    " EXCEPTION WHEN undefined_table OR insufficient_privilege THEN NULL; END; END LOOP; RETURN NULL;\n"
    " EXCEPTION WHEN undefined_table OR insufficient_privilege THEN RETURN NULL; END $$;"
    "CREATE TRIGGER llmcache_embed_forget AFTER DELETE ON llmcache_embed REFERENCING OLD TABLE AS gone"
    " FOR EACH STATEMENT EXECUTE FUNCTION llmcache_forget_vectors();"
    "CREATE TRIGGER llmcache_embed_forget_all AFTER TRUNCATE ON llmcache_embed"
    " FOR EACH STATEMENT EXECUTE FUNCTION llmcache_forget_vectors();",

    "ALTER TABLE llmcache_lease ADD lasts_ms bigint NOT NULL DEFAULT 0;",
};

static const lc_pg_schema schema = {
    .of = "the store's",
    .versions = "llmcache_schema",
    .find = {60, "SELECT to_regclass('llmcache_schema') IS NOT NULL"},
    .read = {61, "SELECT max(version) FROM llmcache_schema"},
    .steps = migrations,
    .count = sizeof migrations / sizeof *migrations,
};

int lc_pg_schema_ensure(lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    return lc_pg_migrate(link, &schema, until_ms, err);
}
