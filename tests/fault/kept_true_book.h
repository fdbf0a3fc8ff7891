/*
 * The book of a run: which answers were seen when, what was removed when, and which answers were served after that. An
 * answer is known by its number, which no other answer has. Everything is written down while the run goes on, from any
 * thread, and judged afterwards. Times are microseconds of the machine's monotonic clock, the same for all processes.
 *
 * A removal counts for the answers that were known to be kept before it was begun, and from the moment that it was
 * acknowledged: what is asked for from then on must not get them. One that nobody acknowledged counts for none, nor does
 * one that was under way or acknowledged while the engine itself may undo it.
 */
#ifndef KEPT_TRUE_BOOK_H
#define KEPT_TRUE_BOOK_H

#include <stddef.h>
#include <stdint.h>

enum {
    BOOK_TOPICS = 4096,
    BOOK_WORDINGS = 2, /* of each topic: near each other, and one answer would serve both */
    BOOK_ANSWERS = 1 << 20
};

/* Which parts of an answer a removal took. */
enum { BOOK_EXACT = 1, BOOK_SEMANTIC = 2, BOOK_BOTH = 3 };

/* Where a served answer came from. A shared one was just being made. */
enum { BOOK_FROM_MODEL, BOOK_FROM_EXACT, BOOK_FROM_SEMANTIC, BOOK_FROM_SHARED };

typedef struct book_serve {
    double begun_us, ended_us;
    int answer, topic;
    int wording, made_for; /* of the question asked, and of the one that the answer was made for */
    int from, server;
    int calm; /* after all servers were seen to have taken in a later change */
} book_serve;

typedef struct book_removal {
    double begun_us, acked_us;
    int topic, wording; /* -1: all of them */
    int parts;
    const char *how;
} book_removal;

void book_open(void);

/* An answer was served. `kept_us`: when it is known to be kept; 0 when that is not known. `expires_us`: when its time
 * is certainly over; 0 when it never is. */
void book_served(const book_serve *serve, double kept_us, double expires_us);
/* Somebody wrote this answer into the store with his own hands. */
void book_written(int answer, int topic, int wording, double kept_us);
void book_removed(const book_removal *removal);
/* The two wordings of the topic were called a wrong pair. */
void book_wrong_pair(int topic, double begun_us, double acked_us);
/* What was known of pairs was removed, or may have been: it counts no more. */
void book_pairs_gone(double begun_us, double acked_us);

/* From this moment on, which may be past, the engine may undo what it acknowledges; until this moment. */
void book_unsure_from(double from_us);
void book_unsure_until(double until_us);
/* Is that known of what was begun and acknowledged then? */
int book_is_unsure(double begun_us, double acked_us);

typedef struct book_verdict {
    int serves, hits, semantic, removals, late, over_a_second, over_bound, calm_late;
    int unsure; /* removals that do not count as the engine may have undone them */
    double latest_ms;
    char worst[512];
} book_verdict;

/* bound_ms: what is later than this is counted as over_bound. */
void book_judge(double bound_ms, book_verdict *verdict);

/* How long after a removal other servers were seen to serve the answer for the last time, each look at each server. */
typedef struct book_one_look {
    double begun_us, acked_us; /* the removal's */
    double late_ms;
} book_one_look;
void book_look(const book_one_look *look);
typedef struct book_looks {
    int count, late, over_a_second;
    double p50_ms, p99_ms, max_ms;
} book_looks;
void book_looks_read(book_looks *looks);

#endif
