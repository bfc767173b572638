set(client_test_dir ${CMAKE_CURRENT_SOURCE_DIR}/component/client)
add_executable(fake_controller ${client_test_dir}/fake_controller.c ${client_test_dir}/fake_flares.c
  ${client_test_dir}/fake_pictures.c)
target_link_libraries(fake_controller PRIVATE covey_settings covey_rpc covey_proto PkgConfig::OPENSSL)
set_target_properties(fake_controller PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

set(client_generated ${CMAKE_CURRENT_BINARY_DIR}/client)
set(every_proto_dir ${CMAKE_CURRENT_SOURCE_DIR}/unit/client)
add_custom_command(
  OUTPUT ${client_generated}/every.pb-c.c ${client_generated}/every.pb-c.h ${client_generated}/every.protoset
  COMMAND ${CMAKE_COMMAND} -E make_directory ${client_generated}
  COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${client_generated}
          --descriptor_set_out=${client_generated}/every.protoset --include_imports
          -I ${every_proto_dir} -I ${PROTOBUF_WELL_KNOWN_DIR} ${every_proto_dir}/every.proto
  DEPENDS ${every_proto_dir}/every.proto
  VERBATIM)
add_library(covey_test_every STATIC ${client_generated}/every.pb-c.c)
target_compile_options(covey_test_every PRIVATE -w)
target_include_directories(covey_test_every SYSTEM PUBLIC ${client_generated})
target_link_libraries(covey_test_every PUBLIC covey_proto)
add_executable(json_dump ${every_proto_dir}/json_dump.c)
target_link_libraries(json_dump PRIVATE covey_client_objects covey_test_every)
set_target_properties(json_dump PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
covey_script_test(unit client.json ${every_proto_dir}/test_json.py)
covey_script_test(component client.cli ${client_test_dir}/test_cli.py)
covey_script_test(component client.local ${client_test_dir}/test_local.py)
add_library(covey_test_fake STATIC ${client_test_dir}/fake.c)
target_link_libraries(covey_test_fake PUBLIC covey_harness)
target_compile_definitions(covey_test_fake PRIVATE FAKE_CONTROLLER="$<TARGET_FILE:fake_controller>")
add_dependencies(covey_test_fake fake_controller)
covey_unit_test(client library LABEL component DEPENDS covey_client covey_test_fake)
# Their seams are hidden in the library: these have its objects.
covey_unit_test(client memory LABEL component DEPENDS covey_client_objects covey_test_fake)
covey_unit_test(client inspect DEPENDS covey_client_objects)
covey_script_test(component client.tutorial ${client_test_dir}/test_tutorial.py)
