/* lib/embed/fold_han: traditional characters into simplified ones, never into unknown
 * ones. */
#include "embed/fold_han.h"
#include "support.h"
#include "tiny_files.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *folded(const lc_tokenizer *tokenizer, const char *text)
{
    char out[1024];
    size_t size = strlen(text);
    cr_assert_leq(LC_FOLD_HAN_ROOM(size), sizeof out);
    return test_keep(out, lc_fold_han(tokenizer, text, size, out));
}

Test(fold_han, characters)
{
    cr_assert_str_eq(folded(NULL, "什麼是快取？"), "什么是快取？");
    cr_assert_str_eq(folded(NULL, "請解釋資料庫"), "请解释资料库");
    cr_assert_str_eq(folded(NULL, "简体不变 ABC é"), "简体不变 ABC é");
    cr_assert_str_eq(folded(NULL, "日本語の読み"), "日本语の読み");
    cr_assert_str_eq(folded(NULL, ""), "");
    cr_assert_str_eq(folded(NULL, "\xff麼\xe9"), "\xff么\xe9",
                     "bytes that are no text stay");
    cr_assert_eq(lc_fold_han_cp(0x9eb5), 0x9762);
    cr_assert_eq(lc_fold_han_cp('a'), 'a');
    cr_assert_eq(lc_fold_han_cp(0x10ffff), 0x10ffff);
}

Test(fold_han, there_are_as_many_pairs_as_measured)
{
    unsigned pairs = 0;
    for (uint32_t cp = 0; cp < 0x11000; cp++)
        pairs += lc_fold_han_cp(cp) != cp;
    cr_assert_eq(pairs, 3553);
}

Test(fold_han, the_longest_result_fits)
{
    char text[4], out[8];
    for (uint32_t cp = 0x4e00; cp <= 0x9fff; cp++) {
        text[0] = (char)(0xe0 | cp >> 12);
        text[1] = (char)(0x80 | (cp >> 6 & 63));
        text[2] = (char)(0x80 | (cp & 63));
        cr_assert_leq(lc_fold_han(NULL, text, 3, out), LC_FOLD_HAN_ROOM(3));
    }
}

Test(fold_han, never_into_what_the_tokenizer_does_not_know)
{
    lc_gguf *gguf;
    lc_tokenizer *tokenizer;
    lc_span file = tiny_gguf(TINY_UNIGRAM); /* knows 麼 and 什, neither 么 nor 请 */
    cr_assert_eq(lc_gguf_open_memory(file.data, file.size, &gguf, NULL), 0);
    cr_assert_eq(lc_tokenizer_new(gguf, &tokenizer, NULL), 0);
    cr_assert(lc_tokenizer_knows(tokenizer, 0x9ebc));
    cr_assert_not(lc_tokenizer_knows(tokenizer, 0x4e48));
    cr_assert_str_eq(folded(tokenizer, "什麼"), "什麼");
    cr_assert_str_eq(folded(tokenizer, "請"), "請");
    lc_tokenizer_free(tokenizer);
    lc_gguf_close(gguf);
}
