covey_unit_test(bench series SOURCES ${CMAKE_SOURCE_DIR}/bench/series.c)
covey_script_test(system bench ${CMAKE_CURRENT_LIST_DIR}/system/test_bench.py TIMEOUT 300)
