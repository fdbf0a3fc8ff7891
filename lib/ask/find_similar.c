/*
 * The semantic cache: the question's text is embedded, the nearest records of its partition are candidates,
 * best first, and the first that the verdict lets through is the answer. Whatever fails here is counted and
 * the question goes on to the model.
 */
#include "ask/grey.h"
#include "ask/learning.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "embed/local_embedder.h"

#include <string.h>

#define CANDIDATES 4

static int know_dimension(llmcache *cache, llmcache_error *err)
{
    const llmcache_embedder_ops *ops = &cache->embedder.ops;
    if (ops->dimension(cache->embedder.self) > 0)
        return 0;
    if (!ops->discover)
        return lc_fail(err, LLMCACHE_EMBEDDER, "the embedder %s has no dimension", ops->name);
    return ops->discover(cache->embedder.self, cache->settings.embed_timeout_ms, err);
}

/* whose NULL: nobody's in particular. */
static int embed(llmcache *cache, const char *whose, const char *const *texts, size_t count, float **out,
                 size_t *dimension, llmcache_error *err)
{
    if (!cache->embedder.ops.embed)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "no embedder is configured (setting embedder)");
    llmcache_error room;
    int64_t start_us = lc_mono_us();
    err = lc_error_or(err, &room);
    int code = know_dimension(cache, err);
    if (code)
        return code;
    size_t size = cache->embedder.ops.dimension(cache->embedder.self);
    float *vectors = lc_alloc_array(count * size, sizeof *vectors);
    if (!vectors)
        return lc_fail_memory(err);
    code = whose && lc_is_local_embedder(&cache->embedder)
               ? lc_local_embed_for(cache->embedder.self, whose, texts[0], vectors, err)
               : cache->embedder.ops.embed(cache->embedder.self, texts, count, vectors,
                                           cache->settings.embed_timeout_ms, err);
    lc_count_step(&cache->counts, LC_STEP_EMBED, lc_mono_us() - start_us);
    if (code) {
        lc_free(vectors);
        return code;
    }
    lc_count_add(&cache->counts.embeds, count);
    *out = vectors;
    *dimension = size;
    return 0;
}

int lc_embed_texts(llmcache *cache, const char *const *texts, size_t count, float **out,
                   size_t *dimension, llmcache_error *err)
{
    return embed(cache, NULL, texts, count, out, dimension, err);
}

int lc_embed_text(llmcache *cache, const char *whose, const char *text, float **vector,
                  size_t *dimension, llmcache_error *err)
{
    return embed(cache, whose, &text, 1, vector, dimension, err);
}

/* Every record is made by this one function. */
int lc_embed_question(llmcache *cache, const char *whose, const char *question, float **vector,
                      size_t *dimension, llmcache_error *err)
{
    lc_buffer read;
    lc_buffer_init(&read, 0);
    int code = lc_read_question(cache, question, &read)
                   ? lc_fail_memory(err)
                   : lc_embed_text(cache, whose, read.data, vector, dimension, err);
    lc_buffer_done(&read);
    return code;
}

/* After the embedder failed, questions go on without it for a while instead of waiting again. */
#define EMBED_PAUSE_MS 3000

static int embed_question(lc_job *job)
{
    llmcache *cache = job->cache;
    llmcache_error err;
    if (atomic_load_explicit(&cache->embed_pause_until_ms, memory_order_relaxed) > lc_mono_ms())
        return 0;
    int code = lc_embed_question(cache, job->space, job->question.text, &job->vector, &job->dimension, &err);
    if (code == LLMCACHE_UNSUPPORTED) {
        job->why = "unsuited-text";
        lc_count_word(&cache->counts.unmatched, job->why);
    } else if (code) {
        lc_count_add(&cache->counts.embed_errors, 1);
        atomic_store(&cache->embed_pause_until_ms, lc_mono_ms() + EMBED_PAUSE_MS);
        job->why = "embedder";
    }
    return code == 0;
}

/*
 * An exact entry in memory is no proof that the record of an index that may be behind is still there. Once the store has
 * been seen to have it, the entry stands for both: whatever removes the record, or makes it uncertain that this would
 * be heard of, takes the entry out of memory.
 */
static int stands_for_record(llmcache *cache, const lc_entry *entry)
{
    return !atomic_load_explicit(&cache->background.doubtful, memory_order_relaxed) ||
           atomic_load_explicit(&entry->recorded, memory_order_relaxed);
}

static lc_entry *in_memory(llmcache *cache, const unsigned char fingerprint[32], int64_t now_ms)
{
    lc_memory_hit hit;
    if (!lc_memory_cache_find(cache->memory, fingerprint, now_ms, &hit))
        return NULL;
    if (!hit.semantic)
        return hit.entry;
    lc_entry_unref(hit.entry);
    return NULL;
}

static int record_in_store(llmcache *cache, const llmcache_key *key, int64_t now_ms, lc_entry **entry,
                           llmcache_error *err)
{
    llmcache_error room;
    int64_t start_us = lc_mono_us();
    int code = cache->store.ops.get(cache->store.self, LLMCACHE_PART_EMBED, key, now_ms,
                                    cache->settings.store_timeout_ms, lc_copy_entry, entry,
                                    lc_error_or(err, &room));
    lc_count_step(&cache->counts, LC_STEP_STORE_GET, lc_mono_us() - start_us);
    if (!code && !*entry)
        code = lc_fail_memory(err);
    if (code && code != LLMCACHE_NOT_FOUND)
        lc_count_add(&cache->counts.store_errors, 1);
    return code;
}

