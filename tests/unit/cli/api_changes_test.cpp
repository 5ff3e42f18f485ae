// How a change through the API ended, in the audit trail.
#include "cli/api_changes.hpp"

#include "tests/unit/audit/support.hpp"

namespace cpns::cli {
namespace {

class api_changes_lines : public audit::trail_test {
 protected:
  /// The outcome in the last line after a change that ended with this error.
  std::string outcome_after(const std::optional<api::problem>& why) {
    {
      const auto trail = must_open();
      api_changes changes{*trail};
      const auto intent = changes.begin({{}, "r-1", "user-add", "alice", nullptr, nullptr});
      EXPECT_TRUE(intent) << intent.error().message();
      changes.finish(*intent, why ? &*why : nullptr, nullptr);
    }
    return audit::text(objects().back(), "outcome");
  }
  std::string outcome_after(errc code) { return outcome_after(api::problem{error{code}}); }
};

TEST_F(api_changes_lines, say_failed_only_of_a_change_that_was_not_made) {
  EXPECT_EQ(outcome_after(std::nullopt), "done");
  EXPECT_EQ(outcome_after(errc::state_exists), "refused");
  EXPECT_EQ(outcome_after(errc::state_overloaded), "failed") << "nothing was begun";
  EXPECT_EQ(outcome_after(errc::store_unavailable), "failed");
  EXPECT_EQ(outcome_after(errc::peer_timeout), "unknown") << "the write may end later";
  EXPECT_EQ(outcome_after(errc::store_write_failed), "unknown") << "the write may turn up";
  EXPECT_EQ(outcome_after(errc::store_full), "unknown");
}

TEST_F(api_changes_lines, agree_with_those_of_commands) {
  for (const auto code : {errc::state_exists, errc::store_unavailable, errc::peer_timeout,
                          errc::store_write_failed, errc::store_full, errc::internal})
    EXPECT_EQ(outcome_after(code), name_of(audit::outcome_of(status{fail(code)}).is));
}

}  // namespace
}  // namespace cpns::cli
