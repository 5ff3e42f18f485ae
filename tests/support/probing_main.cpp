#include <gtest/gtest.h>

#include <cstring>

#include "plugins/host/loader.hpp"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], cpns::plugins::probe_child_flag) == 0)
    return cpns::plugins::probe_child_main(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
