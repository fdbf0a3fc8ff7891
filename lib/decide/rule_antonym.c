/*
 * A word was exchanged for its opposite. Two ways lead back to the same question: a
 * negation besides
 * ("not correct", "incorrect"), and a degree exchanged besides ("more dependent", "less
 * independent"). Only exchanges between the same neighbours count, since 開 and 關 are
 * also parts of other words.
 */
#include "decide/case.h"

#include <string.h>

static int is_degree(const lc_reading *reading, const lc_swap *swap)
{
    static const char *const degrees[] = {"fewer", "least", "less", "more", "most"};
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++)
        if (strlen(degrees[i]) == swap->a_size &&
            memcmp(reading->text + swap->a_at, degrees[i], swap->a_size) == 0)
            return 1;
    return 0;
}

int lc_rule_antonym(const lc_case *c, char *detail)
{
    const lc_swap *found = NULL;
    size_t words = 0, degrees = 0;
    for (size_t i = 0; i < c->swap_count; i++) {
        const lc_swap *swap = &c->swaps[i];
        if (swap->negates)
            continue;
        words++;
        degrees += is_degree(&c->a, swap);
        if (!found && swap->anchored)
            found = swap;
    }
    if (!found || (degrees > 0 && words == 2) || c->odd_negations)
        return 0;
    lc_detail(detail, (lc_slice){c->a.text + found->a_at, found->a_size},
              (lc_slice){c->b.text + found->b_at, found->b_size});
    return 1;
}
