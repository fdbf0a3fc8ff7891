/* What the suite of servers that share a store (lease_suite.c) needs to know of the store. */
#ifndef TEST_LEASE_FIXTURE_H
#define TEST_LEASE_FIXTURE_H

typedef struct lease_fixture {
    const char *name;
    /* An empty store of the test's own: its URI, NULL when it cannot be had here. */
    const char *(*start)(void);
    void (*kill)(void);  /* connections are reset. NULL: nobody can */
    void (*pause)(void); /* connections hang. NULL: nobody can */
    void (*end)(void);   /* NULL: nothing to do */
} lease_fixture;

extern const lease_fixture fixture;

#endif
