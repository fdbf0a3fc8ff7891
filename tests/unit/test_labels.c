/* Which word counts when several speak of one pair, and which observations are of use without their texts. */
#include "ask/labels.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <stdio.h>
#include <string.h>

#define SPACE "local:test:1"

static const char *const names[] = {
#define LC_FEATURE(name, text, weight, meaning) text,
#include "decide/features.def"
#undef LC_FEATURE
};

/* Of pair `pair`, without text, seen in SPACE. */
static llmcache_observation seen(int pair, int verdict, int observer, int64_t time_ms)
{
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "", .candidate = "",
                              .verdict = verdict, .observer = observer, .similarity = 0.95, .scored = 1,
                              .score = 1, .feature_count = LC_FEATURE_COUNT, .feature_names = names,
                              .language = "en", .embedder = SPACE, .model = "", .protocol = "",
                              .time_ms = time_ms};
    o.features[LC_FEATURE_COS] = 0.95;
    o.features[LC_FEATURE_LEFTOVER] = 0.9;
    memset(o.asked_digest, 2 * pair + 1, sizeof o.asked_digest);
    memset(o.candidate_digest, 2 * pair + 2, sizeof o.candidate_digest);
    return o;
}

static lc_labels open_labels(unsigned observers)
{
    return (lc_labels){.space = SPACE, .by_score = 1, .observers = observers};
}

static void add(lc_labels *labels, llmcache_observation o)
{
    cr_assert_eq(lc_labels_add(labels, &o), 0);
}

static lc_labels of_one(llmcache_observation o, int by_score)
{
    lc_labels labels = open_labels(0);
    labels.by_score = by_score;
    add(&labels, o);
    lc_labels_settle(&labels);
    return labels;
}

Test(labels, a_persons_word_counts_before_a_machines)
{
    for (int turned = 0; turned < 2; turned++) {
        lc_labels labels = open_labels(0);
        llmcache_observation person = seen(0, LLMCACHE_WRONG, LLMCACHE_BY_FEEDBACK, 10);
        llmcache_observation machine = seen(0, LLMCACHE_RIGHT, LLMCACHE_BY_JUDGE, 99);
        add(&labels, turned ? machine : person);
        add(&labels, turned ? person : machine);
        lc_labels_settle(&labels);
        cr_assert_eq(labels.count, 1);
        cr_expect_eq(labels.list[0].observer, LLMCACHE_BY_FEEDBACK);
        cr_expect_not(labels.list[0].right);
        cr_expect_eq(labels.outvoted, 1);
        cr_expect_eq(labels.verdicts[LLMCACHE_BY_FEEDBACK][0], 1);
        lc_labels_done(&labels);
    }
}

Test(labels, a_later_word_of_a_kind_counts_and_both_directions_are_one_pair)
{
    lc_labels labels = open_labels(0);
    llmcache_observation back = seen(0, LLMCACHE_RIGHT, LLMCACHE_BY_SHADOW, 20);
    memset(back.asked_digest, 2, sizeof back.asked_digest);
    memset(back.candidate_digest, 1, sizeof back.candidate_digest);
    add(&labels, back);
    add(&labels, seen(0, LLMCACHE_WRONG, LLMCACHE_BY_JUDGE, 10));
    llmcache_observation elsewhere = seen(0, LLMCACHE_WRONG, LLMCACHE_BY_JUDGE, 10);
    elsewhere.space = "another";
    add(&labels, elsewhere);
    lc_labels_settle(&labels);
    cr_assert_eq(labels.count, 2, "a namespace has its own");
    cr_expect_eq(labels.tenants, 2);
    cr_expect_eq(labels.largest, 1);
    cr_expect_eq(labels.verdicts[LLMCACHE_BY_SHADOW][1], 1);
    cr_expect_eq(labels.verdicts[LLMCACHE_BY_JUDGE][0], 1);
    lc_labels_done(&labels);
}

Test(labels, what_a_person_contradicted_is_not_a_label_of_machines)
{
    lc_labels labels = open_labels(1u << LLMCACHE_BY_JUDGE);
    add(&labels, seen(0, LLMCACHE_WRONG, LLMCACHE_BY_IMPORT, 1));
    add(&labels, seen(0, LLMCACHE_RIGHT, LLMCACHE_BY_JUDGE, 2));
    add(&labels, seen(1, LLMCACHE_RIGHT, LLMCACHE_BY_JUDGE, 2));
    add(&labels, seen(2, LLMCACHE_RIGHT, LLMCACHE_BY_EXPLORATION, 2));
    lc_labels_settle(&labels);
    cr_assert_eq(labels.count, 1);
    cr_expect_eq(labels.outvoted, 1);
    cr_expect_eq(labels.not_asked, 2);
    cr_expect_eq(labels.judged, 4);
    lc_labels_done(&labels);
}

