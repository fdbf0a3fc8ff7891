/* lib/embed/embed_reply: vectors in base64 and as numbers, in any order, and everything that is neither. */
#include "base/memory.h"
#include "embed/embed_reply.h"

#include <criterion/criterion.h>
#include <string.h>

static int parse(const char *body, size_t count, size_t *dimension, float **vectors)
{
    llmcache_error err;
    return lc_embed_reply_read(body, strlen(body), count, dimension, vectors, &err);
}

Test(embed_reply, numbers_and_base64_give_the_same_unit_vectors)
{
    const char *const bodies[] = {
        "{\"data\":[{\"index\":0,\"embedding\":[3,4]},{\"index\":1,\"embedding\":[0,-2.5]}]}",
        /* 3.0f 4.0f and 0.0f -2.5f, little-endian */
        "{\"data\":[{\"index\":0,\"embedding\":\"AABAQAAAgEA=\"},{\"index\":1,\"embedding\":\"AAAAAAAAIMA=\"}]}",
        "{\"data\":[{\"index\":0,\"embedding\":\"AABAQAAAgEA\"},{\"index\":1,\"embedding\":[0,-1]}]}",
        "{\"data\":[{\"index\":1,\"embedding\":[0,-9]},{\"index\":0,\"embedding\":[6,8]}]}",
        "{\"data\":[{\"embedding\":[3,4]},{\"embedding\":[0,-1]}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        size_t dimension = 0;
        float *v;
        cr_assert_eq(parse(bodies[i], 2, &dimension, &v), 0, "%s", bodies[i]);
        cr_assert_eq(dimension, 2);
        cr_assert_float_eq(v[0], 0.6f, 1e-6);
        cr_assert_float_eq(v[1], 0.8f, 1e-6);
        cr_assert_float_eq(v[2], 0.0f, 1e-6);
        cr_assert_float_eq(v[3], -1.0f, 1e-6);
        lc_free(v);
    }
}

Test(embed_reply, anything_less_than_one_good_vector_each_is_refused)
{
    const char *const bodies[] = {
        "", "[]", "{}", "{\"data\":[]}", "{\"data\":{}}",
        "{\"data\":[{\"embedding\":[1,2]}]}",                                           /* one missing */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[1]}]}",                       /* shorter */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[0,0]}]}",                     /* no direction */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[1,\"2\"]}]}",                 /* not a number */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[1,1e300]}]}",                 /* not finite */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":\"AAAAAAAA*MA=\"}]}",          /* not base64 */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":\"AABAQAAAgE\"}]}",            /* cut */
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":\"AABAQAAAwH8=\"}]}",          /* NaN */
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":0,\"embedding\":[1,2]}]}", /* twice */
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":2,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":-1,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"embedding\":[]},{\"embedding\":[]}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        size_t dimension = 0;
        float *v = NULL;
        cr_expect_eq(parse(bodies[i], 2, &dimension, &v), LLMCACHE_EMBEDDER, "%s", bodies[i]);
        cr_expect_null(v);
        cr_expect_eq(dimension, 0);
    }
}

Test(embed_reply, a_known_dimension_must_stay)
{
    size_t dimension = 3;
    float *v = NULL;
    cr_assert_eq(parse("{\"data\":[{\"embedding\":[1,2]}]}", 1, &dimension, &v), LLMCACHE_EMBEDDER);
    cr_assert_eq(dimension, 3);
}

Test(embed_reply, knows_the_words_for_too_long)
{
    const char *yes = "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens\"}}";
    const char *no = "{\"error\":{\"message\":\"model not found\"}}";
    cr_assert_eq(lc_embed_reply_says_too_long(yes, strlen(yes)), 1);
    cr_assert_eq(lc_embed_reply_says_too_long(no, strlen(no)), 0);
}
