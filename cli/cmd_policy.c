/*
 * llmcache-cli policy: what was learned about which near questions may share an answer,
 * and steering it, for all servers of the store.
 */
#include "cli_entry.h"
#include "cli_print.h"

#include <errno.h>
#include <llmcache/observe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STATE = 64 << 20 };

/* ---- Showing -------------------------------------------------------------------- */

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static const char *word(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void print_curve(const cli_session *cli, const json_t *curve)
{
    const json_t *all = json_object_get(curve, "all");
    const json_t *bands = json_object_get(curve, "bands");
    double step = number(json_array_get(bands, 1), "from") - number(json_array_get(bands, 0), "from");
    double top = number(all, "from") + (double)json_array_size(bands) * step;
    printf("\n%s", print_start(cli, PRINT_BOLD));
    print_text(stdout, word(curve, "curve"));
    printf("%s\n", print_end(cli));
    print_fact(cli, "candidates", "%.0f of %.0f requests", number(curve, "candidates"),
               number(curve, "requests"));
    print_fact(cli, "hits", "%.0f; the fixed threshold would have had %.0f",
               number(curve, "hits"), number(curve, "fixed_hits"));
    print_fact(cli, "compared instead", "%.0f", number(curve, "explored"));
    if (number(curve, "threshold") > top)
        print_fact(cli, "served from", "nothing is proven");
    else
        print_fact(cli, "served from", "%.4g (floor %.4g)", number(curve, "threshold"),
                   number(all, "from"));
    if (number(all, "checked") > 0)
        print_fact(cli, "wrong among hits", "%.0f of %.0f checked: %.2f to %.2f %%",
                   number(all, "wrong"), number(all, "checked"),
                   100 * number(all, "error_low"), 100 * number(all, "error_high"));
    else
        print_fact(cli, "wrong among hits", "not known: none was checked");
    if (number(curve, "alarms") > 0)
        print_fact(cli, "changes for the worse", "%.0f", number(curve, "alarms"));
}

static void print_policy(const cli_session *cli, const json_t *root)
{
    const json_t *compared = json_object_get(root, "compared");
    const json_t *shadow = json_object_get(root, "shadow");
    const json_t *learned = json_object_get(root, "learned");
    size_t i;
    json_t *curve;
    print_fact(cli, "policy", "%s", word(root, "policy"));
    print_fact(cli, "budget", "%.4g %% wrong", 100 * number(root, "max_error"));
    if (!json_is_true(json_object_get(root, "learns"))) {
        print_fact(cli, "learns", "no: policy is not verified and shadow-share is 0");
        return;
    }
    print_fact(cli, "frozen", "%s",
               json_is_true(json_object_get(learned, "frozen")) ? "yes" : "no");
    print_fact(cli, "records known", "%.0f", number(learned, "records"));
    print_fact(cli, "compared here", "%.0f same, %.0f different, %.0f unknown",
               number(compared, "same"), number(compared, "different"),
               number(compared, "unknown"));
    print_fact(cli, "calls behind hits", "%.0f, %.0f failed, %.0f tokens",
               number(shadow, "calls"), number(shadow, "failed"),
               number(shadow, "input_tokens") + number(shadow, "output_tokens"));
    json_array_foreach(json_object_get(learned, "curves"), i, curve)
        print_curve(cli, curve);
}

static int show(cli_session *cli)
{
    llmcache_error err;
    char *text;
    if (llmcache_policy(cli->cache, &text, &err))
        return cli_fail(cli, &err);
    json_t *root = json_loads(text, 0, NULL);
    llmcache_free(text);
    if (cli->json || !root)
        return print_json(root);
    print_policy(cli, root);
    json_decref(root);
    return CLI_OK;
}

/* ---- Export and import ---------------------------------------------------------- */

static int bad_file(const cli_session *cli, const char *name, const char *what)
{
    llmcache_error err = {.code = LLMCACHE_IO, .retry_after_ms = -1};
    snprintf(err.message, sizeof err.message, "%.150s: %.60s", name, what);
    return cli_fail(cli, &err);
}

static int export_to(cli_session *cli, const char *name)
{
    llmcache_error err;
    char *state;
    if (llmcache_policy_export(cli->cache, &state, &err))
        return cli_fail(cli, &err);
    int to_output = strcmp(name, "-") == 0;
    FILE *file = to_output ? stdout : fopen(name, "w");
    int failed = !file || fputs(state, file) < 0 || putc('\n', file) == EOF;
    int why = errno;
    if (file && !to_output)
        failed |= fclose(file) != 0;
    llmcache_free(state);
    return failed ? bad_file(cli, name, strerror(why)) : CLI_OK;
}

/* The whole file; NULL after an error with its exit code in *code. */
static char *read_file(cli_session *cli, const char *name, int *code)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    char *text = NULL;
    size_t room = 0;
    *code = CLI_OK;
    if (!file) {
        *code = cli_usage(cli, "%.150s: %s", name, strerror(errno));
        return NULL;
    }
    ssize_t size = getdelim(&text, &room, '\0', file);
    if (size < 0 || size > MAX_STATE || ferror(file)) {
        *code = bad_file(cli, name, "empty, too large, or not to be read");
        free(text);
        text = NULL;
    }
    if (file != stdin)
        fclose(file);
    return text;
}

static int act(cli_session *cli, const char *action, const char *state)
{
    llmcache_error err;
    if (llmcache_policy_set(cli->cache, action, state, &err))
        return cli_fail(cli, &err);
    return show(cli);
}

static int import_from(cli_session *cli, const char *name)
{
    int code;
    char *state = read_file(cli, name, &code);
    if (!state)
        return code;
    code = act(cli, "import", state);
    free(state);
    return code;
}

/* ---- The command ---------------------------------------------------------------- */

static int run(cli_session *cli)
{
    const char *action = cli->argument_count ? cli->arguments[0] : NULL;
    const char *file = cli->argument_count > 1 ? cli->arguments[1] : NULL;
    int exports = action && strcmp(action, "export") == 0;
    int imports = action && strcmp(action, "import") == 0;
    int steers = action && (strcmp(action, "freeze") == 0 || strcmp(action, "thaw") == 0 ||
                            strcmp(action, "reset") == 0);
    if (action && !exports && !imports && !steers)
        return cli_usage(cli, "policy takes freeze, thaw, reset, export or import, not \"%.40s\"", action);
    if ((exports || imports) != (file != NULL))
        return cli_usage(cli, file ? "policy %.20s takes no file" : "policy %.20s needs a file, - for standard %s",
                         action, imports ? "input" : "output");
    int code = cli_open(cli);
    if (code)
        return code;
    return exports   ? export_to(cli, file)
           : imports ? import_from(cli, file)
           : steers  ? act(cli, action, NULL)
                     : show(cli);
}

const cli_command cmd_policy = {
    .name = "policy",
    .arguments = "[freeze|thaw|reset|export FILE|import FILE]",
    .summary = "Show and steer what was learned about which near questions share an answer",
    .detail = "It is learned with --policy verified, or --shadow-share above 0, which are to be given here "
              "too. What is done reaches all servers of the store.",
    .minimum = 0,
    .maximum = 2,
    .run = run,
};
