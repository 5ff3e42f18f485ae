// Main of checker_test and own_transports_test: the checker runs its tests in child processes of this same
// program.

#include <gtest/gtest.h>

#include <cstring>

#include "plugins/conformance/runner.hpp"

int main(int argc, char** argv) {
  using namespace cpns::conformance;
  if (argc > 1 && std::strcmp(argv[1], check_child_flag) == 0)
    return check_child_main(argc, argv, all_tests());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
