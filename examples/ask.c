#include <llmcache/llmcache.h>
#include <stdio.h>

int main(void)
{
    llmcache_error err;
    llmcache *cache;
    llmcache_answer *answer;

    if (llmcache_open(NULL, &cache, &err) ||
        llmcache_ask(cache, "什麼是快取？", NULL, &answer, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%s (%s)\n", llmcache_answer_text(answer), llmcache_answer_source_name(answer));
    llmcache_answer_free(answer);
    llmcache_close(cache);
    return 0;
}
