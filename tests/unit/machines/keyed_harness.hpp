#pragma once
// The harness after first contact: the device has its first EUKey, and all three agree.

#include <gtest/gtest.h>

#include "tests/unit/machines/harness.hpp"

namespace cpns::test {

struct keyed_harness : harness {
  explicit keyed_harness(harness_options options = {}) : harness(options) {
    connect();
    EXPECT_TRUE(run_until([this] { return keyed(); }, seconds{20}));
    run(seconds{2});
    EXPECT_EQ(disagreement(), "");
  }
};

}  // namespace cpns::test
