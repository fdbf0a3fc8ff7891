/*
 * Want of memory inside jansson. Its reader and its writer go on when a text cannot grow,
 * one character or one name short: a question would be answered that was not asked. So
 * its allocations are watched.
 */
#ifndef JSON_MEMORY_H
#define JSON_MEMORY_H

/* Before anything of jansson's is used. */
void json_memory_watch(void);

/* Forgets what happened in this thread so far: a request begins. */
void json_memory_begin(void);

/* 1 when jansson got no memory in this thread since: what it made is not to be used. */
int json_memory_failed(void);

#endif
