/*
 * From and to exchanged: "Tainan to Chiayi" and "Chiayi to Tainan" have the same words
 * and all but the same vector. Every marker (directions.def) makes a route from one
 * operand to another; two routes are exchanged when each one's start is the other's end,
 * and more of them agrees that way than the straight way. Operands have no known length,
 * so agreement is counted in terms from the marker on.
 */
#include "decide/case.h"

#define ROUTES_MAX  16
#define OPERAND_MAX 6 /* terms compared */
#define REACH_MAX   4 /* terms before "than" in which its left side is looked for */

enum class { MOVE, COMPARE, EFFECT, MINUS, PASSIVE };
enum role { FROM, TO, REACH };

static const struct marker {
    const char *word;
    enum class class;
    enum role role;
} markers[] = {
#define LC_DIRECTION(word, class, role) {word, class, role},
#include "decide/directions.def"
#undef LC_DIRECTION
};

/* A thing beside a marker: the terms from `at` on to the right, or from `at` to the left.
 */
struct operand {
    size_t at; /* term_count or more: nothing is there */
    enum { LEFT, RIGHT, AMONG } side;
};

struct route {
    enum class class;
    struct operand from, to;
};

static const struct marker *marker_at(const lc_reading *reading, size_t term)
{
    for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++)
        if (lc_term_is(reading, term, markers[i].word))
            return &markers[i];
    return NULL;
}

static int is_article(const lc_reading *reading, size_t at)
{
    static const char *const articles[] = {"a",   "an",  "her",   "his", "my",
                                           "our", "the", "their", "your"};
    return lc_term_in(reading, at, articles, sizeof articles / sizeof articles[0]);
}

/* The term right of `at`, articles, possessives and further markers (換成) skipped; not
 * the A of "from A to B". */
static struct operand right_of(const lc_reading *reading, size_t at)
{
    at++;
    while (marker_at(reading, at) ||
           (is_article(reading, at) && at + 1 < reading->term_count &&
            !marker_at(reading, at + 1)))
        at++;
    return (struct operand){at, RIGHT};
}

/* The term left of `at`, further markers (轉給) and verbs of giving (寄給) skipped. */
static size_t left_of(const lc_reading *reading, size_t at)
{
    static const char *const giving[] = {"交", "传", "借", "傳", "匯", "卖",
                                         "寄", "汇", "賣", "还", "送", "還"};
    at--;
    while (at < reading->term_count &&
           (lc_term_in(reading, at, giving, sizeof giving / sizeof giving[0]) ||
            marker_at(reading, at)))
        at--;
    return at;
}

/* Where the route into marker `at` starts: behind the FROM before it or, if there is
 * none, the first behind it; in a text without, on the marker's left. */
static struct operand start_of(const lc_reading *reading, size_t at,
                               const struct marker *marker)
{
    size_t from = reading->term_count;
    for (size_t i = 0; i < reading->term_count && marker->role == TO; i++) {
        const struct marker *other = marker_at(reading, i);
        int fits = other && other->role == FROM && other->class == marker->class;
        if (fits && (i < at || from == reading->term_count))
            from = i;
    }
    if (from < reading->term_count)
        return right_of(reading, from);
    return (struct operand){left_of(reading, at), marker->role == REACH ? AMONG : LEFT};
}

static size_t find_routes(const lc_reading *reading, struct route *routes)
{
    size_t count = 0;
    for (size_t i = 0; i < reading->term_count && count < ROUTES_MAX; i++) {
        const struct marker *marker = marker_at(reading, i);
        if (marker && marker->role != FROM)
            routes[count++] = (struct route){marker->class, start_of(reading, i, marker),
                                             right_of(reading, i)};
    }
    return count;
}

/* Terms that agree from both positions on, in steps of +1 or -1. */
static size_t run(const lc_reading *a, size_t i, const lc_reading *b, size_t j,
                  size_t step)
{
    size_t length = 0;
    while (length < OPERAND_MAX && lc_term_same(a, i, b, j))
        i += step, j += step, length++;
    return length;
}

/* How many terms the end of `left` and the beginning of `right` have in common. */
static size_t meet(const lc_reading *a, size_t left, const lc_reading *b, size_t right)
{
    for (size_t length = OPERAND_MAX; length > 0; length--)
        if (left + 1 >= length && run(a, left + 1 - length, b, right, 1) >= length)
            return length;
    return 0;
}

static size_t among(const lc_reading *a, size_t left, const lc_reading *b, size_t right)
{
    for (size_t back = 0; back < REACH_MAX && left - back < a->term_count; back++)
        if (lc_term_same(a, left - back, b, right))
            return 1;
    return 0;
}

static size_t agreement(const lc_reading *a, struct operand x, const lc_reading *b,
                        struct operand y)
{
    if (x.side == AMONG || y.side == AMONG) {
        if (x.side == y.side)
            return 0;
        return x.side == AMONG ? among(a, x.at, b, y.at) : among(b, y.at, a, x.at);
    }
    if (x.side == y.side)
        return run(a, x.at, b, y.at, x.side == RIGHT ? 1 : SIZE_MAX);
    return x.side == LEFT ? meet(a, x.at, b, y.at) : meet(b, y.at, a, x.at);
}

static int exchanged(const lc_reading *a, const struct route *one, const lc_reading *b,
                     const struct route *other)
{
    if (one->class != other->class)
        return 0;
    size_t there = agreement(a, one->from, b, other->to);
    size_t back = agreement(a, one->to, b, other->from);
    size_t straight =
        agreement(a, one->from, b, other->from) + agreement(a, one->to, b, other->to);
    return there > 0 && back > 0 && there + back > straight;
}

/* Does the other text go this way too: there and back again? */
static int goes_too(const lc_reading *a, const struct route *route, const lc_reading *b,
                    const struct route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (routes[i].class == route->class && agreement(a, route->from, b, routes[i].from) &&
            agreement(a, route->to, b, routes[i].to))
            return 1;
    return 0;
}

int lc_rule_direction(const lc_case *c, char *detail)
{
    struct route a_routes[ROUTES_MAX], b_routes[ROUTES_MAX];
    size_t a_count = find_routes(&c->a, a_routes);
    size_t b_count = a_count ? find_routes(&c->b, b_routes) : 0;
    for (size_t i = 0; i < a_count; i++)
        for (size_t j = 0; j < b_count; j++) {
            if (!exchanged(&c->a, &a_routes[i], &c->b, &b_routes[j]) ||
                (goes_too(&c->a, &a_routes[i], &c->b, b_routes, b_count) &&
                 goes_too(&c->b, &b_routes[j], &c->a, a_routes, a_count)))
                continue;
            lc_detail(detail, lc_term_slice(&c->a, a_routes[i].to.at),
                      lc_term_slice(&c->b, b_routes[j].to.at));
            return 1;
        }
    return 0;
}
