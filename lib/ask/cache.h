/*
 * The cache object and one question's way through it. Everything in lib/ask works on these two.
 */
#ifndef LC_ASK_CACHE_H
#define LC_ASK_CACHE_H

#include "ask/caller.h"
#include "ask/count.h"
#include "ask/flight.h"
#include "ask/header_lists.h"
#include "ask/prices.h"
#include "ask/usage.h"
#include "ask/workers.h"
#include "base/settings.h"
#include "decide/decide.h"
#include "decide/weights.h"
#include "embed/embed.h"
#include "index/index.h"
#include "net/http.h"
#include "protocol/protocol.h"
#include "provider/provider.h"
#include "store/memory_cache.h"
#include "store/store.h"

#include <pthread.h>

/* What a program brought along through backend.h, kept in its options until the cache opens. */
typedef struct lc_brought {
    lc_store store;
    lc_embedder embedder;
    lc_provider provider;
    lc_index index; /* backend.h has none: tests bring theirs */
    int has_store, has_embedder, has_provider, has_index;
    lc_protocol protocol;
    llmcache_clock_fn clock;
    void *clock_user;
} lc_brought;

/* Changes the store has reported and the index has not taken in yet. */
typedef struct lc_change {
    struct lc_change *next;
    int parts;
    char id[LLMCACHE_ID_SIZE];
    char space[];
} lc_change;

typedef struct lc_background {
    pthread_t thread;
    int running;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wake;  /* something to do, or closing */
    pthread_cond_t ready; /* index_ready rose */
    atomic_int closing;
    int reload, reload_observations, index_ready;
    int loading;              /* records come in just now, and what is known to be wrong was read before */
    atomic_size_t loaded;     /* of them, records so far */
    uint64_t expected;        /* of about so many; 0: the store does not know */
    lc_change *first, **last;
    size_t changes;
    uint64_t damaged; /* records that could not be read */
    uint64_t foreign; /* records of other embedding spaces, as last loaded */
    uint64_t asked, tried; /* reloads; each ends with what was asked for when it began */
    int missed;       /* a record may not have got into a shared index: the store is to be read all the same */
    int refused;      /* the load under way met a record that did not; the thread's own */
    lc_index_fill fill; /* as last seen; the thread's own */
    atomic_size_t reembedding; /* of them, still to be made again */
    int working;       /* changes were taken out of the list and are not all taken in */
    int known;         /* what is known to be wrong was read after the last time that nothing could be trusted */
    int64_t told_ms;   /* all that was changed before was told (lc_mono_ms); 0: the store does not say */
    /* Up to when what was taken in is new enough to match by meaning; 0, with a shared store, until what is known to be
     * wrong was read once. */
    atomic_int_least64_t match_until_ms;
    int64_t breath_ms;   /* the thread's own: when it looks up from a long load */
    atomic_int doubtful; /* the index may have records that are gone */
} lc_background;

/* What was told is good for so long: nothing that was removed is served for longer. */
#define LC_TRUST_MS 1000

struct llmcache {
    lc_settings settings;
    unsigned key_fields;
    llmcache_clock_fn clock;
    void *clock_user;
    lc_http *http;
    lc_store store;
    lc_embedder embedder;      /* ops.embed NULL: nothing is matched by meaning */
    lc_weights *score_weights; /* of the setting; NULL: the shipped ones */
    char *vector_space;        /* name of what records hold: the embedder's space and how questions are read */
    lc_provider openai, anthropic;
    lc_protocol ask_protocol; /* what llmcache_ask speaks */
    lc_memory_cache *memory;
    lc_index index;
    lc_flights *flights;
    struct lc_leases *leases; /* NULL: the store is not shared, or every server asks for itself */
    lc_workers *workers;
    lc_counts counts;
    lc_usage usage;
    lc_prices *prices;
    struct lc_referee *referee; /* NULL: nobody is asked about the grey zone */
    lc_callers *callers;   /* NULL: anybody may ask */
    int needs_credential;  /* of the caller's own */
    int keeps_credential;  /* the caller's does not go up; the server's own key does */
    struct lc_observations *observations;
    struct lc_learning *learning; /* NULL: nothing is learned, fixed thresholds decide */
    lc_background background;
    int64_t opened_ms;
    atomic_int_least64_t embed_pause_until_ms; /* monotonic */
    atomic_int index_ready;
    atomic_int brief_messages; /* the Anthropic service's last stream counted only the output at its end */
};

