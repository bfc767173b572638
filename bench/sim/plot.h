/* Plots of lines, drawn as SVG: axes with round numbers, linear or logarithmic, and a legend. */
#ifndef BENCH_SIM_PLOT_H
#define BENCH_SIM_PLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sim_point {
    double x, y;
};

struct sim_line {
    const char *name;
    const struct sim_point *points; /* x never falls */
    uint32_t count;
    bool steps; /* a value holds until the next point */
};

struct sim_axis {
    const char *label;
    bool logarithmic; /* points at or below 0 are drawn at the axis' beginning */
};

struct sim_plot {
    const char *title;
    struct sim_axis x, y;
    const struct sim_line *lines;
    uint32_t count;
};

/* Writes a whole SVG document with the plots below each other. Failures are the stream's. */
void sim_plot_svg(FILE *out, const struct sim_plot *plots, uint32_t count);

#endif
