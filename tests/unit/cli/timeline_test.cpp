// The steps that `cpns demo` prints from the logs of three processes.
#include <gtest/gtest.h>

#include "cli/demo/timeline.hpp"

namespace cpns::cli {
namespace {

log_event event(std::string component, std::string name, std::int64_t at = 180) {
  return {at, "info", std::move(component), std::move(name), "", {{"entity", "urn:dev:mac:02"}}};
}

std::vector<int> steps_of(const std::vector<log_event>& events) {
  std::vector<int> out;
  timeline t([&out](const timeline_line& l) { out.push_back(l.step); });
  for (const auto& e : events) t.take(e);
  t.release(true);
  return out;
}

TEST(timeline, shows_the_steps_of_a_server_whose_log_is_read_before_that_of_the_gateway) {
  EXPECT_EQ(steps_of({event("server", "user-verified"), event("server", "temporary-key-obtained"),
                      event("gateway", "validated"), event("gateway", "detected"),
                      event("gateway", "requested"), event("server", "set-stored")}),
            (std::vector{1, 2, 3, 4, 5, 7, 6}));
}

TEST(timeline, shows_no_steps_of_other_pnes) {
  auto other = event("server", "user-verified");
  other.fields["entity"] = "urn:dev:mac:03";
  EXPECT_EQ(steps_of({other, event("gateway", "detected"), other}), (std::vector{1, 2}));
}

}  // namespace
}  // namespace cpns::cli
