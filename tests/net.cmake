foreach(object mac wire address)
  covey_unit_test(net ${object} DEPENDS covey_transport_net)
endforeach()
covey_unit_test(net ucx LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/net/nodes.c DEPENDS covey_transport_net)
covey_unit_test(net faults LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/net/nodes.c DEPENDS covey_transport_net)
# The same over the TCP backend.
foreach(name ucx faults)
  add_test(NAME component.net.${name}_tcp COMMAND test_net_${name})
  set_tests_properties(component.net.${name}_tcp PROPERTIES LABELS component TIMEOUT ${COVEY_TEST_TIMEOUT}
    SKIP_RETURN_CODE 77 ENVIRONMENT COVEY_TEST_NETWORK=tcp)
endforeach()
covey_unit_test(net ports LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/net/nodes.c DEPENDS covey_transport_net)
