/* lib/embed/local_embedder, local_model, recent_texts, ranker: over small models in a
 * folder. */
#include "tiny_model.h"

#include "base/memory.h"
#include "embed/local_embedder.h"
#include "embed/ranker.h"
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#define DIMENSION 64

static lc_embedder open_named(const char *uri, const char *folder)
{
    lc_embedder embedder;
    lc_embedder_options options = {.models_folder = folder};
    llmcache_error err;
    cr_assert_eq(lc_embedder_open(uri, &options, &embedder, &err), 0, "%s", err.message);
    cr_assert_str_eq(embedder.ops.name, "local");
    return embedder;
}

static lc_embedder open_tiny(const tiny_options *options)
{
    return open_named(test_format("local:%s", tiny_model(options)), "");
}

static int embed(lc_embedder *embedder, const char *text, float *vector,
                 llmcache_error *err)
{
    return embedder->ops.embed(embedder->self, &text, 1, vector, 10000, err);
}

static int same(const float *a, const float *b)
{
    return memcmp(a, b, DIMENSION * sizeof *a) == 0;
}

static const char *megabyte(void)
{
    static char text[(1 << 20) + 1];
    memset(text, 'a', 1 << 20);
    return text;
}

Test(local_embedder, says_what_it_is)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    const char *space = embedder.ops.space(embedder.self);
    cr_assert_eq(embedder.ops.dimension(embedder.self), DIMENSION);
    cr_assert_eq(strncmp(space, "local:tiny:", 11), 0, "%s", space);
    cr_assert_eq(strspn(space + 11, "0123456789abcdef"), 16, "%s", space);
    cr_assert_str_eq(space + 27, ":t2s1:int8");
    cr_assert_str_eq(lc_local_problem(embedder.self), "");
    cr_assert_eq(embedder.ops.threshold(embedder.self), 0);
    lc_embedder_close(&embedder);
}

Test(local_embedder, other_weights_are_another_space)
{
    tiny_options options = tiny_defaults();
    lc_embedder first = open_tiny(&options);
    options.seed = 2;
    lc_embedder second = open_tiny(&options);
    cr_assert_str_neq(first.ops.space(first.self), second.ops.space(second.self));
    lc_embedder_close(&first);
    lc_embedder_close(&second);
}

Test(local_embedder, a_folder_with_one_model_will_do)
{
    tiny_options options = tiny_defaults();
    const char *path = tiny_model(&options);
    const char *folder = test_format("%.*s", (int)(strrchr(path, '/') - path), path);
    lc_embedder named = open_named("local:tiny", folder);
    lc_embedder only = open_named(test_format("local:%s", folder), "");
    cr_assert_str_eq(lc_local_problem(named.self), "");
    cr_assert_str_eq(lc_local_problem(only.self), "");
    cr_assert_str_eq(named.ops.space(named.self), only.ops.space(only.self));
    lc_embedder_close(&only);
    test_write_file(test_format("%s/other.gguf", folder), test_read_file(path, NULL),
                    100);
    only = open_named(test_format("local:%s", folder),
                      ""); /* what is no model does not count */
    cr_assert_str_eq(lc_local_problem(only.self), "");
    lc_embedder_close(&only);
    lc_embedder_close(&named);
}

Test(local_embedder, one_text_or_many_give_the_same_bits)
{
    enum { TEXTS = 40 };
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    static float vectors[TEXTS][DIMENSION], alone[DIMENSION], again[DIMENSION];
    const char *texts[TEXTS];
    llmcache_error err;
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] =
            test_format("%.*s", (int)(i % 33), "abc de fgh i jkl mn o p q r st u v w");
    cr_assert_eq(embedder.ops.embed(embedder.self, texts, TEXTS, vectors[0], 10000, &err),
                 0, "%s", err.message);
    for (size_t i = 0; i < TEXTS; i++) {
        double length = 0;
        cr_assert_eq(embed(&embedder, texts[i], alone, &err), 0);
        cr_assert_eq(embed(&embedder, texts[i], again, &err),
                     0); /* from the recent ones */
        cr_expect(same(alone, vectors[i]), "text %zu", i);
        cr_expect(same(alone, again), "text %zu", i);
        for (size_t k = 0; k < DIMENSION; k++)
            length += (double)alone[k] * alone[k];
        cr_expect_lt(fabs(length - 1), 1e-5);
    }
    lc_embedder_close(&embedder);
}

