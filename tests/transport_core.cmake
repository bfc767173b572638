add_library(covey_test_world STATIC component/transport/world.c component/transport/relay.c)
target_include_directories(covey_test_world PUBLIC component/transport)
target_link_libraries(covey_test_world PUBLIC covey_settings covey_harness covey_worker_static)

foreach(object collectives failures flow messages)
  covey_unit_test(transport ${object} LABEL component DEPENDS covey_test_world)
endforeach()

covey_unit_test(transport hostile DEPENDS covey_transport_core)
covey_unit_test(transport kill_points DEPENDS covey_transport_core)
covey_unit_test(transport arena DEPENDS covey_transport_core)
covey_unit_test(transport credit DEPENDS covey_transport_core)
covey_unit_test(transport queues THREADS DEPENDS covey_transport_core)
covey_unit_test(transport setup LABEL component DEPENDS covey_worker_static covey_worker_setup)
