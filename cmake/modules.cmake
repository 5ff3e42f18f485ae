# cpns_module(NAME SOURCES ... [DEPS ...]): one static library per module, target cpns_NAME.
function(cpns_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(cpns_${name} STATIC ${arg_SOURCES})
  target_link_libraries(cpns_${name} PUBLIC cpns_flags ${arg_DEPS})
  cpns_as_one(cpns_${name})
endfunction()

# cpns_as_one(TARGET): with CPNS_UNITY its sources are compiled as one, so names in unnamed namespaces must differ. scripts/compiles-alone finds
# a missing include, which shows only where each file is compiled by itself.
function(cpns_as_one target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CPNS_UNITY} UNITY_BUILD_BATCH_SIZE 0)
  if(CPNS_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # gcc takes an included source for a header, and warns of unnamed namespaces in headers.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

# cpns_busy(TARGET): the exhaustive tests spend their time in this target. With sanitizers it is compiled with -O1, and those tests take a
# quarter of the time.
function(cpns_busy target)
  if(CPNS_SANITIZE)
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# cpns_label(LABEL TARGET): the target tests_LABEL builds TARGET too; a test with that label runs it.
function(cpns_label label target)
  if(NOT TARGET tests_${label})
    add_custom_target(tests_${label})
  endif()
  add_dependencies(tests_${label} ${target})
endfunction()

# cpns_test(NAME LABELS ... SOURCES ... [DEPS ...] [TIMEOUT S]): one GoogleTest program, one CTest entry.
# The first label is the folder of the test. The target tests_LABEL builds all tests with that label.
function(cpns_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "LABELS;SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE cpns_flags ${arg_DEPS} GTest::gtest_main)
  cpns_as_one(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  # The tests with the longest time limits start first.
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} COST ${arg_TIMEOUT})
  foreach(label IN LISTS arg_LABELS)
    cpns_label(${label} ${name})
  endforeach()
endfunction()
