#include "actors/pn_gw/operator_command.hpp"

#include <gmock/gmock.h>

#include <initializer_list>
#include <set>

namespace cpns::actors {
namespace {

using protocol::device_standing;
using protocol::pn_gw_settings;
using protocol::pn_gw_state;
using protocol::validation_policy;
using testing::HasSubstr;

constexpr auto states = static_cast<std::size_t>(pn_gw_state::count_);

using refusal_fn = std::string (*)(const command_subject&);

/// The states in which the command is refused.
std::set<std::string> refused(refusal_fn why_not, bool in_reach, const pn_gw_settings& s = {}) {
  std::set<std::string> out;
  for (std::size_t i = 0; i < states; ++i) {
    const auto state = static_cast<pn_gw_state>(i);
    const auto standing =
        state == pn_gw_state::rejected ? device_standing::rejected : device_standing::normal;
    if (!why_not({state, standing, in_reach, s}).empty()) out.emplace(name_of(state));
  }
  return out;
}

using names = std::set<std::string>;

TEST(operator_command, update_needs_a_link_and_a_state_in_which_an_exchange_may_begin) {
  EXPECT_EQ(refused(why_not_update, true),
            (names{"awaiting_approval", "quarantined", "rejected", "revoked"}));
  EXPECT_EQ(refused(why_not_update, false).size(), states);
  const pn_gw_settings s;
  const auto why = [&s](pn_gw_state state) {
    return why_not_update({state, device_standing::normal, false, s});
  };
  EXPECT_THAT(why(pn_gw_state::awaiting_approval), HasSubstr("approve it first"));
  EXPECT_THAT(why(pn_gw_state::asleep), HasSubstr("when it wakes up"));
  EXPECT_THAT(why(pn_gw_state::found), HasSubstr("out of reach"));
}

TEST(operator_command, approve_needs_a_device_that_a_person_decides_about) {
  const names decided{"awaiting_approval", "quarantined", "rejected"};
  const auto all = refused(why_not_approve, true);
  EXPECT_EQ(all.size(), states - decided.size());
  for (const auto& state : decided) EXPECT_FALSE(all.contains(state));
  const pn_gw_settings s;
  EXPECT_THAT(why_not_approve({pn_gw_state::keyed, device_standing::normal, true, s}), HasSubstr("keyed"));
}

TEST(operator_command, approve_is_refused_while_a_list_would_reject_the_device_again) {
  pn_gw_settings denied;
  denied.denied = true;
  EXPECT_EQ(refused(why_not_approve, false, denied).size(), states);
  EXPECT_THAT(why_not_approve({pn_gw_state::rejected, device_standing::normal, false, denied}),
              HasSubstr("validation.deny"));
  pn_gw_settings unlisted;
  unlisted.policy = validation_policy::list;
  unlisted.allowed = false;
  EXPECT_THAT(why_not_approve({pn_gw_state::rejected, device_standing::normal, false, unlisted}),
              HasSubstr("validation.allow"));
}

TEST(operator_command, reject_is_refused_if_a_person_or_the_server_did_so_already) {
  EXPECT_EQ(refused(why_not_reject, true), (names{"rejected", "revoked"}));
  const pn_gw_settings s;
  EXPECT_EQ(why_not_reject({pn_gw_state::rejected, device_standing::normal, true, s}), "")
      << "a list rejects it, and a person may, too: that outlives a change of the list";
}

}  // namespace
}  // namespace cpns::actors