Test(labels, doubt_and_silence_are_none)
{
    lc_labels labels = open_labels(0);
    llmcache_observation doubtful = seen(0, LLMCACHE_WRONG, LLMCACHE_BY_FEEDBACK, 1);
    doubtful.doubtful = 1;
    add(&labels, doubtful);
    add(&labels, seen(1, LLMCACHE_UNJUDGED, LLMCACHE_BY_HIT, 1));
    lc_labels_settle(&labels);
    cr_expect_eq(labels.count, 0);
    cr_expect_eq(labels.doubtful, 1);
    cr_expect_eq(labels.judged, 1);
    lc_labels_done(&labels);
}

Test(labels, without_text_it_takes_the_same_space_and_whole_values)
{
    llmcache_observation good = seen(0, LLMCACHE_RIGHT, LLMCACHE_BY_JUDGE, 1);
    lc_labels labels = of_one(good, 1);
    cr_assert_eq(labels.count, 1);
    cr_expect_eq(labels.list[0].features[LC_FEATURE_LEFTOVER], 0.9);
    lc_labels_done(&labels);

    llmcache_observation bad[6] = {good, good, good, good, good, good};
    const char *others[LC_FEATURE_COUNT];
    memcpy(others, names, sizeof names);
    others[LC_FEATURE_NAME] = "something-else";
    bad[0].embedder = "local:another:1";
    bad[1].scored = 0;
    bad[2].feature_count--;
    bad[3].feature_names = others;
    bad[4].features[LC_FEATURE_COS] = 1e300;
    bad[5].language = "";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        labels = of_one(bad[i], 1);
        cr_expect_eq(labels.count, 0, "%zu", i);
        cr_expect_eq(labels.unusable, 1, "%zu", i);
        lc_labels_done(&labels);
        bad[i].asked = "one";
        bad[i].candidate = "uno";
        labels = of_one(bad[i], 1);
        cr_expect_eq(labels.count, 1, "%zu: its texts can be judged anew", i);
        cr_expect_eq(labels.by_text, 1);
        lc_labels_done(&labels);
    }
    labels = of_one(bad[1], 0);
    cr_expect(labels.list[0].known, "a cosine alone will do where no score is made");
    lc_labels_done(&labels);
}

Test(labels, features_go_by_their_names)
{
    llmcache_observation o = seen(0, LLMCACHE_RIGHT, LLMCACHE_BY_JUDGE, 1);
    const char *turned[LC_FEATURE_COUNT];
    for (int i = 0; i < LC_FEATURE_COUNT; i++) {
        turned[i] = names[LC_FEATURE_COUNT - 1 - i];
        o.features[i] = (LC_FEATURE_COUNT - 1 - i) / 10.0;
    }
    o.feature_names = turned;
    lc_labels labels = of_one(o, 1);
    cr_assert_eq(labels.count, 1);
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        cr_expect_eq(labels.list[0].features[i], i / 10.0);
    lc_labels_done(&labels);
}

Test(labels, the_order_they_come_in_does_not_matter)
{
    lc_labels up = open_labels(0), down = open_labels(0);
    for (int i = 0; i < 40; i++) {
        add(&up, seen(i, i % 3 ? LLMCACHE_RIGHT : LLMCACHE_WRONG, LLMCACHE_BY_JUDGE, i));
        add(&down, seen(39 - i, (39 - i) % 3 ? LLMCACHE_RIGHT : LLMCACHE_WRONG, LLMCACHE_BY_JUDGE, 39 - i));
    }
    lc_labels_settle(&up);
    lc_labels_settle(&down);
    cr_assert_eq(up.count, 40);
    for (size_t i = 0; i < 40; i++)
        cr_assert_arr_eq(up.list[i].name, down.list[i].name, sizeof up.list[i].name);
    lc_labels_done(&up);
    lc_labels_done(&down);
}

Test(labels, want_memory)
{
    llmcache_observation o = seen(0, LLMCACHE_RIGHT, LLMCACHE_BY_JUDGE, 1);
    o.asked = "one";
    o.candidate = "uno";
    for (uint64_t n = 1; n <= 3; n++) {
        lc_labels labels = open_labels(0);
        lc_memory_fail_at(n);
        cr_expect_eq(lc_labels_add(&labels, &o), LLMCACHE_MEMORY);
        lc_memory_fail_at(0);
        lc_labels_settle(&labels);
        cr_expect_eq(labels.count, 0);
        lc_labels_done(&labels);
    }
}
