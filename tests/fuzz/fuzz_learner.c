/*
 * The learner's state. Whatever is accepted must come out again as it went in, must have
 * sums that make sense, and must never serve what is refused. The checksum is made right
 * first, or nothing would get past it.
 */
#include "fuzz.h"
#include "learn/learner.h"

#include <math.h>
#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/learner", NULL};

static lc_learner *fresh(void)
{
    lc_learner_options options;
    lc_learner *learner;
    lc_learner_options_init(&options);
    options.records_max = 4096;
    options.curves_max = 8;
    if (lc_learner_new(&options, &learner, NULL))
        abort();
    return learner;
}

static void mend(unsigned char *bytes, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size - 8; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3u;
    for (int i = 0; i < 8; i++)
        bytes[size - 8 + (size_t)i] = (unsigned char)(sum >> (8 * i));
}

static void save(lc_learner *learner, lc_buffer *out)
{
    lc_buffer_init(out, 0);
    FUZZ_CHECK(lc_learner_save(learner, out) == 0);
}

static void look(const lc_learner *learner)
{
    for (size_t i = 0; i < lc_learner_curves(learner); i++) {
        lc_learner_view view;
        lc_learner_see(learner, i, &view);
        FUZZ_CHECK(view.all.low >= 0 && view.all.high <= 1);
        FUZZ_CHECK(isfinite(view.slope) && view.slope <= 0 && isfinite(view.at_floor));
        FUZZ_CHECK(view.limit >= 0 && view.limit <= 1);
    }
    lc_buffer out;
    lc_buffer_init(&out, 0);
    FUZZ_CHECK(lc_learner_tell(learner, &out) == 0);
    lc_buffer_done(&out);
}

static void use(lc_learner *learner)
{
    for (size_t i = 0; i < lc_learner_curves(learner); i++) {
        lc_learner_view view;
        lc_learner_decision decision;
        lc_learner_see(learner, i, &view);
        double width = 8 * (view.bands[1].from - view.bands[0].from);
        lc_learner_candidate candidate = {.curve = view.curve,
                                          .record = 1,
                                          .position = view.all.from,
                                          .floor = view.all.from,
                                          .top = view.all.from + width};
        lc_learner_ask(learner, &candidate, 0.5, 1000, &decision);
        FUZZ_CHECK(!(decision.chance < 0) && !(decision.chance > 1));
        lc_learner_observe(learner, &candidate, 0, 1, LC_LEARNED_EXPLORED, 1000);
        candidate.refused = 1;
        lc_learner_ask(learner, &candidate, 0.5, 1000, &decision);
        FUZZ_CHECK(decision.action == LC_LEARNER_MISS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 16)
        return 0;
    unsigned char *bytes = malloc(size);
    lc_learner *one = fresh(), *two = fresh();
    lc_buffer first, second;
    if (!bytes)
        abort();
    memcpy(bytes, data, size);
    mend(bytes, size);
    if (lc_learner_load(one, bytes, size, NULL) == 0) {
        look(one);
        save(one, &first);
        FUZZ_CHECK(lc_learner_load(two, first.data, first.size, NULL) == 0);
        save(two, &second);
        FUZZ_CHECK(first.size == second.size &&
                   memcmp(first.data, second.data, first.size) == 0);
        (void)lc_learner_merge(two, one, NULL);
        look(two);
        use(one);
        use(two);
        look(one);
        lc_buffer_done(&first);
        lc_buffer_done(&second);
    } else {
        FUZZ_CHECK(lc_learner_curves(one) == 0);
    }
    lc_learner_free(one);
    lc_learner_free(two);
    free(bytes);
    return 0;
}
