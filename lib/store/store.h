/*
 * Stores by URI. All are llmcache_store_ops (backend.h) over an opaque self; this header names the
 * openers and what they share. A store that cannot be reached still opens; its operations fail in time.
 */
#ifndef LC_STORE_STORE_H
#define LC_STORE_STORE_H

#include <llmcache/backend.h>

typedef struct lc_store {
    llmcache_store_ops ops;
    void *self;
} lc_store;

typedef struct lc_store_options {
    int64_t max_bytes;        /* memory: only; 0: 256 MiB */
    int64_t connect_ms;       /* deadline for connecting */
    const char *ca_file;      /* rediss: */
} lc_store_options;

/*
 * Opens by URI: memory:, sqlite:[/path], redis://[user[:password]@]host[:port][/db], rediss://, unix:/path[?db=N],
 * redis+cluster://[user[:password]@]host[:port],host[:port]..., rediss+cluster://,
 * redis+sentinel://[user[:password]@]host[:port],host[:port].../name[/db], rediss+sentinel://,
 * postgresql://[user[:password]@]host[:port]/database where libpq was there at build time.
 * LLMCACHE_SETTING for a bad URI (never shows a password).
 */
int lc_store_open(const char *uri, const lc_store_options *options, lc_store *store,
                  llmcache_error *err);
void lc_store_close(lc_store *store); /* accepts a zeroed one */

/* All vectors: each_vector where the store has it, each where not. */
int lc_store_each_vector(const lc_store *store, int64_t now_ms, llmcache_entry_fn fn, void *user,
                         uint64_t *damaged, llmcache_error *err);

int lc_store_open_memory(const lc_store_options *options, lc_store *store, llmcache_error *err);
int lc_store_open_sqlite(const char *path, const lc_store_options *options, lc_store *store,
                         llmcache_error *err); /* path "": the XDG cache folder */
int lc_store_open_redis(const char *uri, const lc_store_options *options, lc_store *store,
                        llmcache_error *err);

#ifdef LC_HAS_POSTGRESQL
int lc_store_open_postgres(const char *uri, const lc_store_options *options, lc_store *store,
                           llmcache_error *err);
#endif

/* ---- What stores share --------------------------------------------------------------------- */

/* The entry's facts as one line of JSON without the newline, and back. */
struct lc_buffer;
int lc_facts_write(const llmcache_entry *entry, int with_record, struct lc_buffer *out);

/*
 * Reads facts into *entry; its strings point into *memory (free with lc_free). Body and vector are not
 * part of it, but their sizes are: body_size and dimension are to be held against what is there.
 * LLMCACHE_CORRUPT if anything is missing or of the wrong kind.
 */
int lc_facts_read(const char *line, size_t size, llmcache_entry *entry, char **memory,
                  llmcache_error *err);

/* The entry's shape; "" also for one made by a program that knows no shapes. */
const char *lc_entry_shape(const llmcache_entry *entry);

/* id (head of the fingerprint) */
void lc_entry_id(const unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE],
                 char id[LLMCACHE_ID_SIZE]);

/* Pure: does the entry match the filter (records, search, limit and dry_run aside)? */
int lc_filter_matches(const llmcache_filter *filter, const llmcache_entry *entry, int64_t now_ms);

/* Every change that was over before since_ms (lc_mono_ms) has been told to the watch. */
void lc_watch_current(const llmcache_watch *watch, int64_t since_ms);

#endif
