/* lib/net/http_headers: what ends at the next hop, what may go on the wire, Retry-After. */
#include "net/http.h"
#include "net/http_headers.h"

#include <criterion/criterion.h>
#include <string.h>

Test(http_headers, hop_by_hop_by_name_and_by_connection)
{
    const llmcache_header headers[] = {{"Connection", "close, X-Private"}, {"x-kept", "1"}};
    const struct {
        const char *name;
        int hop;
    } cases[] = {{"Transfer-Encoding", 1}, {"TE", 1},       {"Content-Length", 1}, {"Keep-Alive", 1},
                 {"x-private", 1},         {"X-Kept", 0},   {"X-Priv", 0},         {"Upgrade", 1},
                 {"Content-Type", 0},      {"Trailers", 0}, {"Retry-After", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(lc_header_is_hop(headers, 2, cases[i].name), cases[i].hop, "%s", cases[i].name);
}

Test(http_headers, sane_ones_have_no_way_to_start_a_new_line)
{
    cr_expect_eq(lc_header_is_sane("X-Name", "value with\ttab and \xe5\xbf\xab"), 1);
    cr_expect_eq(lc_header_is_sane("X-Name", ""), 1);
    cr_expect_eq(lc_header_is_sane("", "value"), 0);
    cr_expect_eq(lc_header_is_sane("X Name", "value"), 0);
    cr_expect_eq(lc_header_is_sane("X-Name:", "value"), 0);
    cr_expect_eq(lc_header_is_sane("X-Name", "a\r\nEvil: 1"), 0);
    cr_expect_eq(lc_header_is_sane("X-Name", "a\n"), 0);
    cr_expect_eq(lc_header_is_sane("X-Name", "a\x7f"), 0);
}

Test(http_headers, retry_after_in_all_its_forms)
{
    const int64_t now_ms = 784111770000; /* Sun, 06 Nov 1994 08:49:30 GMT */
    const struct {
        const char *name, *value;
        int64_t wait_ms;
    } cases[] = {
        {"Retry-After", "0", 0},
        {"retry-after", "12", 12000},
        {"Retry-After", "1.5", 1500},
        {"retry-after-ms", "250", 250},
        {"retry-after-ms", "250.9", 250},
        {"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT", 7000},
        {"Retry-After", "Sun, 06 Nov 1994 08:49:00 GMT", 0},
        {"Retry-After", "soon", -1},
        {"Retry-After", "-5", -1},
        {"Retry-After", "99999999999999999999", -1},
        {"Retry-After", "", -1},
        {"X-Other", "12", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const llmcache_header header = {cases[i].name, cases[i].value};
        cr_expect_eq(lc_retry_after_ms(&header, 1, now_ms), cases[i].wait_ms, "%s: %s",
                     cases[i].name, cases[i].value);
    }
    const llmcache_header both[] = {{"Retry-After", "9"}, {"Retry-After-Ms", "300"}};
    cr_expect_eq(lc_retry_after_ms(both, 2, now_ms), 300);
}

Test(http_headers, a_head_keeps_what_is_end_to_end)
{
    lc_head head;
    lc_head_init(&head);
    const char *const lines[] = {"Content-Type:  text/plain \r\n", "Connection: X-Hop\r\n",
                                 "X-Hop: 1\r\n", "Content-Encoding: gzip\r\n", "no colon\r\n",
                                 "Bad Name: 1\r\n", "Empty:\r\n", "Content-Length: 12\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert_eq(lc_head_add(&head, lines[i], strlen(lines[i])), 0);
    lc_head_finish(&head);
    cr_assert_eq(head.count, 2);
    cr_assert_str_eq(lc_header(head.list, head.count, "content-type"), "text/plain");
    cr_assert_str_eq(lc_header(head.list, head.count, "EMPTY"), "");
    cr_assert_eq(head.content_length, 12);
    cr_assert_eq(head.encoded, 1);
    lc_head_done(&head);
}

Test(http_headers, a_head_has_a_cap_in_count_and_in_bytes)
{
    lc_head head;
    lc_head_init(&head);
    int rc = 0, added = 0;
    for (; rc == 0 && added < 1000; added++)
        rc = lc_head_add(&head, "A: b\r\n", 6);
    cr_assert_eq(rc, LLMCACHE_TOO_LARGE);
    cr_assert_eq(added, LC_HEAD_MAX_COUNT + 1);

    static char line[40000];
    memset(line, 'x', sizeof line);
    memcpy(line, "Long: ", 6);
    lc_head_clear(&head);
    cr_assert_eq(lc_head_add(&head, line, sizeof line), 0);
    cr_assert_eq(lc_head_add(&head, line, sizeof line), LLMCACHE_TOO_LARGE);
    lc_head_done(&head);
}
