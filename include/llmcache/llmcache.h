/*
 * llmcache: answers repeated questions to language models from memory.
 *
 * A cache is one object. It owns the exact cache, the semantic cache and the client that asks the
 * model, and any number of threads may use it at once. Many caches may live in one process; the
 * library keeps no global state but libcurl's own initialisation.
 *
 * Conventions, valid for every function below unless it says otherwise:
 *  - text is UTF-8, ends with a NUL byte and belongs to who made it;
 *  - durations are milliseconds, sizes are bytes, wall-clock times are milliseconds since 1970 UTC;
 *  - a function that can fail returns 0 (LLMCACHE_OK) or a negative code, and writes its outputs on
 *    success only; `err` may be NULL, otherwise it is filled on failure and left alone on success;
 *  - every *_free and llmcache_close accepts NULL;
 *  - functions are safe to call from any thread; one llmcache_options must not be shared while it
 *    is being changed;
 *  - the library never prints, exits, changes signal handlers or the locale.
 *
 * The shortest honest program is examples/ask.c.
 */
#ifndef LLMCACHE_LLMCACHE_H
#define LLMCACHE_LLMCACHE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && defined(LLMCACHE_BUILDING)
#define LLMCACHE_EXPORT __attribute__((visibility("default")))
#else
#define LLMCACHE_EXPORT
#endif

#define LLMCACHE_VERSION_MAJOR 0
#define LLMCACHE_VERSION_MINOR 1
#define LLMCACHE_VERSION_PATCH 0
#define LLMCACHE_VERSION "0.1.0"

/* The version of the library that is linked, for comparing with LLMCACHE_VERSION. */
LLMCACHE_EXPORT const char *llmcache_version(void);

/* ---- Errors -------------------------------------------------------------------------------- */

/* X(NAME, value, text). Values never change meaning between releases. */
#define LLMCACHE_ERROR_MAP(X)                                                       \
    X(OK, 0, "success")                                                             \
    X(INVALID, -1, "invalid argument or request")                                   \
    X(MEMORY, -2, "out of memory")                                                  \
    X(SETTING, -3, "invalid setting")                                               \
    X(NO_PROVIDER, -4, "no provider is configured")                                 \
    X(UPSTREAM, -5, "the model's service answered with an error")                   \
    X(NETWORK, -6, "the network failed")                                            \
    X(TIMEOUT, -7, "the deadline passed")                                           \
    X(TOO_LARGE, -8, "larger than the configured limit")                            \
    X(NOT_FOUND, -9, "no such entry")                                               \
    X(STORE, -10, "the store failed")                                               \
    X(CORRUPT, -11, "damaged data")                                                 \
    X(UNSUPPORTED, -12, "not supported here")                                       \
    X(EMBEDDER, -13, "the embedder failed")                                         \
    X(ABORTED, -14, "stopped by the caller")                                        \
    X(IO, -15, "reading or writing a file failed")                                  \
    X(BUSY, -16, "too much is under way")                                           \
    X(DENIED, -17, "the caller's key is missing or not known")

typedef enum llmcache_code {
#define LLMCACHE_ERROR_ENUM(name, value, text) LLMCACHE_##name = value,
    LLMCACHE_ERROR_MAP(LLMCACHE_ERROR_ENUM)
#undef LLMCACHE_ERROR_ENUM
} llmcache_code;

#define LLMCACHE_MESSAGE_SIZE 256

/* What went wrong. Owned by the caller, usually on its stack; needs no initialisation. */
typedef struct llmcache_error {
    int code;                            /* a llmcache_code */
    int upstream_status;                 /* HTTP status of the model's service, 0 if none */
    int64_t retry_after_ms;              /* how long the service asks to wait, -1 if it did not say */
    char message[LLMCACHE_MESSAGE_SIZE]; /* one line; never holds a prompt, an answer or a key */
} llmcache_error;

/* "LLMCACHE_TIMEOUT" and the like; never NULL. */
LLMCACHE_EXPORT const char *llmcache_code_name(int code);

/* ---- Options ------------------------------------------------------------------------------- */

typedef struct llmcache llmcache;
typedef struct llmcache_options llmcache_options;

/*
 * New options: the defaults, then `.env` of the working folder (or LLMCACHE_ENV_FILE), then the
 * environment. `llmcache_options_new_bare` takes the defaults only. Free with llmcache_options_free.
 */
