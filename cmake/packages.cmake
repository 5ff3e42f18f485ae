# `cpack -G DEB` makes the Debian packages: `cpns`, to run the roles, `cpns-transport-sdk`, to write radios, and `libcpns-keys0` with
# `libcpns-keys-dev`, for programs that use application keys. `make packages` builds first what goes into them. docs/operations/install.md says
# what they install; docs/adr/0025 has the reasons.
set(CPNS_MAINTAINER "cpns maintainers <maintainers@cpns.invalid>" CACHE STRING "The field Maintainer of the Debian packages")

# Files that make sense on a Debian system alone are not part of `cmake --install`.
set(debian COMPONENT cpns EXCLUDE_FROM_ALL)
set(made "${CMAKE_BINARY_DIR}/packaging")
set(families_why "Connections over IP, and the sockets of systemd and of the role")
set(families "AF_UNIX AF_INET AF_INET6")
set(after "")
set(title "CPNS Server: verifies users, generates and stores EUKeys")
set(role server)
configure_file(packaging/role.service.in "${made}/cpns-server.service" @ONLY)
set(families_why "Those of a server, and Bluetooth; a radio of another kind may need more")
set(families "AF_UNIX AF_INET AF_INET6 AF_BLUETOOTH")
set(after " bluetooth.service")
set(title "CPNS gateway (PN GW): detects PNEs, delivers and renews their keys")
set(role gateway)
configure_file(packaging/role.service.in "${made}/cpns-gateway.service" @ONLY)
set(title "CPNS devices (PNE) in one process")
set(role pne)
configure_file(packaging/role.service.in "${made}/cpns-pne.service" @ONLY)

