# Tests in the Soft-RoCE lab (soft-roce-setup/lab): virtual machines, so only of what users get, and one at a time.
covey_script_test(unit lab.parts ${CMAKE_SOURCE_DIR}/tests/unit/soft-roce/test_parts.py)
covey_script_test(unit lab.arguments ${CMAKE_SOURCE_DIR}/tests/unit/soft-roce/test_arguments.py)

add_executable(rxe_ucx_pair ${CMAKE_SOURCE_DIR}/tests/system/rxe/ucx_pair.c)
target_link_libraries(rxe_ucx_pair PRIVATE covey_settings PkgConfig::UCX)
set_target_properties(rxe_ucx_pair PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

if(CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo)
  covey_script_test(rxe lab ${CMAKE_SOURCE_DIR}/tests/system/rxe/test_lab.py TIMEOUT 240)
  covey_script_test(rxe rdma ${CMAKE_SOURCE_DIR}/tests/system/rxe/test_rdma.py TIMEOUT 240)
  covey_script_test(rxe host ${CMAKE_SOURCE_DIR}/tests/system/rxe/test_host.py TIMEOUT 240)
  covey_script_test(rxe flare ${CMAKE_SOURCE_DIR}/tests/system/rxe/test_flare.py TIMEOUT 240)
  set_tests_properties(rxe.lab rxe.rdma rxe.host rxe.flare PROPERTIES RUN_SERIAL TRUE)
endif()