LLMCACHE_EXPORT int llmcache_options_new(llmcache_options **options, llmcache_error *err);
LLMCACHE_EXPORT int llmcache_options_new_bare(llmcache_options **options, llmcache_error *err);
LLMCACHE_EXPORT void llmcache_options_free(llmcache_options *options);

/*
 * Sets one option by its name ("store", "ttl", ...; docs/settings.md lists all). `value` is text as
 * it would stand in the environment: durations take ms, s, m, h, d (a bare number is seconds for
 * `ttl`, milliseconds for names that end in -ms); sizes take KiB, MiB, GiB or kB, MB, GB.
 * LLMCACHE_SETTING names the setting, the value refused and what is allowed.
 */
LLMCACHE_EXPORT int llmcache_options_set(llmcache_options *options, const char *name,
                                         const char *value, llmcache_error *err);

/* One row of the settings table. Secret settings have `value` "(set)" or ""; the password in a URI is
 * shown as "***". */
typedef struct llmcache_setting {
    const char *name;          /* "store-timeout-ms" */
    const char *type;          /* "text", "uri", "integer", "number", "duration", "size", "switch" */
    const char *value;         /* the value now in force; default_value when options is NULL */
    const char *default_value; /* as documented; "" for none */
    const char *environment;   /* names that set it, separated by spaces, strongest first */
    const char *help;          /* one sentence */
    const char *origin;        /* "default", "environment", ".env", "option" */
} llmcache_setting;

/*
 * Row `position` of the table (0, 1, ... until LLMCACHE_NOT_FOUND). Strings live as long as
 * `options` is unchanged. `options` may be NULL for the defaults.
 */
LLMCACHE_EXPORT int llmcache_options_get(const llmcache_options *options, size_t position,
                                         llmcache_setting *setting);

/*
 * The value in force of the setting `name`: as text (secrets too: never show it), or as a number
 * (durations in ms, sizes in bytes, switches 0 or 1). NULL or LLMCACHE_NOT_FOUND when there is no such
 * setting, or it holds no number. The text lives as long as `options` is unchanged.
 */
LLMCACHE_EXPORT const char *llmcache_options_text(const llmcache_options *options, const char *name);
LLMCACHE_EXPORT int llmcache_options_number(const llmcache_options *options, const char *name,
                                            double *number);

/* ---- Opening ------------------------------------------------------------------------------- */

/*
 * Opens a cache. `options` NULL means llmcache_options_new. Options are copied and may be freed at
 * once. A store that cannot be reached is not an error: the cache opens degraded, answers through
 * the model, and uses the store when it is back. A missing provider is reported by the first
 * question that needs one.
 */
LLMCACHE_EXPORT int llmcache_open(const llmcache_options *options, llmcache **cache,
                                  llmcache_error *err);

/* Waits for calls under way (their answers are kept), then frees all. No other thread may be
 * inside a function of this cache. */
LLMCACHE_EXPORT void llmcache_close(llmcache *cache);

/* ---- Asking -------------------------------------------------------------------------------- */

typedef enum llmcache_source {
    LLMCACHE_SOURCE_MODEL = 0,    /* the model was asked */
    LLMCACHE_SOURCE_EXACT = 1,    /* the same request had been answered before */
    LLMCACHE_SOURCE_SEMANTIC = 2, /* a request of the same meaning had been answered before */
    LLMCACHE_SOURCE_SHARED = 3,   /* another caller was asking the same; its answer was shared */
    LLMCACHE_SOURCE_STALE = 4     /* an expired answer, served because the model failed */
} llmcache_source;

LLMCACHE_EXPORT const char *llmcache_source_name(int source); /* "model", "exact", ... */

/*
 * Gets an answer's text piece by piece, each whole UTF-8 and not NUL-terminated, in the thread that asked. Return
 * non-zero to stop.
 */
typedef int (*llmcache_text_fn)(void *user, const char *text, size_t size);

/* How one question is to be treated. Zero all, set `struct_size`, then the fields that matter. */
typedef struct llmcache_ask_options {
    size_t struct_size;       /* sizeof(llmcache_ask_options) */
    const char *model;        /* NULL: the setting `model` */
    const char *system;       /* system prompt, NULL for none */
    const char *space;        /* namespace of the answer, NULL: the setting `namespace` */
    const char *tags;         /* comma-separated labels kept with the entry, NULL for none */
    int64_t ttl_ms;           /* 0: the setting `ttl`; -1: never expires */
    double threshold;         /* 0: the configured one; may only raise it */
    int no_read;              /* do not answer from the cache (still keeps the new answer) */
    int no_store;             /* do not keep the answer */
    int only_cached;          /* never ask the model: LLMCACHE_NOT_FOUND when it would be needed */
    int exact_only;           /* no matching by meaning */
    llmcache_text_fn on_text; /* NULL; or: the model is asked to stream, and this gets the text as it comes */
    void *on_text_user;
} llmcache_ask_options;

