# cpns_transport(NAME SOURCES ... [DEPS ...]): a radio plugin, NAME.so, that exports its entry alone. If there is a check.yaml beside the
# CMakeLists.txt (parameters with which `cpns transport check` lets the two roles meet), NAME.check.yaml is installed too. Used here and, as part
# of the installed package, by authors elsewhere: find_package(cpns REQUIRED).
set(CPNS_EXPORTS_MAP "${CMAKE_CURRENT_LIST_DIR}/exports.map")

function(cpns_transport name)
  cmake_parse_arguments(arg "" "FOLDER" "SOURCES;DEPS" ${ARGN})
  if(NOT arg_FOLDER)
    set(arg_FOLDER "${CMAKE_CURRENT_BINARY_DIR}")
  endif()
  add_library(transport_${name} MODULE ${arg_SOURCES})
  target_link_libraries(transport_${name} PRIVATE cpns::transport_sdk ${arg_DEPS})
  set_target_properties(transport_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME "${name}" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY "${arg_FOLDER}" LINK_DEPENDS "${CPNS_EXPORTS_MAP}")
  target_link_options(transport_${name} PRIVATE "-Wl,--version-script=${CPNS_EXPORTS_MAP}")
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/check.yaml")
    configure_file(check.yaml "${arg_FOLDER}/${name}.check.yaml" COPYONLY)
    install(FILES check.yaml DESTINATION lib/cpns/transports RENAME "${name}.check.yaml")
  endif()
  install(TARGETS transport_${name} LIBRARY DESTINATION lib/cpns/transports)
endfunction()