/* How this question is to be treated: from its options, headers and body. */
typedef struct lc_controls {
    int no_read, no_store, only_cached, exact_only;
    int64_t ttl_ms;        /* 0: configured; -1: never expires */
    int64_t max_age_ms;    /* -1: any */
    int64_t min_fresh_ms;  /* 0: none */
    int64_t stale_while_revalidate_ms, stale_if_error_ms; /* -1: configured */
    double threshold;      /* 0: configured */
    const char *space;     /* sub-namespace asked for; NULL */
    const char *tags;      /* NULL */
} lc_controls;

/* Room for a namespace: a derived one, a slash and a chosen part. */
#define LC_SPACE_SIZE LLMCACHE_SPACE_SIZE

/* One question on its way. Zeroed at the start; lc_job_done at the end. */
typedef struct lc_job {
    llmcache *cache;
    const llmcache_request *request;
    const llmcache_sink *sink;
    lc_controls controls;
    const char *trusted_space; /* namespace the program itself asked for; NULL */
    int64_t now_ms;
    int64_t start_us;
    lc_protocol protocol;
    int anthropic;             /* which of the two services the target belongs to */
    char space[LC_SPACE_SIZE];
    unsigned char raw[32];     /* digest of the bytes as they came */
    int has_raw;
    lc_question question;
    int has_question;
    unsigned char fingerprint[32];
    unsigned char partition[32];
    char id[LLMCACHE_ID_SIZE];
    float *vector;             /* of the question's text, once embedded */
    size_t dimension;
    const char *why;           /* static word: why it was not served from the cache */
    /* How it ended, for the answer object, the counters and the headers. */
    int ended;                 /* llmcache_source or LC_END_* */
    int status;                /* HTTP status of the reply */
    int code;                  /* why there is no good answer, 0 otherwise */
    llmcache_error error;      /* when code is not 0 */
    double similarity;
    lc_entry *entry;           /* referenced */
    lc_entry *stale;           /* an exact answer past its ttl, referenced; NULL */
    struct lc_lease *lease;    /* held while the model is asked; NULL */
    struct lc_check *check;    /* the model's answer is to be compared with a candidate's; NULL */
    int stored;
    int asked_referee;         /* once a question is enough */
    int begun;                 /* the sink's begin was called */
    int yields;                /* the call is not made while another server makes it */
    int share_again;           /* the flight joined had nothing for it: join or make another */
    int shared_twice;
    int64_t waited_ms;         /* for the calls of other servers */
    int64_t model_ms;
} lc_job;

/* ---- The steps, one file each -------------------------------------------------------------- */

/* ask.c: the whole way. 0 when a reply was given. */
int lc_job_run(lc_job *job, llmcache_error *err);
void lc_job_done(lc_job *job);

/* Reads the body into job->question, its controls too; job->why where it must not be cached. */
int lc_job_read(lc_job *job, llmcache_error *err);

/* identify.c: protocol, service, controls from headers, digest of the raw bytes. */
int lc_identify(lc_job *job, llmcache_error *err);

/* caller.c: may the caller ask at all; whose question it is. */
int lc_caller_check(const lc_job *job, llmcache_error *err);
int lc_find_space(lc_job *job, llmcache_error *err);
int lc_caller_space(const llmcache *cache, const llmcache_header *headers, size_t count,
                    const char *chosen, char space[LLMCACHE_SPACE_SIZE], llmcache_error *err);

/* request_controls.c */
int lc_request_controls(const llmcache_request *request, lc_controls *controls, int *any,
                     llmcache_error *err);

struct lc_sha256;
/* The names of the headers that change the answer, one by one; NULL behind the last. */
const char *lc_shaping_header(size_t which);
/* Adds them to a hash, in an order of their own. */
void lc_hash_shaping(const llmcache_request *request, struct lc_sha256 *hash);

/* fingerprint.c: exact key and partition from the question that was read. */
void lc_fingerprint(lc_job *job);
void lc_fingerprint_of(const lc_job *job, const unsigned char shape[32], unsigned char out[32]);
const char *lc_provider_base(const llmcache *cache, int anthropic);

/* find_exact.c: 1 when job->entry holds an answer, by the raw digest or by the fingerprint. */
int lc_find_known(lc_job *job);
int lc_find_exact(lc_job *job);
/* The same with an entry that was just read from the store, which it takes over. */
int lc_serve_found(lc_job *job, lc_entry *entry, uint64_t generation);
/* Makes the entry that was found say the caller's own metadata and the like. 1 when it did not: then no
 * digest of these bytes may lead to the entry that was found. */
