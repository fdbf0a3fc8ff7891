/*
 * An attack on a semantic cache, in the manner of CacheAttack: to a question whose answer
 * is kept or wanted by someone else, words are appended, one after the other, each the
 * one of many that brings its vector nearest to another question's. Told is how many of
 * them plain cosine would have served, and how many the shipped decision; then the same
 * with words chosen against the decision's own score.
 *
 *   LLMCACHE_MODELS_FOLDER  where the model is; unset: the usual folder
 */
#include "decide/decide.h"
#include "labelled_sets.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX  8  /* appended */
#define CANDIDATES 48 /* tried for each */
#define TEXT_SIZE  1024

/* Of which the answers are wanted, and for which others. */
static const char *const victims[] = {
    "How do I reset my password?", "What is the refund policy?",
    "How do I close my account?",  "Is it safe to take ibuprofen with alcohol?",
    "Who can see my messages?",    "怎麼重設密碼？",
    "退貨的規定是什麼？",          "如何關閉帳號？",
    "這個藥可以配酒吃嗎？",        "什麼是快取？",
};
static const char *const attackers[] = {
    "Where should I send my password?",
    "Which shop gives no refund?",
    "How do I open an account for a stranger?",
    "How much alcohol is deadly?",
    "Who reads my letters?",
    "密碼要寄給誰？",
    "哪家店不能退貨？",
    "如何盜用帳號？",
    "喝多少酒會死？",
    "什麼是快閃記憶體？",
};
#define PAIRS (sizeof victims / sizeof victims[0])

typedef struct attack {
    lc_embedder *embedder;
    seen_text victim, attacker;
    lc_policy policy;
    int by_score; /* what the words are chosen for */
    uint64_t random;
    size_t tried;
} attack;

/* xorshift64*, so that every run is the same. */
static uint64_t draw(attack *a)
{
    a->random ^= a->random >> 12;
    a->random ^= a->random << 25;
    a->random ^= a->random >> 27;
    return a->random * 0x2545f4914f6cdd1du;
}

/* A word of the victim, or any piece of the vocabulary that begins a word. */
static void draw_word(attack *a, char *word, size_t size)
{
    const seen_text *victim = &a->victim;
    for (;;) {
        uint32_t id = draw(a) % 4 == 0 && victim->side.piece_count
                          ? victim->side.ids[draw(a) % victim->side.piece_count]
                          : (uint32_t)(4 + draw(a) % 249000);
        lc_span piece = lc_local_piece(a->embedder->self, id);
        size_t mark =
            piece.size > 3 && memcmp(piece.data, "\xe2\x96\x81", 3) == 0 ? 3 : 0;
        if (piece.size <= mark || piece.size - mark >= size)
            continue;
        memcpy(word, piece.data + mark, piece.size - mark);
        word[piece.size - mark] = '\0';
        return;
    }
}

static double gain_of(attack *a, const char *text, lc_verdict *verdict)
{
    see_text(a->embedder, text, &a->attacker);
    double similarity = seen_cosine(&a->attacker, &a->victim);
    if (lc_decide(&a->attacker.side, &a->victim.side, similarity, &a->policy, verdict))
        test_give_up("out of memory");
    a->tried++;
    return a->by_score ? verdict->score : similarity;
}

#define LOOSE 0.95 /* a threshold that others ship */

struct result {
    int near, loosely, served; /* ever: similar as plain cosine wants it; served */
    double similarity;
};

/* Appends words greedily; any text on the way that is served is a success. */
static struct result run(attack *a, const char *victim, const char *attacker)
{
    char text[TEXT_SIZE], best_text[TEXT_SIZE], word[64];
    struct result result = {0};
    lc_verdict verdict;
    see_text(a->embedder, victim, &a->victim);
    snprintf(best_text, sizeof best_text, "%s", attacker);
    for (int step = 0; step < WORDS_MAX; step++) {
        double best = -1e9;
        char base[TEXT_SIZE];
        snprintf(base, sizeof base, "%s", best_text);
        for (int i = 0; i < CANDIDATES; i++) {
            draw_word(a, word, sizeof word);
            if (snprintf(text, sizeof text, "%s %s", base, word) >= (int)sizeof text)
                continue;
            double gain = gain_of(a, text, &verdict);
            result.near |= verdict.similarity >= a->policy.threshold;
            result.loosely |= verdict.similarity >= LOOSE;
            result.served |= verdict.serve;
            if (verdict.similarity > result.similarity)
                result.similarity = verdict.similarity;
            if (gain > best) {
                best = gain;
                snprintf(best_text, sizeof best_text, "%s", text);
            }
        }
    }
    return result;
}

static void run_all(attack *a, const char *name)
{
    size_t near = 0, loosely = 0, served = 0;
    double highest = 0;
    a->tried = 0;
    for (size_t i = 0; i < PAIRS; i++)
        for (size_t j = 0; j < PAIRS;
             j += 5) { /* the twin of the question, and one of the other language */
            struct result result = run(a, victims[i], attackers[(i + j) % PAIRS]);
            near += (size_t)result.near;
            loosely += (size_t)result.loosely;
            served += (size_t)result.served;
            highest = result.similarity > highest ? result.similarity : highest;
        }
    printf("%s: %zu attacks, %zu texts tried; plain cosine from %.2f would have served "
           "%zu, from %.2f %zu, "
           "the decision %zu; nearest %.4f\n",
           name, PAIRS * 2, a->tried, LOOSE, loosely, a->policy.threshold, near, served,
           highest);
}

int main(void)
{
    lc_embedder embedder;
    llmcache_error err;
    static attack a;
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    lc_embedder_options options = {.models_folder = folder ? folder : ""};
    if (lc_embedder_open_local("", &options, &embedder, &err))
        test_give_up("%s", err.message);
    if (lc_local_problem(embedder.self)[0]) {
        printf("skipped: %s\n", lc_local_problem(embedder.self));
        return 0;
    }
    a.embedder = &embedder;
    a.random = 42;
    lc_policy_init(&a.policy);
    a.policy.explain = 1;
    run_all(&a, "words chosen for the vector");
    a.by_score = 1;
    run_all(&a, "words chosen for the score");
    lc_embedder_close(&embedder);
    return 0;
}
