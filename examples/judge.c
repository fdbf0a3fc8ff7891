/* What the cache would do with a pair of questions, and how sure a rate is. */
#include <llmcache/tune.h>
#include <stdio.h>

static int show(void *user, const llmcache_judgement *judgement)
{
    const llmcache_pair *pair = (const llmcache_pair *)user + judgement->pair;
    printf("%s | %s: %s%s%s\n", pair->a, pair->b, llmcache_source_name(judgement->source),
           *judgement->why ? ", " : "", judgement->why);
    return 0;
}

int main(void)
{
    llmcache_pair pairs[] = {{sizeof *pairs, "什麼是快取？", "什麼是快取？", 1, "mine"},
                             {sizeof *pairs, "How do I enable 2FA?", "How do I disable 2FA?", 0, "mine"}};
    llmcache_error err;
    llmcache *cache;
    double low, high;

    if (llmcache_open(NULL, &cache, &err) || llmcache_judge(cache, pairs, 2, show, pairs, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    llmcache_interval(0, 299, 0.9, &low, &high);
    printf("none wrong among 299: at most %.1f %% are\n", 100 * high);
    llmcache_close(cache);
    return 0;
}
