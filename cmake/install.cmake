# `cmake --install BUILD --prefix DIR`: the program with its plugins, and headers, examples and pages for authors of plugins. Paths are relative
# to the program, so the folder can be moved. Included when all targets exist. Component `sdk`: all that authors of plugins need and the program
# does not; `keys` and `keys_dev`: libcpns-keys, for programs that use application keys; `mosquitto`: the plugin
# for that broker, and the clients of its demo; the rest is of the component `cpns`.
include(CMakePackageConfigHelpers)

install(TARGETS cpns RUNTIME DESTINATION bin)
install(FILES docs/config.md docs/glossary.md docs/transports.md docs/ble.md DESTINATION share/doc/cpns)
install(DIRECTORY docs/operations DESTINATION share/doc/cpns)
install(FILES docs/openapi/key-service.yaml docs/openapi/key_service.py DESTINATION share/doc/cpns/openapi)

install(DIRECTORY plugins/abi plugins/sdk DESTINATION include/cpns COMPONENT sdk FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(DIRECTORY plugins/examples/ DESTINATION share/cpns/examples COMPONENT sdk USE_SOURCE_PERMISSIONS)
install(FILES docs/plugin-guide.md docs/transport-check.md DESTINATION share/doc/cpns COMPONENT sdk)

install(TARGETS transport_sdk EXPORT cpns_targets)
install(EXPORT cpns_targets NAMESPACE cpns:: DESTINATION lib/cmake/cpns COMPONENT sdk FILE cpnsTargets.cmake)
file(WRITE "${CMAKE_BINARY_DIR}/cpnsConfig.cmake" [[
include("${CMAKE_CURRENT_LIST_DIR}/cpnsTargets.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/cpns_transport.cmake")
]])
write_basic_package_version_file("${CMAKE_BINARY_DIR}/cpnsConfigVersion.cmake" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_BINARY_DIR}/cpnsConfig.cmake" "${CMAKE_BINARY_DIR}/cpnsConfigVersion.cmake" cmake/cpns_transport.cmake
  cmake/exports.map DESTINATION lib/cmake/cpns COMPONENT sdk)
file(WRITE "${CMAKE_BINARY_DIR}/cpns-transport-sdk.pc" "prefix=\${pcfiledir}/../..
Name: cpns-transport-sdk
Description: Headers for radio plugins of cpns
URL: file://\${prefix}/share/doc/cpns/plugin-guide.md
Version: ${PROJECT_VERSION}
Cflags: -I\${prefix}/include
")
install(FILES "${CMAKE_BINARY_DIR}/cpns-transport-sdk.pc" DESTINATION share/pkgconfig COMPONENT sdk)

# libcpns-keys: what programs run with, and what compiles them.
install(TARGETS cpns_keys LIBRARY DESTINATION lib COMPONENT keys NAMELINK_COMPONENT keys_dev)
install(FILES consumers/libcpns-keys/include/cpns_keys.h DESTINATION include COMPONENT keys_dev)
install(FILES consumers/examples/psk_server.c consumers/examples/psk_client.c consumers/examples/coap_server.c consumers/examples/coap_client.c
  DESTINATION share/doc/libcpns-keys-dev/examples COMPONENT keys_dev)
install(FILES docs/application-keys.md DESTINATION share/doc/libcpns-keys-dev COMPONENT keys_dev)
install(FILES "${CMAKE_BINARY_DIR}/pages_keys/cpns_keys.3.gz" DESTINATION share/man/man3 COMPONENT keys_dev)
file(WRITE "${CMAKE_BINARY_DIR}/cpns-keys.pc" "prefix=\${pcfiledir}/../..
Name: cpns-keys
Description: Application keys of a CPNS gateway or device, for the programs that use them
URL: file://\${prefix}/share/doc/libcpns-keys-dev/application-keys.md
Version: ${PROJECT_VERSION}
Cflags: -I\${prefix}/include
Libs: -L\${prefix}/lib -lcpns-keys
")
install(FILES "${CMAKE_BINARY_DIR}/cpns-keys.pc" DESTINATION lib/pkgconfig COMPONENT keys_dev)

# The plugin for mosquitto, where it is built.
if(TARGET cpns_mosquitto)
  install(TARGETS cpns_mosquitto LIBRARY DESTINATION lib/cpns COMPONENT mosquitto)
  install(FILES consumers/mosquitto/sample/mosquitto.conf consumers/mosquitto/sample/cpns.acl consumers/examples/mqtt_sensor.c
    DESTINATION share/doc/cpns-mosquitto/examples COMPONENT mosquitto)
  install(FILES docs/application-keys.md DESTINATION share/doc/cpns-mosquitto COMPONENT mosquitto)
  if(TARGET mqtt_crowd)
    install(PROGRAMS $<TARGET_FILE:mqtt_crowd> DESTINATION lib/cpns COMPONENT mosquitto)  # the clients of `cpns demo --application mqtt`
  endif()
endif()

# What the commands say of themselves, as pages for man and completion for bash. Sanitizers slow the many calls down.
if(NOT CPNS_SANITIZE)
  find_program(CPNS_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
  add_custom_command(OUTPUT "${CMAKE_BINARY_DIR}/pages/completion"
    COMMAND "${CPNS_PYTHON}" -B "${PROJECT_SOURCE_DIR}/packaging/pages.py" $<TARGET_FILE:cpns> "${CMAKE_BINARY_DIR}/pages"
    DEPENDS cpns packaging/pages.py VERBATIM)
  add_custom_target(pages ALL DEPENDS "${CMAKE_BINARY_DIR}/pages/completion")
endif()
install(DIRECTORY "${CMAKE_BINARY_DIR}/pages/man1" "${CMAKE_BINARY_DIR}/pages/man8" DESTINATION share/man OPTIONAL)
install(FILES "${CMAKE_BINARY_DIR}/pages/completion" DESTINATION share/bash-completion/completions RENAME cpns OPTIONAL)
