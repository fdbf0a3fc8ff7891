/*
 * Prices by the longest name a model begins with. The user's rows come first: any of them beats the built-in
 * table, whatever its length. A few dozen rows, looked at once an answer: a plain walk will do.
 */
#include "ask/prices.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (1024 * 1024)
#define ROWS_MAX 4096

/* US dollars a million tokens, which is 1e3 nano-dollars a token for each dollar. */
typedef struct price {
    const char *model;
    double input, output, cached;
} price;

static const price known[] = {
#define LC_PRICE(model, input, output, cached) {model, input, output, cached},
#include "ask/prices.def"
#undef LC_PRICE
};

struct lc_prices {
    price *own; /* names owned */
    size_t count;
};

void lc_prices_free(lc_prices *prices)
{
    if (!prices)
        return;
    for (size_t i = 0; i < prices->count; i++)
        lc_free((char *)prices->own[i].model);
    lc_free(prices->own);
    lc_free(prices);
}

static int number_of(const lc_json *row, const char *name, double otherwise, double *out)
{
    const lc_json *value = lc_json_get(row, name);
    *out = otherwise;
    if (!value)
        return otherwise >= 0;
    return lc_json_number(value, out) && *out >= 0 && *out < 1e6 && isfinite(*out);
}

static int take_row(void *user, const char *model, const lc_json *row)
{
    lc_prices *prices = user;
    price p = {.model = NULL};
    if (!number_of(row, "input", -1, &p.input) || !number_of(row, "output", 0, &p.output) ||
        !number_of(row, "cached", p.input, &p.cached) || prices->count == ROWS_MAX)
        return LLMCACHE_SETTING;
    price *own = lc_realloc_array(prices->own, prices->count + 1, sizeof *own);
    if (!own)
        return LLMCACHE_MEMORY;
    prices->own = own;
    p.model = lc_strdup(model);
    if (!p.model)
        return LLMCACHE_MEMORY;
    own[prices->count++] = p;
    return 0;
}

static int read_file(const char *path, lc_buffer *text, llmcache_error *err)
{
    char piece[4096];
    FILE *file = fopen(path, "re");
    if (!file)
        return lc_fail(err, LLMCACHE_SETTING, "setting prices: %.120s cannot be read", path);
    for (size_t size; (size = fread(piece, 1, sizeof piece, file)) > 0;)
        lc_buffer_add(text, piece, size);
    int failed = ferror(file);
    fclose(file);
    if (failed || text->broken)
        return lc_fail(err, LLMCACHE_SETTING, "setting prices: %.120s cannot be read whole", path);
    return 0;
}

static int read_prices(lc_prices *prices, const char *path, llmcache_error *err)
{
    lc_buffer text;
    lc_json *root = NULL;
    lc_buffer_init(&text, FILE_MAX);
    int code = read_file(path, &text, err);
    if (!code && lc_json_parse(text.data ? text.data : "", text.size, &root, NULL))
        code = lc_fail(err, LLMCACHE_SETTING, "setting prices: %.120s is not a JSON object", path);
    if (!code)
        code = lc_json_each(root, take_row, prices);
    if (code == LLMCACHE_MEMORY)
        lc_fail_memory(err);
    else if (code && root)
        lc_fail(err, code, "setting prices: %.100s has a row without numbers for input, output, cached", path);
    lc_json_free(root);
    lc_buffer_done(&text);
    return code;
}

int lc_prices_new(const char *path, lc_prices **out, llmcache_error *err)
{
    lc_prices *prices = lc_zalloc(sizeof *prices);
    if (!prices)
        return lc_fail_memory(err);
    int code = *path ? read_prices(prices, path, err) : 0;
    if (code) {
        lc_prices_free(prices);
        return code;
    }
    *out = prices;
    return 0;
}

static const price *longest(const price *rows, size_t count, const char *model)
{
    const price *best = NULL;
    size_t best_size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(rows[i].model);
        if (size > best_size && strncmp(rows[i].model, model, size) == 0) {
            best = &rows[i];
            best_size = size;
        }
    }
    return best;
}

int64_t lc_prices_cost(const lc_prices *prices, const char *model, int64_t input, int64_t cached,
                       int64_t output)
{
    const price *p = longest(prices->own, prices->count, model);
    if (!p)
        p = longest(known, sizeof known / sizeof *known, model);
    if (!p || input < 0 || output < 0)
        return 0;
    if (cached < 0 || cached > input)
        cached = 0;
    double nano = 1e3 * (p->input * (double)(input - cached) + p->cached * (double)cached +
                         p->output * (double)output);
    return nano < 9e18 ? llround(nano) : 0;
}
