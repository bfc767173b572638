set(rpc_test_dir ${CMAKE_CURRENT_BINARY_DIR}/rpc)
set(rpc_test_proto_dir ${CMAKE_CURRENT_SOURCE_DIR}/component/rpc)
add_custom_command(
  OUTPUT ${rpc_test_dir}/echo.pb-c.c ${rpc_test_dir}/echo.pb-c.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${rpc_test_dir}
  COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${rpc_test_dir}
          -I ${rpc_test_proto_dir} ${rpc_test_proto_dir}/echo.proto
  DEPENDS ${rpc_test_proto_dir}/echo.proto
  VERBATIM)
add_library(covey_test_echo STATIC ${rpc_test_dir}/echo.pb-c.c)
target_compile_options(covey_test_echo PRIVATE -w)
target_include_directories(covey_test_echo SYSTEM PUBLIC ${rpc_test_dir})
target_link_libraries(covey_test_echo PUBLIC covey_instrument PkgConfig::PROTOBUF_C)

add_library(covey_test_echo_service STATIC ${rpc_test_proto_dir}/echo_service.c)
target_link_libraries(covey_test_echo_service PUBLIC covey_settings covey_rpc covey_test_echo)
add_library(covey_rpc_fixture STATIC ${rpc_test_proto_dir}/fixture.c)
target_link_libraries(covey_rpc_fixture PUBLIC covey_harness covey_test_echo_service)
foreach(program echo_server echo_client)
  add_executable(${program} ${rpc_test_proto_dir}/${program}.c)
  target_link_libraries(${program} PRIVATE covey_test_echo_service)
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endforeach()

covey_unit_test(rpc calls LABEL component DEPENDS covey_rpc_fixture)
covey_script_test(component rpc.outside_client ${rpc_test_proto_dir}/test_outside_client.py)
covey_script_test(component rpc.outside_server ${rpc_test_proto_dir}/test_outside_server.py)
