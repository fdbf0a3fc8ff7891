/*
 * Single-flight with a shared log.
 *
 * The leader's thread appends, waiters copy out pieces under the flight's lock and write them to their clients
 * outside of it, so that a slow client delays nobody. Readers stand in a list with their offsets: only a
 * flight that has outgrown its cap needs them, to drop what everybody has read.
 *
 * Locks: the table's lock guards the hash chains, a flight's `listed` and reference counts rise under it;
 * the flight's lock guards the rest. Order: table before flight. Neither is held while a sink runs.
 */
#include "ask/flight.h"

#include "ask/header_lists.h"
#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

#define CHAINS 256
#define PIECE (16 * 1024)

struct lc_flight {
    lc_flight *next; /* table's lock */
    lc_flights *table;
    int listed; /* table's lock */
    unsigned char key[32];
    lc_wants wants;
    atomic_int references;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    lc_buffer log;
    size_t dropped; /* bytes of the reply before log.data[0] */
    size_t max_log;
    int overgrown;
    lc_reader *readers;
    int pending; /* joined, but neither reading nor only waiting yet */
    int began, streams, status, done;
    llmcache_header *headers;
    size_t header_count;
    lc_landing landing;
};

struct lc_flights {
    pthread_mutex_t lock;
    lc_flight *chains[CHAINS];
    size_t count;
};

int lc_flights_new(lc_flights **out, llmcache_error *err)
{
    lc_flights *flights = lc_zalloc(sizeof *flights);
    if (!flights)
        return lc_fail_memory(err);
    pthread_mutex_init(&flights->lock, NULL);
    *out = flights;
    return 0;
}

void lc_flights_free(lc_flights *flights)
{
    if (!flights)
        return;
    pthread_mutex_destroy(&flights->lock);
    lc_free(flights);
}

size_t lc_flights_count(lc_flights *flights)
{
    pthread_mutex_lock(&flights->lock);
    size_t count = flights->count;
    pthread_mutex_unlock(&flights->lock);
    return count;
}

static void free_flight(lc_flight *flight)
{
    lc_headers_free(flight->headers, flight->header_count);
    lc_buffer_done(&flight->log);
    lc_entry_unref(flight->landing.entry);
    pthread_cond_destroy(&flight->changed);
    pthread_mutex_destroy(&flight->lock);
    lc_free(flight);
}

static lc_flight *new_flight(lc_flights *flights, const unsigned char key[32], lc_wants wants,
                             size_t max_log)
{
    lc_flight *flight = lc_zalloc(sizeof *flight);
    if (!flight)
        return NULL;
    memcpy(flight->key, key, 32);
    flight->table = flights;
    flight->wants = wants;
    flight->max_log = max_log;
    flight->pending = 1;
    atomic_init(&flight->references, 1);
    pthread_mutex_init(&flight->lock, NULL);
    pthread_cond_init(&flight->changed, NULL);
    lc_buffer_init(&flight->log, 0);
    return flight;
}

/* Same wish: the raw bytes do. Otherwise the whole answer does at the end, if it will have its usage. */
static int can_serve(const lc_flight *flight, lc_wants wants)
{
    return flight->wants == wants || flight->wants != LC_WANTS_STREAM;
}

/* One more or one less who has joined without having chosen how to follow. */
static void settle(lc_flight *flight, int change)
{
    pthread_mutex_lock(&flight->lock);
    flight->pending += change;
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
}

int lc_flight_join(lc_flights *flights, const unsigned char key[32], lc_wants wants, size_t max_log,
                   lc_flight **out, int *leads, llmcache_error *err)
{
    lc_flight **chain = &flights->chains[key[0] % CHAINS];
    lc_flight *flight;
    *leads = 0;
    pthread_mutex_lock(&flights->lock);
    for (flight = *chain; flight; flight = flight->next)
        if (memcmp(flight->key, key, 32) == 0 && can_serve(flight, wants))
            break;
    if (flight) {
        atomic_fetch_add(&flight->references, 1);
        settle(flight, 1);
    } else if ((flight = new_flight(flights, key, wants, max_log))) {
        flight->next = *chain;
        *chain = flight;
        flight->listed = 1;
        flights->count++;
        *leads = 1;
    }
    pthread_mutex_unlock(&flights->lock);
    if (!flight)
        return lc_fail_memory(err);
    *out = flight;
    return 0;
}

lc_flight *lc_flight_hold(lc_flight *flight)
{
    atomic_fetch_add(&flight->references, 1);
    return flight;
}

void lc_flight_leave(lc_flight *flight)
{
    if (flight && atomic_fetch_sub(&flight->references, 1) == 1)
        free_flight(flight);
}

void lc_flight_leave_unread(lc_flight *flight)
{
    settle(flight, -1);
    lc_flight_leave(flight);
}

lc_wants lc_flight_wants(const lc_flight *flight)
{
    return flight->wants;
}

/* Nobody new may join from here on. */
static void unlist(lc_flight *flight)
{
    lc_flights *flights = flight->table;
    pthread_mutex_lock(&flights->lock);
    if (flight->listed) {
        lc_flight **slot = &flights->chains[flight->key[0] % CHAINS];
        while (*slot != flight)
            slot = &(*slot)->next;
        *slot = flight->next;
        flight->listed = 0;
        flights->count--;
    }
    pthread_mutex_unlock(&flights->lock);
}

/* ---- The leader's side --------------------------------------------------------------------- */