typedef struct llmcache_answer llmcache_answer;

/*
 * Asks one question and waits for its answer. Free the answer with llmcache_answer_free.
 * Fails only as the model's own call fails (LLMCACHE_UPSTREAM, _NETWORK, _TIMEOUT, _NO_PROVIDER),
 * on bad arguments (_INVALID, _TOO_LARGE), or for want of memory.
 *
 * With on_text, all pieces together are the answer's text, whether they came from the model or from the cache;
 * after a failure they are the part that had come. When on_text stops, this returns LLMCACHE_ABORTED, while
 * the answer is still fetched for the others who wait and for the store.
 */
LLMCACHE_EXPORT int llmcache_ask(llmcache *cache, const char *question,
                                 const llmcache_ask_options *options, llmcache_answer **answer,
                                 llmcache_error *err);

LLMCACHE_EXPORT void llmcache_answer_free(llmcache_answer *answer);

/* Strings live as long as the answer. None of these returns NULL. */
LLMCACHE_EXPORT const char *llmcache_answer_text(const llmcache_answer *answer);
LLMCACHE_EXPORT const char *llmcache_answer_body(const llmcache_answer *answer, size_t *size);
LLMCACHE_EXPORT const char *llmcache_answer_id(const llmcache_answer *answer);
LLMCACHE_EXPORT const char *llmcache_answer_model(const llmcache_answer *answer);
LLMCACHE_EXPORT const char *llmcache_answer_question(const llmcache_answer *answer); /* as first asked */
LLMCACHE_EXPORT llmcache_source llmcache_answer_source(const llmcache_answer *answer);
LLMCACHE_EXPORT const char *llmcache_answer_source_name(const llmcache_answer *answer);
LLMCACHE_EXPORT double llmcache_answer_similarity(const llmcache_answer *answer); /* cosine; 1 if exact, 0 if the model was asked */
LLMCACHE_EXPORT int64_t llmcache_answer_age_ms(const llmcache_answer *answer);    /* 0 if new */
LLMCACHE_EXPORT int64_t llmcache_answer_latency_us(const llmcache_answer *answer);       /* of this ask */
LLMCACHE_EXPORT int64_t llmcache_answer_model_latency_ms(const llmcache_answer *answer); /* when the model was asked */
LLMCACHE_EXPORT int64_t llmcache_answer_input_tokens(const llmcache_answer *answer);
LLMCACHE_EXPORT int64_t llmcache_answer_output_tokens(const llmcache_answer *answer);
LLMCACHE_EXPORT int64_t llmcache_answer_cost_nano(const llmcache_answer *answer);        /* what it cost, or would have: 1e-9 US dollars, 0 unknown */
LLMCACHE_EXPORT int llmcache_answer_stored(const llmcache_answer *answer);               /* 1 if kept by this ask */
LLMCACHE_EXPORT const char *llmcache_answer_why(const llmcache_answer *answer); /* one word: why it was not served or kept; "" */

/* ---- The drop-in path: whole protocol bodies ------------------------------------------------- */

typedef struct llmcache_header {
    const char *name;
    const char *value;
} llmcache_header;

/* One HTTP-like request. Everything is borrowed for the length of the call. */
typedef struct llmcache_request {
    size_t struct_size;             /* sizeof(llmcache_request) */
    const char *method;             /* "POST" */
    const char *target;             /* path with its query: "/v1/chat/completions" */
    const llmcache_header *headers; /* those that shape the call: credential, versions, controls */
    size_t header_count;
    const void *body;
    size_t body_size;
} llmcache_request;

/*
 * Where the reply goes. `begin` is called once, then `write` any number of times, all from the
 * thread that called llmcache_call. `body_size` is the whole size of the body when it is known (one
 * write follows, or none when it is 0), -1 when the body streams. Return non-zero to stop receiving:
 * llmcache_call then returns LLMCACHE_ABORTED, while the answer is still fetched for the others
 * who wait and for the store.
 */
