/*
 * Explaining: the pipeline's steps without their effects, told as one JSON object. Every part names what it
 * found and why; `summary` and each `says` are sentences for people, all else is for programs.
 */
#ifndef LC_ASK_EXPLAIN_H
#define LC_ASK_EXPLAIN_H

#include "ask/cache.h"

/* explain.c: the whole of a job that has been initialised; `space` NULL: as its headers say. */
int lc_explain(lc_job *job, char **json, llmcache_error *err);
int lc_explain_call(llmcache *cache, const llmcache_request *request, const char *space, char **json,
                    llmcache_error *err);

/* What the parts found, for the summary. */
typedef struct lc_explained {
    int exact, semantic; /* hits */
    char exactly[256];   /* why there is no exact answer, a sentence */
    char nearly[256];    /* why there is none by meaning, a sentence */
} lc_explained;

/* explain_exact.c, explain_semantic.c: append a member of the object, without a comma behind. */
void lc_explain_exact(lc_job *job, lc_buffer *out, lc_explained *explained);
void lc_explain_semantic(lc_job *job, lc_buffer *out, lc_explained *explained);

/* "name":"value", with the comma behind. */
void lc_explain_text(lc_buffer *out, const char *name, const char *value);
/* "name":"value": and without one. */
void lc_explain_last(lc_buffer *out, const char *name, const char *value);
/* "id":..., "age_ms":..., "model":..., "question":..., */
void lc_explain_entry(const lc_job *job, const llmcache_entry *entry, lc_buffer *out);

#endif
