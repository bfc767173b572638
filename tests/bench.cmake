set(bench_source ${CMAKE_SOURCE_DIR}/bench)
covey_unit_test(bench series SOURCES ${bench_source}/series.c)
covey_unit_test(bench sizes SOURCES ${bench_source}/messages/sizes.c DEPENDS covey_base)
covey_unit_test(bench history SOURCES ${bench_source}/messages/history.c ${bench_source}/series.c)
covey_unit_test(bench outcome SOURCES ${bench_source}/messages/outcome.c ${bench_source}/series.c)
covey_unit_test(bench exchange SOURCES ${bench_source}/exchange/measure.c ${bench_source}/exchange/activity.c
  ${bench_source}/exchange/run.c ${bench_source}/exchange/order.c ${bench_source}/exchange/pattern.c)
covey_script_test(system bench ${CMAKE_CURRENT_LIST_DIR}/system/test_bench.py TIMEOUT 300)
covey_script_test(system bench_messages ${CMAKE_CURRENT_LIST_DIR}/system/test_bench_messages.py TIMEOUT 600)