typedef struct llmcache_sink {
    void *user;
    int (*begin)(void *user, int status, const llmcache_header *headers, size_t header_count,
                 int64_t body_size);
    int (*write)(void *user, const void *bytes, size_t size);
} llmcache_sink;

/*
 * Answers one protocol request from the cache or the model: the path an OpenAI or Anthropic client
 * takes. Errors of the request or the upstream are replies too, in the protocol's own shape; the
 * return value is negative only when no reply could be given, or, after `begin`, when the reply had to
 * be cut (the receiver must then cut its own transport, never close the body as if whole).
 */
LLMCACHE_EXPORT int llmcache_call(llmcache *cache, const llmcache_request *request,
                                  const llmcache_sink *sink, llmcache_error *err);

#define LLMCACHE_SPACE_SIZE 192

/*
 * Whose question is it? Writes the namespace of a caller with these headers, as llmcache_call would use it: the
 * name of its key (setting api-keys), one derived from its credential, or "default". `chosen` (NULL for none) is
 * a part the caller asks for below its own. LLMCACHE_DENIED when a key is needed and none fits. For programs that
 * take questions from others and ask them through llmcache_ask.
 */
LLMCACHE_EXPORT int llmcache_admit(llmcache *cache, const llmcache_header *headers,
                                   size_t header_count, const char *chosen,
                                   char space[LLMCACHE_SPACE_SIZE], llmcache_error *err);

/* ---- Counters -------------------------------------------------------------------------------- */

/* Everything since llmcache_open but the last block, which is now. Only ever grows at its end. */
typedef struct llmcache_counters {
    uint64_t requests;             /* all questions */
    uint64_t hits_exact;
    uint64_t hits_semantic;
    uint64_t hits_shared;          /* joined a call already under way, here or on another server */
    uint64_t hits_stale;
    uint64_t misses;               /* the model was asked */
    uint64_t errors;               /* questions that ended in an error */
    uint64_t stored;               /* answers kept */
    uint64_t not_stored;           /* answers not worth keeping */
    uint64_t bypassed;             /* could not be understood or was told to pass: sent on uncached */
    uint64_t store_errors;         /* store operations that failed or timed out */
    uint64_t embed_errors;
    uint64_t embeds;               /* texts embedded */
    uint64_t rejected;             /* candidates above the threshold that a rule refused */
    uint64_t tokens_saved_input;
    uint64_t tokens_saved_output;
    uint64_t saved_ms;             /* model time that hits did not have to wait for */
    uint64_t cost_nano;            /* spent on the model, in 1e-9 US dollars, by the price table */
    uint64_t cost_saved_nano;      /* that hits did not cost */
    uint64_t evictions;            /* from memory */
    uint64_t invalidations;        /* entries the store said had changed */
    uint64_t upstream_calls;       /* HTTP calls to the model, retries included */
    uint64_t entries;              /* now: in the store, as last seen */
    uint64_t records;              /* now: searchable by meaning */
    uint64_t memory_bytes;         /* now: held by the memory cache */
    uint64_t in_flight;            /* now: model calls under way */
    uint64_t leases_taken;         /* shared store: calls made while other servers were told to wait */
    uint64_t leases_waited;        /* questions that waited for another server's call */
    uint64_t leases_answered;      /* of them, answered by it */
    uint64_t leases_taken_over;    /* of them, that made the call themselves since the other server went silent */
    uint64_t leases_given_up;      /* of them, that asked by themselves: its answer was not kept, or the store was lost */
} llmcache_counters;

/* Fills the first `size` bytes of *counters (sizeof(*counters)); older programs pass less. */
LLMCACHE_EXPORT int llmcache_stats(llmcache *cache, llmcache_counters *counters, size_t size);

typedef enum llmcache_format { LLMCACHE_PROMETHEUS = 0, LLMCACHE_JSON = 1 } llmcache_format;

/* The same and more as text: Prometheus exposition 0.0.4 or one JSON object. Free with llmcache_free. */
LLMCACHE_EXPORT int llmcache_metrics(llmcache *cache, llmcache_format format, char **text,
                                     llmcache_error *err);

typedef enum llmcache_status {
    LLMCACHE_STATUS_OK = 0,
    LLMCACHE_STATUS_DEGRADED = 1, /* answers, but a part is missing: store down, no model, ... */
    LLMCACHE_STATUS_DOWN = 2      /* cannot answer anything new */
} llmcache_status;

/*
 * The state of every part, from what is already known: never waits on a store or the network.
 * `json` (may be NULL) receives an object with a member for each part; free with llmcache_free.
 */
