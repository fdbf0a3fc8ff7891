/* What the handlers below /cache/ share. */
#ifndef HANDLE_CACHE_H
#define HANDLE_CACHE_H

#include "exchange.h"

#include <jansson.h>
#include <llmcache/llmcache.h>

/* Sends the value and drops the reference; NULL: out of memory. */
void cache_reply(exchange *x, int status, json_t *value);

/* The query's conditions. Room for their decoded values. */
typedef struct cache_query {
    llmcache_filter filter;
    char space[256], id[64], model[256], tag[256], contains[1024], search[1024],
        pattern[1024], space_pattern[256], model_pattern[256], tag_pattern[256], older[32],
        newer[32], limit[32];
} cache_query;

/* 0, or -1 after an error reply. */
int cache_query_read(exchange *x, cache_query *q);

/* A 422 about one parameter of the query. Returns -1. */
int cache_query_refuse(exchange *x, const char *name, const char *message);

#endif
