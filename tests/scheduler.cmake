set(cluster ${CMAKE_CURRENT_SOURCE_DIR}/unit/scheduler/cluster.c)
foreach(object cores events filter machine memory nodes order placement promise queue reason request tenants
        topology)
  covey_unit_test(scheduler ${object} SOURCES ${cluster} DEPENDS covey_scheduler)
endforeach()
