/*
 * Who may manage the cache.
 *
 * With the setting admin-key: whoever sends it, as `Authorization: Bearer KEY` or
 * `X-Admin-Key: KEY`, and nobody else, from this machine neither: a key that does not
 * protect is worse than none. Without it: this machine only, and then no web page may act
 * in a browser's name. A page on another site can send requests to 127.0.0.1 and, by
 * pointing its own name there (DNS rebinding), read the replies; so the Host must name
 * this machine, an Origin must be the same host, and a body must be declared as JSON,
 * which a page cannot do without asking first. A request that came through a proxy is not
 * from here.
 */
#ifndef ADMIN_GUARD_H
#define ADMIN_GUARD_H

#include "exchange.h"

/* 0 when the request may go on, -1 after the reply that refuses it. */
int admin_guard(exchange *x);

#endif
