covey_script_test(unit house.layers ${CMAKE_SOURCE_DIR}/tests/unit/house/test_layers.py)
covey_script_test(unit house.scripts ${CMAKE_SOURCE_DIR}/tests/unit/house/test_scripts.py)
covey_script_test(unit house.man ${CMAKE_SOURCE_DIR}/tests/unit/house/test_man.py)
covey_script_test(system house.install ${CMAKE_SOURCE_DIR}/tests/system/install/test_install.py TIMEOUT 180)
