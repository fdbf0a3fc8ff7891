/*
 * Do two answers say the same? Hand-made pairs, with the real encoder where its model is installed. What must not happen
 * is that different ones count as the same; how many of the same are found is what it is.
 */
#include "ask/same_answer.h"
#include "embed/model_folder.h"
#include "test_cache.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(same_answer, .timeout = 120);

typedef struct answers {
    int same;
    const char *first, *second;
} answers;

static const answers pairs[] = {
    {1, "Water boils at 100 degrees Celsius at sea level.", "At sea level, water boils at 100 degrees Celsius."},
    {1, "You can reset your password on the login page by clicking \"Forgot password\".",
     "Click \"Forgot password\" on the login page to reset your password."},
    {1, "Our shop opens at nine in the morning and closes at six in the evening.",
     "The shop is open from nine in the morning until six in the evening."},
    {1, "Photosynthesis is how plants turn light, water and carbon dioxide into sugar and oxygen.",
     "Plants use photosynthesis to make sugar and oxygen out of light, water and carbon dioxide."},
    {1, "The capital of Australia is Canberra.", "Canberra is the capital of Australia."},
    {1, "A cache keeps results so that they need not be computed again.",
     "A cache stores results so they do not have to be computed a second time."},
    {1, "台北101高508公尺，位於信義區。", "位於信義區的台北101，高度是508公尺。"},
    {1, "申請護照需要身分證、兩張照片和申請書。", "辦護照要帶身分證、兩張照片以及申請書。"},
    {1, "水在攝氏100度沸騰。", "攝氏100度時水會沸騰。"},
    {1, "快取會保存結果，下次就不用重新計算。", "快取把結果存起來，之後不必再重新計算。"},
    {1, "澳洲的首都是坎培拉。", "坎培拉是澳洲的首都。"},
    {1, "您可以在會員中心修改密碼。", "密碼可以在會員中心修改。"},
    {0, "Water boils at 100 degrees Celsius at sea level.", "Water boils at 90 degrees Celsius at sea level."},
    {0, "You can return the goods within 30 days.", "You can return the goods within 14 days."},
    {0, "The capital of Australia is Canberra.", "The capital of Australia is Sydney."},
    {0, "Yes, it is safe to mix these two medicines.", "No, it is not safe to mix these two medicines."},
    {0, "Turn the valve to the left to open it.", "Turn the valve to the left to close it."},
    {0, "Our shop is always open on Sundays.", "Our shop is never open on Sundays."},
    {0, "水在攝氏100度沸騰。", "水在攝氏90度沸騰。"},
    {0, "商品可以在七天內退貨。", "商品不可以在七天內退貨。"},
    {0, "請先打開電源，再插上線。", "請先關閉電源，再插上線。"},
    {0, "澳洲的首都是坎培拉。", "澳洲的首都是雪梨。"},
    {0, "這項服務是免費的。", "這項服務是收費的。"},
    {0, "門市週末有營業。", "門市週末沒有營業。"},
    {0, "The bridge was built by the Romans.", "The bridge was built by the Greeks."},
    {0, "Use butter for this cake.", "Use margarine for this cake."},
    {0, "Lyon is the largest city in the region.", "Grenoble is the largest city in the region."},
    {0, "Take the blue line to the airport.", "Take the red line to the airport."},
    {0, "The meeting is in the large hall.", "The meeting is in the small kitchen."},
    {0, "這道菜要用醬油。", "這道菜要用米酒。"},
    {0, "請在門口等候。", "請在大廳等候。"},
    {0, "這隻是貓。", "這隻是狗。"},
    {1, "You need a passport and a visa to enter.", "To enter, you need a visa and a passport."},
    {1, "搭捷運到那裡大約要二十分鐘。", "到那裡搭捷運約二十分鐘。"},
};
enum { COUNT = sizeof pairs / sizeof *pairs };

static llmcache *open_local(void)
{
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    lc_model_file file;
    llmcache_error err;
    if (lc_model_find(folder ? folder : "", "multilingual-e5-small", 0, &file, &err))
        cr_skip_test("%s", err.message);
    lc_model_file_done(&file);
    return test_cache(NULL, "embedder", "local:", "models-folder", folder ? folder : "");
}

Test(same_answer, different_ones_never_count_as_the_same)
{
    llmcache *cache = open_local();
    int found = 0, same = 0, taken = 0;
    for (int i = 0; i < COUNT; i++) {
        lc_sameness word = lc_same_answer(cache, "?", pairs[i].first, pairs[i].second);
        cr_assert_neq(word, LC_SAME_UNKNOWN);
        same += pairs[i].same;
        found += pairs[i].same && word == LC_SAME_YES;
        taken += !pairs[i].same && word == LC_SAME_YES;
        if ((word == LC_SAME_YES) != pairs[i].same)
            fprintf(stderr, "%s: %s | %s\n", word == LC_SAME_YES ? "taken for the same" : "not found",
                    pairs[i].first, pairs[i].second);
    }
    fprintf(stderr, "%d of %d same ones found, %d of %d others taken for the same\n", found, same, taken,
            COUNT - same);
    cr_assert_geq(found, same / 2);
    cr_assert_eq(taken, 0);
    llmcache_close(cache);
}

Test(same_answer, white_space_does_not_count)
{
    cr_assert(lc_equal_but_for_space("", ""));
    cr_assert(lc_equal_but_for_space(" a  b\n", "a b"));
    cr_assert(lc_equal_but_for_space("a\t\r\nb", "a b "));
    cr_assert(lc_equal_but_for_space("  \n", ""));
    cr_assert_not(lc_equal_but_for_space("ab", "a b"));
    cr_assert_not(lc_equal_but_for_space("a b", "ab"));
    cr_assert_not(lc_equal_but_for_space("a", "a b"));
    cr_assert_not(lc_equal_but_for_space("a b", "a"));
    cr_assert_not(lc_equal_but_for_space("a", "A"));
}

Test(same_answer, the_beginning_ends_where_a_character_does)
{
    cr_assert_eq(lc_beginning("abc", 5), 3u);
    cr_assert_eq(lc_beginning("abcde", 5), 5u);
    cr_assert_eq(lc_beginning("abcdef", 5), 5u);
    cr_assert_eq(lc_beginning("快取快取", 6), 6u);
    cr_assert_eq(lc_beginning("快取快取", 5), 3u);
    cr_assert_eq(lc_beginning("快取快取", 2), 0u);
    cr_assert_eq(lc_beginning("", 0), 0u);
}

/* Without an embedder only equal ones are the same. */
Test(same_answer, nobody_to_ask_means_different)
{
    llmcache *cache = test_cache(NULL, NULL);
    cr_assert_eq(lc_same_answer(cache, "?", "Yes.", " Yes. "), LC_SAME_YES);
    cr_assert_eq(lc_same_answer(cache, "?", "Yes.", "Yes, it is."), LC_SAME_NO);
    llmcache_close(cache);
}

/* An embedder that fails leaves it open: nothing is learned from that. */
Test(same_answer, an_embedder_that_fails_says_nothing)
{
    test_mock mock;
    mock_start(&mock);
    mock_behave(&mock, "{'path': '/v1/embeddings', 'status': 500}");
    llmcache *cache = test_cache(&mock, "embed-timeout-ms", "500");
    cr_assert_eq(lc_same_answer(cache, "?", "Yes.", "Yes, it is."), LC_SAME_UNKNOWN);
    llmcache_close(cache);
}
