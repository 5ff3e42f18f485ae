#pragma once
// The harness after first contact: gateway, device and server have the same first EUKey.

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
