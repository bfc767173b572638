# Every file that is read, spoilt in every way. Its readers are of several folders.
set(files_dir ${CMAKE_CURRENT_SOURCE_DIR}/unit/files)
covey_unit_test(files spoilt TIMEOUT 300
  SOURCES ${files_dir}/readers.c ${files_dir}/spoil.c ${CMAKE_SOURCE_DIR}/examples/pagerank/graph.c
  DEPENDS covey_controller covey_config covey_sim)
covey_script_test(system spoilt_files ${CMAKE_CURRENT_SOURCE_DIR}/system/test_spoilt_files.py TIMEOUT 300)
foreach(name settings tokens token trace graph)
  covey_script_test(fuzz files.${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/run_fuzz.py ARGS files ${name} 10 TIMEOUT 300)
endforeach()
