/* A request for embeddings and, behind a NUL, the answer to it: taken apart and put
 * together. */
#include "fuzz.h"
#include "protocol/embeddings.h"

#include <llmcache/llmcache.h>
#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/embeddings", NULL};

enum { MOST = 16 };

typedef struct kept {
    char *bodies[MOST];
    lc_embedding answers[MOST];
} kept;

static int keep(void *user, size_t position, const char *body, size_t size)
{
    kept *k = user;
    FUZZ_CHECK(position < MOST && !k->bodies[position]);
    k->bodies[position] = malloc(size);
    memcpy(k->bodies[position], body, size);
    k->answers[position] = (lc_embedding){k->bodies[position], size};
    return 0;
}

/* What is sent for some inputs is a request for just these. */
static void check_ask(const lc_embeddings *batch, const size_t *positions, size_t count)
{
    lc_buffer body;
    lc_embeddings *again;
    lc_buffer_init(&body, 0);
    FUZZ_CHECK(lc_embeddings_ask(batch, positions, count, &body, NULL) == 0);
    FUZZ_CHECK(lc_embeddings_read(body.data, body.size, 0, &again, NULL) == 0);
    FUZZ_CHECK(lc_embeddings_count(again) == count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(memcmp(lc_embeddings_shape(again, i),
                          lc_embeddings_shape(batch, positions[i]), 32) == 0);
    lc_embeddings_free(again);
    lc_buffer_done(&body);
}

static void check_answer(const lc_embeddings *batch, const size_t *all,
                         const char *answer, size_t size)
{
    kept k = {0};
    lc_buffer reply;
    size_t position = MOST, count = lc_embeddings_count(batch);
    lc_buffer_init(&reply, 0);
    int status = lc_embeddings_split(batch, all, count, answer, size, keep, &k, NULL);
    FUZZ_CHECK(status == 0 || status == LLMCACHE_INVALID);
    if (!status) {
        status = lc_embeddings_join(batch, k.answers, &reply, &position, NULL);
        FUZZ_CHECK(status == 0 || (status == LLMCACHE_INVALID && position < count));
    }
    for (int i = 0; i < MOST; i++)
        free(k.bodies[i]);
    lc_buffer_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const size_t last[] = {1};
    const char *text = (const char *)data;
    const char *nul = size ? memchr(text, '\0', size) : NULL;
    size_t head = nul ? (size_t)(nul - text) : size;
    lc_embeddings *batch;
    int status = lc_embeddings_read(text, head, 0, &batch, NULL);
    FUZZ_CHECK(status == 0 || status == LLMCACHE_INVALID);
    if (status)
        return 0;
    size_t count = lc_embeddings_count(batch);
    if (count <= MOST) {
        check_ask(batch, all, count);
        if (count > 1)
            check_ask(batch, last, 1);
        check_answer(batch, all, nul ? nul + 1 : "", nul ? size - head - 1 : 0);
    }
    lc_embeddings_free(batch);
    return 0;
}
