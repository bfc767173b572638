#include "bench/sim/plot.h"
#include "tests/harness/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The document of one plot, for the caller to free. */
static char *drawn(const struct sim_plot *plot)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    TEST_REQUIRE(out != NULL);
    sim_plot_svg(out, plot, 1);
    TEST_REQUIRE(fclose(out) == 0);
    TEST_TRUE(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
    TEST_TRUE(strstr(text, "</svg>\n") != NULL);
    return text;
}

static void svg__markup_in_names__escaped(void)
{
    const struct sim_point points[] = {{0, 1}, {1, 2}};
    const struct sim_line line = {"<a> & \"b\"", points, 2, false};
    const struct sim_plot plot = {"t", {"x", false}, {"y", false}, &line, 1};
    char *text = drawn(&plot);
    TEST_TRUE(strstr(text, "&lt;a&gt; &amp; &quot;b&quot;") != NULL);
    TEST_TRUE(strstr(text, "<a>") == NULL);
    free(text);
}

static void svg__line__from_corner_to_corner(void)
{
    const struct sim_point points[] = {{0, 0}, {10, 100}};
    const struct sim_line line = {"l", points, 2, false};
    const struct sim_plot plot = {"t", {"x", false}, {"y", false}, &line, 1};
    char *text = drawn(&plot);
    TEST_TRUE(strstr(text, "d=\"M80.0 320.0L720.0 40.0\"") != NULL);
    free(text);
}

static void svg__steps__hold_their_value(void)
{
    const struct sim_point points[] = {{0, 0}, {10, 100}};
    const struct sim_line line = {"l", points, 2, true};
    const struct sim_plot plot = {"t", {"x", false}, {"y", false}, &line, 1};
    char *text = drawn(&plot);
    TEST_TRUE(strstr(text, "d=\"M80.0 320.0L720.0 320.0L720.0 40.0\"") != NULL);
    free(text);
}

static void svg__logarithmic__decades_are_equally_long(void)
{
    const struct sim_point points[] = {{1, 10}, {10, 100}, {100, 1000}};
    const struct sim_line line = {"l", points, 3, false};
    const struct sim_plot plot = {"t", {"x", true}, {"y", true}, &line, 1};
    char *text = drawn(&plot);
    TEST_TRUE(strstr(text, "d=\"M80.0 320.0L400.0 180.0L720.0 40.0\"") != NULL);
    TEST_TRUE(strstr(text, ">1000</text>") != NULL);
    free(text);
}

static void svg__nothing_and_zeros__still_a_document(void)
{
    const struct sim_point points[] = {{0, 0}, {0, 0}};
    for (uint32_t count = 0; count <= 2; count++) {
        for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
            const struct sim_line line = {"l", points, count, true};
            const struct sim_plot plot = {"t", {"x", logarithmic}, {"y", logarithmic}, &line, 1};
            free(drawn(&plot));
        }
    }
}

static const struct test_case cases[] = {
    TEST_CASE(svg__markup_in_names__escaped),
    TEST_CASE(svg__line__from_corner_to_corner),
    TEST_CASE(svg__steps__hold_their_value),
    TEST_CASE(svg__logarithmic__decades_are_equally_long),
    TEST_CASE(svg__nothing_and_zeros__still_a_document),
    {0},
};

const struct test_suite test_suites[] = {{"plot", cases, NULL, NULL}, {0}};
