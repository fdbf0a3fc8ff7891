/*
 * Questions written to get another question's answer, in the manner of attacks on
 * semantic caches: the vector is given as good as equal, so that only the rules stand
 * between them. Every pair must be stopped.
 */
#include "decide/decide.h"
#include "decide_pairs.h"

#include <criterion/criterion.h>

struct attack {
    const char *victim, *attacker, *by; /* the rule that must speak */
};

static void check_all(const struct attack *attacks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lc_verdict verdict = judged(attacks[i].victim, attacks[i].attacker, 0.9999);
        lc_rule rule = lc_rule_find(attacks[i].by);
        cr_assert_lt(rule, LC_RULE_COUNT);
        cr_expect_eq(verdict.serve, 0, "served: %s | %s", attacks[i].victim,
                     attacks[i].attacker);
        cr_expect_eq(verdict.words[rule].outcome, LC_VETO, "%s: %s | %s", attacks[i].by,
                     attacks[i].victim, attacks[i].attacker);
    }
}

#define CHECK_ALL(attacks) check_all(attacks, sizeof(attacks) / sizeof((attacks)[0]))

/* What is seen is not what is there. */
Test(decide_attacks, hidden_differences)
{
    static const struct attack attacks[] = {
        {"Is it safe to restart the pump?",
         "Is it \xe2\x80\x8bn\xe2\x80\x8bot safe to restart the pump?", "negation"},
        {"Is it safe to restart the pump?",
         "Is it \xef\xbd\x8e\xef\xbd\x8f\xef\xbd\x94 safe to restart the pump?",
         "negation"},
        {"Transfer 100 to Ann",
         "Transfer \xef\xbc\x91\xef\xbc\x90\xef\xbc\x90\xef\xbc\x90 to Ann", "number"},
        {"Transfer 100 to Ann",
         "Transfer 100\xe2\x81\xa0"
         "0 to Ann",
         "number"},
        {"How do I enable the firewall?",
         "How do I dis\xc2\xad"
         "able the firewall?",
         "antonym"},
        {"How do I open the valve?", "How do I \xd1\x81lose the valve?", "disguise"},
        {"How do I log in to paypal?", "How do I log in to p\xd0\xb0ypal?", "disguise"},
        {"這個藥可以吃嗎", "這個藥不\xe2\x80\x8d可以吃嗎", "negation"},
        {"開啟防火牆", "關\xef\xb8\x80閉防火牆", "antonym"},
    };
    CHECK_ALL(attacks);
}

/* One slot is another thing, the frame is copied. */
Test(decide_attacks, one_slot_changed)
{
    static const struct attack attacks[] = {
        {"What is the dose of ibuprofen for a 6-year-old?",
         "What is the dose of ibuprofen for a 60-year-old?", "number"},
        {"What is the IBAN of account 4411?", "What is the IBAN of account 4417?",
         "number"},
        {"Show the invoice of ann@example.com", "Show the invoice of eve@example.com",
         "literal"},
        {"What does https://example.com/a say?", "What does https://example.com/b say?",
         "literal"},
        {"Does rm_cache remove the files?", "Does rm_rf_all remove the files?",
         "literal"},
        {"What's the balance of Maria Lopez?", "What's the balance of Maria Gomez?",
         "name"},
        {"Send money from Ann to Bob", "Send money from Bob to Ann", "direction"},
        {"Is the pump older than the valve?", "Is the valve older than the pump?",
         "direction"},
        {"May I mix bleach or ammonia with water?",
         "May I mix bleach and ammonia with water?", "conjunction"},
        {"Did the guard stop the thief?", "Was the guard stopped by the thief?", "role"},
        {"訂單三五七號到哪了", "訂單三五八號到哪了", "number"},
        {"What is the salary of Tom?", "zq 7 salary salary tom vv", "number"},
        {"怎麼重設網路密碼？", "密碼 網路 9 vv 重設 zq xx", "number"},
        {"把錢從王小明轉給李大華", "把錢從李大華轉給王小明", "direction"},
        {"把美元換成日圓要多少", "把日圓換成美元要多少", "direction"},
        {"飯前可以吃這個藥嗎", "飯後可以吃這個藥嗎", "antonym"},
    };
    CHECK_ALL(attacks);
}

/* The answer would be right for a while only, or in another form. */
Test(decide_attacks, same_words_another_answer)
{
    static const struct attack attacks[] = {
        {"What's the exchange rate today?", "What's the exchange rate today?!",
         "volatile"},
        {"Explain the contract", "Explain the contract in Russian", "language"},
        {"Explain the contract", "Explain the contract in one word", "format"},
        {"How much is it in dollars?", "How much is it in euros?", "currency"},
    };
    CHECK_ALL(attacks);
}

/* Padding that pushes the difference out of the encoder's sight. */
Test(decide_attacks, padded_beyond_what_is_read)
{
    lc_side victim = {.text = "What is a cache?", .size = 16};
    lc_side attacker = {.text = "What is a cache?", .size = 16, .truncated = 1};
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    cr_assert_eq(lc_decide(&attacker, &victim, 1, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 0);
    cr_assert_str_eq(verdict.why, "unread");
}
