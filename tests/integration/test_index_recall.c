/*
 * What the index finds among real embeddings, against brute force over their floats: of every question the same
 * nearest record, and similarities that agree. Skips, with a line, where there is no encoder model.
 */
#include "base/memory.h"
#include "embed/embed.h"
#include "index/index.h"
#include "redis_server.h"
#include "support.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char *const kept_ways[] = {"What is the price of %s?", "How do I clean %s at home?", "%s是什麼？",
                                        "請問%s要怎麼保養？",           "Where was %s invented?",   "Is %s safe for children?",
                                        "%s壞了該怎麼辦？",             "Explain how %s works."};
static const char *const asked_ways[] = {"How much does %s cost?", "How can %s be cleaned?", "請解釋%s",
                                         "%s如何保養？"};
static const char *const things[] = {
    "a bicycle", "a camera",  "a kettle", "a piano",  "a microscope", "a mattress", "a backpack", "a telescope",
    "a violin",  "a tent",    "a carpet", "a lamp",   "a washing machine", "a printer", "a keyboard", "a clock",
    "腳踏車",     "相機",      "電鍋",     "鋼琴",     "顯微鏡",       "床墊",       "背包",       "望遠鏡",
    "小提琴",     "帳篷",      "地毯",     "檯燈",     "洗衣機",       "印表機",     "鍵盤",       "時鐘",
    "a toaster", "a freezer", "a ladder", "a scooter", "a drill",     "a wok",      "a helmet",   "a raincoat"};

#define DEADLINE_MS 10000
#define COUNT(list) (sizeof(list) / sizeof *(list))
#define KEPT  (COUNT(kept_ways) * COUNT(things))
#define ASKED (COUNT(asked_ways) * COUNT(things))

static float *embed_all(lc_embedder *embedder, const char *const *ways, size_t way_count, size_t *dimension)
{
    llmcache_error err = {0};
    *dimension = embedder->ops.dimension(embedder->self);
    float *vectors = lc_alloc_array(way_count * COUNT(things), *dimension * sizeof *vectors);
    cr_assert(vectors);
    for (size_t i = 0; i < way_count * COUNT(things); i++) {
        const char *text = test_format(ways[i / COUNT(things)], things[i % COUNT(things)]);
        cr_assert_eq(embedder->ops.embed(embedder->self, &text, 1, vectors + i * *dimension, 10000, &err), 0, "%s",
                     err.message);
    }
    return vectors;
}

static lc_index fill(const char *uri, const float *vectors, size_t dimension)
{
    lc_index index;
    llmcache_error err = {0};
    unsigned char partition[32] = {0}, fingerprint[32];
    cr_assert_eq(lc_index_open(uri, NULL, &index, &err), 0);
    for (size_t i = 0; i < KEPT; i++) {
        lc_record record = {.space = "s", .fingerprint = fingerprint, .partition = partition,
                            .vector = vectors + i * dimension, .dimension = dimension};
        test_digest(i, fingerprint);
        cr_assert_eq(index.ops.add(index.self, &record, DEADLINE_MS, &err), 0, "%s", err.message);
    }
    return index;
}

static void check_recall(const char *uri)
{
    lc_embedder embedder;
    lc_embedder_options options = {.base_url = "", .api_key = "", .models_folder = ""};
    llmcache_error err;
    size_t dimension, right = 0;
    const char *probe = "probe";
    float found_dimension[4096];
    if (lc_embedder_open("local:", &options, &embedder, &err) ||
        embedder.ops.embed(embedder.self, &probe, 1, found_dimension, 10000, &err))
        cr_skip_test("%s", err.message);
    float *kept = embed_all(&embedder, kept_ways, COUNT(kept_ways), &dimension);
    float *asked = embed_all(&embedder, asked_ways, COUNT(asked_ways), &dimension);
    lc_index index = fill(uri, kept, dimension);
    for (size_t q = 0; q < ASKED; q++) {
        unsigned char partition[32] = {0}, best_fingerprint[32];
        const float *vector = asked + q * dimension;
        lc_query query = {.space = "s", .partition = partition, .vector = vector, .dimension = dimension,
                          .deadline_ms = DEADLINE_MS};
        lc_neighbour out[4];
        size_t count, best = 0;
        for (size_t i = 1; i < KEPT; i++)
            if (test_cosine(vector, kept + i * dimension, dimension) >
                test_cosine(vector, kept + best * dimension, dimension))
                best = i;
        cr_assert_eq(index.ops.search(index.self, &query, out, 4, &count, &err), 0);
        cr_assert_eq(count, 4u);
        test_digest(best, best_fingerprint);
        right += memcmp(out[0].fingerprint, best_fingerprint, 32) == 0;
        cr_assert_float_eq(out[0].similarity, test_cosine(vector, kept + best * dimension, dimension), 1e-4);
    }
    cr_assert_geq((double)right, 0.999 * (double)ASKED, "%zu of %zu", right, ASKED);
    lc_index_close(&index);
    lc_embedder_close(&embedder);
    lc_free(kept);
    lc_free(asked);
}

Test(index_recall, finds_of_real_embeddings_what_brute_force_finds)
{
    check_recall("flat:");
}

/* A Redis finds them by its graph at first, and by looking at all once it has said how few there are. */
Test(index_recall, so_do_the_vector_sets_of_a_redis_8)
{
    test_redis redis;
    const test_redis_options options = {.program = test_redis8()};
    if (!options.program)
        cr_skip_test(TEST_NO_REDIS8);
    test_redis_start(&redis, &options);
    check_recall(test_format("redis:%s", redis.uri));
}
