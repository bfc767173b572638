covey_unit_test(bench series SOURCES ${CMAKE_SOURCE_DIR}/bench/series.c)
covey_script_test(system bench_scheduler ${CMAKE_CURRENT_LIST_DIR}/system/test_bench_scheduler.py TIMEOUT 300)
