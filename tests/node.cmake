# What the tests' workers run.
set(node_dir ${CMAKE_CURRENT_SOURCE_DIR}/component/node)
add_library(covey_test_behave MODULE ${node_dir}/behave.c ${node_dir}/behave_object.c)
add_executable(covey_test_behave_program ${node_dir}/behave.c ${node_dir}/behave_program.c)
add_library(covey_test_no_entry MODULE ${node_dir}/no_entry.c)
foreach(target covey_test_behave covey_test_behave_program covey_test_no_entry)
  target_link_libraries(${target} PRIVATE covey_settings)
  set_target_properties(${target} PROPERTIES PREFIX ""
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endforeach()
target_link_libraries(covey_test_behave PRIVATE covey_worker)
target_link_libraries(covey_test_behave_program PRIVATE covey_worker)

add_library(covey_node_fixture STATIC ${node_dir}/fixture.c ${node_dir}/fixture_look.c ${node_dir}/processes.c)
target_compile_definitions(covey_node_fixture PUBLIC
  TEST_BIN="${CMAKE_BINARY_DIR}/bin" TEST_FILES="${CMAKE_BINARY_DIR}/tests" TEST_SOURCES="${node_dir}")
target_link_libraries(covey_node_fixture PUBLIC covey_harness covey_local covey_rpc covey_proto)

foreach(object bounds cgroups chaos deaths faults flares nodes refusals restart)
  covey_unit_test(node ${object} LABEL component DEPENDS covey_node_fixture)
  add_dependencies(test_node_${object} covey-node covey-host covey-pack
    covey_test_behave covey_test_behave_program covey_test_no_entry)
endforeach()

covey_unit_test(node cache DEPENDS covey_node_parts)
covey_unit_test(node backlog DEPENDS covey_pack_parts)
covey_unit_test(node lines DEPENDS covey_pack_parts)
covey_unit_test(node output THREADS DEPENDS covey_pack_parts)
covey_unit_test(node confinement DEPENDS covey_node_parts)
covey_unit_test(node local DEPENDS covey_local_loop)
covey_unit_test(node options DEPENDS covey_node_parts)
covey_unit_test(node shutdown DEPENDS covey_node_parts)

covey_script_test(component node.usage ${node_dir}/test_usage.py)
