covey_script_test(unit house.layers ${CMAKE_SOURCE_DIR}/tests/unit/house/test_layers.py)
