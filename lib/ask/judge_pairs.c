/*
 * Each side of a pair is made into a question as llmcache_ask makes one, so that reading, fingerprint and
 * what may not be matched come from there; similarity and verdict come from the index's kernel and judge.c.
 * Pairs go through in groups: one call of a remote embedder brings the vectors of a whole group. The
 * local encoder is asked text by text, because then it remembers the token states that the verdict asks for.
 */
#include "ask/judge_pairs.h"

#include "ask/text.h"
#include "base/error.h"
#include "base/memory.h"
#include "index/similarity.h"

#include <string.h>

#define GROUP 32

typedef struct side {
    lc_text_ask ask;
    lc_buffer read; /* what the embedder gets */
    float *vector;  /* NULL: not embedded, or not fit for a vector */
    int unsuited;   /* the embedder cannot read it */
} side;

typedef struct group {
    llmcache *cache;
    side *sides; /* 2 x GROUP: a and b of each pair */
    size_t count;
    size_t dimension;
} group;

llmcache_pair lc_pair_at(const llmcache_pair *pairs, size_t position)
{
    llmcache_pair pair = {.label = -1};
    size_t size = pairs->struct_size ? pairs->struct_size : sizeof pair;
    memcpy(&pair, (const char *)pairs + position * size, size < sizeof pair ? size : sizeof pair);
    return pair;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static int blame(size_t position, const char *name, int code, llmcache_error *err)
{
    char told[LLMCACHE_MESSAGE_SIZE];
    if (code == LLMCACHE_MEMORY || !err)
        return code;
    memcpy(told, err->message, sizeof told);
    return lc_fail(err, code, "pair %zu, %s: %.200s", position + 1, name, told);
}

static int read_side(llmcache *cache, const char *text, side *s, llmcache_error *err)
{
    int code = lc_text_init(&s->ask, cache, text ? text : "", NULL, err);
    if (!code)
        code = lc_text_fingerprint(&s->ask, err);
    if (!code && s->ask.job.question.text && lc_read_question(cache, s->ask.job.question.text, &s->read))
        code = lc_fail_memory(err);
    return code;
}

static void group_clear(group *g)
{
    for (size_t i = 0; i < 2 * g->count; i++) {
        lc_text_done(&g->sides[i].ask);
        lc_buffer_done(&g->sides[i].read);
        lc_free(g->sides[i].vector);
    }
    memset(g->sides, 0, 2 * g->count * sizeof *g->sides);
    g->count = 0;
}

static int group_read(group *g, const llmcache_pair *pairs, size_t first, size_t count, llmcache_error *err)
{
    int code = 0;
    for (g->count = 0; !code && g->count < count;) {
        llmcache_pair pair = lc_pair_at(pairs, first + g->count);
        side *s = &g->sides[2 * g->count++];
        lc_buffer_init(&s[0].read, 0);
        lc_buffer_init(&s[1].read, 0);
        code = blame(first + g->count - 1, "a", read_side(g->cache, pair.a, &s[0], err), err);
        if (!code)
            code = blame(first + g->count - 1, "b", read_side(g->cache, pair.b, &s[1], err), err);
    }
    return code;
}

/* ---- Embedding --------------------------------------------------------------------------------- */

static int embed_side(llmcache *cache, side *s, size_t *dimension, llmcache_error *err)
{
    if (s->vector || s->unsuited || !s->read.data)
        return 0;
    int code = lc_embed_text(cache, "", s->read.data, &s->vector, dimension, err);
    s->unsuited = code == LLMCACHE_UNSUPPORTED;
    return s->unsuited ? 0 : code;
}

/* One call for all; a text that is not fit for a vector spoils it, and then each is asked for by itself. */
static int embed_group(group *g, llmcache_error *err)
{
    const char *texts[2 * GROUP] = {NULL};
    float *vectors;
    size_t count = 2 * g->count;
    for (size_t i = 0; i < count; i++)
        if (!(texts[i] = g->sides[i].read.data))
            return 0;
    int code = lc_embed_texts(g->cache, texts, count, &vectors, &g->dimension, err);
    if (code)
        return code == LLMCACHE_UNSUPPORTED ? 0 : code;
    for (size_t i = 0; !code && i < count; i++) {
        g->sides[i].vector = lc_memdup(vectors + i * g->dimension, g->dimension * sizeof *vectors);
        code = g->sides[i].vector ? 0 : lc_fail_memory(err);
    }
    lc_free(vectors);
    return code;
}

/* ---- Judging ----------------------------------------------------------------------------------- */

static int measure(group *g, side *asked, side *kept, lc_judged *judged, llmcache_error *err)
{
    int code = embed_side(g->cache, asked, &g->dimension, err);
    if (!code)
        code = embed_side(g->cache, kept, &g->dimension, err);
    if (code || !asked->vector || !kept->vector)
        return code;
    judged->embedded = 1;
    return lc_similarity(asked->vector, kept->vector, g->dimension, &judged->similarity)
               ? lc_fail_memory(err)
               : 0;
}

/* Why no ask would get as far as the verdict; NULL when one would. */
static const char *stopped_before(const side *asked, const side *kept)
{
    const char *why = lc_not_matchable(&asked->ask.job);
    if (!why)
        why = lc_unsuited(&kept->ask.job);
    return why ? why : asked->unsuited || kept->unsuited ? "unsuited-text" : NULL;
}

static int judge_one(group *g, side *asked, side *kept, lc_judged *judged, llmcache_error *err)
{
    const lc_job *job = &asked->ask.job;
    int embeds = g->cache->embedder.ops.embed != NULL;
    int code = embeds ? measure(g, asked, kept, judged, err) : 0;
    if (code)
        return code;
    const char *text = kept->ask.job.question.text;
    int serve = job->question.text && text &&
                lc_judge_text(job, text, judged->similarity, 1, &judged->verdict);
    const char *why = stopped_before(asked, kept);
    /* A pair that is not served for that would be counted as one that must not be. */
    if (strcmp(why ? why : judged->verdict.why, "memory") == 0)
        return lc_fail_memory(err);
    if (memcmp(job->fingerprint, kept->ask.job.fingerprint, sizeof job->fingerprint) == 0) {
        judged->served = 1;
        judged->source = LLMCACHE_SOURCE_EXACT;
        judged->similarity = 1;
        judged->why = "";
        return 0;
    }
    judged->stopped = why != NULL;
    judged->served = serve && !why;
    judged->source = judged->served ? LLMCACHE_SOURCE_SEMANTIC : LLMCACHE_SOURCE_MODEL;
    judged->why = why ? why : judged->verdict.why;
    return 0;
}

static int judge_group(group *g, size_t first, lc_judged_fn fn, void *user, llmcache_error *err)
{
    int apart = strcmp(g->cache->embedder.ops.name ? g->cache->embedder.ops.name : "", "local") == 0;
    int code = g->cache->embedder.ops.embed && !apart ? embed_group(g, err) : 0;
    for (size_t i = 0; !code && i < g->count; i++) {
        lc_judged judged = {.pair = first + i, .why = ""};
        code = judge_one(g, &g->sides[2 * i], &g->sides[2 * i + 1], &judged, err);
        if (!code)
            code = fn(user, &judged, err);
    }
    return code;
}

int lc_judge_pairs(llmcache *cache, const llmcache_pair *pairs, size_t count, lc_judged_fn fn, void *user,
                   llmcache_error *err)
{
    group g = {.cache = cache, .sides = lc_zalloc_array(2 * GROUP, sizeof *g.sides)};
    int code = g.sides ? 0 : lc_fail_memory(err);
    for (size_t first = 0; !code && first < count; first += GROUP) {
        size_t some = count - first < GROUP ? count - first : GROUP;
        code = group_read(&g, pairs, first, some, err);
        if (!code)
            code = judge_group(&g, first, fn, user, err);
        group_clear(&g);
    }
    lc_free(g.sides);
    return code;
}
