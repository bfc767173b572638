# Compiler settings, each an INTERFACE target so that a folder takes what it wants and generated code takes none.

option(COVEY_WERROR "Treat warnings as errors" OFF)
option(COVEY_COVERAGE "Instrument for line coverage" OFF)
set(COVEY_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
# An installed program finds the libraries installed beside it, wherever that is.
set(CMAKE_INSTALL_RPATH "\$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_library(covey_warnings INTERFACE)
target_compile_options(covey_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wformat=2 -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes
  -Wconversion -Wwrite-strings -Wimplicit-fallthrough)
if(COVEY_WERROR)
  target_compile_options(covey_warnings INTERFACE -Werror)
endif()

add_library(covey_instrument INTERFACE)
if(COVEY_SANITIZE)
  target_compile_options(covey_instrument INTERFACE
    -fsanitize=${COVEY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(covey_instrument INTERFACE -fsanitize=${COVEY_SANITIZE})
endif()
if(COVEY_COVERAGE)
  target_compile_options(covey_instrument INTERFACE --coverage -fprofile-update=atomic)
  target_compile_definitions(covey_instrument INTERFACE COVEY_COVERAGE)
  target_link_options(covey_instrument INTERFACE --coverage)
endif()

# Everything internal sees the tree as its include root: #include "base/log.h".
add_library(covey_settings INTERFACE)
target_compile_definitions(covey_settings INTERFACE _GNU_SOURCE COVEY_VERSION="${PROJECT_VERSION}")
target_include_directories(covey_settings INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/base/include)
target_link_libraries(covey_settings INTERFACE covey_warnings covey_instrument)