Test(local_embedder, both_chinese_scripts_are_read_alike)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    float traditional[DIMENSION], simplified[DIMENSION], other[DIMENSION];
    llmcache_error err;
    cr_assert_eq(embed(&embedder, "什麼是快取？", traditional, &err), 0, "%s",
                 err.message);
    cr_assert_eq(embed(&embedder, "什么是快取？", simplified, &err), 0);
    cr_assert_eq(embed(&embedder, "請解釋快取", other, &err), 0);
    cr_assert(same(traditional, simplified));
    cr_assert_not(same(traditional, other));
    lc_embedder_close(&embedder);
}

/* A text the model cannot read whole has no vector, alone and among others. */
static void refuse(const char *text, const char *word)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    float vectors[3 * DIMENSION] = {7};
    const char *texts[] = {"a", text, "b"};
    llmcache_error err;
    cr_expect_eq(embed(&embedder, text, vectors, &err), LLMCACHE_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, word), "%s", err.message);
    cr_expect_null(strstr(err.message, text), "the text is in the message");
    cr_expect_eq(vectors[0], 7);
    cr_expect_eq(embedder.ops.embed(embedder.self, texts, 3, vectors, 10000, &err),
                 LLMCACHE_UNSUPPORTED);
    lc_embedder_close(&embedder);
}

Test(local_embedder, a_text_with_unknown_characters_is_not_embedded)
{
    refuse("ab 龘 cd", "no token");
}

Test(local_embedder, a_text_that_does_not_fit_is_not_embedded)
{
    refuse(
        "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n",
        "longer");
}

Test(local_embedder, a_text_of_a_megabyte_is_not_read)
{
    refuse(megabyte(), "longer");
}

Test(local_embedder, exactly_as_long_as_the_model_takes)
{
    tiny_options options = tiny_defaults(); /* 40 positions, two of them for specials */
    lc_embedder embedder = open_tiny(&options);
    float vector[DIMENSION];
    llmcache_error err;
    char text[80] = "";
    for (int i = 0; i < 38; i++)
        strcat(text, "a ");
    cr_assert_eq(embed(&embedder, text, vector, &err), 0, "%s", err.message);
    strcat(text, "a");
    cr_assert_eq(embed(&embedder, text, vector, &err), LLMCACHE_UNSUPPORTED);
    lc_embedder_close(&embedder);
}

/* ---- Without a model -------------------------------------------------------------- */

static void check_absent(lc_embedder *embedder, const char *word)
{
    float vector[DIMENSION];
    lc_token_states states = {0};
    llmcache_error err;
    cr_expect_eq(embedder->ops.dimension(embedder->self), 0);
    cr_expect_eq(embed(embedder, "a", vector, &err), LLMCACHE_EMBEDDER);
    cr_expect_not_null(strstr(err.message, word), "%s", err.message);
    cr_expect_not_null(strstr(lc_local_problem(embedder->self), word));
    cr_expect_eq(embedder->ops.discover(embedder->self, 1000, &err), LLMCACHE_EMBEDDER);
    cr_expect_eq(lc_local_states(embedder->self, "a", &states, &err), LLMCACHE_EMBEDDER);
    cr_expect_eq(lc_local_piece(embedder->self, 5).size, 0);
    cr_expect_not_null(embedder->ops.space(embedder->self));
    cr_expect_eq(embedder->ops.threshold(embedder->self), 0);
    lc_embedder_close(embedder);
}

Test(local_embedder, opens_without_a_model_and_says_how_to_get_one)
{
    lc_embedder embedder = open_named("local:", test_folder());
    check_absent(&embedder, "llmcache-cli model pull");
    embedder = open_named("local:multilingual-e5-small", test_folder());
    check_absent(&embedder, "llmcache-cli model pull multilingual-e5-small");
    embedder = open_named("local:/nowhere/at/all.gguf", "");
    check_absent(&embedder, "/nowhere/at/all.gguf");
}

Test(local_embedder, opens_with_a_damaged_model_and_says_what_is_wrong)
{
    tiny_options options = tiny_defaults();
    options.without = "blk.1.ffn_up.weight";
    lc_embedder embedder = open_tiny(&options);
    check_absent(&embedder, "blk.1.ffn_up.weight");
    const char *path = test_format("%s/short.gguf", test_folder());
    test_write_text(path, "GGUF");
    embedder = open_named(test_format("local:%s", path), "");
    check_absent(&embedder, "GGUF");
    options = tiny_defaults();
    options.pooling = 4;
    embedder = open_tiny(&options);
    check_absent(&embedder, "judges pairs");
}

