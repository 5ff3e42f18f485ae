# Options, and the flags of every target of this project.
option(CPNS_TESTS "Build the tests" ON)
option(CPNS_UNITY "Compile the sources of each target as one: a build from scratch is much faster" ON)
option(CPNS_CCACHE "Use ccache where it is installed" ON)
option(CPNS_BENCH "Build the benchmarks" OFF)
option(CPNS_FUZZ "Build the fuzz targets (clang)" OFF)
option(CPNS_CORE_ONLY "Build base, crypto and protocol alone (for the fuzz targets)" OFF)
set(CPNS_SANITIZE "" CACHE STRING "Sanitizers: empty, address,undefined or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# ccache serves a clone in another folder too: paths are relative to the root of the tree, in the objects as well.
find_program(CPNS_CCACHE_PROGRAM ccache)
if(CPNS_CCACHE AND CPNS_CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros "${CPNS_CCACHE_PROGRAM}")
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()
add_compile_options("-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")

add_library(cpns_flags INTERFACE)
target_include_directories(cpns_flags INTERFACE "${PROJECT_SOURCE_DIR}")
set_property(TARGET cpns_flags PROPERTY INTERFACE_COMPILE_OPTIONS
  -Wall -Wextra -Wpedantic -Wshadow -Werror $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  # False alarms of gcc 12 with optimisation (its bugs 80635, 105651): moved-from results and copied optionals "never set", copies in
  # `"text" + std::string` that "overlap". The asan preset uses clang, which checks the former.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized;-Wno-restrict>)
if(CPNS_SANITIZE)
  target_compile_options(cpns_flags INTERFACE -fsanitize=${CPNS_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cpns_flags INTERFACE -fsanitize=${CPNS_SANITIZE})
  if(CPNS_SANITIZE MATCHES "undefined")
    # A CAF header has a null reference.
    target_compile_options(cpns_flags INTERFACE -fno-sanitize=null -fno-sanitize-recover=undefined)
  endif()
  if(CPNS_SANITIZE MATCHES "thread")
    target_compile_definitions(cpns_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
    # g++ warns of the fences in Asio's reference counts under this sanitizer.
    target_compile_options(cpns_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  endif()
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(fmt REQUIRED CONFIG)
find_package(tl-expected REQUIRED CONFIG)
if(NOT CPNS_CORE_ONLY)
  find_package(CAF REQUIRED)
  find_package(Boost 1.81 REQUIRED CONFIG)
  find_package(yaml-cpp REQUIRED CONFIG)
  find_package(RocksDB REQUIRED CONFIG)
  find_package(PrometheusCpp REQUIRED)
  find_package(CLI11 REQUIRED CONFIG)
endif()
if(CPNS_TESTS)
  find_package(GTest REQUIRED CONFIG)
endif()
if(CPNS_BENCH)
  find_package(benchmark REQUIRED CONFIG)
endif()
