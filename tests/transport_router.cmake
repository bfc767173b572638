# What runs over the relay in memory (the suites of tests/transport_core.cmake) runs over routers and UCX, too.
add_library(covey_test_world_ucx STATIC component/transport/world.c component/router/router_relay.c)
target_include_directories(covey_test_world_ucx PUBLIC component/transport)
target_link_libraries(covey_test_world_ucx PUBLIC covey_settings covey_harness covey_worker_static
  covey_transport_net)

foreach(name collectives failures flow giving_up messages shrink)
  add_executable(test_router_${name} component/transport/test_${name}.c)
  target_link_libraries(test_router_${name} PRIVATE covey_test_world_ucx)
  set_target_properties(test_router_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME component.router.${name} COMMAND test_router_${name})
  set_tests_properties(component.router.${name} PROPERTIES LABELS component TIMEOUT ${COVEY_TEST_TIMEOUT})
  add_test(NAME component.router.${name}_tcp COMMAND test_router_${name})
  set_tests_properties(component.router.${name}_tcp PROPERTIES LABELS component TIMEOUT ${COVEY_TEST_TIMEOUT}
    ENVIRONMENT COVEY_TEST_NETWORK=tcp)
endforeach()

covey_unit_test(router router LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/router/hosts.c
  DEPENDS covey_worker_static covey_transport_net)
add_test(NAME component.router.router_tcp COMMAND test_router_router)
set_tests_properties(component.router.router_tcp PROPERTIES LABELS component TIMEOUT ${COVEY_TEST_TIMEOUT}
  SKIP_RETURN_CODE 77 ENVIRONMENT COVEY_TEST_NETWORK=tcp)
covey_unit_test(router malformed LABEL component DEPENDS covey_transport_net)
