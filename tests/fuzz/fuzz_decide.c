/*
 * Two questions, one line each (what is behind the second line's end belongs to it too).
 * Whatever they hold, the verdict is whole, its words are text, it is the same both ways
 * round, and a question may always have its own answer unless it is about now or too long.
 */
#include "decide/decide.h"
#include "base/utf8.h"
#include "fuzz.h"

#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/decide", NULL};

enum { DIM = 8 };

/* Something like what an encoder makes of the text. */
struct pieces {
    uint32_t ids[LC_PIECES_MAX];
    unsigned char is_word[LC_PIECES_MAX];
    float states[LC_PIECES_MAX][DIM];
};

static lc_side side_of(const uint8_t *text, size_t size, struct pieces *pieces)
{
    size_t count = size / 3 < LC_PIECES_MAX ? size / 3 : LC_PIECES_MAX;
    memset(pieces, 0, sizeof *pieces);
    for (size_t i = 0; i < count; i++) {
        pieces->ids[i] = text[3 * i];
        pieces->is_word[i] = text[3 * i] > ' ';
        pieces->states[i][text[3 * i] % DIM] = 1;
    }
    return (lc_side){.text = (const char *)text,
                     .size = size,
                     .ids = pieces->ids,
                     .is_word = pieces->is_word,
                     .states = pieces->states[0],
                     .piece_count = count,
                     .dim = DIM};
}

static void check_words(const lc_verdict *verdict)
{
    int vetoes = 0;
    for (int rule = 0; rule < LC_RULE_COUNT; rule++) {
        const lc_word *word = &verdict->words[rule];
        vetoes += word->outcome == LC_VETO;
        size_t size = strnlen(word->detail, LC_DETAIL_SIZE), length;
        FUZZ_CHECK(size < LC_DETAIL_SIZE);
        for (size_t at = 0; at < size; at += length) {
            uint32_t cp = lc_utf8_decode(word->detail + at, size - at, &length);
            FUZZ_CHECK(cp != 0xfffd || length == 3);
        }
    }
    FUZZ_CHECK(verdict->serve == (vetoes == 0));
    FUZZ_CHECK((verdict->why[0] != '\0') == !verdict->serve);
}

static lc_verdict judge(const lc_side *question, const lc_side *candidate, int use_score)
{
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    policy.explain = 1;
    policy.use_score = use_score;
    FUZZ_CHECK(lc_decide(question, candidate, 1, &policy, &verdict) == 0);
    check_words(&verdict);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pieces left, right;
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t first = line ? (size_t)(line - data) : size;
    size_t second = line ? size - first - 1 : 0;
    lc_side a = side_of(data, first, &left);
    lc_side b = side_of(line ? line + 1 : data, second, &right);
    for (int use_score = 0; use_score < 2; use_score++) {
        lc_verdict there = judge(&a, &b, use_score), back = judge(&b, &a, use_score);
        for (int rule = 0; rule < LC_RULE_COUNT; rule++)
            FUZZ_CHECK(there.words[rule].outcome == back.words[rule].outcome);
        FUZZ_CHECK(there.score == back.score);
    }
    lc_verdict itself = judge(&a, &a, 1);
    FUZZ_CHECK(itself.serve || first > LC_TEXT_MAX || strcmp(itself.why, "volatile") == 0);
    return 0;
}
