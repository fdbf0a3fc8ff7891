/* What a question is about, how one becomes another, and the rules that go by it:
 * exchanged parts, a place that must pass by itself, may and must, all and some. */
#include "decide/case.h"
#include "decide/edit.h"
#include "decide_pairs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lc_gist gist_of(const char *text, lc_reading *reading)
{
    lc_gist gist;
    lc_numbers numbers;
    cr_assert_eq(lc_reading_init(reading, text, strlen(text)), 0);
    cr_assert_eq(lc_numbers_find(reading, &numbers), 0);
    lc_gist_find(reading, &numbers, &gist);
    lc_numbers_done(&numbers);
    return gist;
}

static lc_edit edit_of(const char *left, const char *right)
{
    lc_reading a, b;
    lc_edit edit;
    lc_gist a_gist = gist_of(left, &a), b_gist = gist_of(right, &b);
    lc_edit_find(&a, &a_gist, &b, &b_gist, &edit);
    lc_reading_done(&a);
    lc_reading_done(&b);
    return edit;
}

Test(edits, kinds)
{
    static const struct {
        const char *a, *b;
        lc_edit_kind kind;
    } cases[] = {
        {"How do I cook rice?", "What's the best way to cook rice", LC_EDIT_NONE},
        {"How can I buy a car?", "How do you purchase cars?", LC_EDIT_NONE},
        {"Please organise my files", "organizing my files", LC_EDIT_NONE},
        {"my favourite colour", "my favorite colors", LC_EDIT_NONE},
        {"請問如何刪除檔案？", "檔案要怎麼刪掉", LC_EDIT_OTHER}, /* moved */
        {"如何刪除檔案？", "請問要怎麼刪掉檔案呢？", LC_EDIT_NONE},
        {"什麼是快取？", "請解釋快取是什麼", LC_EDIT_NONE},
        {"如何修改密码？", "怎么更改密码", LC_EDIT_NONE},
        {"怎麼連接網路？", "怎么连接网络？", LC_EDIT_NONE},
        {"一張票多少錢", "兩張票的價格", LC_EDIT_NONE}, /* numbers have their own rule */
        {"How do I boil dumplings?", "How can I steam dumplings?", LC_EDIT_REPLACED},
        {"Who directed this film?", "Who produced this movie?", LC_EDIT_REPLACED},
        {"房東有哪些義務？", "房客有什麼義務？", LC_EDIT_REPLACED},
        {"什么是快取", "什么是闪存", LC_EDIT_OTHER}, /* nothing in common */
        {"How do I renew a passport?", "How do I renew an expired passport?",
         LC_EDIT_ADDED},
        {"轉帳要手續費嗎？", "跨國轉帳要手續費嗎？", LC_EDIT_ADDED},
        {"快取是什麼？", "快取怎麼清除？", LC_EDIT_ADDED},
        {"Do cats chase dogs?", "Do dogs chase cats?", LC_EDIT_EXCHANGED},
        {"貓會追狗嗎？", "狗會追貓嗎？", LC_EDIT_EXCHANGED},
        {"", "", LC_EDIT_NONE},
        {"how?", "what is it", LC_EDIT_NONE},
        {"a cat", "", LC_EDIT_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(edit_of(cases[i].a, cases[i].b).kind, cases[i].kind, "%s | %s: %d",
                     cases[i].a, cases[i].b, edit_of(cases[i].a, cases[i].b).kind);
        cr_expect_eq(edit_of(cases[i].b, cases[i].a).kind, cases[i].kind, "%s | %s",
                     cases[i].b, cases[i].a);
    }
}

/* As many items as are compared, one more, and many. */
Test(edits, long_texts_are_not_compared)
{
    char *left = calloc(1, 9000), *right = calloc(1, 9000);
    for (size_t words = 1; words <= 1500; words += words < 70 ? 1 : 200) {
        size_t size = 0;
        for (size_t i = 0; i < words; i++)
            size += (size_t)sprintf(left + size, "w%c%c ", (int)('a' + i % 26),
                                    (int)('a' + i / 26 % 26));
        sprintf(right, "%.*sother", (int)size, left);
        lc_edit_kind kind = edit_of(left, right).kind;
        cr_expect_eq(kind, words < LC_ITEMS_MAX ? LC_EDIT_ADDED : LC_EDIT_OTHER,
                     "%zu words: %d", words, kind);
    }
    free(left);
    free(right);
}

Test(edits, exchanges)
{
    static const struct pair pairs[] = {
        {"Do cats chase dogs?", "Do dogs chase cats?", 1},
        {"Can a tenant sue a landlord?", "Can a landlord sue the tenant?", 1},
        {"Did France sell the land to Spain?", "Did Spain sell the land to France?", 1},
        {"What are the benefits of tea over coffee?",
         "What are the benefits of coffee over tea?", 1},
        {"房客可以告房東嗎？", "房東可以告房客嗎？", 1},
        {"房客可以告房东吗？", "房东可以告房客吗？", 1},
        {"房客能告訴房東嗎？房東會怒", "房东能告诉房客吗？房东会怒", 1},
        {"貓會追狗嗎？", "狗会追猫吗？", 1},
        {"爸爸欠兒子的錢要還嗎？", "兒子欠爸爸的錢要還嗎？", 1},
        {"先洗頭再洗澡可以嗎", "先洗澡再洗頭可以嗎", 1},
        {"他在馬德里去世，葬在巴黎", "他在巴黎去世，葬在馬德里", 1},
        {"Are cats and dogs friends?", "Are dogs and cats friends?", 0},
        {"Who is taller, Tom or Bill?", "Who is taller, Bill or Tom?", 0},
        {"Is Tom married to Ann?", "Is Ann married to Tom?", 0},
        {"Did Tom call Ann?", "Was Ann called by Tom?", 0},
        {"What is the difference between TCP and UDP?",
         "What is the difference between UDP and TCP?", 0},
        {"In Python, how do I read a file?", "How do I read a file in Python?", 0},
        {"If I lose my passport, what should I do?",
         "What should I do if I lose my passport?", 0},
        {"What cards and currencies do you support?",
         "What currencies and cards do you support?", 0},
        {"小明和小華誰比較高？", "小華和小明誰比較高？", 0},
        {"蘋果、香蕉、梨哪個好", "梨、香蕉、蘋果哪個好", 0},
        {"歐洲版和北美版有英文嗎", "北美版和歐洲版有英文嗎", 0},
        {"小明的朋友是小華嗎", "小華的朋友是小明嗎", 0},
        {"明天台北會下雨嗎", "台北明天會下雨嗎", 0},
        {"紅樓夢的作者是誰", "誰是紅樓夢的作者", 0},
    };
    CHECK(LC_RULE_EXCHANGE, pairs);
}

/* Where only light words differ, what is asked for decides. */
Test(edits, what_is_asked_for)
{
    static const struct pair pairs[] = {
        {"Why do cats purr?", "How do cats purr?", 1},
        {"When can I pay the toll?", "How can I pay the toll?", 1},
        {"Why is my card blocked?", "Is my card blocked?", 1},
        {"Can you tell me why my card is blocked?", "Is my card blocked?", 1},
        {"山峰是如何形成的？", "山峰是為什麼形成的？", 1},
        {"山峰是如何形成的？", "山峰是为什么形成的？", 1},
        {"現代物理學之父是誰？", "現代物理學之父是什麼？", 1},
        {"他何時會來？", "他會來嗎？", 1},
        {"Can you tell me why my card is blocked?", "Why is my card blocked?", 0},
        {"How come my card is blocked?", "Why is my card blocked?", 0},
        {"How is my transfer still pending?", "Why is my transfer still pending?", 0},
        {"How do I cook rice?", "What is the best way to cook rice?", 0},
        {"手機怎麼充不了電？", "手機為什麼充不了電？", 0},
        {"Who was Marie Curie?", "When was the birth of Marie Curie?", 1},
        {"Where did all of my money go? I'm not able to withdraw it from my ATM.",
         "Why was I not able to take any cash from the machine in the street?", 0},
        {"秘魯的首都在哪裡？", "秘魯的首都是什麼？", 0},
    };
    CHECK(LC_RULE_ASKS, pairs);
}

Test(edits, modals)
{
    static const struct pair pairs[] = {
        {"Can I file a tax return?", "Must I file a tax return?", 1},
        {"Can employees work overtime?", "Should employees work overtime?", 1},
        {"Do I need to register?", "Do I want to register?", 1},
        {"員工可以加班嗎？", "員工必須加班嗎？", 1},
        {"我應該報稅嗎？", "我可以報稅嗎？", 1},
        {"我应该报税吗？", "我必须报税吗？", 1},
        {"Do I need to register?", "Do I have to register?", 0},
        {"Can I pay by card?", "Could I pay by card?", 0},
        {"What can I do about ants?", "What should I do about ants?", 0},
        {"這個可以吃嗎？", "這個能吃嗎？", 0},
        {"密碼該怎麼改？", "密碼可以怎麼改？", 0},
        {"Can I get my money back?", "Should the deposit in my account be visible?", 0},
    };
    CHECK(LC_RULE_MODAL, pairs);
}

Test(edits, quantities)
{
    static const struct pair pairs[] = {
        {"Do all banks charge this fee?", "Do some banks charge this fee?", 1},
        {"Do some banks charge this fee?", "Do most banks charge this fee?", 1},
        {"所有銀行都收費嗎？", "有些銀行收費嗎？", 1},
        {"大部分银行都收费吗？", "所有银行都收费吗？", 1},
        {"Do all banks charge this fee?", "Does every bank charge this fee?", 0},
        {"What are some ways to save?", "What are the ways to save?", 0},
        {"Show me all my cards", "Are there some fees for a transfer abroad?", 0},
    };
    CHECK(LC_RULE_QUANTITY, pairs);
}

/* ---- A place that must pass by itself ----------------------------------------------- */

#define DIM 2

/* A side of two pieces: the first is both sides' own, the second this side's only. */
typedef struct pieces {
    uint32_t ids[2];
    unsigned char is_word[2];
    float states[2][DIM];
} pieces;

static lc_side seen(const char *text, pieces *p, uint32_t own, double near)
{
    *p = (pieces){{1, own}, {1, 1}, {{0, 1}, {0, 0}}};
    p->states[1][0] = (float)near; /* its product with the other side's (1, 0) */
    return (lc_side){.text = text,
                     .size = strlen(text),
                     .ids = p->ids,
                     .is_word = p->is_word,
                     .states = p->states[0],
                     .piece_count = 2,
                     .dim = DIM};
}

static lc_verdict decided(const char *a, const char *b, double near, int use_score)
{
    pieces p, q;
    lc_side left = seen(a, &p, 2, 1), right = seen(b, &q, 3, near);
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    policy.explain = 1;
    policy.use_score = use_score;
    policy.score_threshold[LC_ENGLISH] = policy.score_threshold[LC_CHINESE] = -9;
    cr_assert_eq(lc_decide(&left, &right, 0.99, &policy, &verdict), 0);
    return verdict;
}

Test(edits, one_place_must_pass_by_itself)
{
    static const struct {
        const char *a, *b;
        double near;
        int veto;
    } cases[] = {
        {"Who directed this film?", "Who produced this film?", 0.86, 1},
        {"Who directed this film?", "Who produced this film?", 0.99, 0},
        {"How do I renew a passport?", "How do I renew an expired passport?", 0.86, 1},
        {"How do I renew a passport?", "How do I renew an expired passport?", 0.99, 0},
        {"房東有哪些義務？", "房客有什麼義務？", 0.90, 1},
        {"房東有哪些義務？", "房客有什麼義務？", 0.99, 0},
        {"转账要手续费吗？", "跨国转账要手续费吗？", 0.86, 1},
        {"转账要手续费吗？", "跨国转账要手续费吗？", 0.99, 0},
        {"How do I cook rice?", "What is the best way to cook rice?", 0.5, 0},
        {"Can I get a refund for shoes?", "May my money for boots be sent back", 0.5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lc_verdict there = decided(cases[i].a, cases[i].b, cases[i].near, 1);
        lc_verdict back = decided(cases[i].b, cases[i].a, cases[i].near, 1);
        lc_outcome wanted = cases[i].veto ? LC_VETO : LC_PASS;
        cr_expect_eq(there.words[LC_RULE_EDIT].outcome, wanted, "%s: %s", cases[i].a,
                     there.words[LC_RULE_EDIT].detail);
        cr_expect_eq(back.words[LC_RULE_EDIT].outcome, wanted, "%s", cases[i].a);
    }
}

Test(edits, the_place_is_named)
{
    lc_verdict verdict =
        decided("Who directed this film?", "Who produced this film?", 0.86, 1);
    cr_assert_str_eq(verdict.why, "edit");
    cr_assert_str_eq(verdict.words[LC_RULE_EDIT].detail,
                     "directed / produced: 0.860 < 0.900");
    verdict = decided("轉帳要多久完成？", "跨國轉帳要多久完成？", 0.86, 1);
    cr_assert_str_eq(verdict.words[LC_RULE_EDIT].detail, "- / 跨國: 0.860 < 0.905");
}

Test(edits, without_states_the_place_is_not_judged)
{
    lc_verdict verdict =
        decided("Who directed this film?", "Who produced this film?", 0.5, 0);
    cr_assert_eq(verdict.words[LC_RULE_EDIT].outcome, LC_PASS);
    cr_assert_eq(verdict.serve, 1);
}
