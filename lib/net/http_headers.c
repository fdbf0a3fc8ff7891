/*
 * Header rules: what a head may hold, what ends at the next hop, when a service wants to be asked
 * again. No state but the head its caller owns.
 */
#include "net/http_headers.h"

#include "base/memory.h"
#include "net/http.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

/* ---- Names ------------------------------------------------------------------------------------ */

const char *lc_header(const llmcache_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(headers[i].name, name) == 0)
            return headers[i].value;
    return NULL;
}

static int is_token(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

int lc_header_is_sane(const char *name, const char *value)
{
    if (*name == '\0')
        return 0;
    for (; *name; name++)
        if (!is_token((unsigned char)*name))
            return 0;
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return 0;
    }
    return 1;
}

int lc_credential(const char *prefix, const char *key, char **value)
{
    static const char space[] = " \t\r\n";
    const char *start = key ? key + strspn(key, space) : "";
    size_t size = strlen(start), head = strlen(prefix);
    while (size > 0 && strchr(space, start[size - 1]))
        size--;
    *value = NULL;
    if (size == 0)
        return 0;
    char *text = lc_alloc(head + size + 1);
    if (!text)
        return LLMCACHE_MEMORY;
    memcpy(text, prefix, head);
    memcpy(text + head, start, size);
    text[head + size] = '\0';
    *value = text;
    return 0;
}

/* Is `name` one of the words of a comma-separated list? */
static int is_listed(const char *list, const char *name)
{
    size_t size = strlen(name);
    while (*list) {
        list += strspn(list, ", \t");
        size_t word = strcspn(list, ", \t");
        if (word == size && strncasecmp(list, name, size) == 0)
            return 1;
        list += word;
    }
    return 0;
}

int lc_header_is_hop(const llmcache_header *headers, size_t count, const char *name)
{
    static const char *const hops[] = {
        "connection", "content-length", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade",
    };
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++)
        if (strcasecmp(hops[i], name) == 0)
            return 1;
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(headers[i].name, "connection") == 0 && is_listed(headers[i].value, name))
            return 1;
    return 0;
}

/* ---- The head of a reply ---------------------------------------------------------------------- */

void lc_head_init(lc_head *head)
{
    lc_buffer_init(&head->text, LC_HEAD_MAX_BYTES);
    lc_head_clear(head);
}

void lc_head_done(lc_head *head)
{
    lc_buffer_done(&head->text);
}

void lc_head_clear(lc_head *head)
{
    lc_buffer_clear(&head->text);
    head->count = 0;
    head->content_length = -1;
    head->encoded = 0;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Digits only and at most 18 of them, else -1. */
static int64_t read_length(const char *digits)
{
    size_t size = strspn(digits, "0123456789");
    if (size == 0 || size > 18 || digits[size] != '\0')
        return -1;
    int64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value * 10 + (digits[i] - '0');
    return value;
}

/* What the head says about the length of its body. */
static void note_length(lc_head *head, const char *name, const char *value)
{
    if (strcasecmp(name, "content-length") == 0)
        head->content_length = read_length(value);
    else if (strcasecmp(name, "transfer-encoding") == 0 ||
             strcasecmp(name, "content-encoding") == 0)
        head->encoded = 1;
}

int lc_head_add(lc_head *head, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);
    if (!colon)
        return 0;
    const char *value = colon + 1, *end = line + size;
    while (value < end && is_space(*value))
        value++;
    while (end > value && is_space(end[-1]))
        end--;
    if (head->count == LC_HEAD_MAX_COUNT)
        return LLMCACHE_TOO_LARGE;
    size_t start = head->text.size;
    lc_buffer_add(&head->text, line, (size_t)(colon - line));
    lc_buffer_byte(&head->text, '\0');
    size_t value_at = head->text.size;
    lc_buffer_add(&head->text, value, (size_t)(end - value));
    if (lc_buffer_byte(&head->text, '\0'))
        return head->text.broken;
    const char *kept_name = head->text.data + start, *kept_value = head->text.data + value_at;
    if (!lc_header_is_sane(kept_name, kept_value))
        return 0;
    note_length(head, kept_name, kept_value);
    head->name_at[head->count] = start;
    head->value_at[head->count++] = value_at;
    return 0;
}

void lc_head_finish(lc_head *head)
{
    size_t total = head->count, kept = 0;
    for (size_t i = 0; i < total; i++)
        head->list[i] = (llmcache_header){.name = head->text.data + head->name_at[i],
                                          .value = head->text.data + head->value_at[i]};
    /* `Connection` must stay visible until every header has been held against it. */
    unsigned char drop[LC_HEAD_MAX_COUNT];
    for (size_t i = 0; i < total; i++)
        drop[i] = (unsigned char)(lc_header_is_hop(head->list, total, head->list[i].name) ||
                                  strcasecmp(head->list[i].name, "content-encoding") == 0);
    for (size_t i = 0; i < total; i++)
        if (!drop[i])
            head->list[kept++] = head->list[i];
    head->count = kept;
}

/* ---- Retry-After ------------------------------------------------------------------------------ */

/* "12" or "12.345" in units of `unit_ms`; -1 when it is not such a number or absurdly large. */
static int64_t read_span(const char *text, int64_t unit_ms)
{
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || whole > 10)
        return -1;
    int64_t span = 0, part = unit_ms;
    for (size_t i = 0; i < whole; i++)
        span = span * 10 + (text[i] - '0');
    span *= unit_ms;
    text += whole;
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++) {
            part /= 10;
            span += part * (*text - '0');
        }
    return *text == '\0' ? span : -1;
}

int64_t lc_retry_after_ms(const llmcache_header *headers, size_t count, int64_t now_ms)
{
    const char *text = lc_header(headers, count, "retry-after-ms");
    int64_t wait_ms = text ? read_span(text, 1) : -1;
    if (wait_ms >= 0)
        return wait_ms;
    text = lc_header(headers, count, "retry-after");
    if (!text)
        return -1;
    wait_ms = read_span(text, 1000);
    if (wait_ms >= 0)
        return wait_ms;
    time_t date = curl_getdate(text, NULL);
    if (date == (time_t)-1)
        return -1;
    int64_t until_ms = (int64_t)date * 1000 - now_ms;
    return until_ms > 0 ? until_ms : 0;
}
