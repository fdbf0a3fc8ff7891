/* What the index suite (index_suite.c) needs to know of the index it runs over: each program links the suite
 * with one index_*_fixture.c. */
#ifndef TEST_INDEX_FIXTURE_H
#define TEST_INDEX_FIXTURE_H

typedef struct index_fixture {
    /* NULL: this build has none of this kind, skip. */
    const char *uri;
    /* Of the k nearest, this part at least is found. 1: all of them, in their order. */
    double recall;
    /* Of an index in a server, instead of `uri`: empties the server, which is started if need be. NULL: skip. */
    const char *(*fresh)(void);
    /* Long tests are so many times shorter over a slow one; 0: not. */
    unsigned shorter;
} index_fixture;

extern const index_fixture index_fixture_used;

#endif
