set(rpc_test_dir ${CMAKE_CURRENT_BINARY_DIR}/rpc)
set(rpc_unit_dir ${CMAKE_CURRENT_SOURCE_DIR}/unit/rpc)
set(rpc_test_proto_dir ${CMAKE_CURRENT_SOURCE_DIR}/component/rpc)

# rpc_test_proto(NAME FOLDER): covey_test_NAME, the C form of FOLDER/NAME.proto.
function(rpc_test_proto name folder)
  add_custom_command(
    OUTPUT ${rpc_test_dir}/${name}.pb-c.c ${rpc_test_dir}/${name}.pb-c.h
    COMMAND ${CMAKE_COMMAND} -E make_directory ${rpc_test_dir}
    COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${rpc_test_dir} -I ${folder} ${folder}/${name}.proto
    DEPENDS ${folder}/${name}.proto
    VERBATIM)
  add_library(covey_test_${name} STATIC ${rpc_test_dir}/${name}.pb-c.c)
  target_compile_options(covey_test_${name} PRIVATE -w)
  target_include_directories(covey_test_${name} SYSTEM PUBLIC ${rpc_test_dir})
  target_link_libraries(covey_test_${name} PUBLIC covey_instrument PkgConfig::PROTOBUF_C)
endfunction()
rpc_test_proto(echo ${rpc_test_proto_dir})
rpc_test_proto(tree ${rpc_unit_dir})

add_custom_command(
  OUTPUT ${rpc_test_dir}/tree_set.c
  COMMAND ${PROTOC} --descriptor_set_out=${rpc_test_dir}/tree.binpb -I ${rpc_unit_dir} ${rpc_unit_dir}/tree.proto
  COMMAND ${CMAKE_COMMAND} -DINPUT=${rpc_test_dir}/tree.binpb -DOUTPUT=${rpc_test_dir}/tree_set.c
          -DNAME=test_descriptor_set -P ${CMAKE_SOURCE_DIR}/rpc/embed.cmake
  DEPENDS ${rpc_unit_dir}/tree.proto
  VERBATIM)

covey_unit_test(proto strings DEPENDS covey_wire covey_test_tree)
covey_unit_test(rpc text DEPENDS covey_rpc)
covey_unit_test(rpc deadlines DEPENDS covey_rpc)
covey_unit_test(rpc framing DEPENDS covey_rpc covey_test_tree)
covey_unit_test(rpc decode DEPENDS covey_rpc covey_test_tree)
covey_unit_test(rpc descriptors DEPENDS covey_rpc SOURCES ${rpc_test_dir}/tree_set.c)

add_library(covey_test_echo_service STATIC ${rpc_test_proto_dir}/echo_service.c)
target_link_libraries(covey_test_echo_service PUBLIC covey_settings covey_rpc covey_test_echo)
add_library(covey_rpc_fixture STATIC ${rpc_test_proto_dir}/fixture.c)
target_link_libraries(covey_rpc_fixture PUBLIC covey_harness covey_test_echo_service)
foreach(program echo_server echo_client)
  add_executable(${program} ${rpc_test_proto_dir}/${program}.c)
  target_link_libraries(${program} PRIVATE covey_test_echo_service)
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endforeach()

foreach(object accounts calls connections flow memory tls)
  covey_unit_test(rpc ${object} LABEL component DEPENDS covey_rpc_fixture)
endforeach()
covey_script_test(component rpc.outside_client ${rpc_test_proto_dir}/test_outside_client.py)
covey_script_test(component rpc.outside_server ${rpc_test_proto_dir}/test_outside_server.py)
covey_script_test(component rpc.bad_server ${rpc_test_proto_dir}/test_bad_server.py)
covey_script_test(component rpc.conformance ${rpc_test_proto_dir}/test_conformance.py)
covey_script_test(component rpc.h2spec ${rpc_test_proto_dir}/test_h2spec.py TIMEOUT 600)
covey_script_test(component rpc.floods ${rpc_test_proto_dir}/test_floods.py)
covey_script_test(component rpc.partings ${rpc_test_proto_dir}/test_partings.py)

foreach(name decode server)
  covey_script_test(fuzz rpc.${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/run_fuzz.py ARGS rpc ${name} 20 TIMEOUT 300)
endforeach()
