/* The verdict as a whole, and each veto by a table of pairs that it must and must not
 * stop. */
#include "base/memory.h"
#include "decide/decide.h"
#include "decide_pairs.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <math.h>
#include <string.h>

Test(decide, numbers)
{
    static const struct pair pairs[] = {
        {"Convert 30 miles to kilometres", "Convert 35 miles to kilometres", 1},
        {"Track order 48213", "Track order 48231", 1},
        {"When does CD account CD-3320 mature?", "When does CD account CD-3302 mature?",
         1},
        {"Is the 9:15 train on time?", "Is the 9:45 train on time?", 1},
        {"What is new in Python 3.1?", "What is new in Python 3.10?", 1},
        {"a table for two", "a table for twelve", 1},
        {"Who was the first president?", "Who was the second president?", 1},
        {"When did World War I end?", "When did World War II end?", 1},
        {"Who was Henry VIII?", "Who was Henry VII?", 1},
        {"How do I add memory?", "How do I add 16 GB of memory?", 1},
        {"三十公里要跑多久？", "三十五公里要跑多久？", 1},
        {"第三屆奧運在哪裡？", "第四屆奧運在哪裡？", 1},
        {"兩個人的門票多少錢？", "三个人的门票多少钱？", 1},
        {"3萬元的電腦", "3千元的電腦", 1},
        {"一張票多少錢？", "兩張票多少錢？", 1},
        {"一月的天氣", "二月的天氣", 1},
        {"a table for two at nine", "a table for nine at nine", 1},
        {"a car from 3/2 to 3/5", "a car from 5/2 to 3/5", 1},
        {"Can I have a second card?", "Can I have a third card?", 1},
        {"哪一間是韓國的第一家？", "哪一間是韓國的第二家？", 1},
        {"有兩個理由，一個是錢，另一個是？", "有兩個理由，兩個是錢，另一個是？", 1},
        {"它建於一世紀", "它建於第一世紀", 0},
        {"它的另一個名稱是什麼", "它的另一名稱是什麼", 0},
        {"What is 1,000 in words?", "what is 1000 in words", 0},
        {"What is one thousand in words?", "What is 1000 in words?", 0},
        {"2nd law", "second law", 0},
        {"5 million people", "5,000,000 people", 0},
        {"10k run", "10000 run", 0},
        {"meet at 10:00", "meet at 10", 0},
        {"a second", "a moment", 0},
        {"What's new in C23?", "whats new in c23", 0},
        {"How do I enable 2FA?", "How can I turn on two-factor authentication?", 0},
        {"２０２４年的總統", "2024年的總統", 0},
        {"I asked for $100 and got 20.00", "I asked for $100 and got $20", 0},
        {"Is 3.00.1 out?", "Is 3.1 out?", 1},
        {"I ordered my new card 2 weeks ago. It isn't here. What should I do?",
         "My card has not been delivered to my home yet. What is going on?", 0},
        {"三天前我訂的卡到現在還沒到，怎麼辦？", "我的新卡一直沒有寄來家裡", 0},
        {"三百五十元", "350元", 0},
        {"三百五", "350", 0},
        {"一萬五", "15000", 0},
        {"二〇二四年", "2024年", 0},
        {"3萬5千元", "35000元", 0},
        {"1億2000萬", "120000000", 0},
        {"第三次世界大戰", "第3次世界大戰", 0},
        {"請介紹一下台灣", "請介紹台灣", 0},
        {"十分好吃的店", "好吃的店", 0},
        {"百度是什麼", "什麼是百度", 0},
        {"千萬不要做的事", "不要做的事", 0},
        {"零售業是什麼", "什麼是零售業", 0},
    };
    CHECK(LC_RULE_NUMBER, pairs);
}

