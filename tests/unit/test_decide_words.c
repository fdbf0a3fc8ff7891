/* The vetoes that go by lists of words, and names and literals, each by a table of pairs.
 */
#include "decide/decide.h"
#include "decide_pairs.h"

#include <criterion/criterion.h>
#include <string.h>

Test(decide_words, places)
{
    static const struct pair pairs[] = {
        {"how is the food in paris", "how is the food in rome", 1},
        {"台北有什麼好玩的", "高雄有什麼好玩的", 1},
        {"日本的首都是哪裡", "韓國的首都是哪裡", 1},
        {"日本的首都是哪里", "韩国的首都是哪里", 1},
        {"台北車站在哪", "臺北車站在哪裡", 0},
        {"What is the capital of the United States?", "what's the capital of the usa", 0},
        {"美國總統怎麼選", "怎麼選美國的總統", 0},
        {"can you tell us more about the chad", "tell me more", 0},
    };
    CHECK(LC_RULE_PLACE, pairs);
}

Test(decide_words, calendar)
{
    static const struct pair pairs[] = {
        {"Are you open on Saturday?", "Are you open on Sunday?", 1},
        {"星期一有開嗎", "星期二有開嗎", 1},
        {"週一有開嗎", "禮拜一有開嗎", 0},
        {"What to plant in March?", "What to plant in June?", 1},
        {"夏天去哪裡玩", "冬天去哪裡玩", 1},
        {"You may ask", "In April you may ask", 0},
    };
    CHECK(LC_RULE_CALENDAR, pairs);
}

Test(decide_words, currencies)
{
    static const struct pair pairs[] = {
        {"What is the price in USD?", "What is the price in EUR?", 1},
        {"Is it under $50?", "Is it under €50?", 1},
        {"要多少美元", "要多少日圓", 1},
        {"price in dollars", "price in USD", 0},
        {"價格是多少美金", "價格是多少美元", 0},
    };
    CHECK(LC_RULE_CURRENCY, pairs);
}

Test(decide_words, units)
{
    static const struct pair pairs[] = {
        {"Convert 30 miles to feet", "Convert 30 km to feet", 1},
        {"How many grams is that?", "How many ounces is that?", 1},
        {"跑5公里要多久", "跑5英里要多久", 1},
        {"請假3天", "請假3個月", 1},
        {"a 5km run", "a run of 5 kilometres", 0},
        {"今天的年輕人", "今天的小孩", 0},
    };
    CHECK(LC_RULE_UNIT, pairs);
}

Test(decide_words, languages)
{
    static const struct pair pairs[] = {
        {"Explain recursion in French", "Explain recursion in German", 1},
        {"Explain recursion in French", "Explain recursion", 1},
        {"用日文自我介紹", "用英文自我介紹", 1},
        {"翻譯成日文：你好", "翻譯成韓文：你好", 1},
        {"sort a list in python", "sort a list in java", 1},
        {"sort a list in c++", "sort a list in c#", 1},
        {"sort a list in javascript", "sort a list in JS", 0},
        {"Is French hard to learn?", "Is it hard to learn French?", 0},
        {"用中文回答", "以中文回答", 0},
    };
    CHECK(LC_RULE_LANGUAGE, pairs);
}

Test(decide_words, formats)
{
    static const struct pair pairs[] = {
        {"Compare tea and coffee as a table", "Compare tea and coffee", 1},
        {"Explain entropy briefly", "Explain entropy in detail", 1},
        {"簡短介紹相對論", "詳細介紹相對論", 1},
        {"用表格比較茶和咖啡", "比較茶和咖啡", 1},
        {"Explain entropy in short", "Explain entropy briefly", 0},
        {"用一句話介紹", "簡短介紹", 0},
    };
    CHECK(LC_RULE_FORMAT, pairs);
}

