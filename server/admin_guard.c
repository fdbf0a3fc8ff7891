#include "admin_guard.h"

#include <string.h>
#include <strings.h>

static int refuse(exchange *x, int status, const char *headers, const char *code,
                  const char *message)
{
    reply_error(x, status, headers, code, NULL, message);
    return -1;
}

/* ---- With a key ----------------------------------------------------------------- */

/* Takes as long for a wrong key as for the right one, whatever the place of the
 * difference. */
static int same_key(const char *key, const char *offered)
{
    size_t size = strlen(key), offered_size = request_value_size(offered);
    volatile unsigned char difference = size != offered_size;
    for (size_t i = 0; i < offered_size; i++)
        difference |= (unsigned char)(offered[i] ^ key[size ? i % size : 0]);
    return !difference;
}

static int check_key(exchange *x, const char *key)
{
    const char *bearer = x->fields.value[FIELD_AUTHORIZATION];
    const char *plain = x->fields.value[FIELD_X_ADMIN_KEY];
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0 && same_key(key, bearer + 7))
        return 0;
    if (plain && same_key(key, plain))
        return 0;
    return refuse(x, 401, "WWW-Authenticate: Bearer realm=\"llmcache\"\r\n",
                  "wrong_admin_key", "managing the cache needs the admin key");
}

/* ---- Without -------------------------------------------------------------------- */

/* The host of "host:port", without port and white space; its size. */
static size_t host_size(const char *value)
{
    size_t size = request_value_size(value), at = size;
    while (at > 0 && value[at - 1] != ':' && value[at - 1] != ']')
        at--;
    return at > 0 && value[at - 1] == ':' ? at - 1 : size;
}

static int host_is(const char *value, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(value, name, size) == 0;
}

static int names_this_machine(const exchange *x, const char *host)
{
    size_t size = host_size(host);
    if (host_is(host, size, "localhost") || host_is(host, size, "[::1]") ||
        host_is(host, size, x->server->config.host))
        return 1;
    return size >= 7 && strncmp(host, "127.", 4) == 0 &&
           strspn(host, "0123456789.") == size;
}

/* "http://host:port" of the same host and port as the request's. */
static int same_origin(const char *origin, const char *host)
{
    const char *at = strstr(origin, "://");
    size_t size = host ? request_value_size(host) : 0;
    return at && request_value_size(at + 3) == size &&
           strncasecmp(at + 3, host, size) == 0;
}

static int came_through_proxy(const exchange *x)
{
    return x->fields.value[FIELD_FORWARDED] || x->fields.value[FIELD_X_FORWARDED_FOR] ||
           x->fields.value[FIELD_X_REAL_IP] || x->fields.value[FIELD_VIA];
}

static int declares_json(const exchange *x)
{
    const char *type = x->fields.value[FIELD_CONTENT_TYPE];
    size_t size = type ? strcspn(type, "; \t") : 0;
    return size == 16 && strncasecmp(type, "application/json", size) == 0;
}

int admin_guard(exchange *x)
{
    const char *key = x->server->config.admin_key;
    const char *host = x->fields.value[FIELD_HOST],
               *origin = x->fields.value[FIELD_ORIGIN];
    if (*key)
        return check_key(x, key);
    if (strncmp(x->info->remote_addr, "127.", 4) != 0 || came_through_proxy(x))
        return refuse(x, 403, NULL, "not_local",
                      "managing the cache from elsewhere needs the setting admin-key");
    if (!host || !names_this_machine(x, host))
        return refuse(x, 403, NULL, "wrong_host",
                      "the Host header does not name this machine");
    if (origin && !same_origin(origin, host))
        return refuse(x, 403, NULL, "wrong_origin",
                      "the request comes from another site");
    if (strcmp(x->method, "POST") == 0 && !declares_json(x))
        return refuse(x, 415, "Accept-Post: application/json\r\n", "not_json",
                      "the Content-Type must be application/json");
    return 0;
}
