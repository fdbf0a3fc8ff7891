#include "decide/weights.h"

#include <math.h>

#define MOST 1000.0 /* more than any weight that makes sense */

void lc_weight_bounds(lc_feature feature, double *low, double *high)
{
    int rises = lc_feature_weight(feature) > 0;
    *low = rises ? 0 : LC_FLAG_LEAST;
    *high = rises ? MOST : 0;
}

const char *lc_weights_problem(const lc_weights_row *row)
{
    for (int i = 0; i < LC_FEATURE_COUNT; i++) {
        double low, high;
        lc_weight_bounds((lc_feature)i, &low, &high);
        if (!(row->numbers[i] >= low && row->numbers[i] <= high))
            return "a weight is out of its bounds";
    }
    if (!(fabs(row->numbers[LC_FEATURE_COUNT]) <= MOST))
        return "the bias is out of its bounds";
    if (row->has_threshold && !(fabs(row->threshold) <= MOST))
        return "the threshold is out of its bounds";
    return row->labels >= 0 ? NULL : "the number of labels is negative";
}
