/*
 * Refitting the score's numbers on the half that thresholds are chosen on, and comparing them with those in force
 * on the other half. They are taken when the lower limit of the gain is above zero.
 */
#include "ask/tuning.h"

#include "base/memory.h"
#include "decide/score.h"

#include <llmcache/llmcache.h>
#include <math.h>

#define LEAST_LABELS 200 /* of a half */
#define LEAST_KIND   20  /* of them right, and of them wrong */
#define RIDGE        1.0

static int counts_in(const lc_tuned_pair *pair, size_t part, lc_half half)
{
    return pair->eligible && (size_t)pair->language == part && pair->place.half == half;
}

static int enough(const lc_tuning *tuning, size_t part, lc_half half)
{
    size_t kinds[2] = {0, 0};
    for (size_t i = 0; i < tuning->count; i++)
        if (counts_in(&tuning->pairs[i], part, half))
            kinds[tuning->pairs[i].seen.right]++;
    return kinds[0] + kinds[1] >= LEAST_LABELS && kinds[0] >= LEAST_KIND && kinds[1] >= LEAST_KIND;
}

static int fit(const lc_tuning *tuning, size_t part, lc_fit *out)
{
    size_t count = 0;
    lc_labelled *list = lc_alloc_array(tuning->count, sizeof *list);
    if (!list)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < tuning->count; i++)
        if (counts_in(&tuning->pairs[i], part, LC_CHOOSING))
            list[count++] = tuning->pairs[i].seen;
    int code = lc_fit_numbers(list, count, RIDGE, out);
    lc_free(list);
    for (int i = 0; !code && i <= LC_FEATURE_COUNT; i++)
        out->numbers[i] = round(out->numbers[i] * 1e6) / 1e6; /* as the file will have them */
    return code;
}

static int compare(const lc_tuning *tuning, size_t part, lc_tuned_part *to)
{
    size_t count = 0;
    lc_paired *list = lc_alloc_array(tuning->count, sizeof *list);
    if (!list)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < tuning->count; i++) {
        const lc_tuned_pair *pair = &tuning->pairs[i];
        if (counts_in(pair, part, LC_CONFIRMING))
            list[count++] = (lc_paired){pair->value, lc_score(pair->seen.features, to->fit.numbers),
                                        pair->seen.right, pair->place.group};
    }
    int code = lc_paired_gain(list, count, to->current, tuning->options.confidence, tuning->options.seed,
                              &to->gain);
    lc_free(list);
    return code;
}

/* New numbers need a threshold of their own: the one that keeps the bound, or else the lowest that in neither half lets
 * more wrong ones through than there are now. */
static int take_numbers(lc_tuning *tuning, size_t part, lc_tuned_part *to)
{
    size_t count = lc_tuning_grade(tuning, part, NULL);
    uint64_t wrong = lc_served_from(tuning->graded, count, LC_CHOOSING, to->current).wrong;
    uint64_t wrong_there = lc_served_from(tuning->graded, count, LC_CONFIRMING, to->current).wrong;
    count = lc_tuning_grade(tuning, part, to->fit.numbers);
    int code = lc_bound_find(tuning->graded, count, tuning->options.max_wrong, tuning->part_confidence,
                             &to->bound);
    to->threshold = to->bound.met ? to->bound.threshold
                                  : fmax(lc_threshold_with(tuning->graded, count, LC_CHOOSING, wrong),
                                         lc_threshold_with(tuning->graded, count, LC_CONFIRMING, wrong_there));
    to->taken = lc_served_from(tuning->graded, count, LC_CONFIRMING, to->threshold);
    to->changes = 1;
    return code;
}

int lc_tuning_refit(lc_tuning *tuning, size_t part)
{
    lc_tuned_part *to = &tuning->parts[part];
    to->refit = !tuning->by_score ? LC_REFIT_NO_SCORE : LC_REFIT_FEW_LABELS;
    if (!tuning->by_score || to->too_few || !enough(tuning, part, LC_CHOOSING) || !enough(tuning, part, LC_CONFIRMING))
        return 0;
    int code = fit(tuning, part, &to->fit);
    if (!code)
        code = compare(tuning, part, to);
    if (code)
        return code == LLMCACHE_MEMORY ? code : 0;
    to->refit = to->gain.low > 0 ? LC_REFIT_BETTER : LC_REFIT_NOT_BETTER;
    return to->refit == LC_REFIT_BETTER ? take_numbers(tuning, part, to) : 0;
}
