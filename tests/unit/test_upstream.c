/* lib/net/base_url and lib/provider/upstream: how base and target make one address, and which bases are refused. */
#include "base/memory.h"
#include "net/base_url.h"
#include "provider/provider.h"

#include <criterion/criterion.h>
#include <string.h>

Test(upstream, base_and_target_make_one_address)
{
    const lc_base_style openai = LC_BASE_WITH_VERSION, anthropic = LC_BASE_WITHOUT_VERSION;
    const struct {
        lc_base_style style;
        const char *base, *target, *url;
    } cases[] = {
        {openai, "https://api.openai.com/v1", "/v1/chat/completions",
         "https://api.openai.com/v1/chat/completions"},
        {openai, "http://127.0.0.1:9", "/v1/models", "http://127.0.0.1:9/v1/models"},
        {openai, "https://host/v1beta/openai", "/v1/chat/completions",
         "https://host/v1beta/openai/chat/completions"},
        {openai, "https://host/v1", "/v1", "https://host/v1"},
        {openai, "https://host/v1", "/v1?x=1", "https://host/v1?x=1"},
        {openai, "https://host/v1", "/v10/x", "https://host/v1/v10/x"},
        {openai, "https://host/v1", "/chat/completions", "https://host/v1/chat/completions"},
        {anthropic, "https://api.anthropic.com", "/v1/messages?beta=true",
         "https://api.anthropic.com/v1/messages?beta=true"},
        {anthropic, "https://api.anthropic.com/v1", "/v1/messages",
         "https://api.anthropic.com/v1/messages"},
        {anthropic, "https://host/anthropic", "/v1/messages", "https://host/anthropic/v1/messages"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *url = lc_base_url_join(cases[i].style, cases[i].base, cases[i].target);
        cr_expect_str_eq(url, cases[i].url);
        lc_free(url);
    }
}

Test(upstream, the_base_is_named_without_user_and_slashes)
{
    lc_provider provider;
    llmcache_error err;
    cr_assert_eq(lc_provider_open_openai(NULL, "http://me:secret@host:8/v1//", "k", &provider, &err), 0);
    cr_assert_str_eq(provider.ops.base(provider.self), "http://host:8/v1");
    lc_provider_close(&provider);
}

Test(upstream, bad_settings_are_named)
{
    const char *const bases[] = {"", "api.openai.com", "ftp://host", "http://", "http:///v1",
                                 "https://host/v1?x=1", "https://host/#a", "https://ho st"};
    lc_provider provider = {0};
    llmcache_error err;
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        cr_expect_eq(lc_provider_open_openai(NULL, bases[i], "", &provider, &err), LLMCACHE_SETTING);
        cr_expect_not_null(strstr(err.message, "openai-base-url"), "%s", err.message);
    }
    cr_expect_eq(lc_provider_open_anthropic(NULL, "https://host", "a\r\nb", "1", &provider, &err),
                 LLMCACHE_SETTING);
    cr_expect_not_null(strstr(err.message, "anthropic-api-key"));
    cr_expect_null(provider.self);
}
