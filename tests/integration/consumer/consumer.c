/* A program outside the tree that has nothing but what was installed. Asks twice, expects a hit. */
#include <llmcache/backend.h>
#include <llmcache/llmcache.h>
#include <stdio.h>
#include <string.h>

static int fail(const llmcache_error *err)
{
    fprintf(stderr, "%s: %s\n", llmcache_code_name(err->code), err->message);
    return 1;
}

static int ask(llmcache *cache, const char *expected)
{
    llmcache_error err;
    llmcache_answer *answer;
    int same;
    if (llmcache_ask(cache, "What is a cache?", NULL, &answer, &err))
        return fail(&err);
    printf("%s: %s\n", llmcache_answer_source_name(answer), llmcache_answer_text(answer));
    same = strcmp(llmcache_answer_source_name(answer), expected) == 0;
    llmcache_answer_free(answer);
    return !same;
}

int main(void)
{
    static const char *const settings[][2] = {
        {"store", "memory:"}, {"embedder", "none"}, {"provider", "demo:"}, {"demo-latency-ms", "0"}};
    llmcache_error err;
    llmcache_options *options;
    llmcache *cache;
    size_t i;
    int code;
    if (strcmp(llmcache_version(), LLMCACHE_VERSION) != 0)
        return 1;
    if (llmcache_options_new_bare(&options, &err))
        return fail(&err);
    for (i = 0; i < sizeof settings / sizeof *settings; i++)
        if (llmcache_options_set(options, settings[i][0], settings[i][1], &err))
            return fail(&err);
    if (llmcache_open(options, &cache, &err))
        return fail(&err);
    llmcache_options_free(options);
    code = ask(cache, "model") || ask(cache, "exact");
    llmcache_close(cache);
    return code;
}