install(FILES "${made}/cpns-server.service" "${made}/cpns-gateway.service" "${made}/cpns-pne.service" DESTINATION lib/systemd/system ${debian})
install(FILES packaging/cpns.preset DESTINATION lib/systemd/system-preset RENAME 90-cpns.preset ${debian})
install(FILES packaging/sysusers.conf DESTINATION lib/sysusers.d RENAME cpns.conf ${debian})
install(FILES packaging/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME cpns.conf ${debian})
install(FILES packaging/logrotate.conf DESTINATION /etc/logrotate.d RENAME cpns ${debian})
install(DIRECTORY packaging/examples DESTINATION share/doc/cpns ${debian})
install(CODE "if(NOT EXISTS \"${CMAKE_BINARY_DIR}/pages/completion\")
  message(FATAL_ERROR \"the pages for man are not built: cmake --build ${CMAKE_BINARY_DIR} --target pages\")
endif()" ${debian})

# Policy 12.5 and 12.7: copyright and changelogs, for each package.
set(number "${PROJECT_VERSION}-1")
file(READ "${PROJECT_SOURCE_DIR}/CHANGELOG.md" changes)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH if it is set
set(package_cpns cpns)
set(package_sdk cpns-transport-sdk)
set(package_keys libcpns-keys0)
set(package_keys_dev libcpns-keys-dev)
set(package_mosquitto cpns-mosquitto)
set(components cpns sdk keys keys_dev)
if(TARGET cpns_mosquitto)
  list(APPEND components mosquitto)
endif()
foreach(component IN LISTS components)
  set(package "${package_${component}}")
  file(WRITE "${made}/${package}/changelog.Debian"
    "${package} (${number}) unstable; urgency=medium\n\n  * The changes are in changelog.gz.\n\n -- ${CPNS_MAINTAINER}  ${date}\n")
  file(WRITE "${made}/${package}/changelog" "${changes}")
  install(CODE "execute_process(COMMAND gzip -9nkf \"${made}/${package}/changelog\" \"${made}/${package}/changelog.Debian\" COMMAND_ERROR_IS_FATAL ANY)"
    COMPONENT ${component} EXCLUDE_FROM_ALL)
  install(FILES "${made}/${package}/changelog.gz" "${made}/${package}/changelog.Debian.gz" packaging/copyright
    DESTINATION share/doc/${package} COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME cpns)
set(CPACK_PACKAGE_VENDOR cpns)
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_SOURCE_DIR}/build/packages")
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${CPNS_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # it would become the first line of both
set(CPACK_COMPONENT_CPNS_DESCRIPTION "key assignment for devices without a screen (OMA CPNS)
The CPNS Server, the gateway (PN GW) and devices (PNE) in one program, with the
radios tcp, ble and loopback, and a systemd unit for each role.

A gateway detects devices by radio and sends the hashed password of their user
to the server; it then delivers the keys that the server made, and renews them.")
set(CPACK_DEBIAN_CPNS_PACKAGE_NAME cpns)
set(CPACK_DEBIAN_CPNS_PACKAGE_SECTION net)
set(CPACK_DEBIAN_CPNS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_CPNS_PACKAGE_DEPENDS "systemd (>= 252)")
set(CPACK_DEBIAN_CPNS_PACKAGE_SUGGESTS "bluez, cpns-mosquitto, cpns-transport-sdk, logrotate, openssl")
file(WRITE "${made}/conffiles" "/etc/logrotate.d/cpns\n")
set(CPACK_DEBIAN_CPNS_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/packaging/scripts/postinst;${PROJECT_SOURCE_DIR}/packaging/scripts/prerm;${PROJECT_SOURCE_DIR}/packaging/scripts/postrm;${made}/conffiles")

set(CPACK_COMPONENT_SDK_DESCRIPTION "headers and examples for radio plugins of cpns
A radio is a shared object that carries frames between a gateway and devices.
This package has the headers of the plugin interface, a CMake package,
pkg-config data, the examples that `cpns transport new` copies, and the guide.")
set(CPACK_DEBIAN_SDK_PACKAGE_NAME cpns-transport-sdk)
set(CPACK_DEBIAN_SDK_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_SDK_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_SDK_PACKAGE_DEPENDS "cpns (>= ${PROJECT_VERSION})")

set(CPACK_COMPONENT_KEYS_DESCRIPTION "application keys of a CPNS gateway or device, library
A program that links to it follows the keys that gateway and device derive for
its purpose, and uses them while they change: as a pre-shared key of TLS or
DTLS, or as the key of a MAC. It needs libc alone.")
set(CPACK_DEBIAN_KEYS_PACKAGE_NAME libcpns-keys0)
set(CPACK_DEBIAN_KEYS_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_KEYS_PACKAGE_SHLIBDEPS ON)

set(CPACK_COMPONENT_KEYS_DEV_DESCRIPTION "application keys of a CPNS gateway or device, to compile
Header, pkg-config data, man page, guide, and a server and a client of TLS-PSK
as examples.")
set(CPACK_DEBIAN_KEYS_DEV_PACKAGE_NAME libcpns-keys-dev)
set(CPACK_DEBIAN_KEYS_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_KEYS_DEV_PACKAGE_DEPENDS "libcpns-keys0 (>= ${PROJECT_VERSION})")

set(CPACK_COMPONENT_MOSQUITTO_DESCRIPTION "application keys of a CPNS gateway for the mosquitto broker
A plugin for mosquitto 2.0: MQTT clients on the devices come in with TLS-PSK, by
keys that gateway and device derive and that change while the broker runs.

The package has the clients of `cpns demo --application mqtt`, too.")
set(CPACK_DEBIAN_MOSQUITTO_PACKAGE_NAME cpns-mosquitto)
set(CPACK_DEBIAN_MOSQUITTO_PACKAGE_SECTION net)
set(CPACK_DEBIAN_MOSQUITTO_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_MOSQUITTO_PACKAGE_RECOMMENDS "mosquitto (>= 2.0)")
set(CPACK_DEBIAN_MOSQUITTO_PACKAGE_SUGGESTS "cpns")
include(CPack)

# No table of functions stays writable for an attacker who can write to memory.
foreach(target IN ITEMS cpns transport_tcp transport_loopback transport_ble)
  target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
endforeach()

# The radios and the program, but none of the tests.
if(TARGET pages)
  add_custom_target(packages COMMAND "${CMAKE_CPACK_COMMAND}" -G DEB DEPENDS cpns transports pages cpns_keys keys_page $<TARGET_NAME_IF_EXISTS:cpns_mosquitto>
    $<TARGET_NAME_IF_EXISTS:mqtt_crowd>
    WORKING_DIRECTORY "${CMAKE_BINARY_DIR}" USES_TERMINAL)
endif()
