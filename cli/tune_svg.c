/*
 * The curve as SVG: hits among requests to the right, wrong among hits upwards, both in per cent, with the exact
 * limits as a band, the bound as a dashed line, and what is in force and what was chosen as marked points.
 */
#include "tune_show.h"

#include <string.h>

enum { WIDTH = 760, HEIGHT = 420, LEFT = 76, RIGHT = 24, TOP = 52, BOTTOM = 62, TICKS = 5 };

typedef struct chart {
    FILE *to;
    double offset; /* of this chart's top */
    double most_x, most_y;
} chart;

static double place_x(const chart *c, double x)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (x > c->most_x ? 1 : x / c->most_x);
}

static double place_y(const chart *c, double y)
{
    double share = y > c->most_y ? 1 : y / c->most_y;
    return c->offset + HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
}

/* The next of 1, 2, 5, 10, ... per cent of a unit, so that ticks are round. */
static double round_up(double value)
{
    static const double steps[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                   0.2,   0.25,  0.3,   0.4,  0.5,  0.6,  0.75, 1};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (value <= steps[i])
            return steps[i];
    return 1;
}

static void scale(chart *c, const json_t *part, double bound)
{
    size_t i;
    json_t *point;
    double x = 0.01, y = 3 * bound;
    json_array_foreach(json_object_get(part, "curve"), i, point)
    {
        double hits = tune_number(point, "hits", "rate");
        double wrong = 1.1 * tune_number(point, "wrong_among_hits", "rate");
        x = hits > x ? hits : x;
        y = wrong > y ? wrong : y;
    }
    c->most_x = round_up(x);
    c->most_y = round_up(y);
}

static void axes(const chart *c)
{
    double bottom = place_y(c, 0), top = place_y(c, c->most_y), end = place_x(c, c->most_x);
    for (int i = 0; i <= TICKS; i++) {
        double x = place_x(c, c->most_x * i / TICKS), y = place_y(c, c->most_y * i / TICKS);
        fprintf(c->to,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n"
                "<text x=\"%d\" y=\"%.1f\" class=\"tick end\">%.4g %%</text>\n"
                "<text x=\"%.1f\" y=\"%.1f\" class=\"tick middle\">%.4g %%</text>\n",
                LEFT, y, end, y, LEFT - 8, y + 4, 100 * c->most_y * i / TICKS, x, bottom + 18,
                100 * c->most_x * i / TICKS);
    }
    fprintf(c->to,
            "<path d=\"M%d %.1fV%.1fH%.1f\" class=\"axis\"/>\n"
            "<text x=\"%.1f\" y=\"%.1f\" class=\"label middle\">hits among requests</text>\n"
            "<text transform=\"translate(18 %.1f) rotate(-90)\" class=\"label middle\">wrong among "
            "hits</text>\n",
            LEFT, top, bottom, end, (LEFT + end) / 2, bottom + 42, (top + bottom) / 2);
}

/* One of a point's three numbers along the curve, there or back. */
static void outline(const chart *c, const json_t *curve, const char *what, int back)
{
    size_t count = json_array_size(curve);
    for (size_t i = 0; i < count; i++) {
        const json_t *point = json_array_get(curve, back ? count - 1 - i : i);
        fprintf(c->to, "%s%.1f %.1f", i || back ? "L" : "M",
                place_x(c, tune_number(point, "hits", "rate")),
                place_y(c, tune_number(point, "wrong_among_hits", what)));
    }
}

static void curve(const chart *c, const json_t *part)
{
    const json_t *points = json_object_get(part, "curve");
    if (!json_array_size(points))
        return;
    fprintf(c->to, "<path class=\"band\" d=\"");
    outline(c, points, "high", 0);
    outline(c, points, "low", 1);
    fprintf(c->to, "Z\"/>\n<path class=\"curve\" d=\"");
    outline(c, points, "rate", 0);
    fprintf(c->to, "\"/>\n");
}

static void mark(const chart *c, const json_t *point, const char *name, double up)
{
    if (!point || json_is_null(json_object_get(json_object_get(point, "wrong_among_hits"), "rate")))
        return;
    double hits = tune_number(point, "hits", "rate");
    double x = place_x(c, hits), y = place_y(c, tune_number(point, "wrong_among_hits", "rate"));
    int right = hits < 0.6 * c->most_x;
    fprintf(c->to,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" class=\"%s\"/>\n"
            "<text x=\"%.1f\" y=\"%.1f\" class=\"tick %s\">%s %.4f</text>\n",
            x, y, name, right ? x + 9 : x - 9, y - up, right ? "start" : "end", name,
            tune_number(point, "threshold", NULL));
}

static void draw(chart *c, const json_t *report, const json_t *part)
{
    double bound = tune_number(report, "max_wrong", NULL);
    scale(c, part, bound);
    fprintf(c->to,
            "<text x=\"%d\" y=\"%.1f\" class=\"title\">%s: %.0f labelled pairs, half of them to "
            "choose on; shown is the other half</text>\n",
            LEFT, c->offset + 26, json_string_value(json_object_get(part, "part")),
            tune_number(part, "labels", NULL));
    axes(c);
    curve(c, part);
    fprintf(c->to,
            "<line x1=\"%d\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"bound\"/>\n"
            "<text x=\"%.1f\" y=\"%.1f\" class=\"tick end\">bound %.4g %%</text>\n",
            LEFT, place_y(c, bound), place_x(c, c->most_x), place_y(c, bound),
            place_x(c, c->most_x) - 4, place_y(c, bound) - 5, 100 * bound);
    mark(c, json_object_get(part, "now"), "now", 18);
    mark(c, json_object_get(part, "chosen"), "chosen", -18);
}

static size_t parts_with_labels(const json_t *report)
{
    size_t i, count = 0;
    json_t *part;
    json_array_foreach(json_object_get(report, "parts"), i, part)
        count += tune_number(part, "labels", NULL) > 0;
    return count;
}

int tune_svg(const json_t *report, FILE *to)
{
    chart c = {.to = to};
    size_t i;
    json_t *part;
    double height = HEIGHT * (double)parts_with_labels(report) + 20;
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
            "height=\"%.0f\" role=\"img\" font-family=\"sans-serif\">\n"
            "<title>Hits against wrong answers, by threshold</title>\n"
            "<style>.title{font-size:15px;font-weight:bold}.label{font-size:13px}.tick{font-size:"
            "12px}.start{text-anchor:start}.middle{text-anchor:middle}.end{text-anchor:end}"
            ".grid{stroke:#e4e4e4}.axis{fill:none;stroke:#333}.band{fill:#2563eb;fill-opacity:.15}"
            ".curve{fill:none;stroke:#2563eb;stroke-width:2}.bound{stroke:#b91c1c;"
            "stroke-dasharray:6 4}.now{fill:#555}.chosen{fill:#15803d}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            WIDTH, height, WIDTH, height);
    json_array_foreach(json_object_get(report, "parts"), i, part)
    {
        if (!(tune_number(part, "labels", NULL) > 0))
            continue;
        draw(&c, report, part);
        c.offset += HEIGHT;
    }
    fprintf(to,
            "<text x=\"%d\" y=\"%.0f\" class=\"tick\">Band: exact %.4g %% limits (Clopper and "
            "Pearson)</text>\n</svg>\n",
            LEFT, height - 8, 100 * tune_number(report, "confidence", NULL));
    return ferror(to) ? -1 : 0;
}
