/*
 * Bring your own store, embedder or provider.
 *
 * Each kind is a table of functions with a version and an opaque `self`. The tables are copied by
 * llmcache_options_*, `self` is handed back at every call and to `close` once, when the cache is
 * closed. Every function may be called from many threads at once. The library's own back ends
 * are tables of these same types.
 *
 * A back end keeps to its deadline: `deadline_ms` counts from the call; a function that cannot
 * finish in time returns LLMCACHE_TIMEOUT. It reports errors through `err` (never NULL here) with
 * llmcache_error_set and the code that fits.
 */
#ifndef LLMCACHE_BACKEND_H
#define LLMCACHE_BACKEND_H

#include <llmcache/llmcache.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LLMCACHE_BACKEND_VERSION 1

/* Fills *err and returns `code`, so that a failure is one statement. */
LLMCACHE_EXPORT int llmcache_error_set(llmcache_error *err, int code, const char *message);

/* ---- Store ----------------------------------------------------------------------------------- */

/*
 * The kinds of stored data. Each is whole by itself and can be removed without the others. Entry and record are
 * the two parts of an answer; an observation is what was learnt about a pair of questions, an entry of its own
 * with JSON for a body and no vector. It is put by itself, never with another part. A store that keeps no
 * observations says LLMCACHE_UNSUPPORTED when one is put or asked for: the cache then has them in memory only.
 */
enum {
    LLMCACHE_PART_PROMPT = 1,     /* the exact entry: facts and answer */
    LLMCACHE_PART_EMBED = 2,      /* the record: facts, vector, its own copy of the answer */
    LLMCACHE_PART_BOTH = 3,       /* all of an answer */
    LLMCACHE_PART_OBSERVATION = 4,
    LLMCACHE_PART_LEASE = 8 /* no data: only in `changed` of a watch, when a lease on the entry was given up */
};

/* Names one entry. */
typedef struct llmcache_key {
    const char *space;
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    int head_only; /* 1: only the bytes behind the id (the first 10) are known and are to match */
} llmcache_key;

/*
 * How a shared store tells a cache about changes made by others. Handed over once by `watch`. All
 * may be called from any thread, with none of the store's locks held.
 */
typedef struct llmcache_watch {
    void *user;
    /* Parts of an entry changed or vanished, or a lease on it was given up. `id` as in llmcache_entry. */
    void (*changed)(void *user, int parts, const char *space, const char *id);
    /* Changes may have been missed: nothing in memory can be trusted. */
    void (*distrust)(void *user);
    /* Changes are being reported again from here on; memory may be used again. */
    void (*trust)(void *user);
    /*
     * Every change that was over before since_ms (the machine's monotonic clock, milliseconds) has been told. A store
     * that says so goes on saying so, a few times a second: then memory is used only while the last word is less than a
     * second old, so that nothing is served for longer after it was removed, whatever happens to the store's link
     * or to this process. A store that never does is believed until it says distrust.
     */
    void (*current)(void *user, int64_t since_ms);
} llmcache_watch;

/*
 * A lease on an exact entry: who has it asks the model, others wait for the answer, so that one question asked at
 * once on many servers makes one call. It is renewed while the call is under way and runs out by itself when its
 * holder dies, by the store's own clock.
 */
typedef struct llmcache_lease {
    const char *holder; /* who: 1 to 63 letters, digits and '-'; nobody else says the same */
    int64_t lease_ms;   /* for how long from now; at least 1 */
    int lane;           /* 0 or 1: two leases on one entry that know nothing of each other */
    int renew;          /* 1: only what the holder still has is prolonged */
    int64_t now_ms;     /* for fn */
    /* NULL, or called with the exact entry as it is once it is known whose the lease is, expired ones left out, as
     * `get` does: what was put before the last lease was released is seen. */
    llmcache_entry_fn fn;
    void *user;
} llmcache_lease;

typedef struct llmcache_store_stats {
    uint64_t entries; /* exact entries, as far as known without a scan */
    uint64_t records;
    uint64_t bytes;   /* on disk or in memory, 0 if unknown */
    int connected;    /* 1 if the last operation worked */
    char detail[128]; /* one line for people */
    uint64_t observations; /* like entries */
} llmcache_store_stats;