/* ---- States ----------------------------------------------------------------------- */

Test(local_embedder, states_are_those_of_the_pieces)
{
    tiny_options options = tiny_defaults();
    const char *path = tiny_model(&options);
    lc_embedder embedder = open_named(test_format("local:%s", path), "");
    lc_token_states states = {0};
    lc_gguf *gguf;
    llmcache_error err;
    static const uint32_t ids[] = {2, 4, 31, 6, 64, 3}; /* [CLS] a ##b c ？ [SEP] */
    double exact[6 * DIMENSION], vector[DIMENSION];
    cr_assert_eq(lc_local_states(embedder.self, "ab c？", &states, &err), 0, "%s",
                 err.message);
    cr_assert_eq(states.count, 4);
    cr_assert_eq(states.dimension, DIMENSION);
    cr_assert_not(states.unknown || states.cut);
    cr_assert_eq(lc_gguf_open(path, &gguf, &err), 0);
    tiny_answer(gguf, ids, 6, 0, exact, vector);
    for (size_t i = 0; i < 4; i++) {
        double dot = 0, length = 0, unit = 0;
        cr_expect_eq(states.ids[i], ids[i + 1]);
        cr_expect_eq(states.is_word[i], i < 3);
        for (size_t k = 0; k < DIMENSION; k++) {
            double want = exact[(i + 1) * DIMENSION + k],
                   got = states.states[i * DIMENSION + k];
            dot += want * got;
            length += want * want;
            unit += got * got;
        }
        cr_expect_lt(fabs(unit - 1), 1e-5);
        cr_expect_gt(dot / sqrt(length), 0.99, "piece %zu: %g", i, dot / sqrt(length));
    }
    lc_span piece = lc_local_piece(embedder.self, states.ids[1]);
    cr_expect_eq(piece.size, 1);
    cr_expect_eq(*piece.data, 'b');
    cr_expect_eq(lc_local_piece(embedder.self, TINY_WORDS).size, 0);
    lc_token_states_done(&states);
    lc_gguf_close(gguf);
    lc_embedder_close(&embedder);
}

/* Or the time it takes would say what others have asked. */
Test(local_embedder, what_is_remembered_is_one_callers_own)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    lc_token_states states = {0};
    float first[DIMENSION], second[DIMENSION];
    llmcache_error err;
    void *self = embedder.self;
    cr_expect(lc_is_local_embedder(&embedder));
    cr_assert_eq(lc_local_embed_for(self, "a", "abc de", first, &err), 0);
    cr_expect_eq(lc_local_runs(self), 1u);
    cr_assert_eq(lc_local_embed_for(self, "a", "abc de", second, &err), 0);
    cr_assert_eq(lc_local_states_for(self, "a", "abc de", &states, &err), 0);
    cr_expect_eq(lc_local_runs(self), 1u, "remembered");
    cr_assert_eq(lc_local_embed_for(self, "b", "abc de", second, &err), 0);
    cr_expect_eq(lc_local_runs(self), 2u, "b pays for what a has asked");
    cr_expect_arr_eq(first, second, sizeof first);
    cr_assert_eq(lc_local_states_for(self, "c", "abc de", &states, &err), 0);
    cr_expect_eq(lc_local_runs(self), 3u);
    cr_assert_eq(embed(&embedder, "abc de", second, &err), 0);
    cr_expect_eq(lc_local_runs(self), 4u, "nobody in particular is somebody else");
    lc_token_states_done(&states);
    lc_embedder_close(&embedder);
}