Test(decide, negations)
{
    static const struct pair pairs[] = {
        {"Should I water basil every day?", "Should I not water basil every day?", 1},
        {"Cancel my subscription", "Don't cancel my subscription", 1},
        {"Cancel my subscription", "dont cancel my subscription", 1},
        {"Which items can be recycled?", "Which items can’t be recycled?", 1},
        {"coffee with sugar", "coffee without sugar", 1},
        {"What's the price for members?", "What's the price for non-members?", 1},
        {"可以退貨嗎？", "不可以退貨嗎？", 1},
        {"我有收到簡訊", "我沒有收到簡訊", 1},
        {"会痛吗？", "不会痛吗？", 1},
        {"這個能吃嗎？", "這個不能吃嗎？", 1},
        {"Why do you charge me?", "Why don't you charge me?", 1},
        {"Why not use a mutex here?", "Why use a mutex here?", 0},
        {"Tell me whether or not it rains", "Tell me whether it rains", 0},
        {"The exchange rate was not correct", "The exchange rate was incorrect", 0},
        {"這是不是真的？", "這是真的嗎？", 0},
        {"有沒有素食餐廳？", "有素食餐廳嗎？", 0},
        {"會不會痛？", "會痛嗎？", 0},
        {"特別好吃的店", "好吃的店", 0},
        {"What does serendipity mean?", "What does the word serendipity mean?", 0},
        {"I tried to make a transfer and it failed",
         "I tried to make a transfer and it didn't work", 0},
        {"Why did my payment fail?", "Why did my payment not fail?", 1},
        {"轉帳失敗怎麼辦？", "轉帳沒有成功怎麼辦？", 0},
        {"转账失败要付费吗？", "转账没失败要付费吗？", 1},
        {"不好意思，請問廁所在哪？", "請問廁所在哪？", 0},
        {"My transfer has not arrived, what now?",
         "Where is the money that I sent on Monday?", 0},
    };
    CHECK(LC_RULE_NEGATION, pairs);
}

Test(decide, antonyms)
{
    static const struct pair pairs[] = {
        {"How do I enable 2FA?", "How do I disable 2FA?", 1},
        {"How do I lock my card?", "How do I unlock my card?", 1},
        {"Are you open before 3pm?", "Are you open after 3pm?", 1},
        {"symptoms of hyperthyroidism", "symptoms of hypothyroidism", 1},
        {"a harmful habit", "a harmless habit", 1},
        {"how to become more patient", "how to become less patient", 1},
        {"如何開燈", "如何關燈", 1},
        {"如何开灯", "如何关灯", 1},
        {"怎麼買股票", "怎麼賣股票", 1},
        {"如何增加體重", "如何減少體重", 1},
        {"飯前吃藥", "飯後吃藥", 1},
        {"房價上升的原因", "房價下降的原因", 1},
        {"How can I become more independent?", "How can I become less dependent?", 0},
        {"Upload to the server", "Download to the client", 1},
        {"公開的關係", "公開的關係是什麼", 0},
        {"開發者有哪些", "有關的人有哪些", 0},
    };
    CHECK(LC_RULE_ANTONYM, pairs);
}

Test(decide, directions)
{
    static const struct pair pairs[] = {
        {"從台南到嘉義的火車要多久？", "從嘉義到台南的火車要多久？", 1},
        {"从北京到上海的高铁", "从上海到北京的高铁", 1},
        {"新竹市到台中市的車", "台中市到新竹市的車", 1},
        {"台積電比聯電大嗎", "聯電比台積電大嗎", 1},
        {"運動對睡眠的影響", "睡眠對運動的影響", 1},
        {"我借給他錢", "他借給我錢", 1},
        {"怎麼去高雄", "去高雄怎麼走", 0},
        {"flights from Paris to Rome", "flights from Rome to Paris", 1},
        {"flights from Paris to Rome", "flights to Paris from Rome", 1},
        {"flights from Paris to Rome", "flights to Rome from Paris", 0},
        {"convert USD to EUR", "convert EUR to USD", 1},
        {"Is London bigger than Paris?", "Is Paris bigger than London?", 1},
        {"effect of sleep on exercise", "effect of exercise on sleep", 1},
        {"Should I convert my Traditional IRA to a Roth IRA?",
         "Should I convert my Roth IRA to a Traditional IRA?", 1},
        {"transfer money from a to b", "transfer money from b to a", 1},
        {"a flight from muscat to qatar from may on",
         "a flight from qatar to muscat from may on", 1},
        {"translate Chinese into Dutch", "translate Dutch into Chinese", 1},
        {"從台北到台中怎麼走", "怎麼從台北到台中", 0},
        {"flights from Rome to Paris and from Paris to Rome",
         "flights from Paris to Rome and from Rome to Paris", 0},
        {"從台北到台中再從台中到台北", "從台北到台中，再從台中到台北要多久", 0},
        {"How to get to the airport", "How do I get to the airport", 0},
        {"I want to go to Rome", "I would like to go to Rome", 0},
    };
    CHECK(LC_RULE_DIRECTION, pairs);
}

