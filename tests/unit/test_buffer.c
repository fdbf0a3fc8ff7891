/* lib/base/buffer: growth, the cap, the sticky error, JSON escaping. */
#include "base/buffer.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <string.h>

Test(buffer, starts_empty_and_takes_as_empty_string)
{
    lc_buffer buffer;
    lc_buffer_init(&buffer, 0);
    cr_assert_null(buffer.data);
    size_t size = 7;
    char *text = lc_buffer_take(&buffer, &size);
    cr_assert_str_eq(text, "");
    cr_assert_eq(size, 0);
    lc_free(text);
}
