/* Reading settings back: as text, as numbers, and shown without passwords. */
#include "base/settings.h"

#include <criterion/criterion.h>

static lc_settings settings;

static void set_up(void)
{
    cr_assert_eq(lc_settings_init(&settings, NULL), 0);
}

static void tear_down(void)
{
    lc_settings_done(&settings);
}

TestSuite(setting_values, .init = set_up, .fini = tear_down);

static const char *shown(const char *name)
{
    llmcache_setting row;
    for (size_t i = 0; lc_settings_describe(&settings, i, &row) == 0; i++)
        if (strcmp(row.name, name) == 0)
            return row.value;
    return "(no such row)";
}

static const char *shown_store(const char *uri)
{
    cr_assert_eq(lc_settings_set(&settings, "store", uri, LC_BY_OPTION, NULL), 0);
    cr_assert_str_eq(lc_settings_text(&settings, "store"), uri);
    return shown("store");
}

Test(setting_values, password_of_a_uri_is_not_shown)
{
    cr_assert_str_eq(shown_store("redis://me:p:w@h:1/2"), "redis://me:***@h:1/2");
    cr_assert_str_eq(shown_store("redis://:p@w@h"), "redis://:***@h");
    cr_assert_str_eq(shown_store("redis+cluster://u:p@a,b:7000"), "redis+cluster://u:***@a,b:7000");
    cr_assert_str_eq(shown_store("postgresql://h/d?user=u&password=pw&sslpassword=x&port=1"),
                     "postgresql://h/d?user=u&password=***&sslpassword=***&port=1");
    cr_assert_str_eq(shown_store("postgresql://u:a@h/d?Password=pw"), "postgresql://u:***@h/d?Password=***");
    cr_assert_str_eq(shown_store("redis+sentinel://u:p@a,b:1/m?sentinel_user=s&sentinel_password=pw"),
                     "redis+sentinel://u:***@a,b:1/m?sentinel_user=s&sentinel_password=***");
    cr_assert_str_eq(shown_store("unix:/tmp/r.sock?db=1"), "unix:/tmp/r.sock?db=1");
    cr_assert_str_eq(shown_store("redis://h:1/2?password="), "redis://h:1/2?password=");
    cr_assert_str_eq(shown_store("postgresql://me@h:5432/d"), "postgresql://me@h:5432/d");
    cr_assert_str_eq(shown_store("postgresql://h:5432/a:b@c"), "postgresql://h:5432/a:b@c");
    cr_assert_str_eq(shown_store("postgresql://u:p#w@h/d"), "postgresql://u:***@h/d");
    cr_assert_str_eq(shown_store("postgresql://u:p?w@h/d"), "postgresql://u:***");
    cr_assert_str_eq(shown_store("sqlite:/tmp/x"), "sqlite:/tmp/x");
}

/* As a Redis URI is read: a word alone is the password, and one may hold / and # as they are. */
Test(setting_values, password_of_a_redis_uri_is_not_shown_however_it_is_written)
{
    cr_expect_str_eq(shown_store("redis://secret@h:6379"), "redis://***@h:6379");
    cr_expect_str_eq(shown_store("redis+sentinel://secret@a,b/m"), "redis+sentinel://***@a,b/m");
    cr_expect_str_eq(shown_store("redis:rediss://secret@h"), "redis:rediss://***@h");
    cr_expect_str_eq(shown_store("redis://u:a/b#c@h/1?db=2"), "redis://u:***@h/1?db=2");
    cr_expect_str_eq(shown_store("redis+cluster://:a/b@h,g?read=replica"), "redis+cluster://:***@h,g?read=replica");
    cr_expect_str_eq(shown_store("redis://@h?password=p#w"), "redis://@h?password=***");
    cr_expect_str_eq(shown_store("unix:/r.sock?password=a://b:c@d"), "unix:/r.sock?password=***");
    cr_expect_str_eq(shown_store("redis://h:6379/1"), "redis://h:6379/1");
}

Test(setting_values, copy_hides_too)
{
    lc_settings copy;
    shown_store("rediss://u:secret@h");
    cr_assert_eq(lc_settings_copy(&copy, &settings, NULL), 0);
    cr_assert_str_eq(copy.shown[LC_SETTING_store], "rediss://u:***@h");
    lc_settings_done(&copy);
}

Test(setting_values, secrets_are_readable_but_not_shown)
{
    cr_assert_eq(lc_settings_set(&settings, "admin-key", "k", LC_BY_OPTION, NULL), 0);
    cr_assert_str_eq(shown("admin-key"), "(set)");
    cr_assert_str_eq(lc_settings_text(&settings, "admin-key"), "k");
}

Test(setting_values, numbers_come_in_their_base_unit)
{
    static const struct {
        const char *name, *value;
        double number;
    } rows[] = {{"max-body-bytes", "2MiB", 2097152}, {"drain-timeout-ms", "3s", 3000},
                {"ttl", "2", 2000},                  {"threshold", "0.9", 0.9},
                {"max-connections", "7", 7}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double number;
        cr_assert_eq(lc_settings_set(&settings, rows[i].name, rows[i].value, LC_BY_OPTION, NULL), 0);
        cr_assert_eq(lc_settings_number(&settings, rows[i].name, &number), 0);
        cr_assert_float_eq(number, rows[i].number, 1e-9, "%s", rows[i].name);
    }
}

Test(setting_values, what_is_no_number_or_no_setting)
{
    double number;
    cr_assert_eq(lc_settings_number(&settings, "store", &number), LLMCACHE_NOT_FOUND);
    cr_assert_eq(lc_settings_number(&settings, "nope", &number), LLMCACHE_NOT_FOUND);
    cr_assert_null(lc_settings_text(&settings, "nope"));
}