LLMCACHE_EXPORT int llmcache_health(llmcache *cache, llmcache_status *status, char **json,
                                    llmcache_error *err);

/*
 * Checks every configured part for real, waiting up to its time limits, and says how to mend what is
 * wrong: an array of {"part", "ok", "detail", "mend"}. Free with llmcache_free.
 */
LLMCACHE_EXPORT int llmcache_doctor(llmcache *cache, char **json, llmcache_error *err);

/* ---- Looking inside and managing --------------------------------------------------------------- */

/*
 * What would happen to this question, without asking the model or changing anything. One JSON object; free with
 * llmcache_free. Its members:
 *   source    "exact", "semantic" or "model"; summary: the same and why, as a sentence
 *   question, namespace, protocol, model, base, id
 *   exact     hit; with one: entry; without: why, and sibling, the kept answer whose request is nearest, with
 *             differs: the fields (field, kind, here, there, from, to) in which it differs
 *   semantic  hit, threshold, threshold_from, why; candidates: the nearest, each with similarity, score,
 *             rules (rule, outcome, detail), serves, why
 *   stores    kept, ttl_ms (0: never expires), ttl_from, by_meaning: what would become of the model's answer
 * Each `says` is a sentence for people. Only the question's own namespace is looked at. To find the sibling
 * the whole of it may be read (for 3 s at most; then complete is false).
 */
LLMCACHE_EXPORT int llmcache_explain(llmcache *cache, const char *question,
                                     const llmcache_ask_options *options, char **json,
                                     llmcache_error *err);

/*
 * The same for a whole protocol request, as llmcache_call would take it. `space` is the namespace to look in,
 * NULL for the one that its headers give. A request that is passed on uncached has cacheable false and why.
 */
LLMCACHE_EXPORT int llmcache_explain_call(llmcache *cache, const llmcache_request *request,
                                          const char *space, char **json, llmcache_error *err);

#define LLMCACHE_FINGERPRINT_SIZE 32
#define LLMCACHE_ID_SIZE 21 /* 20 hexadecimal digits, the head of the fingerprint, and the NUL */

/* The answer was put together from a stream that did not carry its usage: it cannot answer who needs it. */
#define LLMCACHE_ENTRY_NO_USAGE 1u

/*
 * One kept answer with its facts. Borrowed wherever it is handed to a callback. As a record, it
 * also has its vector. Zero all and set `struct_size` before filling one in.
 */
typedef struct llmcache_entry {
    size_t struct_size; /* sizeof(llmcache_entry) */
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE]; /* SHA-256 of all that shapes the answer */
    unsigned char partition[LLMCACHE_FINGERPRINT_SIZE];   /* the same without the last user text */
    char id[LLMCACHE_ID_SIZE];
    const char *space;      /* namespace: whose answer it is */
    const char *protocol;   /* "chat", "messages", ... */
    const char *model;      /* as asked for */
    const char *question;   /* last text of the user, "" if there is none */
    const char *tags;       /* comma-separated, "" for none */
    const char *body;       /* the protocol's whole (non-streaming) JSON answer */
    size_t body_size;
    int64_t created_ms;     /* wall clock */
    int64_t expires_ms;     /* wall clock, 0: never */
    int64_t stale_ms;       /* for so long before expires_ms it is stale: served only as settings say */
    int64_t model_ms;       /* how long the model took */
    int64_t input_tokens;   /* 0 when unknown */
    int64_t output_tokens;
    int64_t cost_nano;      /* what the model's answer cost, in 1e-9 US dollars; 0 when unknown */
    uint32_t flags;         /* LLMCACHE_ENTRY_* */
    const char *embedder;   /* name of the embedding space, "" without a vector */
    const float *vector;    /* unit length, NULL without a vector */
    size_t dimension;       /* number of floats in vector */
    const char *shape;      /* what the request's fields were, for llmcache_explain and llmcache_lint: lines of
                               text, prompts as digests. Exact entries only, "" or NULL where it is not known
                               (older entries, and entries that memory answered) */
} llmcache_entry;

/* Return 0 to go on, anything else to stop. */
typedef int (*llmcache_entry_fn)(void *user, const llmcache_entry *entry);