typedef struct llmcache_store_ops {
    unsigned version; /* LLMCACHE_BACKEND_VERSION */
    const char *name; /* "sqlite" */

    /*
     * Calls `fn` with the entry's part (one of them); LLMCACHE_NOT_FOUND when it is absent, expired at
     * now_ms, or not what the key says. Only an EMBED part comes with a vector. Damaged data is
     * LLMCACHE_CORRUPT; the store has set it aside and will not give it again.
     */
    int (*get)(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err);

    /*
     * Keeps the parts of the entry, replacing older ones, each atomically with its expiry. When it
     * returns 0 the entry outlives this process (kill -9), unless the store is memory only.
     */
    int (*put)(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
               llmcache_error *err);

    /* Removes parts of `count` entries; *removed counts entries of which anything was there. */
    int (*remove)(void *self, int parts, const llmcache_key *keys, size_t count,
                  int64_t deadline_ms, uint64_t *removed, llmcache_error *err);

    /*
     * Calls `fn` for each live entry of one part (records come with their vectors, exact entries with their
     * shape, which `get` may leave out), in no order.
     * `space` NULL for all namespaces. `fn` may call `get` and `remove`. Damaged ones are skipped and counted in
     * *damaged (may be NULL).
     */
    int (*each)(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                void *user, uint64_t *damaged, llmcache_error *err);

    /* Drops what expired before now_ms, bounded work a call. May be NULL. */
    int (*sweep)(void *self, int64_t now_ms, llmcache_error *err);

    /* Checks the store for real within the deadline. */
    int (*ping)(void *self, int64_t deadline_ms, llmcache_error *err);

    /* From what is known; never waits. */
    void (*stats)(void *self, llmcache_store_stats *stats);

    /* May be NULL: the store is not shared with other processes. */
    int (*watch)(void *self, const llmcache_watch *watch, llmcache_error *err);

    void (*close)(void *self);

    /*
     * What `each` does with the records of all namespaces, for who wants their vectors only, such as a cache
     * that starts: answer, texts, times but the expiry, and counts may be left out (empty, 0); namespace,
     * fingerprint, partition, embedder, vector and expiry are there, and are checked as far as that goes
     * without the answer. NULL: `each` is called instead.
     */
    int (*each_vector)(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user, uint64_t *damaged,
                       llmcache_error *err);

    /*
     * Takes the lease on the key of an exact entry (head_only 0), or renews it. *others_ms: 0 when it is the
     * holder's now; for how long at most it is somebody else's (unless renewed); or negative: it cannot be had now
     * and nobody is at it, since its last holder gave up, or what was to be renewed is gone. LLMCACHE_UNSUPPORTED:
     * the store turned out to have no leases. NULL, with `release`: no leases, every server asks for itself.
     */
    int (*lease)(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                 int64_t *others_ms, llmcache_error *err);

    /*
     * Gives back the lease, if it is still the holder's. given_up_ms above 0: it ended without an answer, and for so
     * long nobody gets it, so that all who wait go on by themselves and not one after the other. The watch, which a store
     * with leases has, tells them: of this with LLMCACHE_PART_LEASE, and of the answer otherwise.
     */
    int (*release)(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                   int64_t deadline_ms, llmcache_error *err);
} llmcache_store_ops;

LLMCACHE_EXPORT int llmcache_options_store(llmcache_options *options,
                                           const llmcache_store_ops *ops, void *self,
                                           llmcache_error *err);

/* ---- Embedder -------------------------------------------------------------------------------- */

typedef struct llmcache_embedder_ops {
    unsigned version; /* LLMCACHE_BACKEND_VERSION */
    const char *name; /* "openai" */

    /*
     * Writes count * dimension floats, each vector of unit length. LLMCACHE_UNSUPPORTED with a reason
     * when a text cannot be judged by this model (unknown tokens, too long): such a text is not
     * matched by meaning.
     */
    int (*embed)(void *self, const char *const *texts, size_t count, float *vectors,
                 int64_t deadline_ms, llmcache_error *err);

    /* Floats in a vector; 0 while not known yet (then discover finds out). */
    size_t (*dimension)(void *self);

    /*
     * Finds the dimension by asking the embedder once. NULL when dimension() is known from the start.
     */
    int (*discover)(void *self, int64_t deadline_ms, llmcache_error *err);

    /*
     * Names the embedding space: all that changes a vector (model, weights, prefix, precision).
     * Vectors of two spaces are never compared. Lives as long as self.
     */
    const char *(*space)(void *self);

    /* The cosine similarity from which two texts may share an answer; 0 for the general default. */
    double (*threshold)(void *self);

    void (*close)(void *self);
} llmcache_embedder_ops;

LLMCACHE_EXPORT int llmcache_options_embedder(llmcache_options *options,
                                              const llmcache_embedder_ops *ops, void *self,
                                              llmcache_error *err);

/* ---- Provider -------------------------------------------------------------------------------- */

/* Time limits of one upstream call, 0 for none. */
typedef struct llmcache_limits {
    int64_t connect_ms;
    int64_t total_ms;
    int64_t stall_ms;  /* no byte for this long */
    size_t max_bytes;  /* of the reply's body */
} llmcache_limits;

typedef struct llmcache_provider_ops {
    unsigned version; /* LLMCACHE_BACKEND_VERSION */
    const char *name; /* "openai" */

    /*
     * Sends the request (its target is a path below the provider's base; its headers are the caller's
     * end-to-end ones, credential included if the caller sent one) and passes status, headers and bytes
     * to the sink as they arrive. Returns 0 when the reply came whole, whatever its status;
     * LLMCACHE_NETWORK, _TIMEOUT, _TOO_LARGE otherwise; LLMCACHE_ABORTED when the sink stopped it.
     */
    int (*call)(void *self, const llmcache_request *request, const llmcache_limits *limits,
                const llmcache_sink *sink, llmcache_error *err);

    /* What tells this provider's answers from another's: its base URL. Lives as long as self. */
    const char *(*base)(void *self);

    /* Checks that the provider could be asked: credential present, host reachable. */
    int (*ping)(void *self, int64_t deadline_ms, llmcache_error *err);

    void (*close)(void *self);
} llmcache_provider_ops;

/* `protocol` is the one llmcache_ask speaks with it: "chat" or "messages". */
LLMCACHE_EXPORT int llmcache_options_provider(llmcache_options *options, const char *protocol,
                                              const llmcache_provider_ops *ops, void *self,
                                              llmcache_error *err);

/* ---- Clock ----------------------------------------------------------------------------------- */

/* Wall clock in milliseconds since 1970 UTC. Lets a program (or a test) bring its own time. */
typedef int64_t (*llmcache_clock_fn)(void *user);

LLMCACHE_EXPORT int llmcache_options_clock(llmcache_options *options, llmcache_clock_fn clock,
                                           void *user, llmcache_error *err);

#ifdef __cplusplus
}
#endif

#endif
