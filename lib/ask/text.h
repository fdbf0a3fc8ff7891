/* Text questions: what llmcache_ask, _put and _explain do on top of the pipeline for protocol bodies. */
#ifndef LC_ASK_TEXT_H
#define LC_ASK_TEXT_H

#include "ask/cache.h"

/* One text question as a request, with the job that runs it. */
typedef struct lc_text_ask {
    lc_job job;
    llmcache_request request;
    llmcache_sink sink;
    lc_buffer body;  /* of the request */
    lc_buffer reply; /* what the sink took */
    int64_t latency_us;
    int64_t retry_after_ms; /* said by the upstream, -1 if not */
    /* For who wants the text as it comes */
    llmcache_text_fn on_text; /* NULL: nobody */
    void *on_text_user;
    lc_assembler *assembler; /* while the reply is a stream */
    lc_buffer said;          /* text not told yet */
    size_t told;             /* bytes of text that on_text has had */
} lc_text_ask;

/* Checks the arguments and makes the request. done also after a failure. */
int lc_text_init(lc_text_ask *ask, llmcache *cache, const char *question,
                 const llmcache_ask_options *options, llmcache_error *err);
void lc_text_done(lc_text_ask *ask);

int lc_text_run(lc_text_ask *ask, llmcache_error *err);

/* Tells on_text what it has not had of the whole text: all of it, when the reply was no stream. */
int lc_text_tell_rest(lc_text_ask *ask, const char *text, llmcache_error *err);

/* Identify, read, fingerprint: all that needs no cache. */
int lc_text_fingerprint(lc_text_ask *ask, llmcache_error *err);

int lc_text_put(llmcache *cache, const char *question, const char *answer,
                const llmcache_ask_options *options, llmcache_error *err);
int lc_text_explain(llmcache *cache, const char *question, const llmcache_ask_options *options,
                    char **json, llmcache_error *err);

#endif