Test(decide_words, names)
{
    static const struct pair pairs[] = {
        {"How do I reset my Gmail password?", "How do I reset my Outlook password?", 1},
        {"What is the population of Tainan?", "What is the population of Hualien?", 1},
        {"What's the credit limit on David Park's card?",
         "What's the credit limit on Diana Park's card?", 1},
        {"Is Kelly Smith kind?", "Is Mark Smith kind?", 1},
        {"Which ATM takes my card?", "Which ATMs take my card?", 0},
        {"who is Ada Lovelace", "who is ada lovelace", 0},
        {"What Is The Best Way To Learn?", "What Is The Best Method To Learn?", 0},
        {"Tell me. Why is it so?", "Tell me. How is it so?", 0},
        {"Who leads the US now and then?", "Who leads the United States now and then?", 0},
        {"When did WWII end?", "When did the Second World War end?", 0},
        {"Where is the ML team?", "Where is the Machine Learning team?", 0},
        {"Where is Café Müller?", "Where is Cafe Muller?", 0},
        {"Who leads the UK?", "Who leads the United Nations?", 1},
    };
    CHECK(LC_RULE_NAME, pairs);
}

Test(decide_words, literals)
{
    static const struct pair pairs[] = {
        {"What does `strcpy` do?", "What does `strcat` do?", 1},
        {"what does get_user_id return", "what does get_item_id return", 1},
        {"what does git reset --hard do", "what does git reset do", 1},
        {"summarize https://example.com/a", "summarize https://example.com/b", 1},
        {"write to ann@example.com", "write to bob@example.com", 1},
        {"what is in /etc/hosts", "what is in /etc/passwd", 1},
        {"「山」怎麼念", "「川」怎麼念", 1},
        {"open report.pdf", "open summary.pdf", 1},
        {"What does `strcpy` do?", "What does strcpy do?", 0},
        {"「快取」是什麼意思", "快取是什麼意思", 0},
        {"how does pandas.concat work", "how does concat work in pandas", 0},
        {"It works.Then it stops", "It works. Then it stops", 0},
    };
    CHECK(LC_RULE_LITERAL, pairs);
}

static void check_volatile(const char *text, int wanted, const char *word)
{
    char found[LC_DETAIL_SIZE] = "";
    cr_expect_eq(lc_volatile(text, strlen(text), found), wanted, "%s", text);
    if (wanted)
        cr_expect_str_eq(found, word, "%s", text);
    cr_expect_eq(lc_volatile(text, strlen(text), NULL), wanted);
}

Test(decide_words, questions_about_now)
{
    check_volatile("What's the weather in Paris tomorrow?", 1, "tomorrow");
    check_volatile("What is my checking account balance right now?", 1, "right now");
    check_volatile("What's the latest Python release?", 1, "latest");
    check_volatile("台北今天天氣如何", 1, "今天");
    check_volatile("現在美元匯率多少", 1, "現在");
    check_volatile("最新的 iPhone 是哪一款？", 1, "最新");
    check_volatile("今年的奧斯卡得主是誰", 1, "今年");
    check_volatile("What is a cache?", 0, NULL);
    check_volatile("什麼是快取？", 0, NULL);
    check_volatile("What is alternating current?", 0, NULL);
    check_volatile("這首歌出現在第二季", 0, NULL);
    check_volatile(
        "I was charged twice yesterday and I have written to the shop about it.", 0,
        NULL);
    lc_verdict verdict = judged("What's the USD to EUR rate today?",
                                "What's the USD to EUR rate today", 1);
    cr_assert_eq(verdict.serve, 0);
    cr_assert_str_eq(verdict.why, "volatile");
}

/* Lists are searched by halves. */
Test(decide_words, lists_are_sorted)
{
#define LC_MARK(phrase, value) {phrase, value},
    static const struct {
        const char *phrase, *value;
    } lists[][2000] = {
        {
#include "decide/places.def"
        },
        {
#include "decide/currencies.def"
        },
        {
#include "decide/calendar.def"
        },
        {
#include "decide/units.def"
        },
        {
#include "decide/languages.def"
        },
        {
#include "decide/formats.def"
        },
        {
#include "decide/volatile.def"
        },
    };
#undef LC_MARK
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (size_t j = 1; lists[i][j].phrase; j++)
            cr_expect_lt(strcmp(lists[i][j - 1].phrase, lists[i][j].phrase), 0, "%s",
                         lists[i][j].phrase);
}
