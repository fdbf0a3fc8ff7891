/*
 * A provider of one's own: a function that answers chat completions instead of a service. It is asked
 * once; the second time the answer comes from the cache.
 */
#include <llmcache/backend.h>
#include <stdio.h>
#include <string.h>

/* Gets the whole request, passes the whole reply. Counts how often it is asked in *self. */
static int call(void *self, const llmcache_request *request, const llmcache_limits *limits,
                const llmcache_sink *sink, llmcache_error *err)
{
    static const char reply[] =
        "{\"id\": \"own-1\", \"object\": \"chat.completion\", \"created\": 0, \"model\": \"own\", \"choices\":"
        " [{\"index\": 0, \"finish_reason\": \"stop\", \"message\":"
        " {\"role\": \"assistant\", \"content\": \"A memory of what was asked before.\"}}]}";
    const llmcache_header type = {"Content-Type", "application/json"};
    ++*(int *)self;
    if (sink->begin(sink->user, 200, &type, 1, (int64_t)strlen(reply)) ||
        sink->write(sink->user, reply, strlen(reply)))
        return llmcache_error_set(err, LLMCACHE_ABORTED, "the receiver stopped");
    return 0;
}

static const char *base(void *self)
{
    return "own:";
}

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static int ask_twice(llmcache *cache, llmcache_error *err)
{
    for (int i = 0; i < 2; i++) {
        llmcache_answer *answer;
        if (llmcache_ask(cache, "What is a cache?", NULL, &answer, err))
            return err->code;
        printf("%s (%s)\n", llmcache_answer_text(answer), llmcache_answer_source_name(answer));
        llmcache_answer_free(answer);
    }
    return 0;
}

int main(void)
{
    static const llmcache_provider_ops ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "own",
                                              .call = call, .base = base, .ping = ping};
    llmcache_error err;
    llmcache_options *options = NULL;
    llmcache *cache = NULL;
    int asked = 0;
    int failed = llmcache_options_new_bare(&options, &err) ||
                 llmcache_options_set(options, "store", "memory:", &err) ||
                 llmcache_options_set(options, "embedder", "none", &err) ||
                 llmcache_options_provider(options, "chat", &ops, &asked, &err) ||
                 llmcache_open(options, &cache, &err) || ask_twice(cache, &err);
    if (failed)
        fprintf(stderr, "%s\n", err.message);
    else
        printf("asked %d time\n", asked);
    llmcache_close(cache);
    llmcache_options_free(options);
    return failed != 0;
}
