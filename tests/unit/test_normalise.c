/* What the encoder reads in place of a question. */
#include "base/memory.h"
#include "decide/normalise.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <string.h>

static void check(const char *text, const char *wanted)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    cr_assert_eq(lc_normalise_question(text, strlen(text), &out), 0);
    cr_expect_str_eq(out.data ? out.data : "", wanted, "%s", text);
    lc_buffer_done(&out);
}

Test(normalise, folds_width_and_blanks)
{
    check("Ｗｈａｔ　ｉｓ　１２３？", "What is 123?");
    check("  what \t is\n\nthis ", "what is this");
    check("什麼是快取？", "什麼是快取?");
    check("zero\xe2\x80\x8bwidth", "zerowidth");
    check("\xff", "\xef\xbf\xbd");
}

Test(normalise, leaves_politeness_out)
{
    check("Please, what is a cache?", "what is a cache?");
    check("Hi! Can you tell me what a cache is? Thanks!", "what a cache is?");
    check("What is a cache, please?", "What is a cache?");
    check("請問什麼是快取", "什麼是快取");
    check("你好，我想請問一下，什麼是快取？謝謝！", "什麼是快取?");
    check("请问什么是缓存", "什么是缓存");
}

Test(normalise, keeps_what_is_a_question_itself)
{
    check("hi", "hi");
    check("Hello!", "Hello!");
    check("thanks", "thanks");
    check("please", "please");
    check("請問", "請問");
    check("History of Rome", "History of Rome");
    check("Pleased to meet you in French", "Pleased to meet you in French");
    check("Tell me", "Tell me");
    check("謝謝", "謝謝");
    check("", "");
    check("   ", "");
    check("Can you tell me?", "Can you tell me?");
}

Test(normalise, may_be_done_twice)
{
    static const char *const texts[] = {
        "Hi, please tell me what it is, thanks",
        "請問一下，請問這是什麼呢，謝謝",
        "What? please?",
        "hi hi hi",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        lc_buffer once;
        lc_buffer_init(&once, 0);
        cr_assert_eq(lc_normalise_question(texts[i], strlen(texts[i]), &once), 0);
        check(once.data, once.data);
        lc_buffer_done(&once);
    }
}

Test(normalise, every_failed_allocation_is_told)
{
    static const char text[] =
        "請問Ｗｈａｔ is a cache, and why is it kept in memory rather than on a disk?";
    for (uint64_t n = 1;; n++) {
        lc_buffer out;
        lc_buffer_init(&out, 0);
        lc_memory_fail_at(n);
        int code = lc_normalise_question(text, strlen(text), &out);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        lc_buffer_done(&out);
        if (!failed) {
            cr_assert_eq(code, 0);
            cr_assert_gt(n, 3);
            break;
        }
        cr_assert_eq(code, LLMCACHE_MEMORY);
    }
}
