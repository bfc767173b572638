#include "bench/sim/plot.h"

#include <math.h>

enum { width = 860, height = 380, left = 80, right = 140, top = 40, bottom = 60 };
enum { colour_count = 6 };
static const char *const colours[colour_count] = {"#1b6ca8", "#d1495b", "#2e933c",
                                                  "#e08e1b", "#6a4c93", "#555555"};

/* An axis with its range, on a logarithmic one of the exponents of ten. */
struct scale {
    double least, most, step;
    double from_px, to_px;
    bool logarithmic;
};

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if ((unsigned char)*text >= 0x20)
            putc(*text, out);
    }
}

static double position(const struct scale *scale, double value)
{
    double place = value;
    if (scale->logarithmic)
        place = value > 0 ? log10(value) : scale->least;
    double share = (place - scale->least) / (scale->most - scale->least);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return scale->from_px + share * (scale->to_px - scale->from_px);
}

/* A step of 1, 2 or 5 times a power of ten that parts a range into at most so many. */
static double round_step(double range, int parts)
{
    double rough = range / parts;
    double power = pow(10, floor(log10(rough)));
    double factor = rough / power;
    return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

static void widen(double value, bool logarithmic, double *least, double *most)
{
    if (logarithmic && value <= 0)
        return;
    double place = logarithmic ? log10(value) : value;
    if (place < *least)
        *least = place;
    if (place > *most)
        *most = place;
}

static struct scale make_scale(const struct sim_plot *plot, bool is_x)
{
    const struct sim_axis *axis = is_x ? &plot->x : &plot->y;
    double least = axis->logarithmic ? INFINITY : 0;
    double most = axis->logarithmic ? -INFINITY : 0;
    for (uint32_t i = 0; i < plot->count; i++) {
        for (uint32_t k = 0; k < plot->lines[i].count; k++) {
            const struct sim_point *point = &plot->lines[i].points[k];
            widen(is_x ? point->x : point->y, axis->logarithmic, &least, &most);
        }
    }
    if (least > most)
        least = most = 0; /* nothing to draw */
    struct scale scale = {.logarithmic = axis->logarithmic, .step = 1};
    if (!axis->logarithmic)
        scale.step = round_step(most > least ? most - least : 1, is_x ? 8 : 5);
    scale.least = floor(least / scale.step) * scale.step;
    scale.most = ceil(most / scale.step) * scale.step;
    if (!(scale.most > scale.least))
        scale.most = scale.least + scale.step;
    scale.from_px = is_x ? left : height - bottom;
    scale.to_px = is_x ? width - right : top;
    return scale;
}

static void draw_label(FILE *out, double x, double y, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    put_text(out, text);
    fputs("</text>\n", out);
}

static void draw_grid_line(FILE *out, double x1, double y1, double x2, double y2)
{
    fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n", x1,
            y1, x2, y2);
}

static void draw_axes(FILE *out, const struct sim_plot *plot, const struct scale *x,
                      const struct scale *y)
{
    const struct scale *const scales[] = {x, y};
    for (int axis = 0; axis < 2; axis++) {
        const struct scale *scale = scales[axis];
        int ticks = (int)lround((scale->most - scale->least) / scale->step);
        for (int i = 0; i <= ticks; i++) {
            double value = scale->least + i * scale->step;
            char text[32];
            (void)snprintf(text, sizeof(text), "%.10g",
                           scale->logarithmic ? pow(10, value) : value);
            double at = position(scale, scale->logarithmic ? pow(10, value) : value);
            if (axis == 0) {
                draw_grid_line(out, at, top, at, height - bottom);
                draw_label(out, at, height - bottom + 18, "middle", text);
            } else {
                draw_grid_line(out, left, at, width - right, at);
                draw_label(out, left - 8, at + 4, "end", text);
            }
        }
    }
    draw_label(out, left, top - 16, "start", plot->title);
    draw_label(out, (left + width - right) / 2.0, height - 16, "middle", plot->x.label);
    fprintf(out, "<g transform=\"translate(18 %.1f) rotate(-90)\">\n",
            (top + height - bottom) / 2.0);
    draw_label(out, 0, 0, "middle", plot->y.label);
    fputs("</g>\n", out);
}

static void draw_line(FILE *out, const struct sim_line *line, const char *colour,
                      const struct scale *x, const struct scale *y)
{
    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"", colour);
    double last_y = 0;
    for (uint32_t i = 0; i < line->count; i++) {
        double at_x = position(x, line->points[i].x);
        double at_y = position(y, line->points[i].y);
        if (i > 0 && line->steps)
            fprintf(out, "L%.1f %.1f", at_x, last_y);
        fprintf(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', at_x, at_y);
        last_y = at_y;
    }
    fputs(line->count ? "\"/>\n" : "M0 0\"/>\n", out);
}

static void draw_plot(FILE *out, const struct sim_plot *plot)
{
    struct scale x = make_scale(plot, true);
    struct scale y = make_scale(plot, false);
    draw_axes(out, plot, &x, &y);
    for (uint32_t i = 0; i < plot->count; i++) {
        const char *colour = colours[i % colour_count];
        double at_y = top + 12 + 18.0 * i;
        draw_line(out, &plot->lines[i], colour, &x, &y);
        fprintf(out,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"%s\" "
                "stroke-width=\"3\"/>\n",
                width - right + 12, at_y - 4, width - right + 32, at_y - 4, colour);
        draw_label(out, width - right + 38, at_y, "start", plot->lines[i].name);
    }
}

void sim_plot_svg(FILE *out, const struct sim_plot *plots, uint32_t count)
{
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            width, height * count);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, "<g transform=\"translate(0 %u)\">\n", height * i);
        draw_plot(out, &plots[i]);
        fputs("</g>\n", out);
    }
    fputs("</svg>\n", out);
}