int lc_flight_begin(lc_flight *flight, int status, const llmcache_header *headers, size_t count,
                    int streams)
{
    llmcache_header *copy;
    if (lc_headers_down(headers, count, &copy, &count))
        return LLMCACHE_MEMORY;
    pthread_mutex_lock(&flight->lock);
    flight->headers = copy;
    flight->header_count = count;
    flight->status = status;
    flight->streams = streams;
    flight->began = 1;
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
    return 0;
}

/* The smallest offset any reader still needs; all of the log's end when there is no reader. */
static size_t slowest(const lc_flight *flight)
{
    size_t least = flight->dropped + flight->log.size;
    for (const lc_reader *r = flight->readers; r; r = r->next)
        if (r->at < least)
            least = r->at;
    return least;
}

/* Makes room in an overgrown log. With the lock held; waits for slow readers and for those to come. */
static int shrink(lc_flight *flight)
{
    for (;;) {
        while (flight->pending)
            pthread_cond_wait(&flight->changed, &flight->lock);
        size_t useless = slowest(flight) - flight->dropped;
        if (!flight->readers)
            return LLMCACHE_ABORTED;
        if (useless) {
            memmove(flight->log.data, flight->log.data + useless, flight->log.size - useless);
            flight->log.size -= useless;
            flight->dropped += useless;
        }
        if (flight->log.size < flight->max_log)
            return 0;
        pthread_cond_wait(&flight->changed, &flight->lock);
    }
}

int lc_flight_add(lc_flight *flight, const void *bytes, size_t size)
{
    if (!flight->overgrown && flight->log.size + size > flight->max_log)
        unlist(flight);
    pthread_mutex_lock(&flight->lock);
    int code = 0;
    if (flight->log.size + size > flight->max_log && flight->streams) {
        flight->overgrown = 1;
        code = shrink(flight);
    }
    if (!code)
        code = lc_buffer_add(&flight->log, bytes, size);
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
    return code;
}

const char *lc_flight_log(const lc_flight *flight, size_t *size)
{
    *size = flight->log.size;
    if (flight->dropped)
        return NULL;
    return flight->log.data ? flight->log.data : "";
}

void lc_flight_finish(lc_flight *flight, const lc_landing *landing)
{
    unlist(flight);
    pthread_mutex_lock(&flight->lock);
    flight->landing = *landing;
    if (!flight->landing.status)
        flight->landing.status = flight->status;
    flight->done = 1;
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
}

/* ---- A waiter's side ------------------------------------------------------------------------ */

int lc_flight_pass_head(lc_flight *flight, const llmcache_sink *sink, const llmcache_header *extra,
                        size_t extra_count, int64_t body_size)
{
    size_t count = flight->header_count + extra_count;
    llmcache_header *all = lc_alloc_array(count, sizeof *all);
    if (!all)
        return LLMCACHE_MEMORY;
    if (flight->header_count)
        memcpy(all, flight->headers, flight->header_count * sizeof *all);
    if (extra_count)
        memcpy(all + flight->header_count, extra, extra_count * sizeof *all);
    int stopped = sink->begin(sink->user, flight->status, all, count, body_size);
    lc_free(all);
    return stopped ? LLMCACHE_ABORTED : 0;
}

int lc_flight_watch(lc_flight *flight, lc_reader *reader)
{
    pthread_mutex_lock(&flight->lock);
    reader->at = 0;
    reader->next = flight->readers;
    flight->readers = reader;
    flight->pending--;
    pthread_cond_broadcast(&flight->changed);
    while (!flight->done && !(flight->began && flight->streams))
        pthread_cond_wait(&flight->changed, &flight->lock);
    int streams = flight->began && flight->streams;
    pthread_mutex_unlock(&flight->lock);
    return streams;
}

/* Copies the next piece for this reader; 0 bytes means the end. Waits for more. */
static size_t next_piece(lc_flight *flight, lc_reader *reader, char *piece, size_t room)
{
    pthread_mutex_lock(&flight->lock);
    size_t end;
    while ((end = flight->dropped + flight->log.size) == reader->at && !flight->done)
        pthread_cond_wait(&flight->changed, &flight->lock);
    size_t size = end - reader->at < room ? end - reader->at : room;
    if (size)
        memcpy(piece, flight->log.data + (reader->at - flight->dropped), size);
    reader->at += size;
    if (flight->overgrown)
        pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
    return size;
}

int lc_flight_tail(lc_flight *flight, lc_reader *reader, const llmcache_sink *sink)
{
    char piece[PIECE];
    for (size_t size; (size = next_piece(flight, reader, piece, sizeof piece));)
        if (sink->write(sink->user, piece, size))
            return LLMCACHE_ABORTED;
    return 0;
}

void lc_flight_unwatch(lc_flight *flight, lc_reader *reader)
{
    pthread_mutex_lock(&flight->lock);
    lc_reader **slot = &flight->readers;
    while (*slot != reader)
        slot = &(*slot)->next;
    *slot = reader->next;
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
}

void lc_flight_landing(lc_flight *flight, lc_landing *landing)
{
    pthread_mutex_lock(&flight->lock);
    while (!flight->done)
        pthread_cond_wait(&flight->changed, &flight->lock);
    *landing = flight->landing;
    if (landing->entry)
        lc_entry_ref(landing->entry);
    pthread_mutex_unlock(&flight->lock);
}

void lc_flight_wait(lc_flight *flight, lc_landing *landing)
{
    settle(flight, -1);
    lc_flight_landing(flight, landing);
}

void lc_flight_raw(const lc_flight *flight, lc_raw_reply *raw)
{
    *raw = (lc_raw_reply){.began = flight->began,
                          .streamed = flight->streams,
                          .status = flight->status,
                          .body = flight->log.data ? flight->log.data : "",
                          .body_size = flight->log.size};
}
