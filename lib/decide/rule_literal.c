/*
 * What stands for itself must stand on both sides: quoted strings, code, URLs, e-mail
 * addresses, file names, identifiers, flags. A literal is there when the other text holds
 * its letters anywhere, quoted or not.
 */
#include "decide/case.h"

#include <string.h>

struct literal {
    size_t at, size;
    int quoted;
};

static const struct {
    const char *open, *close;
    int ascii_only; /* in Chinese they also stand around translated titles, which
                       paraphrases vary */
} quotes[] = {
    {"`", "`", 0},   {"\"", "\"", 0}, {"「", "」", 0},
    {"『", "』", 0}, {"“", "”", 1},   {"‘", "’", 1},
};

/* What code files and sites end with; "it.then" is a missing space. */
static const char *const endings[] = {
    "ai",   "app", "c",    "cc",   "cfg",  "cn",  "com",  "conf", "cpp",  "css", "csv",
    "dev",  "dll", "doc",  "docx", "edu",  "exe", "gov",  "h",    "html", "io",  "ini",
    "java", "jpg", "js",   "json", "log",  "md",  "mp3",  "mp4",  "net",  "org", "pdf",
    "php",  "png", "py",   "rs",   "sh",   "sql", "toml", "ts",   "tw",   "txt", "uk",
    "wav",  "xls", "xlsx", "xml",  "yaml", "yml", "zip",
};

static int is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static int is_alnum(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

static int starts(const lc_reading *reading, size_t at, const char *with)
{
    return strncmp(reading->text + at, with, strlen(with)) == 0;
}

static int is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80)
            return 0;
    return 1;
}

/* A quotation that begins at `at`; 0 if none does. */
static int quoted(const lc_reading *reading, size_t at, struct literal *literal)
{
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        if (!starts(reading, at, quotes[i].open))
            continue;
        size_t begin = at + strlen(quotes[i].open);
        const char *end = strstr(reading->text + begin, quotes[i].close);
        size_t size = end ? (size_t)(end - reading->text) - begin : 0;
        if (size > 0 &&
            !(quotes[i].ascii_only && !is_ascii(reading->text + begin, size))) {
            *literal = (struct literal){begin, size, 1};
            return 1;
        }
    }
    return 0;
}

/* Characters of URLs, paths, identifiers and flags. */
static int is_code(char c)
{
    return is_alnum(c) || (c && strchr("_-./\\:@#$%&=+~?", c));
}

static int ends_like_a_file(const char *run, size_t size)
{
    size_t dot = size;
    while (dot > 0 && run[dot - 1] != '.')
        dot--;
    for (size_t i = 0; dot > 1 && i < sizeof endings / sizeof endings[0]; i++)
        if (strlen(endings[i]) == size - dot &&
            memcmp(run + dot, endings[i], size - dot) == 0)
            return 1;
    return 0;
}

/* Is this run of such characters more than a word? */
static int looks_like_code(const char *run, size_t size)
{
    int inner = ends_like_a_file(run, size), letters = 0;
    for (size_t i = 0; i < size; i++) {
        letters += is_letter(run[i]);
        if (i + 1 < size && (run[i] == '_' || run[i] == '@' || run[i] == '\\'))
            inner = 1;
        if (i + 2 < size && run[i] == ':' && (run[i + 1] == ':' || run[i + 1] == '/'))
            inner = 1;
    }
    if (size > 2 && letters > 1 && run[0] == '-' && run[1] == '-')
        inner = 1;
    if (size > 2 && letters > 0 && run[0] == '/' && is_alnum(run[1]))
        inner = 1;
    return inner && letters > 1;
}

/* The run of code characters at `at`, trailing punctuation left out. */
static struct literal run_at(const lc_reading *reading, size_t at)
{
    size_t end = at;
    while (end < reading->size && is_code(reading->text[end]))
        end++;
    while (end > at && strchr(".:?-&=%", reading->text[end - 1]))
        end--;
    return (struct literal){at, end - at, 0};
}

/* The next literal at or behind *from; 0 at the end of the text. */
static int next_literal(const lc_reading *reading, size_t *from, struct literal *literal)
{
    for (size_t at = *from; at < reading->size;) {
        if (quoted(reading, at, literal)) {
            *from = literal->at + literal->size + 1;
            return 1;
        }
        *literal = run_at(reading, at);
        if (literal->size == 0) {
            at++;
            continue;
        }
        at += literal->size;
        if (looks_like_code(reading->text + literal->at, literal->size) ||
            starts(reading, at, "()")) {
            *from = at;
            return 1;
        }
    }
    return 0;
}

/* Does the other text hold it, or its last part (pandas.concat, concat)? */
static int is_held(const lc_reading *other, const char *text, size_t size, int is_quoted)
{
    size_t part = size;
    if (lc_reading_contains(other, text, size))
        return 1;
    while (part > 0 && (text[part - 1] == '_' || is_alnum(text[part - 1])))
        part--;
    return !is_quoted && part > 0 && text[part - 1] == '.' &&
           !ends_like_a_file(text, size) &&
           lc_reading_contains(other, text + part, size - part);
}

/* Finds a literal of `reading` that `other` does not hold. */
static int alone(const lc_reading *reading, const lc_reading *other,
                 struct literal *literal)
{
    size_t from = 0;
    while (next_literal(reading, &from, literal))
        if (!is_held(other, reading->text + literal->at, literal->size, literal->quoted))
            return 1;
    return 0;
}

int lc_rule_literal(const lc_case *c, char *detail)
{
    struct literal left, right;
    int in_a = alone(&c->a, &c->b, &left), in_b = alone(&c->b, &c->a, &right);
    if (!(in_a && in_b) && !(in_a && !left.quoted) && !(in_b && !right.quoted))
        return 0;
    lc_slice none = {NULL, 0};
    lc_detail(detail, in_a ? (lc_slice){c->a.text + left.at, left.size} : none,
              in_b ? (lc_slice){c->b.text + right.at, right.size} : none);
    return 1;
}
