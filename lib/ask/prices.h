/* What tokens cost: the built-in table and the user's own, read once at opening. */
#ifndef LC_ASK_PRICES_H
#define LC_ASK_PRICES_H

#include <llmcache/llmcache.h>

typedef struct lc_prices lc_prices;

/* `path` "" for the built-in table alone. LLMCACHE_SETTING when the file is not what the setting's help says. */
int lc_prices_new(const char *path, lc_prices **prices, llmcache_error *err);
void lc_prices_free(lc_prices *prices);

/* In 1e-9 US dollars; 0 when the model is not known. `cached` tokens are part of `input`. */
int64_t lc_prices_cost(const lc_prices *prices, const char *model, int64_t input, int64_t cached,
                       int64_t output);

#endif
