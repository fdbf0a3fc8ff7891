/* What a run of test_kept_true.c needs of the engine that its servers share. Each engine is a program of its own. */
#ifndef KEPT_TRUE_ENGINE_H
#define KEPT_TRUE_ENGINE_H

#include <stdint.h>

enum { KEPT_SERVERS = 4 };

/* Something that goes wrong with the engine. `begin` returns once it has; `end` (may be NULL) once all is well. */
typedef struct kept_trouble {
    const char *name;
    void (*begin)(uint64_t random);
    void (*end)(void);
    int quiet; /* nothing may be under way when it begins: the engine itself loses the last moments */
} kept_trouble;

typedef struct kept_engine {
    const char *name;
    const char *(*missing)(void); /* NULL, or the line to skip with */
    void (*start)(void);
    const char *(*uri)(int server); /* the setting `store` of this server */
    const char *index;              /* the setting `index`; NULL: flat: */

    /* By hand, as a person with the engine's own client would, from any thread. 1: acknowledged. `parts` as in
     * kept_true_book.h. */
    int (*remove)(const char *id, int parts);
    int (*remove_all)(void);
    int takes_pairs; /* remove_all removes what was learnt about pairs, too */
    /* Puts another number into the exact answer's text: 1 when done. */
    int (*overwrite)(const char *id, int number);

    /* The link of one server: held without a sign, released, cut. NULL where nothing can stand between. */
    void (*hold)(int server);
    void (*release)(int server);
    void (*cut)(int server);

    const kept_trouble *troubles; /* ends with a NULL name */

    /* Looks whether the engine has undone something unasked, and tells the book. May be NULL. */
    void (*look)(void);
} kept_engine;

extern const kept_engine kept_engine_here;

/* LLMCACHE_KEPT_CALM: nothing goes wrong, and no relay stands before the engine. */
int kept_is_calm(void);

/* The text of an answer with the number in "(call N)" changed; NULL when there is none. Free it. */
char *kept_renumbered(const char *text, int number);

#endif
