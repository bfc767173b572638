# How a library reaches other projects: names and versions of the shared object, headers, a CMake package, a pkg-config file.
include(CMakePackageConfigHelpers)

# covey_install_library(TARGET <shared library> NAME <name> DESCRIPTION <text> MAP <file>
#                       HEADER_ROOTS <dir>... HEADERS <file>...):
# other projects get it as   find_package(<name>) with covey::<name>   and   pkg-config <name>.
#
# MAP is the linker's version script: with hidden visibility it is the second lock on what is exported, and it gives the
# symbols their version. Paths are relative to the source folder of the caller. A header is included by its path below its
# root, and must compile alone: the target all_verify_interface_header_sets tries that.
function(covey_install_library)
  cmake_parse_arguments(ARG "" "TARGET;NAME;DESCRIPTION;MAP" "HEADER_ROOTS;HEADERS" ${ARGN})
  foreach(needed TARGET NAME DESCRIPTION MAP HEADER_ROOTS HEADERS)
    if(NOT ARG_${needed})
      message(FATAL_ERROR "covey_install_library: ${needed} is missing")
    endif()
  endforeach()
  set(map ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_MAP})
  set_target_properties(${ARG_TARGET} PROPERTIES
    OUTPUT_NAME ${ARG_NAME}
    EXPORT_NAME ${ARG_NAME}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${map}
    VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_options(${ARG_TARGET} PRIVATE LINKER:--version-script=${map})
  if(NOT COVEY_SANITIZE)
    target_link_options(${ARG_TARGET} PRIVATE LINKER:--no-undefined)
  endif()
  target_sources(${ARG_TARGET} PUBLIC FILE_SET HEADERS BASE_DIRS ${ARG_HEADER_ROOTS} FILES ${ARG_HEADERS})
  add_library(covey::${ARG_NAME} ALIAS ${ARG_TARGET})

  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/${ARG_NAME})
  install(TARGETS ${ARG_TARGET} EXPORT ${ARG_NAME}-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT ${ARG_NAME}-targets NAMESPACE covey:: DESTINATION ${package})
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}-config.cmake
    "include(\${CMAKE_CURRENT_LIST_DIR}/${ARG_NAME}-targets.cmake)\n")
  write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}-config-version.cmake DESTINATION ${package})

  # Found again from where the file lies, so that an installed tree may be moved.
  file(RELATIVE_PATH up /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
  string(REGEX REPLACE "/$" "" up ${up})
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}.pc @ONLY CONTENT
"prefix=\${pcfiledir}/@up@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: @ARG_NAME@
Description: @ARG_DESCRIPTION@
Version: @PROJECT_VERSION@
Libs: -L\${libdir} -l@ARG_NAME@
Cflags: -I\${includedir}
")
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
