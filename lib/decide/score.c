/* The score and its features. */
#include "decide/score.h"

#include "decide/case.h"
#include "decide/ngrams.h"
#include "decide/question_type.h"

#define ALIKE 0.8
#define LANES 16

/* Sums in lanes of their own, so that a compiler may use vectors without changing the
 * result. */
static float dot(const float *a, const float *b, size_t dim)
{
    float lanes[LANES] = {0};
    float sum = 0;
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += a[i + lane] * b[i + lane];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    for (; i < dim; i++)
        sum += a[i] * b[i];
    return sum;
}

static size_t piece_count(const lc_side *side)
{
    return side->piece_count < LC_PIECES_MAX ? side->piece_count : LC_PIECES_MAX;
}

static int has_piece(const lc_side *side, uint32_t id)
{
    for (size_t i = 0; i < piece_count(side); i++)
        if (side->ids[i] == id)
            return 1;
    return 0;
}

static double leftover_of(const lc_side *side, const lc_side *other)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < piece_count(side); i++) {
        if (!side->is_word[i] || has_piece(other, side->ids[i]))
            continue;
        float best = -1;
        for (size_t j = 0; j < piece_count(other); j++) {
            float product = dot(side->states + i * side->dim,
                                other->states + j * side->dim, side->dim);
            best = product > best ? product : best;
        }
        sum += (double)best;
        count++;
    }
    return count ? sum / (double)count : 1;
}

double lc_leftover(const lc_side *a, const lc_side *b)
{
    double there = leftover_of(a, b), back = leftover_of(b, a);
    return there < back ? there : back;
}

/* A capitalised word, not the first, that the other text lacks in any case. */
static int has_own_name(const lc_reading *reading, const lc_reading *other)
{
    for (size_t i = 1; i < reading->term_count; i++)
        if (reading->terms[i].capital && !lc_is_function_word(reading, i) &&
            !lc_reading_shares(other, reading, i))
            return 1;
    return 0;
}

static int has_listed_swap(const lc_case *c)
{
    for (size_t i = 0; i < c->swap_count; i++)
        if (c->swaps[i].listed)
            return 1;
    return 0;
}

int lc_features_find(const lc_case *c, double features[LC_FEATURE_COUNT])
{
    char detail[LC_DETAIL_SIZE];
    double alike = 0;
    int odd = c->odd_negations, code = odd ? lc_ngrams_cosine(&c->a, &c->b, &alike) : 0;
    if (code)
        return code;
    features[LC_FEATURE_COS] = c->similarity;
    features[LC_FEATURE_LEFTOVER] = lc_leftover(c->question, c->candidate);
    features[LC_FEATURE_NUMBER] =
        lc_numbers_alone(&c->a_numbers, &c->b_numbers, LC_PLAIN) != NULL &&
        lc_numbers_alone(&c->b_numbers, &c->a_numbers, LC_PLAIN) != NULL;
    features[LC_FEATURE_NEGATION] = odd;
    features[LC_FEATURE_ALIKE] = odd && alike >= ALIKE;
    features[LC_FEATURE_ANTONYM] = has_listed_swap(c);
    features[LC_FEATURE_NAME] = has_own_name(&c->a, &c->b) && has_own_name(&c->b, &c->a);
    features[LC_FEATURE_QUESTION] = lc_question_types_differ(
        lc_question_type_of(&c->a, NULL), lc_question_type_of(&c->b, NULL));
    features[LC_FEATURE_DIRECTION] = lc_rule_direction(c, detail) > 0;
    return 0;
}

static const struct {
    const char *name;
    double weight;
} shipped[LC_FEATURE_COUNT] = {
#define LC_FEATURE(name, text, weight, meaning) {text, weight},
#include "decide/features.def"
#undef LC_FEATURE
};

const char *lc_feature_name(lc_feature feature)
{
    return shipped[feature].name;
}

double lc_feature_weight(lc_feature feature)
{
    return shipped[feature].weight;
}

double lc_score(const double features[LC_FEATURE_COUNT], const double *weights)
{
    double score = weights ? weights[LC_FEATURE_COUNT] : LC_SCORE_BIAS;
    for (size_t i = 0; i < LC_FEATURE_COUNT; i++)
        score += features[i] * (weights ? weights[i] : shipped[i].weight);
    return score;
}
