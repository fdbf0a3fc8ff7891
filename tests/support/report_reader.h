/* What tests of tuning read of its reports, and whether the encoder it needs is here. */
#ifndef TEST_REPORT_READER_H
#define TEST_REPORT_READER_H

#include <jansson.h>
#include <llmcache/llmcache.h>

/* The part of that name, NULL when there is none. */
const json_t *test_tune_part(const json_t *report, const char *name);
/* object.name, or object.name.inner; 0 when it is not there. */
double test_tune_number(const json_t *object, const char *name, const char *inner);

/* 0 when the cache can embed a text, or why it cannot. */
int test_try_embedder(llmcache *cache, llmcache_error *err);

#endif
