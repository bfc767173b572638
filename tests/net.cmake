foreach(object mac wire address)
  covey_unit_test(net ${object} DEPENDS covey_transport_net)
endforeach()
covey_unit_test(net ucx LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/net/nodes.c DEPENDS covey_transport_net)
covey_unit_test(net faults LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/net/nodes.c DEPENDS covey_transport_net)
covey_unit_test(net ports LABEL component TIMEOUT 240
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/component/net/nodes.c DEPENDS covey_transport_net)
