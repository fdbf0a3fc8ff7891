/* Prints the built settings table as JSON, a row a line: what script/settings-doc writes
 * down. */
#include "base/buffer.h"
#include "base/settings.h"

#include <stdio.h>

static void add(lc_buffer *line, const char *name, const char *value)
{
    lc_buffer_text(line, line->size ? ", " : "{");
    lc_buffer_json_text(line, name);
    lc_buffer_text(line, ": ");
    lc_buffer_json_text(line, value);
}

int main(void)
{
    llmcache_setting row;
    lc_buffer line;
    lc_buffer_init(&line, 0);
    for (size_t i = 0; lc_settings_describe(NULL, i, &row) == 0; i++) {
        lc_buffer_clear(&line);
        add(&line, "name", row.name);
        add(&line, "type", row.type);
        add(&line, "default", row.default_value);
        add(&line, "environment", row.environment);
        add(&line, "help", row.help);
        if (line.broken)
            return 1;
        printf("%s}\n", line.data);
    }
    lc_buffer_done(&line);
    return 0;
}
