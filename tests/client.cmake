set(client_test_dir ${CMAKE_CURRENT_SOURCE_DIR}/component/client)
add_executable(fake_controller ${client_test_dir}/fake_controller.c ${client_test_dir}/fake_flares.c)
target_link_libraries(fake_controller PRIVATE covey_settings covey_rpc covey_proto PkgConfig::OPENSSL)
set_target_properties(fake_controller PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
