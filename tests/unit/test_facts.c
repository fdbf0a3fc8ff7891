/* An entry's facts as a line of JSON, ids and filters. */
#include "base/buffer.h"
#include "base/memory.h"
#include "store/store.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static llmcache_entry sample(void)
{
    llmcache_entry entry = {.struct_size = sizeof entry,
                            .space = "default",
                            .protocol = "chat",
                            .model = "m\"1\\",
                            .question = "什麼是快取？\n\t\x01 \xf0\x9f\x98\x80",
                            .tags = "a,b",
                            .body = "{}",
                            .body_size = 2,
                            .created_ms = 1700000000123,
                            .expires_ms = INT64_MAX,
                            .model_ms = 7,
                            .input_tokens = 11,
                            .output_tokens = 0,
                            .flags = LLMCACHE_ENTRY_NO_USAGE,
                            .embedder = "local:x",
                            .dimension = 384,
                            .shape = "model 'm\"1\\\ntemperature 0.7\n"};
    for (int i = 0; i < LLMCACHE_FINGERPRINT_SIZE; i++) {
        entry.fingerprint[i] = (unsigned char)(i * 7 + 1);
        entry.partition[i] = (unsigned char)(255 - i);
    }
    return entry;
}

static char *line_of(const llmcache_entry *entry, int with_record)
{
    lc_buffer line;
    lc_buffer_init(&line, 0);
    cr_assert_eq(lc_facts_write(entry, with_record, &line), 0);
    return lc_buffer_take(&line, NULL);
}

static void same(const llmcache_entry *a, const llmcache_entry *b)
{
    cr_assert_str_eq(a->space, b->space);
    cr_assert_str_eq(a->protocol, b->protocol);
    cr_assert_str_eq(a->model, b->model);
    cr_assert_str_eq(a->question, b->question);
    cr_assert_str_eq(a->tags, b->tags);
    cr_assert_arr_eq(a->fingerprint, b->fingerprint, LLMCACHE_FINGERPRINT_SIZE);
    cr_assert_arr_eq(a->partition, b->partition, LLMCACHE_FINGERPRINT_SIZE);
    cr_assert_eq(a->created_ms, b->created_ms);
    cr_assert_eq(a->expires_ms, b->expires_ms);
    cr_assert_eq(a->model_ms, b->model_ms);
    cr_assert_eq(a->input_tokens, b->input_tokens);
    cr_assert_eq(a->output_tokens, b->output_tokens);
    cr_assert_eq(a->flags, b->flags);
    cr_assert_eq(a->body_size, b->body_size);
}

Test(facts, come_back_as_they_went)
{
    llmcache_entry entry = sample(), back;
    for (int record = 0; record < 2; record++) {
        char *line = line_of(&entry, record), *memory;
        cr_assert_null(strchr(line, '\n'));
        llmcache_error err;
        cr_assert_eq(lc_facts_read(line, strlen(line), &back, &memory, &err), 0);
        same(&entry, &back);
        cr_assert_str_eq(back.id, "01080f161d242b323940");
        cr_assert_str_eq(back.embedder, record ? "local:x" : "");
        cr_assert_eq(back.dimension, record ? 384u : 0u);
        cr_assert_str_eq(back.shape, record ? "" : entry.shape);
        lc_free(memory);
        lc_free(line);
    }
}

Test(facts, are_json)
{
    llmcache_entry entry = sample();
    char *line = line_of(&entry, 1);
    json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(json);
    cr_assert_str_eq(json_string_value(json_object_get(json, "question")), entry.question);
    cr_assert_eq(json_integer_value(json_object_get(json, "expires_ms")), entry.expires_ms);
    /* Whatever a JSON library makes of the same object is read the same. */
    size_t styles[] = {JSON_ENSURE_ASCII, JSON_INDENT(2), JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH};
    for (size_t i = 0; i < 3; i++) {
        char *other = json_dumps(json, styles[i]), *memory;
        llmcache_entry back;
        cr_assert_eq(lc_facts_read(other, strlen(other), &back, &memory, NULL), 0);
        same(&entry, &back);
        lc_free(memory);
        free(other);
    }
    json_decref(json);
    lc_free(line);
}

Test(facts, of_a_later_version_may_say_more)
{
    llmcache_entry entry = sample(), back;
    char *line = line_of(&entry, 0), *memory;
    lc_buffer more;
    lc_buffer_init(&more, 0);
    lc_buffer_text(&more, "{\"new\":\"a\\u00e9\",\"number\":-1.5e3,\"no\":null,");
    lc_buffer_text(&more, line + 1);
    cr_assert_eq(lc_facts_read(more.data, more.size, &back, &memory, NULL), 0);
    same(&entry, &back);
    lc_free(memory);
    lc_free(line);
    lc_buffer_done(&more);
}

/* Entries were kept before they had shapes. */
Test(facts, without_a_shape)
{
    llmcache_entry entry = sample(), back;
    llmcache_error err;
    entry.shape = "";
    char *line = line_of(&entry, 0), *memory;
    cr_assert_null(strstr(line, "shape"));
    cr_assert_eq(lc_facts_read(line, strlen(line), &back, &memory, &err), 0);
    cr_assert_str_eq(back.shape, "");
    lc_free(memory);
    lc_free(line);
    /* One that a program without shapes hands in. */
    entry.struct_size = offsetof(llmcache_entry, shape);
    entry.shape = (const char *)1;
    cr_assert_str_eq(lc_entry_shape(&entry), "");
    lc_free(line = line_of(&entry, 0));
}

