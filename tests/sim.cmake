foreach(object generate swf engine plot)
  covey_unit_test(sim ${object} DEPENDS covey_sim)
endforeach()
covey_script_test(system sim ${CMAKE_CURRENT_LIST_DIR}/system/test_sim.py TIMEOUT 300)