Test(local_embedder, states_are_the_same_new_or_remembered)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    lc_token_states fresh = {0}, kept = {0};
    float vector[DIMENSION];
    llmcache_error err;
    cr_assert_eq(lc_local_states(embedder.self, "abc de", &fresh, &err), 0);
    cr_assert_eq(lc_local_states(embedder.self, "abc de", &kept, &err), 0);
    cr_assert_eq(kept.count, fresh.count);
    cr_assert_eq(memcmp(kept.ids, fresh.ids, fresh.count * sizeof *fresh.ids), 0);
    cr_assert_eq(
        memcmp(kept.states, fresh.states, fresh.count * DIMENSION * sizeof *fresh.states),
        0);
    cr_assert_eq(embed(&embedder, "fgh", vector, &err), 0); /* leaves states behind */
    lc_memory_fail_at(1);
    cr_assert_eq(lc_local_states(embedder.self, "fgh", &kept, &err), 0);
    cr_assert_not(lc_memory_failed());
    lc_memory_fail_at(0);
    cr_assert_eq(kept.count, 3);
    lc_token_states_done(&fresh);
    lc_token_states_done(&kept);
    lc_embedder_close(&embedder);
}

Test(local_embedder, texts_unfit_for_a_vector_have_states_and_say_so)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    lc_token_states states = {0};
    float vector[DIMENSION];
    llmcache_error err;
    cr_assert_eq(lc_local_states(embedder.self, "ab 龘", &states, &err), 0);
    cr_expect(states.unknown && !states.cut);
    cr_expect_eq(embed(&embedder, "ab 龘", vector, &err), LLMCACHE_UNSUPPORTED);
    cr_assert_eq(lc_local_states(embedder.self,
                                 "a b c d e f g h i j k l m n o p q r s t u v w x y z "
                                 "a b c d e f g h i j k l m n",
                                 &states, &err),
                 0);
    cr_expect(states.cut && !states.unknown);
    cr_expect_eq(states.count, 38);
    cr_assert_eq(lc_local_states(embedder.self, megabyte(), &states, &err), 0);
    cr_expect(states.cut);
    cr_expect_eq(states.count, 0);
    lc_token_states_done(&states);
    lc_embedder_close(&embedder);
}

/* ---- Memory, time, threads -------------------------------------------------------- */

Test(local_embedder, nothing_is_allocated_in_the_steady_state)
{
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    const char *texts[] = {"a b c d e f g h i j k l m n o p q r s t u v w x y z", "abc"};
    float vectors[2 * DIMENSION];
    llmcache_error err;
    cr_assert_eq(embedder.ops.embed(embedder.self, texts, 2, vectors, 1000, &err), 0);
    lc_memory_fail_at(1);
    cr_assert_eq(embedder.ops.embed(embedder.self, texts, 2, vectors, 1000, &err), 0);
    cr_assert_eq(embed(&embedder, "never seen", vectors, &err), 0);
    cr_assert_not(lc_memory_failed());
    lc_memory_fail_at(0);
    lc_embedder_close(&embedder);
}

Test(local_embedder, every_failed_allocation_is_reported)
{
    tiny_options options = tiny_defaults();
    const char *uri = test_format("local:%s", tiny_model(&options));
    int failures = 0, rc;
    do {
        lc_embedder embedder = {0};
        lc_embedder_options how = {.models_folder = ""};
        lc_token_states states = {0};
        float vector[DIMENSION];
        llmcache_error err;
        lc_memory_fail_at((uint64_t)failures + 1);
        rc = lc_embedder_open(uri, &how, &embedder, &err);
        if (!rc)
            rc = embed(&embedder, "abc", vector, &err);
        if (!rc)
            rc = lc_local_states(embedder.self, "de", &states, &err);
        if (rc)
            cr_expect_eq(rc, LLMCACHE_MEMORY, "allocation %d: %d %s", failures + 1, rc,
                         err.message);
        lc_token_states_done(&states);
        lc_embedder_close(&embedder);
        failures++;
    } while (lc_memory_failed());
    lc_memory_fail_at(0);
    cr_assert_eq(rc, 0);
    cr_assert_gt(failures, 20);
}

Test(local_embedder, a_deadline_that_passed_ends_a_long_list)
{
    enum { TEXTS = 64 };
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    static float vectors[TEXTS * DIMENSION];
    const char *texts[TEXTS];
    llmcache_error err;
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = "a b c d e f g h i j k l m n o p q r s t u v w x y z";
    cr_assert_eq(embedder.ops.embed(embedder.self, texts, TEXTS, vectors, -1, &err),
                 LLMCACHE_TIMEOUT);
    lc_embedder_close(&embedder);
}

typedef struct asker {
    lc_embedder *embedder;
    pthread_t thread;
    float vectors[200][DIMENSION];
    size_t pieces[200];
    int rc;
} asker;