/* Which entries. Zero means no condition; conditions are joined by and. */
typedef struct llmcache_filter {
    size_t struct_size;    /* sizeof(llmcache_filter) */
    const char *space;     /* exact namespace */
    const char *id;        /* a whole id or its first 6 or more digits */
    const char *model;     /* exact model */
    const char *tag;       /* one of its tags */
    const char *contains;  /* substring of question */
    int64_t older_than_ms; /* created longer ago than this */
    int records;           /* 0: both kinds of the stored data, 1: only exact entries, 2: only records */
    int64_t limit;         /* stop after this many, 0 for all */
    int dry_run;           /* purge: count, remove nothing; llmcache_each with the same filter lists them */
    /* Patterns over the whole of a text: * any text, ? one character, [a-z] one of these, \ takes the next
     * character as it is. */
    const char *pattern;       /* of the question */
    const char *space_pattern; /* of the namespace */
    const char *model_pattern;
    const char *tag_pattern;   /* of one of its tags */
    const char *search;        /* text in the question or the answer; ASCII letters of either case, full width
                                  and half width alike */
    int64_t newer_than_ms;     /* created within this time */
} llmcache_filter;

/* Calls `fn` for every entry of the store that matches; `filter` NULL for all. */
LLMCACHE_EXPORT int llmcache_each(llmcache *cache, const llmcache_filter *filter,
                                  llmcache_entry_fn fn, void *user, llmcache_error *err);

/*
 * Which fields of the requests change all the time and so prevent hits? Looks at the kept answers that match (NULL:
 * all; at most filter->limit, or 200,000), groups those whose requests are alike but for such fields, and gives one
 * JSON object; free with llmcache_free:
 *   summary, looked_at, with_shape, complete, repeats (requests like an earlier one), prevented (of them, those
 *   with a field that was new)
 *   fields    worst first: field, role, kind (date, time, uuid, counter, number, random, order, text, value),
 *             entries, values, repeats, prevented, share, example (two ids), says, advice
 * Fields that are not part of the key are not looked at. Works from the store alone, in bounded memory, for
 * 20 s at most; then complete is false.
 */
LLMCACHE_EXPORT int llmcache_lint(llmcache *cache, const llmcache_filter *filter, char **json,
                                  llmcache_error *err);

/* Calls `fn` for the entry with this id (or unique head of one); LLMCACHE_NOT_FOUND if none. */
LLMCACHE_EXPORT int llmcache_get(llmcache *cache, const char *id, llmcache_entry_fn fn,
                                 void *user, llmcache_error *err);

/*
 * Removes what matches from memory, aliases, index and store; *removed (may be NULL) counts answers.
 * `filter` NULL removes every answer. Observations stay (llmcache_observations_purge).
 */
LLMCACHE_EXPORT int llmcache_purge(llmcache *cache, const llmcache_filter *filter,
                                   uint64_t *removed, llmcache_error *err);

/*
 * Keeps an answer that the caller already has, as if the model had given it to llmcache_ask
 * (question, options). For importing and warming.
 */
LLMCACHE_EXPORT int llmcache_put(llmcache *cache, const char *question, const char *answer,
                                 const llmcache_ask_options *options, llmcache_error *err);

/*
 * Says that an answer was wrong (good 0) or right (good 1). A wrong one is removed everywhere, and where it was
 * shared with a question of other words, the two are never matched again. More, and what was learnt so, in observe.h.
 */
LLMCACHE_EXPORT int llmcache_feedback(llmcache *cache, const char *id, int good,
                                      llmcache_error *err);

typedef struct llmcache_rebuild_report {
    uint64_t entries;   /* exact entries seen */
    uint64_t records;   /* records seen */
    uint64_t embedded;  /* entries that got a new record */
    uint64_t skipped;   /* entries that cannot have one: no user text, not matched by meaning */
    uint64_t failed;    /* could not be embedded or written */
    uint64_t dropped;   /* records of another embedding space, removed */
} llmcache_rebuild_report;

/* Makes the records that can be made from the kept entries, and reloads the index from the store. */
LLMCACHE_EXPORT int llmcache_rebuild(llmcache *cache, llmcache_rebuild_report *report,
                                     llmcache_error *err);

/*
 * Embeds `count` texts with the configured embedder. `vectors` receives count * *dimension floats,
 * each vector of unit length; free with llmcache_free.
 */
LLMCACHE_EXPORT int llmcache_embed(llmcache *cache, const char *const *texts, size_t count,
                                   float **vectors, size_t *dimension, llmcache_error *err);

/* Frees what the library allocated for the caller. */
LLMCACHE_EXPORT void llmcache_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif
