/* Comparing two answers: see the header for how coarse it is, and why. */
#include "ask/same_answer.h"

#include "ask/referee.h"
#include "base/memory.h"

#include <string.h>

#define LEAST_COSINE .94 /* where the second look is made as well */
#define ALONE_COSINE .97 /* where it is not, and one word may be all that differs */

/* ---- Pure ------------------------------------------------------------------------------------------ */

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static const char *skip_space(const char *text)
{
    while (is_space(*text))
        text++;
    return text;
}

/* A run of white space is one blank, at both ends none. */
int lc_equal_but_for_space(const char *first, const char *second)
{
    first = skip_space(first);
    second = skip_space(second);
    while (*first && *second) {
        int a = is_space(*first), b = is_space(*second);
        if (a != b)
            break;
        if (!a && *first != *second)
            return 0;
        first = a ? skip_space(first) : first + 1;
        second = b ? skip_space(second) : second + 1;
    }
    return !*skip_space(first) && !*skip_space(second);
}

size_t lc_beginning(const char *text, size_t most)
{
    size_t size = strnlen(text, most + 1);
    if (size <= most)
        return size;
    size = most;
    while (size && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

/* ---- With the embedder --------------------------------------------------------------------------- */

static double cosine_of(const float *vectors, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)vectors[i] * (double)vectors[dimension + i];
    return sum;
}

/*
 * What the rules let through is the same as far as they can tell. Where the second look is made it has to agree: of two
 * short answers, one word in another's place (one capital, one price) is the whole difference, and the cosine high.
 */
static int rules_agree(const llmcache *cache, const char *first, const char *second, double cosine)
{
    lc_policy policy;
    lc_verdict verdict;
    lc_side a = {.text = first, .size = strlen(first)}, b = {.text = second, .size = strlen(second)};
    lc_policy_init(&policy);
    policy.use_score = lc_uses_score(cache);
    policy.floor = LEAST_COSINE;
    policy.threshold = ALONE_COSINE;
    policy.threshold_is_users = !policy.use_score;
    if (policy.use_score)
        return lc_decide_with_states(cache, " answers", &a, &b, cosine, &policy, &verdict);
    return lc_decide(&a, &b, cosine, &policy, &verdict) == 0 && verdict.serve;
}

static lc_sameness compare(llmcache *cache, const char *first, const char *second)
{
    const char *texts[] = {first, second};
    llmcache_error err;
    float *vectors;
    size_t dimension;
    int code = lc_embed_texts(cache, texts, 2, &vectors, &dimension, &err);
    /* What the embedder cannot read is not clearly the same; what failed is not known. */
    if (code)
        return code == LLMCACHE_UNSUPPORTED ? LC_SAME_NO : LC_SAME_UNKNOWN;
    double cosine = cosine_of(vectors, dimension);
    lc_free(vectors);
    return rules_agree(cache, first, second, cosine) ? LC_SAME_YES : LC_SAME_NO;
}

/* The judge of the settings, with the server's own credential. One that says nothing leaves it to the embedder. */
static lc_sameness ask_referee(llmcache *cache, const char *question, const char *first, const char *second)
{
    const lc_referee_caller caller = {0};
    lc_referee_bill bill;
    if (!cache->referee)
        return LC_SAME_UNKNOWN;
    lc_ruling ruling = lc_referee_answers(cache->referee, &caller, question, first, second, &bill);
    lc_count_add(&cache->counts.cost_nano, (uint64_t)bill.cost_nano);
    return ruling == LC_RULING_SAME    ? LC_SAME_YES
           : ruling == LC_RULING_OTHER ? LC_SAME_NO
                                       : LC_SAME_UNKNOWN;
}

lc_sameness lc_same_answer(llmcache *cache, const char *question, const char *first, const char *second)
{
    if (lc_equal_but_for_space(first, second))
        return LC_SAME_YES;
    lc_sameness said = ask_referee(cache, question, first, second);
    if (said != LC_SAME_UNKNOWN)
        return said;
    if (!cache->embedder.ops.embed)
        return LC_SAME_NO;
    char *a = lc_strndup(first, lc_beginning(first, LC_ANSWER_BEGINNING));
    char *b = lc_strndup(second, lc_beginning(second, LC_ANSWER_BEGINNING));
    lc_sameness same = a && b ? compare(cache, a, b) : LC_SAME_UNKNOWN;
    lc_free(a);
    lc_free(b);
    return same;
}
