/* The pool behind lc_http: slots, each with the one connection it keeps. */
#ifndef LC_NET_HTTP_POOL_H
#define LC_NET_HTTP_POOL_H

#include "net/http_headers.h"

#include <curl/curl.h>

struct lc_http;

enum { LC_ORIGIN_SIZE = 128 };

/* One easy handle and the multi handle that keeps its connection. Used by one thread at a time. */
typedef struct lc_http_slot {
    CURL *easy;
    CURLM *multi;
    char origin[LC_ORIGIN_SIZE]; /* "https://host:443" of the last request */
    char reason[CURL_ERROR_SIZE];
    lc_head head;
    lc_buffer line; /* for building header lines */
} lc_http_slot;

/* An idle slot that last spoke to this origin, or a new one; NULL: no memory. */
lc_http_slot *lc_http_slot_take(struct lc_http *http, const char *origin);
void lc_http_slot_give(struct lc_http *http, lc_http_slot *slot);

#endif
