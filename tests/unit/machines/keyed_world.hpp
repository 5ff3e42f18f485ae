#pragma once
// The world after first contact: the device has its first EUKey, and all three agree.

#include <gtest/gtest.h>

#include "tests/unit/machines/world.hpp"

namespace cpns::test {

struct keyed_world : world {
  explicit keyed_world(world_options options = {}) : world(options) {
    connect();
    EXPECT_TRUE(run_until([this] { return keyed(); }, seconds{20}));
    run(seconds{2});
    EXPECT_EQ(disagreement(), "");
  }
};

}  // namespace cpns::test
