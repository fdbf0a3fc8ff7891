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

Test(redis_uri, takes_sentinels_apart)
{
    const struct {
        const char *text, *name, *service, *user, *password, *sentinel_user, *sentinel_password;
        size_t count;
        int database, tls;
    } cases[] = {
        {"redis+sentinel://a/m", "redis+sentinel://a:26379/m", "m", "-", "-", "-", "-", 1, 0, 0},
        {"redis+sentinel://a:1,[::1],b:3/my.master_-1/2", "redis+sentinel://a:1,::1:26379,b:3/my.master_-1/2",
         "my.master_-1", "-", "-", "-", "-", 3, 2, 0},
        {"rediss+sentinel://me:p%2Fw@a,b/m/", "rediss+sentinel://a:26379,b:26379/m", "m", "me", "p/w", "-", "-", 2, 0, 1},
        {"redis+sentinel://:a@b/c,d@x/m?sentinel_password=s%26&db=3", "redis+sentinel://x:26379/m/3", "m", "-", "a@b/c,d",
         "-", "s&", 1, 3, 0},
        {"redis+sentinel://a,b/m?user=u&password=p&sentinel_user=su&sentinel_password=sp",
         "redis+sentinel://a:26379,b:26379/m", "m", "u", "p", "su", "sp", 2, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_redis_uri uri;
        llmcache_error err;
        cr_assert(lc_redis_is_sentinel(cases[i].text));
        cr_assert_eq(lc_redis_uri_read(cases[i].text, &uri, &err), 0, "%s: %s", cases[i].text, err.message);
        cr_assert_not_null(uri.sentinels);
        cr_expect_eq(uri.sentinels->count, cases[i].count);
        cr_expect_str_eq(uri.sentinels->service, cases[i].service);
        cr_expect_str_eq(uri.name, cases[i].name);
        cr_expect_str_eq(or_dash(uri.user), cases[i].user);
        cr_expect_str_eq(or_dash(uri.password), cases[i].password);
        cr_expect_eq(uri.database, cases[i].database);
        cr_expect_null(uri.target.host);
        lc_redis_uri_trust(&uri, "/ca");
        for (size_t at = 0; at < uri.sentinels->count; at++) {
            const lc_redis_uri *one = &uri.sentinels->uris[at];
            cr_expect_str_eq(or_dash(one->user), cases[i].sentinel_user);
            cr_expect_str_eq(or_dash(one->password), cases[i].sentinel_password);
            cr_expect_eq(one->target.tls, cases[i].tls);
            cr_expect_str_eq(one->target.host, one->host);
            cr_expect_str_eq(one->target.ca_file, "/ca");
        }
        lc_redis_uri_done(&uri);
    }
}

Test(redis_uri, refuses_other_sentinels_without_showing_a_password)
{
    const char *const cases[] = {
        "redis+sentinel://", "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel://a,/m", "redis+sentinel://a,,b/m",
        "redis+sentinel:///m", "redis+sentinel://secret@a:0/m", "redis+sentinel://secret@a/m/x",
        "redis+sentinel://secret@a/m m", "redis+sentinel://secret@a/m/1/2", "redis+sentinel://secret@a/m#x",
        "redis+sentinel://a/m?sentinel_user=secret", "redis+sentinel://a/m?x=secret", "redis+sentinel://a/m?user=secret",
        "redis+sentinel://a/m?sentinel_password=secret%zz", "redis+sentinel://secret@a?/m",
        "redis+sentinel://a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/m", "redis://a?sentinel_password=secret"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_redis_uri uri = {0};
        llmcache_error err;
        cr_expect_eq(lc_redis_uri_read(cases[i], &uri, &err), LLMCACHE_SETTING, "%s", cases[i]);
        cr_expect_null(strstr(err.message, "secret"), "%s", err.message);
        cr_expect_null(uri.name);
    }
}
