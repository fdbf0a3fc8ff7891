/*
 * Four llmcache-server processes over one engine, a model that never says the same twice, and what clients do with them.
 * What is asked, served and removed goes into the book.
 */
#ifndef KEPT_TRUE_WORLD_H
#define KEPT_TRUE_WORLD_H

#include "kept_true_book.h"
#include "kept_true_engine.h"
#include "test_http.h"

enum { TOPICS_AT_ONCE = 16, MARKERS = 12 };

/* One client's side: for one thread. */
typedef struct hand {
    test_http *http;
    uint64_t random;
} hand;

void hand_init(hand *h, uint64_t seed);
void hand_done(hand *h);
int hand_below(hand *h, int limit);

typedef struct said {
    int status;  /* 0: no reply */
    int answer;  /* number, 0: none */
    int from;    /* BOOK_FROM_* */
    int stored, wording;
    char id[32];
    double begun_us, ended_us;
} said;

void world_start(void);

/* In the thread of the test. Frozen: SIGSTOP. */
void world_kill_server(int server);
void world_start_server(int server);
void world_freeze(int server);
void world_thaw(int server);
int world_is_frozen(int server);

/* The topics that clients ask about now; a new set each time. */
void world_new_topics(void);
int world_topic(int which); /* 0 to TOPICS_AT_ONCE - 1 */

/* `more`: further fields of /ask, "" or ",\"exact\":true". Writes into the book what was served. */
said world_ask(hand *h, int server, int topic, int wording, const char *more, int calm);

enum { WORLD_FIRST_OWN_NUMBER = 500000 }; /* of answers written by hand */

/* Removals, each 1 when acknowledged, and in the book. */
int world_delete(hand *h, int server, int topic, int wording, const char *id);
int world_purge_topic(hand *h, int server, int topic);
int world_purge_all(hand *h, int server);
int world_feedback(hand *h, int server, int topic, int wording, const said *wrong);
int world_remove_by_hand(hand *h, int topic, int wording, const char *id, int parts);
int world_remove_all_by_hand(hand *h);
int world_overwrite(hand *h, int topic, int wording, const char *id);

/* Every server has taken in a change that was made after this was called. Clients must be quiet. */
void world_barrier(hand *h);

#endif
