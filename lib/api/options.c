/* Options: the settings table behind names, and the seats for back ends a program brings along. */
#include "api/options.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

static int new_options(int environment, llmcache_options **out, llmcache_error *err)
{
    if (!out)
        return lc_fail(err, LLMCACHE_INVALID, "options: NULL");
    llmcache_options *options = lc_zalloc(sizeof *options);
    if (!options)
        return lc_fail_memory(err);
    int code = lc_settings_init(&options->settings, err);
    if (!code && environment)
        code = lc_settings_read_environment(&options->settings, NULL, err);
    if (code) {
        llmcache_options_free(options);
        return code;
    }
    *out = options;
    return 0;
}

int llmcache_options_new(llmcache_options **options, llmcache_error *err)
{
    return new_options(1, options, err);
}

int llmcache_options_new_bare(llmcache_options **options, llmcache_error *err)
{
    return new_options(0, options, err);
}

void llmcache_options_free(llmcache_options *options)
{
    if (!options)
        return;
    lc_settings_done(&options->settings);
    lc_free(options);
}

int llmcache_options_set(llmcache_options *options, const char *name, const char *value,
                         llmcache_error *err)
{
    if (!options || !name || !value)
        return lc_fail(err, LLMCACHE_INVALID, "options, name and value must not be NULL");
    return lc_settings_set(&options->settings, name, value, LC_BY_OPTION, err);
}

int llmcache_options_get(const llmcache_options *options, size_t position, llmcache_setting *setting)
{
    if (!setting)
        return LLMCACHE_INVALID;
    return lc_settings_describe(options ? &options->settings : NULL, position, setting);
}

const char *llmcache_options_text(const llmcache_options *options, const char *name)
{
    return options && name ? lc_settings_text(&options->settings, name) : NULL;
}

int llmcache_options_number(const llmcache_options *options, const char *name, double *number)
{
    if (!options || !name || !number)
        return LLMCACHE_INVALID;
    return lc_settings_number(&options->settings, name, number);
}

static int check_table(const void *options, const void *ops, unsigned version, llmcache_error *err)
{
    if (!options || !ops)
        return lc_fail(err, LLMCACHE_INVALID, "options and ops must not be NULL");
    if (version != LLMCACHE_BACKEND_VERSION)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "a back end of version %u; this library knows %d",
                       version, LLMCACHE_BACKEND_VERSION);
    return 0;
}

int llmcache_options_store(llmcache_options *options, const llmcache_store_ops *ops, void *self,
                           llmcache_error *err)
{
    int code = check_table(options, ops, ops ? ops->version : 0, err);
    if (code)
        return code;
    if (!ops->name || !ops->get || !ops->put || !ops->remove || !ops->each || !ops->ping || !ops->stats)
        return lc_fail(err, LLMCACHE_INVALID, "a store needs name, get, put, remove, each, ping, stats");
    options->brought.store = (lc_store){*ops, self};
    options->brought.has_store = 1;
    return 0;
}

int llmcache_options_embedder(llmcache_options *options, const llmcache_embedder_ops *ops,
                              void *self, llmcache_error *err)
{
    int code = check_table(options, ops, ops ? ops->version : 0, err);
    if (code)
        return code;
    if (!ops->name || !ops->embed || !ops->dimension || !ops->space)
        return lc_fail(err, LLMCACHE_INVALID, "an embedder needs name, embed, dimension, space");
    options->brought.embedder = (lc_embedder){*ops, self};
    options->brought.has_embedder = 1;
    return 0;
}

int llmcache_options_provider(llmcache_options *options, const char *protocol,
                              const llmcache_provider_ops *ops, void *self, llmcache_error *err)
{
    int code = check_table(options, ops, ops ? ops->version : 0, err);
    if (code)
        return code;
    lc_protocol spoken = protocol ? lc_protocol_by_name(protocol) : LC_PROTOCOL_NONE;
    if (spoken != LC_PROTOCOL_CHAT && spoken != LC_PROTOCOL_MESSAGES)
        return lc_fail(err, LLMCACHE_INVALID, "protocol must be chat or messages");
    if (!ops->name || !ops->call || !ops->base || !ops->ping)
        return lc_fail(err, LLMCACHE_INVALID, "a provider needs name, call, base, ping");
    options->brought.provider = (lc_provider){*ops, self};
    options->brought.has_provider = 1;
    options->brought.protocol = spoken;
    return 0;
}

int llmcache_options_clock(llmcache_options *options, llmcache_clock_fn clock, void *user,
                           llmcache_error *err)
{
    if (!options || !clock)
        return lc_fail(err, LLMCACHE_INVALID, "options and clock must not be NULL");
    options->brought.clock = clock;
    options->brought.clock_user = user;
    return 0;
}

int llmcache_error_set(llmcache_error *err, int code, const char *message)
{
    return lc_fail(err, code, "%s", message ? message : lc_code_text(code));
}
