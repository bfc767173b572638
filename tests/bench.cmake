covey_unit_test(bench series SOURCES ${CMAKE_SOURCE_DIR}/bench/series.c)