int lc_fetch_record(llmcache *cache, const char *space, const unsigned char fingerprint[32],
                    int64_t now_ms, lc_entry **entry, llmcache_error *err)
{
    llmcache_key key = {.space = space};
    lc_entry *known = in_memory(cache, fingerprint, now_ms);
    *entry = known;
    if (known && stands_for_record(cache, known))
        return 0;
    memcpy(key.fingerprint, fingerprint, sizeof key.fingerprint);
    *entry = NULL;
    int code = record_in_store(cache, &key, now_ms, entry, err);
    /* The one in memory, so that the wording can lead there from now on. */
    if (!code && known && known->facts.created_ms == (*entry)->facts.created_ms) {
        atomic_store_explicit(&known->recorded, 1, memory_order_relaxed);
        lc_entry_unref(*entry);
        *entry = known;
        return 0;
    }
    lc_entry_unref(known);
    return code;
}

/* Rules first, whatever was learned. 1: serves; 0: it does not; -1: nor is another to be looked at. */
static int judge(lc_job *job, const lc_entry *entry, double similarity)
{
    lc_verdict verdict;
    if (!lc_entry_serves(job, entry))
        return 0;
    int64_t start_us = lc_mono_us();
    int passes = lc_judge(job, entry, similarity, 0, &verdict);
    lc_count_step(&job->cache->counts, LC_STEP_DECIDE, lc_mono_us() - start_us);
    if (!passes && job->cache->learning)
        lc_learning_refused(job, entry, similarity, &verdict);
    /* Where all is learned there is no threshold that a zone could lie below. */
    if (!passes && (lc_learning_decides(job->cache) || !lc_grey_serves(job, entry, similarity, &verdict)))
        return 0;
    if (passes && job->cache->learning && !lc_learning_ask(job, entry, similarity, &verdict))
        return -1;
    lc_note_hit(job, entry, similarity, &verdict);
    return 1;
}

/* Fetches and judges one candidate, as above. */
static int consider(lc_job *job, const lc_neighbour *near)
{
    llmcache_error err;
    lc_entry *entry = NULL;
    char id[LLMCACHE_ID_SIZE];
    int code = lc_fetch_record(job->cache, job->space, near->fingerprint, job->now_ms, &entry, &err);
    if (code == LLMCACHE_NOT_FOUND) {
        lc_entry_id(near->fingerprint, id);
        lc_vectors_remove(job->cache, job->space, id);
    }
    if (code)
        return 0;
    /* The index said so already; an answer of another history is the last thing to serve by mistake. */
    if (memcmp(entry->facts.partition, job->partition, sizeof job->partition) != 0) {
        lc_entry_unref(entry);
        return 0;
    }
    int serves = judge(job, entry, near->similarity);
    if (serves != 1) {
        lc_entry_unref(entry);
        return serves;
    }
    job->entry = entry;
    job->similarity = near->similarity;
    job->ended = LLMCACHE_SOURCE_SEMANTIC;
    return 1;
}

static int search(lc_job *job)
{
    lc_neighbour near[CANDIDATES];
    size_t count = 0;
    llmcache_error err;
    int64_t start_us = lc_mono_us();
    int code = lc_vectors_search(job, near, CANDIDATES, &count, &err);
    lc_count_step(&job->cache->counts, LC_STEP_SEARCH, lc_mono_us() - start_us);
    for (size_t i = 0; !code && i < count; i++) {
        if (near[i].similarity < lc_least_similarity(job))
            break;
        int serves = consider(job, &near[i]);
        if (serves)
            return serves > 0;
    }
    if (job->cache->learning)
        lc_learning_pass(job);
    return 0;
}

/* What lies in the question itself, whoever asks and whatever is configured. */
const char *lc_unsuited(const lc_job *job)
{
    if (!job->question.matchable || !job->question.text)
        return job->question.why_not ? job->question.why_not : "not-text";
    if (memchr(job->question.text, '\0', job->question.text_size))
        return "nul"; /* rules and records see texts up to their NUL */
    int about_now = lc_volatile(job->question.text, job->question.text_size, NULL);
    return about_now < 0 ? "memory" : about_now ? "volatile" : NULL;
}

const char *lc_not_matchable(const lc_job *job)
{
    if (job->controls.exact_only || strcmp(job->cache->settings.policy, "exact") == 0)
        return "exact-only";
    return job->cache->embedder.ops.embed ? lc_unsuited(job) : "no-embedder";
}

int lc_find_similar(lc_job *job)
{
    const char *why = lc_not_matchable(job);
    if (why) {
        lc_count_word(&job->cache->counts.unmatched, why);
        return 0;
    }
    if (!lc_background_wait_index(job->cache, job->cache->settings.embed_timeout_ms)) {
        lc_count_word(&job->cache->counts.unmatched, "index-loading");
        return 0;
    }
    if (!embed_question(job) || job->controls.no_read)
        return 0;
    /* Asked after the embedder, which may have taken longer than the word lasts; and the answer that the model will give
     * is kept with its vector all the same. */
    if (!lc_background_is_current(job->cache)) {
        lc_count_word(&job->cache->counts.unmatched, "not-current");
        return 0;
    }
    uint64_t turn = lc_observations_turn(job->cache);
    if (!search(job))
        return 0;
    if (!lc_take_echo(job) && job->has_raw)
        lc_memory_cache_alias(job->cache->memory, job->raw, job->entry, 1, lc_job_form(job),
                              job->similarity);
    /* A pair became wrong after this one was looked up, maybe this one: its alias must not stay. */
    if (lc_observations_turn(job->cache) != turn)
        lc_memory_cache_forget_semantic(job->cache->memory);
    if (job->check)
        lc_learning_shadow(job);
    return 1;
}