int lc_take_echo(lc_job *job);
/* The live entry under this fingerprint, referenced, from memory or the store; NULL. */
lc_entry *lc_find_entry(const lc_job *job, const unsigned char fingerprint[32]);
int lc_entry_is_fresh(const lc_entry *entry, int64_t now_ms);
/* Is the entry right for what this job wants (usage, age)? */
int lc_entry_serves(const lc_job *job, const lc_entry *entry);

/* What a memory alias remembers of its request (lc_memory_hit.form). */
enum { LC_FORM_STREAM = 1, LC_FORM_USAGE = 2 };
int lc_job_form(const lc_job *job);
lc_wants lc_job_wants(const lc_job *job);

/* find_similar.c: 1 when job->entry holds an answer of the same meaning. */
int lc_find_similar(lc_job *job);
/* Static word why the question can have no record, or is not looked up by meaning; NULL when it is. */
const char *lc_unsuited(const lc_job *job);
const char *lc_not_matchable(const lc_job *job);
/* judge.c: which similarity is enough (with the score: enough to be judged), and may this entry's answer serve? *verdict says why not; with explain, every rule's word. */
int lc_judge(const lc_job *job, const lc_entry *entry, double similarity, int explain,
             lc_verdict *verdict);
/* The same for a kept question's text, not counted. */
int lc_judge_text(const lc_job *job, const char *text, double similarity, int explain,
                  lc_verdict *verdict);
/* As lc_judge_text with the thresholds lowered by `steps` of the score; the rules are as strict as ever. */
int lc_judge_leniently(const lc_job *job, const char *text, double similarity, double steps,
                       lc_verdict *verdict);
int lc_uses_score(const llmcache *cache);
/* The whole decision about two texts, with what the encoder sees of them: it must be one that lc_uses_score. 1 when the policy
 * lets it through. */
int lc_decide_with_states(const llmcache *cache, const char *whose, lc_side *asked, lc_side *kept,
                          double similarity, const lc_policy *policy, lc_verdict *verdict);
double lc_threshold(const llmcache *cache);
/* Least score of a language, and where it comes from: "setting", "score-weights", "default"; static. */
double lc_score_threshold(const llmcache *cache, lc_language language, const char **from);
/* The numbers of the score; NULL for the shipped ones. */
const double *lc_score_numbers(const llmcache *cache, lc_language language);
double lc_least_similarity(const lc_job *job);
/* `whose`: the namespace that asks. What it has asked lately may be known to it again, and to nobody else. */
int lc_embed_text(llmcache *cache, const char *whose, const char *text, float **vector,
                  size_t *dimension, llmcache_error *err);
/* What the embedder gets to read of a question: appended to `read`. */
int lc_reads_plainly(const llmcache *cache);
int lc_read_question(const llmcache *cache, const char *question, lc_buffer *read);
/* The vector of a question as it is matched. */
int lc_embed_question(llmcache *cache, const char *whose, const char *question, float **vector,
                      size_t *dimension, llmcache_error *err);
int lc_embed_texts(llmcache *cache, const char *const *texts, size_t count, float **vectors,
                   size_t *dimension, llmcache_error *err);
/* The record's answer, from memory or the store. */
int lc_fetch_record(llmcache *cache, const char *space, const unsigned char fingerprint[32],
                    int64_t now_ms, lc_entry **entry, llmcache_error *err);

/* vectors.c: the index, with deadlines; failures are counted. The entry has its vector; 0 also for one that no index
 * would take. */
int lc_vectors_add(llmcache *cache, const llmcache_entry *entry);
void lc_vectors_remove(llmcache *cache, const char *space, const char *id);
int lc_vectors_clear(llmcache *cache, llmcache_error *err);
int lc_vectors_fill_state(llmcache *cache, lc_index_fill *state);
int lc_vectors_set_filled(llmcache *cache);
int lc_vectors_search(lc_job *job, lc_neighbour *near, size_t k, size_t *count, llmcache_error *err);

/* call_llm.c: asks the model on a worker; the flight ends when it has. Takes over the job's vector, check and lease. */
int lc_call_llm(lc_job *job, lc_flight *flight, llmcache_error *err);
/* Sends the request on uncached, straight to the sink. */
int lc_pass_through(lc_job *job, llmcache_error *err);

/* One call in this thread, counted. *status as the sink saw it. */
int lc_ask_provider(lc_job *job, const llmcache_request *request, size_t max_bytes,
                    const llmcache_sink *sink, const int *status, llmcache_error *err);

/* remember.c: keeps an entry in the store, in memory and in the index. 0 when the store has it. The shape
 * (may be "") goes to the store only. */