static int reads(const char *line, size_t size)
{
    llmcache_entry entry;
    char *memory;
    llmcache_error err = {0};
    int code = lc_facts_read(line, size, &entry, &memory, &err);
    if (code == 0)
        lc_free(memory);
    else
        cr_assert_eq(err.code, LLMCACHE_CORRUPT);
    return code == 0;
}

/* Replaces the first `from` of a good line; the result must be refused. */
static void refused(const char *from, const char *to)
{
    llmcache_entry entry = sample();
    char *line = line_of(&entry, 1);
    char *at = strstr(line, from);
    cr_assert_not_null(at, "%s", from);
    lc_buffer changed;
    lc_buffer_init(&changed, 0);
    lc_buffer_add(&changed, line, (size_t)(at - line));
    lc_buffer_text(&changed, to);
    lc_buffer_text(&changed, at + strlen(from));
    cr_assert_not(reads(changed.data, changed.size), "%s", changed.data);
    lc_buffer_done(&changed);
    lc_free(line);
}

Test(facts, damaged_are_refused)
{
    refused("\"version\":1", "\"version\":2");
    refused("\"version\":1,", "");
    refused("\"id\":\"01", "\"id\":\"02");
    refused("\"space\":\"default\",", "");
    refused("\"space\":\"default\"", "\"space\":null");
    refused("\"space\":\"default\"", "\"space\":\"def\\u0000ault\"");
    refused("\"space\":\"default\"", "\"space\":\"\\ud800\"");
    refused("\"space\":\"default\"", "\"space\":\"\\ud800\\u0041\"");
    refused("\"space\":\"default\"", "\"space\":\"\\udc00\"");
    refused("\"space\":\"default\"", "\"space\":\"\\x41\"");
    refused("\"space\":\"default\"", "\"space\":\"\xff\"");
    refused("\"space\":\"default\"", "\"space\":\"a\nb\"");
    refused("\"space\":\"default\"", "\"space\":\"default\",\"space\":\"other\"");
    refused("\"space\":\"default\"", "\"space\":{}");
    refused("\"model_ms\":7", "\"model_ms\":-7");
    refused("\"model_ms\":7", "\"model_ms\":7.5");
    refused("\"model_ms\":7", "\"model_ms\":07");
    refused("\"model_ms\":7", "\"model_ms\":\"7\"");
    refused("\"model_ms\":7", "\"model_ms\":9223372036854775808");
    refused("\"flags\":1", "\"flags\":4294967296");
    refused("\"fingerprint\":\"01", "\"fingerprint\":\"0g");
    refused("\"fingerprint\":\"01", "\"fingerprint\":\"");
    refused("\"dimension\":384", "\"dimensio\":384");
    refused("}", "");
    refused("}", "}}");
    refused("}", ",}");
    refused("{", "[");
    cr_assert_not(reads("", 0));
    cr_assert_not(reads("{}", 2));
}

Test(facts, cut_anywhere_are_refused)
{
    llmcache_entry entry = sample();
    char *line = line_of(&entry, 1);
    size_t size = strlen(line);
    for (size_t i = 0; i < size; i++) {
        char *piece = lc_memdup(line, i); /* exactly as long, for the address sanitizer */
        cr_assert_not(reads(piece, i));
        lc_free(piece);
    }
    lc_free(line);
}

Test(facts, without_memory)
{
    llmcache_entry entry = sample(), back;
    char *line = line_of(&entry, 0), *memory;
    lc_memory_fail_at(1);
    cr_assert_eq(lc_facts_read(line, strlen(line), &back, &memory, NULL), LLMCACHE_MEMORY);
    lc_memory_fail_at(0);
    lc_free(line);
}

/* ---- Filters ------------------------------------------------------------------------------------- */

static int matches(llmcache_filter filter)
{
    llmcache_entry entry = sample();
    entry.model = "gpt";
    entry.tags = "red, green ,blue sky";
    entry.created_ms = 1000;
    lc_entry_id(entry.fingerprint, entry.id);
    return lc_filter_matches(&filter, &entry, 5000);
}

Test(filter, conditions_are_joined)
{
    cr_assert(matches((llmcache_filter){0}));
    cr_assert(matches((llmcache_filter){.space = "default", .model = "gpt", .tag = "red"}));
    cr_assert_not(matches((llmcache_filter){.space = "default", .model = "gpt", .tag = "yellow"}));
    cr_assert_not(matches((llmcache_filter){.space = "Default"}));
    cr_assert_not(matches((llmcache_filter){.model = "gp"}));
}

Test(filter, tags_are_whole_words)
{
    cr_assert(matches((llmcache_filter){.tag = "green"}));
    cr_assert(matches((llmcache_filter){.tag = "blue sky"}));
    cr_assert_not(matches((llmcache_filter){.tag = "blue"}));
    cr_assert_not(matches((llmcache_filter){.tag = "re"}));
    cr_assert_not(matches((llmcache_filter){.tag = ""}));
}

Test(filter, ids_may_be_short)
{
    cr_assert(matches((llmcache_filter){.id = "01080f161d242b323940"}));
    cr_assert(matches((llmcache_filter){.id = "01080F"}));
    cr_assert_not(matches((llmcache_filter){.id = "01080"}), "too short to mean one");
    cr_assert_not(matches((llmcache_filter){.id = "01080e"}));
    cr_assert_not(matches((llmcache_filter){.id = "01080f161d242b3239400"}));
}

Test(filter, age_and_text)
{
    cr_assert(matches((llmcache_filter){.older_than_ms = 3999}));
    cr_assert_not(matches((llmcache_filter){.older_than_ms = 4000}));
    cr_assert(matches((llmcache_filter){.contains = "快取"}));
    cr_assert_not(matches((llmcache_filter){.contains = "緩存"}));
}
