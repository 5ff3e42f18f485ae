// Runs the checker on this project's transports under a sanitizer. Without one, `cpns transport check` does this
// (conformance_check_tcp, conformance_check_loopback).

#include <gtest/gtest.h>

#include "config/loader.hpp"
#include "plugins/conformance/report.hpp"
#include "plugins/conformance/runner.hpp"

namespace cpns::conformance {
namespace {

class own : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(transport, own, testing::Values("loopback", "tcp"),
                         [](const auto& p) { return std::string{p.param}; });

TEST_P(own, keeps_the_rules) {
  subject s;
  const std::string base = std::string{CPNS_TRANSPORTS "/"} + GetParam();
  const auto known = config::load_check_settings(base + ".check.yaml");
  ASSERT_TRUE(known) << known.error().as_error().message();
  s.file = base + ".so";
  s.central = laid_over(known->both, known->central);
  s.peripheral = laid_over(known->both, known->peripheral);
  s.few_links = known->few_links;
  s.refused = known->refused;
  const auto all = run_all(s, all_tests()).value();
  EXPECT_TRUE(all_well(all)) << as_text({GetParam(), s.seed}, all);
}

}  // namespace
}  // namespace cpns::conformance
