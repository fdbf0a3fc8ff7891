/* lib/net/redis_uri: every form people write, and refusals that never show a password. */
#include "net/redis_uri.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

Test(redis_uri, takes_every_form_apart)
{
    const struct {
        const char *text, *host, *unix_path, *user, *password, *name;
        int port, database, tls;
    } cases[] = {
        {"redis://host", "host", "-", "-", "-", "redis://host:6379", 6379, 0, 0},
        {"redis://host:7000/3", "host", "-", "-", "-", "redis://host:7000/3", 7000, 3, 0},
        {"redis://host/", "host", "-", "-", "-", "redis://host:6379", 6379, 0, 0},
        {"redis://host?db=2", "host", "-", "-", "-", "redis://host:6379/2", 6379, 2, 0},
        {"rediss://[::1]:6380", "::1", "-", "-", "-", "rediss://::1:6380", 6380, 0, 1},
        {"redis://:secret@host", "host", "-", "-", "secret", "redis://host:6379", 6379, 0, 0},
        {"redis://secret@host", "host", "-", "-", "secret", "redis://host:6379", 6379, 0, 0},
        {"redis://me:se%20cr%2Fet@host:1", "host", "-", "me", "se cr/et", "redis://host:1", 1, 0, 0},
        {"redis://me:a@b/c:d@host:1/1", "host", "-", "me", "a@b/c:d", "redis://host:1/1", 1, 1, 0},
        {"redis://me:@host", "host", "-", "me", "", "redis://host:6379", 6379, 0, 0},
        {"redis://:@host", "host", "-", "-", "-", "redis://host:6379", 6379, 0, 0},
        {"redis://host?user=me&password=a%40b&db=4", "host", "-", "me", "a@b", "redis://host:6379/4", 6379, 4, 0},
        {"unix:/run/redis.sock", "-", "/run/redis.sock", "-", "-", "unix:/run/redis.sock", 0, 0, 0},
        {"unix:///run/r.sock?db=5&password=x", "-", "/run/r.sock", "-", "x", "unix:/run/r.sock?db=5", 0, 5, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_redis_uri uri;
        llmcache_error err;
        cr_assert_eq(lc_redis_uri_read(cases[i].text, &uri, &err), 0, "%s: %s", cases[i].text, err.message);
        cr_expect_str_eq(or_dash(uri.target.host), cases[i].host, "%s", cases[i].text);
        cr_expect_str_eq(or_dash(uri.target.unix_path), cases[i].unix_path);
        cr_expect_str_eq(or_dash(uri.user), cases[i].user, "%s", cases[i].text);
        cr_expect_str_eq(or_dash(uri.password), cases[i].password, "%s", cases[i].text);
        cr_expect_str_eq(uri.name, cases[i].name);
        cr_expect_eq(uri.target.port, cases[i].port);
        cr_expect_eq(uri.database, cases[i].database);
        cr_expect_eq(uri.target.tls, cases[i].tls);
        lc_redis_uri_done(&uri);
    }
}

Test(redis_uri, refuses_the_rest_without_showing_it)
{
    const char *const cases[] = {
        "redis:", "redis://", "redis://secret@", "redis://:secret@:6379", "redis://secret@host:0",
        "redis://secret@host:65536", "redis://secret@host:x", "redis://secret@host/x",
        "redis://secret@host/99999", "redis://secret@host/1?x=1", "redis://secret@host/1#x",
        "redis://secret%zz@host", "redis://secret%00@host", "redis://secret%4@host", "redis://secret@ho st",
        "redis://secret@[::1", "redis://secret@[::1]x", "unix:", "unix:relative", "unix:/path?password=secret&x=1",
        "http://secret@host", "redis://host?user=secret"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_redis_uri uri = {0};
        llmcache_error err;
        cr_expect_eq(lc_redis_uri_read(cases[i], &uri, &err), LLMCACHE_SETTING, "%s", cases[i]);
        cr_expect_null(strstr(err.message, "secret"), "%s", err.message);
        cr_expect_null(uri.name);
    }
}

Test(redis_uri, a_socket_path_longer_than_the_kernel_takes_is_refused)
{
    char text[256] = "unix:/";
    memset(text + 6, 'a', 120);
    lc_redis_uri uri;
    llmcache_error err;
    cr_assert_eq(lc_redis_uri_read(text, &uri, &err), LLMCACHE_SETTING);
}