static void *ask(void *user)
{
    asker *self = user;
    lc_token_states states = {0};
    llmcache_error err;
    for (size_t i = 0; !self->rc && i < 200; i++) {
        char text[8] = {(char)('a' + i % 7), (char)('a' + i % 11), (char)('a' + i % 3)};
        self->rc = embed(self->embedder, text, self->vectors[i], &err);
        if (!self->rc)
            self->rc = lc_local_states(self->embedder->self, text, &states, &err);
        self->pieces[i] = states.count;
    }
    lc_token_states_done(&states);
    return NULL;
}

Test(local_embedder, threads_share_it)
{
    enum { THREADS = 4 };
    tiny_options options = tiny_defaults();
    lc_embedder embedder = open_tiny(&options);
    static asker askers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        askers[i].embedder = &embedder;
        cr_assert_eq(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(askers[i].thread, NULL);
        cr_expect_eq(askers[i].rc, 0);
        cr_expect_eq(
            memcmp(askers[i].vectors, askers[0].vectors, sizeof askers[0].vectors), 0);
        cr_expect_eq(memcmp(askers[i].pieces, askers[0].pieces, sizeof askers[0].pieces),
                     0);
    }
    lc_embedder_close(&embedder);
}

/* ---- Judging pairs ---------------------------------------------------------------- */

Test(ranker, scores_pairs_as_the_model_does)
{
    tiny_options options = tiny_defaults();
    options.pooling = 4;
    options.has_pooler = 1;
    const char *path = tiny_model(&options);
    static const uint32_t ids[] = {2, 4, 31, 3,
                                   6, 7, 3}; /* [CLS] a ##b [SEP] c d [SEP] */
    double states[7 * DIMENSION], exact[DIMENSION];
    lc_ranker *ranker;
    lc_gguf *gguf;
    float score, other;
    llmcache_error err;
    cr_assert_eq(lc_ranker_open("", path, &ranker, &err), 0, "%s", err.message);
    cr_assert_eq(lc_ranker_score(ranker, "ab", "c d", &score, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_ranker_score(ranker, "c d", "ab", &other, &err), 0);
    cr_assert_eq(lc_gguf_open(path, &gguf, &err), 0);
    tiny_answer(gguf, ids, 7, 4, states, exact);
    cr_expect_lt(fabs(score - exact[0]), 0.03, "%g, not %g", score, exact[0]);
    cr_expect_neq(score, other);
    cr_expect_eq(lc_ranker_score(ranker, "ab", "龘", &score, &err), LLMCACHE_UNSUPPORTED);
    lc_gguf_close(gguf);
    lc_ranker_close(ranker);
}

Test(ranker, an_embedding_model_is_no_ranker)
{
    tiny_options options = tiny_defaults();
    lc_ranker *ranker = NULL;
    llmcache_error err;
    cr_assert_eq(lc_ranker_open("", tiny_model(&options), &ranker, &err),
                 LLMCACHE_UNSUPPORTED);
    cr_assert_null(ranker);
    cr_assert_eq(lc_ranker_open(test_folder(), "none-of-this-name", &ranker, &err),
                 LLMCACHE_NOT_FOUND);
}

/* A vocabulary may hold characters of a language that the model has never read. */
Test(local_embedder, a_model_of_english_refuses_other_writing)
{
    tiny_options options = tiny_defaults();
    const char *path = tiny_model(&options);
    float vector[DIMENSION];
    llmcache_error err;
    size_t size;
    test_read_file(path, &size);
    lc_embedder embedder = open_named(test_format("local:%s", path), "");
    cr_expect_eq(embed(&embedder, tiny_han[0], vector, &err), 0, "nothing says what it was made for");
    lc_embedder_close(&embedder);
    test_write_text(test_format("%.*s.json", (int)strlen(path) - 5, path),
                    test_format("{\"bytes\":%zu,\"languages\":\"English\"}", size));
    embedder = open_named(test_format("local:%s", path), "");
    cr_expect_eq(embed(&embedder, tiny_han[0], vector, &err), LLMCACHE_UNSUPPORTED);
    cr_expect_eq(embed(&embedder, test_format("a %s b", tiny_han[0]), vector, &err), LLMCACHE_UNSUPPORTED);
    cr_expect_eq(embed(&embedder, "a b", vector, &err), 0, "%s", err.message);
    lc_embedder_close(&embedder);
}