int lc_remember(llmcache *cache, lc_entry *entry, const char *shape, const float *vector,
                size_t dimension, llmcache_error *err);

/* request_shape.c: what the request's fields were, to be kept with its answer. 0, or LLMCACHE_MEMORY. */
int lc_request_shape(const llmcache *cache, lc_protocol protocol, int anthropic,
                     const llmcache_request *request, lc_buffer *shape);

/* reply.c: serves job->entry to the sink, whole or as a stream. */
int lc_reply_entry(lc_job *job, llmcache_error *err);
/* An error in the protocol's shape. Returns 0 when the sink took it. */
int lc_reply_error(lc_job *job, int status, const char *message, int64_t retry_after_ms);
int lc_reply_failure(lc_job *job, int code, const llmcache_error *error); /* the status that fits */
/* stale.c: 1 when job->stale became job->entry, because the settings allow it in this case. */
int lc_use_stale(lc_job *job, int64_t configured_ms, int64_t asked_ms);
int lc_upstream_failed(int code, int status);
/* Fetches a new answer for a job that was served a stale one, on a worker. */
void lc_revalidate(lc_job *job);
/* The expiry of an answer made now. */
void lc_set_life(const llmcache *cache, int64_t ttl_ms, llmcache_entry *facts);

/* The headers that say what happened, into `headers`; texts live in `room`. */
#define LC_REPLY_HEADERS 10
#define LC_REPLY_ROOM 768
size_t lc_reply_headers(const lc_job *job, llmcache_header *headers, char *room);

/* background.c: loads the index, sweeps, takes in changes. */
int lc_background_start(llmcache *cache, llmcache_error *err);
void lc_background_halt(llmcache *cache); /* ends the thread; reports may still come in */
void lc_background_stop(llmcache *cache); /* after the store is closed */
/* 1 when the index may be searched: it is loaded, or will not be in time and what is there so far has to do. */
int lc_background_wait_index(llmcache *cache, int64_t timeout_ms);
void lc_background_reload(llmcache *cache);
/* The same, and waits until it was tried once, or the cache closes. Not for the background thread itself. */
void lc_background_reload_now(llmcache *cache);
/* A record of the store did not get into a shared index: it is tried again. */
void lc_background_missed(llmcache *cache, const char *space, const char *id);
void lc_background_reload_observations(llmcache *cache);
/* Has all been taken in that others changed until a second ago? Else nothing is matched by meaning. */
int lc_background_is_current(llmcache *cache);
void lc_background_wake(llmcache *cache);
/* For long work on the background thread: what others changed is taken in meanwhile. */
void lc_background_breathe(llmcache *cache);
extern const llmcache_watch lc_watch_table; /* functions; user is the cache */

/* ---- Around a job -------------------------------------------------------------------------- */

/* embed_batch.c: /v1/embeddings, each input by itself. */
int lc_ask_embeddings(lc_job *job, llmcache_error *err);

/* embed_local.c: the same for the model "local", by the embedder here. */
struct lc_embeddings;
int lc_is_local_model(const lc_job *job);
int lc_embed_here(lc_job *job, const struct lc_embeddings *inputs, llmcache_error *err);

/* reembed.c: makes the records of other embedding spaces again; on the background thread. 1 when none is left
 * that could be made again. */
int lc_reembed(llmcache *cache);

/* Waits for the flight and replies from it. */
int lc_job_follow(lc_job *job, lc_flight *flight, llmcache_error *err);
/* Joins the flight for this job's key; see flight.h. */
int lc_job_join(lc_job *job, lc_flight **flight, int *leads, llmcache_error *err);
/* Bytes of a reply as they come, events and all, beyond which it is not kept. */
size_t lc_job_max_log(const lc_job *job);
/* The same for a call that nobody who asks is to wait for. */
int lc_job_join_aside(lc_job *job, lc_flight **flight, int *leads, llmcache_error *err);

void lc_job_init(lc_job *job, llmcache *cache, const llmcache_request *request,
                 const llmcache_sink *sink);

/* ---- Small things shared ------------------------------------------------------------------- */

int64_t lc_now_ms(const llmcache *cache);
/* Does the question ask about now (today's weather)? Then it is kept shortly and never matched by meaning. */
int lc_is_about_now(const lc_job *job);
/* Milliseconds an entry made now lives; 0: for ever. */
int64_t lc_ttl_ms(const lc_job *job);

/* A lc_entry_fn that copies what it is given into *(lc_entry **)user. */
int lc_copy_entry(void *user, const llmcache_entry *entry);

#endif
