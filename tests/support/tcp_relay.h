/*
 * A link that a test can spoil: what connects to its port on 127.0.0.1 is connected to another, until the test holds the
 * bytes back, in both directions and without a sign, or cuts every connection.
 */
#ifndef TEST_TCP_RELAY_H
#define TEST_TCP_RELAY_H

typedef struct test_relay test_relay;

test_relay *test_relay_new(int to_port); /* ends with the test */
int test_relay_port(const test_relay *relay);

/* Nothing passes, new connections neither, until it is released; then all that was held does. */
void test_relay_hold(test_relay *relay);
void test_relay_release(test_relay *relay);

/* Resets every connection; new ones are taken. What was held is lost. */
void test_relay_cut(test_relay *relay);

#endif
