# `cmake --install BUILD --prefix DIR`: the program with its plugins, and headers, examples and pages for authors of plugins. Paths are relative
# to the program, so the folder can be moved. Included last, when all targets exist.
include(CMakePackageConfigHelpers)

install(TARGETS cpns RUNTIME DESTINATION bin)
install(DIRECTORY plugins/abi plugins/sdk DESTINATION include/cpns FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(DIRECTORY plugins/examples/ DESTINATION share/cpns/examples USE_SOURCE_PERMISSIONS)
install(FILES docs/plugin-guide.md docs/transport-check.md docs/transports.md DESTINATION share/doc/cpns)

install(TARGETS transport_sdk EXPORT cpns_targets)
install(EXPORT cpns_targets NAMESPACE cpns:: DESTINATION lib/cmake/cpns FILE cpnsTargets.cmake)
file(WRITE "${CMAKE_BINARY_DIR}/cpnsConfig.cmake" [[
include("${CMAKE_CURRENT_LIST_DIR}/cpnsTargets.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/cpns_transport.cmake")
]])
write_basic_package_version_file("${CMAKE_BINARY_DIR}/cpnsConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/cpnsConfig.cmake" "${CMAKE_BINARY_DIR}/cpnsConfigVersion.cmake" cmake/cpns_transport.cmake
  cmake/exports.map DESTINATION lib/cmake/cpns)
file(WRITE "${CMAKE_BINARY_DIR}/cpns-transport-sdk.pc" "prefix=\${pcfiledir}/../..
Name: cpns-transport-sdk
Description: Headers for radio plugins of cpns
URL: file://\${prefix}/share/doc/cpns/plugin-guide.md
Version: ${PROJECT_VERSION}
Cflags: -I\${prefix}/include
")
install(FILES "${CMAKE_BINARY_DIR}/cpns-transport-sdk.pc" DESTINATION lib/pkgconfig)