Test(decide, serves_what_nothing_stops)
{
    lc_verdict verdict = judged("What is a cache?", "what is a cache", 0.99);
    cr_assert_eq(verdict.serve, 1);
    cr_assert_str_eq(verdict.why, "");
    for (int rule = 0; rule < LC_RULE_COUNT; rule++)
        cr_assert_neq(verdict.words[rule].outcome, LC_VETO, "%s", lc_rule_word(rule));
}

Test(decide, similarity_is_inclusive_and_nan_is_far)
{
    lc_side a = side("What is a cache?"), b = side("what's a cache");
    lc_policy policy = {.threshold = 0.9};
    lc_verdict verdict;
    cr_assert_eq(lc_decide(&a, &b, 0.9, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 1);
    cr_assert_eq(lc_decide(&a, &b, nextafter(0.9, 0), &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 0);
    cr_assert_str_eq(verdict.why, "similarity");
    cr_assert_eq(lc_decide(&a, &b, NAN, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 0);
}

Test(decide, what_the_encoder_could_not_read_is_not_served)
{
    lc_policy policy = {.threshold = 0.9};
    lc_verdict verdict;
    lc_side a = side("What is a cache?"), b = a;
    b.truncated = 1;
    cr_assert_eq(lc_decide(&a, &b, 1, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "unread");
    b.truncated = 0;
    a.unknown = 1;
    cr_assert_eq(lc_decide(&a, &b, 1, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "unread");
    static char text[LC_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    lc_side longer = {.text = text, .size = sizeof text};
    cr_assert_eq(lc_decide(&longer, &longer, 1, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "unread");
}

Test(decide, first_veto_ends_it_unless_asked_to_explain)
{
    lc_side a = side("Should I take 2 pills?"), b = side("Should I not take 3 pills?");
    lc_policy policy = {.threshold = 0.9};
    lc_verdict verdict;
    cr_assert_eq(lc_decide(&a, &b, 0.95, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "number");
    cr_assert_eq(verdict.words[LC_RULE_NEGATION].outcome, LC_SILENT);
    policy.explain = 1;
    cr_assert_eq(lc_decide(&a, &b, 0.5, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "similarity");
    cr_assert_eq(verdict.words[LC_RULE_SIMILARITY].outcome, LC_VETO);
    cr_assert_eq(verdict.words[LC_RULE_NUMBER].outcome, LC_VETO);
    cr_assert_eq(verdict.words[LC_RULE_NEGATION].outcome, LC_VETO);
}

Test(decide, a_rule_can_be_switched_off)
{
    lc_side a = side("Convert 30 miles"), b = side("Convert 35 miles");
    lc_policy policy = {.threshold = 0.9, .rules_off = 1u << LC_RULE_NUMBER};
    lc_verdict verdict;
    cr_assert_eq(lc_decide(&a, &b, 0.95, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 1);
    cr_assert_eq(verdict.words[LC_RULE_NUMBER].outcome, LC_SILENT);
}

Test(decide, details_are_cut_at_characters)
{
    char left[400] = "", right[400] = "";
    for (int i = 0; i < 30; i++) {
        strcat(left, "三");
        strcat(right, "四");
    }
    lc_verdict verdict = judged(left, right, 0.99);
    const char *detail = verdict.words[LC_RULE_NUMBER].detail;
    cr_assert_eq(verdict.words[LC_RULE_NUMBER].outcome, LC_VETO);
    cr_assert_lt(strlen(detail), LC_DETAIL_SIZE);
    for (size_t i = 0; detail[i]; i++)
        cr_assert(detail[i] == ' ' || detail[i] == '/' ||
                  strncmp(detail + i, "三", 3) == 0 ||
                  strncmp(detail + i, "四", 3) == 0 || (detail[i] & 0xc0) == 0x80);
}

Test(decide, hostile_texts)
{
    static const char *const texts[] = {
        "",
        " ",
        "\xff\xfe\x80",
        "\xe4\xbd",
        "不",
        "不不不不",
        "第",
        "百",
        "0",
        "00:00",
        "1.2.3.4.5.6",
        "9,9,9,999,",
        "i",
        "I I I",
        "一一一一一一",
        "to to to",
        "從到從到",
        "\xf0\x9f\x98\x80",
        "10k100k10",
        "twenty twenty one hundred and and",
        "'",
        "''a''",
        "…",
        "。。。",
        "１２：００",
    };
    const size_t count = sizeof texts / sizeof texts[0];
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            lc_verdict verdict = judged(texts[i], texts[j], 1);
            if (i == j)
                cr_expect_eq(verdict.serve, 1, "%zu stopped by %s", i, verdict.why);
        }
    lc_side with_nul = {.text = "a\0b 3", .size = 5},
            other = {.text = "a\0b 4", .size = 5};
    lc_policy policy = {.threshold = 0};
    lc_verdict verdict;
    cr_assert_eq(lc_decide(&with_nul, &other, 1, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "number");
}

Test(decide, every_failed_allocation_is_told_and_serves_nothing)
{
    lc_side a = side("我沒有 3 個蘋果，從台南到嘉義"),
            b = side("我有 3 個蘋果，從台南到嘉義");
    lc_policy policy;
    lc_policy_init(&policy);
    policy.explain = 1;
    for (uint64_t n = 1;; n++) {
        lc_verdict verdict;
        lc_memory_fail_at(n);
        int code = lc_decide(&a, &b, 0.99, &policy, &verdict);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        if (!failed) {
            cr_assert_eq(code, 0);
            cr_assert_gt(n, 5);
            break;
        }
        cr_assert_eq(code, LLMCACHE_MEMORY);
        cr_assert_eq(verdict.serve, 0);
    }
}

Test(decide, rules_have_words)
{
    for (int rule = 0; rule < LC_RULE_COUNT; rule++) {
        cr_assert_eq(lc_rule_find(lc_rule_word((lc_rule)rule)), (lc_rule)rule);
        cr_assert_gt(strlen(lc_rule_help((lc_rule)rule)), 10);
    }
    cr_assert_eq(lc_rule_find("nothing of the kind"), LC_RULE_COUNT);
}

Test(decide, roles)
{
    static const struct pair pairs[] = {
        {"Did Sarah use the car?", "Was Sarah used by the car?", 1},
        {"Does Lisa bother Nicholas?", "Is Lisa bothered by Nicholas?", 1},
        {"Did Andrea buy the painting?", "Was the painting bought by Andrea?", 0},
        {"Which cards do you support?", "Which cards are supported by you?", 0},
        {"Is the fee paid by transfer?", "Is the fee paid by card?", 0},
    };
    CHECK(LC_RULE_ROLE, pairs);
}

Test(decide, conjunctions)
{
    static const struct pair pairs[] = {
        {"Is Ann a doctor or a nurse?", "Is Ann a doctor and a nurse?", 1},
        {"可以用現金或信用卡嗎", "可以用現金和信用卡嗎", 1},
        {"Is Ann a doctor or a nurse?", "Is Ann a nurse or a doctor?", 0},
        {"tea or coffee, which is better?",
         "Compare the health effects of tea and of coffee", 0},
    };
    CHECK(LC_RULE_CONJUNCTION, pairs);
}

Test(decide, tenses)
{
    static const struct pair pairs[] = {
        {"Is Amber Murphy a nurse?", "Did Amber Murphy use to be a nurse?", 1},
        {"Is Amber Murphy a nurse?", "Is Amber Murphy becoming a nurse?", 1},
        {"他是總統嗎", "他曾經是總統嗎", 1},
        {"Did the museum open on holidays?", "Does the museum open on holidays?", 1},
        {"Did the museum open on holidays?", "Will the museum open on holidays?", 1},
        {"Will I be charged for a transfer?", "Do I pay for a transfer?", 0},
        {"Did my card arrive?", "Do you know where the parcel with my card is?", 0},
        {"What is the flag used to set?", "What does the flag set?", 0},
    };
    CHECK(LC_RULE_TENSE, pairs);
}

Test(decide, persons)
{
    static const struct pair pairs[] = {
        {"do you think he would reject her?", "do you think she would reject him?", 1},
        {"would her family be happy?", "would Jeffrey's family be happy?", 1},
        {"would her family be happy?", "would her family be pleased?", 0},
    };
    CHECK(LC_RULE_PERSON, pairs);
}
