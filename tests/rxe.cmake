# Tests in the Soft-RoCE lab (soft-roce-setup/lab): virtual machines, so only of what users get, and one at a time.
covey_script_test(unit lab.parts ${CMAKE_SOURCE_DIR}/tests/unit/soft-roce/test_parts.py)
covey_script_test(unit lab.arguments ${CMAKE_SOURCE_DIR}/tests/unit/soft-roce/test_arguments.py)

