/* lib/ask/pair and lib/ask/observation_body: which questions count as the same, and the way to a store and back. */
#include "ask/observations.h"
#include "base/json.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <string.h>

static void digest_of(const char *text, unsigned char digest[32])
{
    cr_assert_eq(lc_question_digest(text, strlen(text), digest), 0);
}

Test(observation_body, wordings_that_count_as_the_same)
{
    const struct {
        const char *a, *b;
        int same;
    } cases[] = {{"What is Redis?", "what is redis", 1},
                 {"What is Redis?", "  What   is\tRedis ?!  ", 1},
                 {"What is Redis?", "Please, what is Redis?", 1},
                 {"請問什麼是快取？", "什麼是快取", 1},
                 {"什麼是快取。", "什麼是快取？", 1},
                 {"ＡＢＣ", "abc", 1},
                 {"What is Redis?", "What is Valkey?", 0},
                 {"enable 2FA", "disable 2FA", 0},
                 {"C++", "C", 0},
                 {"?", "!", 0},
                 {"什麼是快取", "什麼不是快取", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char a[32], b[32];
        digest_of(cases[i].a, a);
        digest_of(cases[i].b, b);
        cr_expect_eq(memcmp(a, b, 32) == 0, cases[i].same, "%s | %s", cases[i].a, cases[i].b);
    }
}

Test(observation_body, a_pair_has_one_name_in_both_directions_and_one_a_namespace)
{
    unsigned char a[32], b[32], ab[LC_PAIR_SIZE], ba[LC_PAIR_SIZE], other[LC_PAIR_SIZE];
    digest_of("one", a);
    digest_of("two", b);
    lc_pair_name("default", a, b, ab);
    lc_pair_name("default", b, a, ba);
    lc_pair_name("tenant", a, b, other);
    cr_assert_arr_eq(ab, ba, sizeof ab);
    cr_assert_neq(memcmp(ab, other, sizeof ab), 0);
}

static lc_observation sample(void)
{
    lc_observation o = {.struct_size = sizeof o,
                        .space = "default",
                        .asked = "請解釋快取 \"x\"\n",
                        .candidate = "什麼是快取？",
                        .candidate_id = "00112233445566778899",
                        .verdict = LLMCACHE_WRONG,
                        .observer = LLMCACHE_BY_FEEDBACK,
                        .doubtful = 1,
                        .similarity = 0.96875,
                        .scored = 1,
                        .score = -1.25,
                        .feature_count = LC_FEATURE_COUNT,
                        .feature_names = lc_feature_names,
                        .language = "zh",
                        .embedder = "local:test",
                        .model = "gpt-4o-mini",
                        .protocol = "chat",
                        .time_ms = 1000,
                        .expires_ms = 2000};
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        o.features[i] = i / 8.0 - 0.5;
    memset(o.partition, 7, sizeof o.partition);
    digest_of(o.asked, o.asked_digest);
    digest_of(o.candidate, o.candidate_digest);
    return o;
}

static void same(const lc_observation *a, const lc_observation *b, int with_text)
{
    cr_assert_str_eq(b->space, a->space);
    cr_assert_str_eq(b->asked, with_text ? a->asked : "");
    cr_assert_str_eq(b->candidate, with_text ? a->candidate : "");
    cr_assert_str_eq(b->candidate_id, a->candidate_id);
    cr_assert_str_eq(b->language, a->language);
    cr_assert_str_eq(b->embedder, a->embedder);
    cr_assert_str_eq(b->model, a->model);
    cr_assert_str_eq(b->protocol, a->protocol);
    cr_assert_arr_eq(b->partition, a->partition, sizeof a->partition);
    cr_assert_arr_eq(b->asked_digest, a->asked_digest, sizeof a->asked_digest);
    cr_assert_arr_eq(b->candidate_digest, a->candidate_digest, sizeof a->candidate_digest);
    cr_assert_eq(b->verdict, a->verdict);
    cr_assert_eq(b->observer, a->observer);
    cr_assert_eq(b->doubtful, a->doubtful);
    cr_assert_eq(b->time_ms, a->time_ms);
    cr_assert_eq(b->expires_ms, a->expires_ms);
    cr_assert_eq(b->similarity, a->similarity);
    cr_assert_eq(b->scored, a->scored);
    cr_assert_eq(b->score, a->score);
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        cr_assert_eq(b->features[i], a->features[i]);
}

Test(observation_body, comes_back_as_it_was_with_and_without_text)
{
    lc_observation o = sample(), read;
    for (int with_text = 0; with_text < 2; with_text++) {
        lc_json *root;
        lc_entry *entry = lc_observation_write(&o, with_text);
        cr_assert_not_null(entry);
        cr_assert_eq(strstr(entry->facts.body, "快取") != NULL, with_text);
        cr_assert_str_eq(entry->facts.tags, "wrong");
        cr_assert_null(entry->facts.vector);
        cr_assert_eq(lc_observation_read(&entry->facts, &read, &root), 0);
        same(&o, &read, with_text);
        cr_assert_str_eq(read.id, entry->facts.id);
        lc_json_free(root);
        lc_entry_unref(entry);
    }
}

Test(observation_body, kinds_of_observers_stand_beside_each_other)
{
    lc_observation o = sample();
    unsigned char person[32], machine[32], again[32];
    lc_observation_fingerprint(&o, person);
    o.observer = LLMCACHE_BY_JUDGE;
    lc_observation_fingerprint(&o, machine);
    cr_assert_neq(memcmp(person, machine, 32), 0);
    o.observer = LLMCACHE_BY_IMPORT;
    o.verdict = LLMCACHE_RIGHT;
    o.time_ms++;
    lc_observation_fingerprint(&o, again);
    cr_assert_arr_eq(person, again, 32, "a later word of the same kind replaces the earlier");
}

/* Digests made by other rules are made again from the texts. */
Test(observation_body, old_digests_are_made_again)
{
    lc_observation o = sample(), read;
    lc_json *root;
    lc_entry *entry = lc_observation_write(&o, 1);
    char *body = lc_strdup(entry->facts.body);
    char *version = strstr(body, "\"compared_as\":\"" LC_PAIR_VERSION), *digest = strstr(body, "asked_digest");
    cr_assert_not_null(version);
    version[strlen("\"compared_as\":\"")] = '0';
    digest[strlen("asked_digest\":\"")] ^= 1; /* another digit */
    llmcache_entry old = entry->facts;
    old.body = body;
    cr_assert_eq(lc_observation_read(&old, &read, &root), 0);
    cr_assert_arr_eq(read.asked_digest, o.asked_digest, 32);
    lc_json_free(root);
    lc_free(body);
    lc_entry_unref(entry);
}

Test(observation_body, features_of_another_version_are_no_score)
{
    lc_observation o = sample(), read;
    lc_json *root;
    lc_entry *entry = lc_observation_write(&o, 1);
    char *body = lc_strdup(entry->facts.body);
    char *feature = strstr(body, lc_feature_names[LC_FEATURE_COUNT - 1]);
    cr_assert_not_null(feature);
    feature[0] = 'X';
    llmcache_entry old = entry->facts;
    old.body = body;
    cr_assert_eq(lc_observation_read(&old, &read, &root), 0);
    cr_assert_not(read.scored, "one that is missing is not zero");
    lc_json_free(root);
    lc_free(body);
    lc_entry_unref(entry);
}

Test(observation_body, what_is_none_is_refused)
{
    const char *const bodies[] = {
        "", "{}", "[]", "{\"verdict\":\"wrong\"}", "{\"verdict\":\"wrong\",\"source\":\"feedback\"}",
        "{\"id\":\"chatcmpl-1\",\"choices\":[]}",
        "{\"verdict\":\"bad\",\"source\":\"feedback\",\"asked_digest\":\"00\",\"candidate_digest\":\"00\"}"};
    lc_observation o = sample(), read;
    lc_entry *entry = lc_observation_write(&o, 1);
    lc_json *root;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        llmcache_entry odd = entry->facts;
        odd.body = bodies[i];
        odd.body_size = strlen(bodies[i]);
        cr_expect_eq(lc_observation_read(&odd, &read, &root), LLMCACHE_CORRUPT, "%s", bodies[i]);
    }
    lc_entry_unref(entry);
}

Test(observation_body, says_when_there_is_no_memory)
{
    lc_observation o = sample();
    int made = 0;
    for (uint64_t n = 1; n < 100 && !made; n++) {
        lc_memory_fail_at(n);
        lc_entry *entry = lc_observation_write(&o, 1);
        made = !lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(made == (entry != NULL));
        lc_entry_unref(entry);
    }
    cr_assert(made);
}
