/* Troubles that a test makes for the code it calls in its own process, and what is asked of errors then. */
#ifndef TEST_TROUBLE_H
#define TEST_TROUBLE_H

#include <llmcache/llmcache.h>

/* What an error's place holds before it is written. */
void test_spoil(llmcache_error *err);
/* Unless code is 0, err must have it and a message; `doing` is for people. */
void test_check_error(int code, const llmcache_error *err, const char *doing);

/* So many file descriptors more than the highest in use may be opened, until test_allow_all_descriptors. */
void test_allow_descriptors(int spare);
void test_allow_all_descriptors(void);

/* A signal every half a millisecond that interrupts system calls; 0 ends it. */
void test_interrupt(int on);

#endif
