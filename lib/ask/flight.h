/*
 * Flights: one call under way and those who wait for it (single-flight). The call's bytes go into a log
 * that every waiting thread reads at its own pace, from the start.
 *
 * Life: lc_flight_join finds a flight to wait for or makes a new one, whose maker leads: it must end it with
 * lc_flight_finish, from whatever thread, whatever happened. The table forgets a flight when it ends.
 */
#ifndef LC_ASK_FLIGHT_H
#define LC_ASK_FLIGHT_H

#include "base/buffer.h"
#include "store/memory_cache.h"

#include <llmcache/llmcache.h>

typedef struct lc_flights lc_flights;
typedef struct lc_flight lc_flight;

/* What the reply will be able to say. */
typedef enum lc_wants {
    LC_WANTS_WHOLE,        /* one JSON body */
    LC_WANTS_STREAM_USAGE, /* events, usage included */
    LC_WANTS_STREAM        /* events without usage */
} lc_wants;

/* How a flight ended, for those who waited. */
typedef struct lc_landing {
    int code;               /* 0, or why there is no whole reply */
    llmcache_error error;   /* when code is not 0 */
    int status;             /* HTTP status of the reply; 0: none came */
    lc_entry *entry;        /* the answer as an entry (kept or not), NULL when there is none */
    llmcache_source source; /* semantic when the leader found it so, else model */
    double similarity;
    int stored;
    const char *why; /* static word: why it was not stored, or "" */
} lc_landing;

int lc_flights_new(lc_flights **flights, llmcache_error *err);
void lc_flights_free(lc_flights *flights);
size_t lc_flights_count(lc_flights *flights);

/*
 * Joins the flight with this key that can serve `wants`, or makes one. *leads is 1 for the maker. The caller
 * holds a reference until lc_flight_leave.
 */
int lc_flight_join(lc_flights *flights, const unsigned char key[32], lc_wants wants,
                   size_t max_log, lc_flight **flight, int *leads, llmcache_error *err);
void lc_flight_leave(lc_flight *flight);
/* The same for one who neither watched nor waited. */
void lc_flight_leave_unread(lc_flight *flight);
lc_flight *lc_flight_hold(lc_flight *flight); /* one more reference */
lc_wants lc_flight_wants(const lc_flight *flight);

/* ---- The leader's side --------------------------------------------------------------------- */

/* The reply begins. Those headers that come down are copied. `streams`: its bytes may be read before the end. */
int lc_flight_begin(lc_flight *flight, int status, const llmcache_header *headers, size_t count,
                    int streams);

/*
 * Adds bytes. Past max_log nobody new can join and what all readers have is dropped; with no reader left it
 * returns LLMCACHE_ABORTED; with slow readers it waits for them.
 */
int lc_flight_add(lc_flight *flight, const void *bytes, size_t size);

/* All bytes so far, when none were dropped; NULL otherwise. Leader only. */
const char *lc_flight_log(const lc_flight *flight, size_t *size);

/* Ends it. Takes over landing->entry's reference. */
void lc_flight_finish(lc_flight *flight, const lc_landing *landing);

/* ---- A waiter's side ------------------------------------------------------------------------ */

/* One who follows a flight; on the caller's stack between watch and unwatch. */
typedef struct lc_reader {
    struct lc_reader *next;
    size_t at; /* offset of what it wants next */
} lc_reader;

/*
 * Follows the flight from its first byte. Returns 1 as soon as bytes may be passed on while they come, 0 when
 * the flight has ended without streaming. Every waiter calls either this or lc_flight_wait first, once.
 */
int lc_flight_watch(lc_flight *flight, lc_reader *reader);

/* Calls the sink's begin with the reply's status and headers and `extra` ones. 0, LLMCACHE_ABORTED, _MEMORY. */
int lc_flight_pass_head(lc_flight *flight, const llmcache_sink *sink, const llmcache_header *extra,
                        size_t extra_count, int64_t body_size);

/* Passes bytes on as they come, until the end. 0 or LLMCACHE_ABORTED. */
int lc_flight_tail(lc_flight *flight, lc_reader *reader, const llmcache_sink *sink);

/* Stops following and waits for the end. The landing's entry is referenced for the caller. */
void lc_flight_unwatch(lc_flight *flight, lc_reader *reader);
void lc_flight_landing(lc_flight *flight, lc_landing *landing);

/* Waits for the end without following. */
void lc_flight_wait(lc_flight *flight, lc_landing *landing);

/* After the end of a flight that did not stream: its whole raw reply. `began` 0: there is none. */
typedef struct lc_raw_reply {
    int began, streamed, status;
    const char *body;
    size_t body_size;
} lc_raw_reply;
void lc_flight_raw(const lc_flight *flight, lc_raw_reply *raw);

#endif
