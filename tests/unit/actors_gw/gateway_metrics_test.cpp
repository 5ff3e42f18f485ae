#include "actors/pn_gw/gateway_metrics.hpp"

#include <gmock/gmock.h>

#include "protocol/pn_gw/pn_gw_table.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;
using testing::HasSubstr;

const time_point noon{std::chrono::hours{500'000}};

device_record keyed(const std::string& entity, std::size_t unused, time_point since) {
  device_record r;
  r.entity = entity_id::parse(entity).value();
  r.generation = 1;
  r.rekey_seconds = 3600;
  r.keyed_since = unix_milliseconds(since);
  r.keys.push_back({epoch{1, 0}, r.set, {}, key_use::own});
  for (std::size_t i = 1; i <= unused; ++i)
    r.keys.push_back({epoch{1, static_cast<std::uint16_t>(i)}, r.set, {}, key_use::unused});
  return r;
}

class gateway_tally : public testing::Test {
 protected:
  gateway_tally() {
    counted.collect([this](metrics::sheet& to) { tally.add_to(to, noon); });
  }
  void put(const device_record& r, std::string_view state, bool in_reach) {
    tally.put(shared_text{r.entity.text()}, facts_of(r, state, in_reach, std::nullopt));
  }
  metrics::registry counted;
  pne_tally tally{8};
};

TEST_F(gateway_tally, has_all_states_from_the_beginning) {
  const auto text = counted.text();
  for (const auto* state : {"keyed", "awaiting_approval", "backing_off", "not_in_reach"})
    EXPECT_THAT(text, HasSubstr("cpns_gateway_pnes{state=\"" + std::string{state} + "\"} 0\n"));
}

TEST_F(gateway_tally, moves_a_pne_from_state_to_state) {
  const auto one = keyed("urn:dev:os:32473-1", 20, noon);
  tally.put_stored(one, std::nullopt);
  tally.put_stored(keyed("urn:dev:os:32473-2", 12, noon), std::nullopt);
  EXPECT_THAT(counted.text(), HasSubstr("{state=\"not_in_reach\"} 2\n"));
  put(one, name_of(pn_gw_state::keyed), true);
  const auto text = counted.text();
  EXPECT_THAT(text, HasSubstr("{state=\"keyed\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("{state=\"not_in_reach\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_gateway_keys_unused 32\n"));
  tally.erase(one.entity.text());
  EXPECT_THAT(counted.text(), HasSubstr("cpns_gateway_keys_unused 12\n"));
}

TEST_F(gateway_tally, keeps_the_standing_of_a_stored_pne) {
  auto one = keyed("urn:dev:os:32473-1", 20, noon);
  one.standing = device_standing::quarantined;
  tally.put_stored(one, std::nullopt);
  EXPECT_THAT(counted.text(), HasSubstr("{state=\"quarantined\"} 1\n"));
}

TEST_F(gateway_tally, counts_an_update_as_late_only_in_reach_and_after_the_grace) {
  put(keyed("urn:dev:os:32473-1", 20, noon - seconds{3599}), "keyed", true);
  put(keyed("urn:dev:os:32473-2", 20, noon - seconds{3600}), "keyed", true);
  put(keyed("urn:dev:os:32473-3", 20, noon - seconds{3600} - update_grace), "keyed", true);
  put(keyed("urn:dev:os:32473-4", 20, noon - seconds{3600} - update_grace), "asleep", false);
  EXPECT_THAT(counted.text(), HasSubstr("cpns_gateway_updates_due 3\n"));
  EXPECT_THAT(counted.text(), HasSubstr("cpns_gateway_updates_late 1\n"));
}

TEST_F(gateway_tally, uses_the_interval_of_the_gateway_before_that_of_the_server) {
  const auto r = keyed("urn:dev:os:32473-1", 20, noon - seconds{100});
  EXPECT_EQ(facts_of(r, "keyed", true, seconds{60}).due, unix_milliseconds(noon - seconds{40}));
  EXPECT_EQ(facts_of(r, "keyed", true, std::nullopt).due, unix_milliseconds(noon + seconds{3500}));
  EXPECT_EQ(facts_of(r, "keyed", true, seconds{0}).due, 0);
  EXPECT_EQ(facts_of(device_record{}, "found", true, std::nullopt).due, 0) << "without a key";
}

TEST_F(gateway_tally, names_pnes_in_order_in_pages_and_by_prefix) {
  for (const auto* name :
       {"urn:dev:os:32473-3", "urn:dev:os:32473-1", "urn:dev:os:9-1", "urn:dev:os:32473-2"})
    put(keyed(name, 1, noon), "keyed", true);
  using names = std::vector<std::string>;
  EXPECT_EQ(tally.names("", "", 2), (names{"urn:dev:os:32473-1", "urn:dev:os:32473-2"}));
  EXPECT_EQ(tally.names("", "urn:dev:os:32473-2", 9), (names{"urn:dev:os:32473-3", "urn:dev:os:9-1"}));
  EXPECT_EQ(tally.names("urn:dev:os:9", "", 9), (names{"urn:dev:os:9-1"}));
  EXPECT_EQ(tally.names("urn:dev:os:32473", "urn:dev:os:32473-2", 9), (names{"urn:dev:os:32473-3"}));
  EXPECT_EQ(tally.names("urn:dev:os:32473", "urn:dev:os:9", 9), names{});
  tally.erase("urn:dev:os:32473-2");
  EXPECT_EQ(tally.names("", "urn:dev:os:32473-1", 1), (names{"urn:dev:os:32473-3"}));
}

TEST_F(gateway_tally, counts_pnes_below_low_water) {
  put(keyed("urn:dev:os:32473-1", 7, noon), "keyed", true);
  put(keyed("urn:dev:os:32473-2", 8, noon), "keyed", true);
  EXPECT_THAT(counted.text(), HasSubstr("cpns_gateway_pnes_low_on_keys 1\n"));
  tally.set_low_water(9);
  EXPECT_THAT(counted.text(), HasSubstr("cpns_gateway_pnes_low_on_keys 2\n"));
}

TEST(server_link_counts, answers_by_outcome) {
  metrics::registry counted;
  const server_link_metrics m{counted};
  m.up();
  m.answered(assigned_keys{});
  m.answered(refusal{link_status::revoked, 0, ""});
  m.down(false);
  const auto text = counted.text();
  EXPECT_THAT(text, HasSubstr("cpns_gateway_assignments_total{outcome=\"ok\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_gateway_assignments_total{outcome=\"revoked\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_gateway_server_ends_total{kind=\"fault\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_gateway_server_up 0\n"));
}

}  // namespace
}  // namespace cpns::actors
