/* lib/base/settings: every kind of value, bad ones, where a value may come from and who
 * wins. */
#include "base/memory.h"
#include "base/settings.h"
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static lc_settings settings;
static llmcache_error err;

/* Nothing of the developer's own environment. */
static void start(void)
{
    static char *none[] = {NULL};
    environ = none;
    cr_assert_eq(lc_settings_init(&settings, &err), 0);
}

static void stop(void)
{
    lc_settings_done(&settings);
}

TestSuite(settings, .init = start, .fini = stop);

static int set(const char *name, const char *value)
{
    return lc_settings_set(&settings, name, value, LC_BY_OPTION, &err);
}

Test(settings, defaults_are_those_of_the_table)
{
    cr_assert_str_eq(settings.store, "sqlite:");
    cr_assert_eq(settings.ttl_ms, 0);
    cr_assert_eq(settings.store_timeout_ms, 50);
    cr_assert_eq(settings.memory_bytes, 64 << 20);
    cr_assert_eq(settings.threshold, 0.0);
    cr_assert_str_eq(settings.openai_api_key, "");
}

Test(settings, durations_and_sizes_take_units)
{
    static const struct {
        const char *name, *text;
        int64_t value;
    } rows[] = {
        {"ttl", "90", 90000},
        {"ttl", "90s", 90000},
        {"ttl", "1500ms", 1500},
        {"ttl", "15m", 900000},
        {"ttl", "24h", 86400000},
        {"ttl", "7d", 604800000},
        {"ttl", "1.5s", 1500},
        {"ttl", "0", 0},
        {"ttl", "2 h", 7200000},
        {"store-timeout-ms", "75", 75},
        {"store-timeout-ms", "2s", 2000},
        {"memory-bytes", "65536", 65536},
        {"memory-bytes", "1MiB", 1048576},
        {"memory-bytes", "1MB", 1000000},
        {"memory-bytes", "512KiB", 524288},
        {"memory-bytes", "1GiB", 1073741824},
        {"memory-bytes", "100kB", 100000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(set(rows[i].name, rows[i].text), 0, "%s=%s: %s", rows[i].name,
                     rows[i].text, err.message);
        int64_t got = strcmp(rows[i].name, "ttl") == 0 ? settings.ttl_ms
                      : strcmp(rows[i].name, "memory-bytes") == 0
                          ? settings.memory_bytes
                          : settings.store_timeout_ms;
        cr_expect_eq(got, rows[i].value, "%s=%s gave %lld", rows[i].name, rows[i].text,
                     (long long)got);
    }
}

Test(settings, bad_values_are_refused_by_name_value_and_what_is_allowed)
{
    static const struct {
        const char *name, *text, *says;
    } rows[] = {
        {"threshold", "1.5", "from 0 to 1"},
        {"threshold", "-0.1", "\"-0.1\""},
        {"threshold", "high", "a number"},
        {"threshold", "", "\"\""},
        {"threshold", "0,9", "a number"},
        {"threshold", "nan", "a number"},
        {"threshold", "inf", "a number"},
        {"threshold", "1e-1", "a number"},
        {"ttl", "soon", "a duration"},
        {"ttl", "-1", "a duration"},
        {"ttl", "5 parsecs", "a duration"},
        {"ttl", "1.0001ms", "a duration"},
        {"ttl", "99999999999999999999", "a duration"},
        {"ttl", ".", "a duration"},
        {"ttl", "1s2", "a duration"},
        {"store-timeout-ms", "0", "from 1 ms to 60000 ms"},
        {"memory-bytes", "10", "a size"},
        {"memory-bytes", "1.5B", "a size"},
        {"max-tokens", "1.5", "a whole number"},
        {"max-tokens", "0x10", "a whole number"},
        {"store", "a\nb", "without line breaks"},
        {"openai-api-key", "s3cret\n", "(hidden)"},
        {"store", "redis://u:s3cret@h\n", "(hidden)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(set(rows[i].name, rows[i].text), LLMCACHE_SETTING, "%s=%s",
                     rows[i].name, rows[i].text);
        cr_expect(strstr(err.message, rows[i].name) && strstr(err.message, rows[i].says),
                  "%s", err.message);
        cr_expect_null(strstr(err.message, "s3cret"));
    }
    cr_expect_str_eq(settings.store, "sqlite:");
    cr_expect_eq(settings.ttl_ms, 0);
}

Test(settings, unknown_names_are_refused)
{
    cr_assert_eq(set("no-such", "1"), LLMCACHE_SETTING);
    cr_assert(strstr(err.message, "\"no-such\""));
    cr_assert_eq(set("ttl_ms", "1"), LLMCACHE_SETTING);
    cr_assert_eq(set("", "1"), LLMCACHE_SETTING);
}

/* ---- Where values come from
 * ------------------------------------------------------------------ */

static int read_environment(const char *env_file)
{
    const char *path = "/nonexistent/.env";
    if (env_file) {
        path = test_format("%s/.env", test_folder());
        test_write_text(path, env_file);
    }
    return lc_settings_read_environment(&settings, path, &err);
}

Test(settings, option_beats_environment_beats_file_beats_default)
{
    setenv("LLMCACHE_MODEL", "from-environment", 1);
    setenv("LLMCACHE_POLICY", "exact", 1);
    cr_assert_eq(set("policy", "default"), 0);
    cr_assert_eq(
        read_environment("LLMCACHE_MODEL=from-file\nLLMCACHE_LISTEN=127.0.0.1:9\n"), 0);
    cr_assert_str_eq(settings.model, "from-environment");
    cr_assert_str_eq(settings.policy, "default");
    cr_assert_str_eq(settings.listen, "127.0.0.1:9");
    llmcache_setting row;
    for (size_t i = 0; lc_settings_describe(&settings, i, &row) == 0; i++) {
        const char *want = strcmp(row.name, "model") == 0    ? "environment"
                           : strcmp(row.name, "policy") == 0 ? "option"
                           : strcmp(row.name, "listen") == 0 ? ".env"
                                                             : "default";
        cr_expect_str_eq(row.origin, want, "%s", row.name);
    }
}

Test(settings, a_later_option_replaces_an_earlier_one)
{
    set("model", "a");
    set("model", "b");
    cr_assert_str_eq(settings.model, "b");
}

Test(settings, names_people_already_have_are_honoured)
{
    setenv("REDIS_URL", "redis://h:1/2", 1);
    setenv("CACHE_TTL", "3600", 1);
    setenv("EMBED_SIM_THRESHOLD", "0.93", 1);
    setenv("OPENAI_API_KEY", "sk-1", 1);
    setenv("OPENAI_API_BASE", "http://old/v1", 1);
    setenv("ANTHROPIC_BASE_URL", "http://a", 1);
    cr_assert_eq(read_environment(NULL), 0, "%s", err.message);
    cr_assert_str_eq(settings.store, "redis://h:1/2");
    cr_assert_eq(settings.ttl_ms, 3600000);
    cr_assert_eq(settings.threshold, .93);
    cr_assert_str_eq(settings.openai_api_key, "sk-1");
    cr_assert_str_eq(settings.openai_base_url, "http://old/v1");
    cr_assert_str_eq(settings.anthropic_base_url, "http://a");
}

Test(settings, our_own_name_is_stronger_than_an_alias_and_the_first_alias_than_the_next)
{
    setenv("CACHE_TTL", "1", 1);
    setenv("LLMCACHE_TTL", "2", 1);
    setenv("OPENAI_BASE_URL", "http://new", 1);
    setenv("OPENAI_API_BASE", "http://old", 1);
    cr_assert_eq(
        read_environment(
            "REDIS_URL=redis://alias\nLLMCACHE_STORE=memory:\nREDIS_URL=redis://again\n"),
        0);
    cr_assert_eq(settings.ttl_ms, 2000);
    cr_assert_str_eq(settings.openai_base_url, "http://new");
    cr_assert_str_eq(settings.store, "memory:");
}

Test(settings, an_alias_in_the_environment_beats_our_own_name_in_the_file)
{
    setenv("CACHE_TTL", "1", 1);
    cr_assert_eq(read_environment("LLMCACHE_TTL=2\n"), 0);
    cr_assert_eq(settings.ttl_ms, 1000);
}

Test(settings, empty_variables_are_as_good_as_none)
{
    setenv("LLMCACHE_TTL", "", 1);
    setenv("CACHE_TTL", "5", 1);
    setenv("REDIS_URL", "", 1);
    cr_assert_eq(read_environment("LLMCACHE_MODEL=\n"), 0, "%s", err.message);
    cr_assert_eq(settings.ttl_ms, 5000);
    cr_assert_str_eq(settings.store, "sqlite:");
    cr_assert_str_eq(settings.model, "");
}

Test(settings, a_bad_value_names_its_variable)
{
    setenv("CACHE_TTL", "soon", 1);
    cr_assert_eq(read_environment(NULL), LLMCACHE_SETTING);
    cr_assert(strstr(err.message, "CACHE_TTL") && strstr(err.message, "\"soon\"") &&
                  strstr(err.message, "ttl"),
              "%s", err.message);
}

Test(settings, a_bad_value_that_loses_is_told_all_the_same)
{
    set("ttl", "5");
    setenv("LLMCACHE_TTL", "soon", 1);
    cr_assert_eq(read_environment(NULL), LLMCACHE_SETTING);
    cr_assert_eq(settings.ttl_ms, 5000);
}

Test(settings, a_secret_in_the_environment_is_not_shown_when_refused)
{
    setenv("OPENAI_API_KEY", "sk-very-secret\x01", 1);
    cr_assert_eq(read_environment(NULL), LLMCACHE_SETTING);
    cr_assert_null(strstr(err.message, "very-secret"));
}

/* ---- .env
 * ------------------------------------------------------------------------------------ */

Test(settings, env_files_are_read_as_shells_write_them)
{
    const char *file = "# a comment\n"
                       "\n"
                       "  export LLMCACHE_MODEL = gpt-x   # the small one\n"
                       "LLMCACHE_POLICY='exact'\r\n"
                       "OPENAI_API_KEY=\"sk-#1 and more\"\n"
                       "OTHER_PROGRAM=untouched\n"
                       "no equals sign\n"
                       "LLMCACHE_LISTEN=[::1]:8000";
    cr_assert_eq(read_environment(file), 0, "%s", err.message);
    cr_assert_str_eq(settings.model, "gpt-x");
    cr_assert_str_eq(settings.policy, "exact");
    cr_assert_str_eq(settings.openai_api_key, "sk-#1 and more");
    cr_assert_str_eq(settings.listen, "[::1]:8000");
}

Test(settings, the_env_file_can_be_named)
{
    const char *path = test_format("%s/mine", test_folder());
    test_write_text(path, "LLMCACHE_MODEL=mine\n");
    setenv("LLMCACHE_ENV_FILE", path, 1);
    cr_assert_eq(lc_settings_read_environment(&settings, NULL, &err), 0);
    cr_assert_str_eq(settings.model, "mine");
}

Test(settings, a_bad_value_in_the_file_names_the_file)
{
    cr_assert_eq(read_environment("CACHE_TTL=soon\n"), LLMCACHE_SETTING);
    cr_assert(strstr(err.message, ".env"), "%s", err.message);
}

/* ---- Describing and copying
 * ------------------------------------------------------------------ */

Test(settings, every_row_describes_itself)
{
    llmcache_setting row;
    size_t count = 0;
    for (; lc_settings_describe(NULL, count, &row) == 0; count++) {
        cr_expect(*row.name && *row.type && *row.help, "row %zu", count);
        cr_expect_str_eq(row.value, row.default_value, "%s", row.name);
        cr_expect_str_eq(row.origin, "default");
        cr_expect_eq(row.help[strlen(row.help) - 1], '.', "%s: help is a sentence",
                     row.name);
        char own[128] = "LLMCACHE_";
        for (size_t i = 0; row.name[i]; i++)
            own[9 + i] = row.name[i] == '-' ? '_' : (char)(row.name[i] & ~32),
                    own[10 + i] = '\0';
        cr_expect_eq(strncmp(row.environment, own, strlen(own)), 0, "%s: \"%s\"",
                     row.name, row.environment);
    }
    cr_assert_eq(count, LC_SETTING_COUNT);
    cr_assert_eq(lc_settings_describe(NULL, SIZE_MAX, &row), LLMCACHE_NOT_FOUND);
}

Test(settings, secrets_are_described_but_not_shown)
{
    set("openai-api-key", "sk-very-secret");
    llmcache_setting row;
    for (size_t i = 0; lc_settings_describe(&settings, i, &row) == 0; i++) {
        cr_expect_null(strstr(row.value, "very-secret"));
        if (strcmp(row.name, "openai-api-key") == 0)
            cr_expect_str_eq(row.value, "(set)");
        if (strcmp(row.name, "anthropic-api-key") == 0)
            cr_expect_str_eq(row.value, "");
    }
}

Test(settings, a_copy_is_its_own_and_keeps_origins)
{
    lc_settings copy;
    set("model", "a");
    cr_assert_eq(lc_settings_copy(&copy, &settings, &err), 0);
    set("model", "b");
    cr_assert_str_eq(copy.model, "a");
    cr_assert_eq(copy.origin[LC_SETTING_model], LC_BY_OPTION);
    lc_settings_done(&copy);
}

Test(settings, survive_every_allocation_failing)
{
    const char *path = test_format("%s/.env", test_folder());
    test_write_text(path, "LLMCACHE_MODEL=m\nOPENAI_API_KEY=k\n");
    setenv("CACHE_TTL", "5", 1);
    uint64_t n = 0;
    for (int failed = 1; failed; n++) {
        lc_settings one, two = {0};
        lc_memory_fail_at(n + 1);
        int code = lc_settings_init(&one, &err);
        if (!code)
            code = lc_settings_set(&one, "store", "memory:", LC_BY_OPTION, &err);
        if (!code)
            code = lc_settings_read_environment(&one, path, &err);
        if (!code)
            code = lc_settings_copy(&two, &one, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(code, failed ? LLMCACHE_MEMORY : 0, "allocation %llu",
                     (unsigned long long)n);
        if (!failed)
            cr_assert(two.ttl_ms == 5000 && strcmp(two.model, "m") == 0 &&
                      strcmp(two.store, "memory:") == 0);
        lc_settings_done(&one);
        lc_settings_done(&two);
    }
    cr_assert_gt(n, LC_SETTING_COUNT);
}
