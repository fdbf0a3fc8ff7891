/*
 * A word was exchanged for its opposite. Counted as polarity: two exchanges (more/less and
 * dependent/independent), or one with a negation, come back to the same question. Only exchanges
 * between the same neighbours count, since 開 and 關 are also parts of other words.
 */
#include "decide/case.h"

#include "decide/antonyms.h"
#include "decide/negation.h"

#define SWAPS_MAX 16

int lc_rule_antonym(const lc_case *c, char *detail)
{
    lc_swap swaps[SWAPS_MAX];
    const lc_swap *found = NULL;
    size_t words = 0, characters = 0;
    size_t count = lc_swaps_find(&c->a, &c->b, swaps, SWAPS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (swaps[i].negates)
            continue;
        if ((unsigned char)c->a.text[swaps[i].a_at] < 0x80)
            words++;
        else
            characters = 1; /* rows overlap: 上升/下降 holds 上/下 and 升/降 */
        if (!found && swaps[i].anchored)
            found = &swaps[i];
    }
    if (!found || (words + characters) % 2 == 0 ||
        (lc_negations_count(&c->a, NULL) + lc_negations_count(&c->b, NULL)) % 2 != 0)
        return 0;
    lc_detail(detail, c->a.text + found->a_at, found->a_size, c->b.text + found->b_at,
              found->b_size);
    return 1;
}
