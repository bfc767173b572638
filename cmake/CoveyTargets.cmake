# covey_library(NAME SOURCES ... [DEPENDS ...]): an internal static library of one folder.
function(covey_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC covey_settings ${ARG_DEPENDS})
endfunction()

# What ./quickstart builds: the programs, and the examples that it runs.
add_custom_target(covey_quickstart)

# The tests with the label tsan, so that the tsan preset builds only those.
add_custom_target(covey_thread_tests)

# covey_program(NAME SOURCES ... [DEPENDS ...]): an installed program.
function(covey_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE covey_settings ${ARG_DEPENDS})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  add_dependencies(covey_quickstart ${name})
endfunction()

# A test that takes longer, or longer than its own TIMEOUT where that is more, hangs. It says nothing about how long one
# should take: the machine may be busy.
set(COVEY_TEST_TIMEOUT 1500)

# covey_unit_test(FOLDER OBJECT [THREADS] [DEPENDS ...] [LABEL unit|component|system] [TIMEOUT S]):
# tests/<label>/<folder>/test_<object>.c, linked with the CUnit harness. THREADS: the test is about threads, and runs
# under ThreadSanitizer too (label tsan).
function(covey_unit_test folder object)
  cmake_parse_arguments(ARG "THREADS" "LABEL;TIMEOUT" "DEPENDS;SOURCES" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT OR ARG_TIMEOUT LESS COVEY_TEST_TIMEOUT)
    set(ARG_TIMEOUT ${COVEY_TEST_TIMEOUT})
  endif()
  string(REPLACE "/" "_" flat ${folder})
  set(name test_${flat}_${object})
  add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/${ARG_LABEL}/${folder}/test_${object}.c ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE covey_settings covey_harness ${ARG_DEPENDS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${ARG_LABEL}.${flat}.${object} COMMAND ${name})
  set_tests_properties(${ARG_LABEL}.${flat}.${object} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77)
  if(ARG_LABEL STREQUAL system)
    set_tests_properties(${ARG_LABEL}.${flat}.${object} PROPERTIES RUN_SERIAL TRUE)
  endif()
  if(ARG_THREADS)
    set_property(TEST ${ARG_LABEL}.${flat}.${object} APPEND PROPERTY LABELS tsan)
    add_dependencies(covey_thread_tests ${name})
  endif()
endfunction()

# covey_script_test(LABEL NAME SCRIPT [TIMEOUT S] [ARGS ...]): a test that is a program of its own; 77 means skipped.
# System tests start whole clusters and measure time: they run one at a time.
function(covey_script_test label name script)
  cmake_parse_arguments(ARG "" "TIMEOUT" "ARGS" ${ARGN})
  if(NOT ARG_TIMEOUT OR ARG_TIMEOUT LESS COVEY_TEST_TIMEOUT)
    set(ARG_TIMEOUT ${COVEY_TEST_TIMEOUT})
  endif()
  add_test(NAME ${label}.${name} COMMAND ${script} ${ARG_ARGS})
  set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "COVEY_SOURCE_DIR=${CMAKE_SOURCE_DIR};COVEY_BUILD_DIR=${CMAKE_BINARY_DIR};COVEY_SANITIZE=${COVEY_SANITIZE}")
  if(label STREQUAL system)
    set_tests_properties(${label}.${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()
