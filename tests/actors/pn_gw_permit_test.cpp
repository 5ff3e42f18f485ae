// The permit window: new devices without a question, for a limited time.
#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "tests/actors/pn_gw_harness.hpp"
#include "tests/unit/machines/lies.hpp"

namespace cpns::gateway_actor_tests {
namespace {

bool awaits_approval(gateway_harness& p, const headset_end& h) {
  return p.show(h).find("\"awaiting_approval\":true") != std::string::npos;
}

TEST(pn_gw_permit, accepts_a_new_device_while_the_window_is_open) {
  gateway_harness p{asking()};
  EXPECT_FALSE(p.permit_now().open);
  const auto opened = p.permit(5);
  EXPECT_EQ(opened.refused, "");
  EXPECT_TRUE(opened.open);
  EXPECT_EQ(opened.left, seconds{300});
  EXPECT_TRUE(p.logged("permit-opened"));
  (void)p.keyed_pne(1);
}

TEST(pn_gw_permit, accepts_a_device_in_reach_that_waits_when_it_opens) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{10});
  ASSERT_TRUE(awaits_approval(p, h));
  p.permit(1);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
}

TEST(pn_gw_permit, accepts_a_waiting_device_that_comes_back_while_it_is_open) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  p.radio.link_down(h);
  p.permit(1);
  p.advance(seconds{5});
  EXPECT_TRUE(awaits_approval(p, h)) << "it is not in reach";
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
}

TEST(pn_gw_permit, asks_again_when_its_time_is_over) {
  gateway_harness p{asking()};
  p.permit(2);
  p.advance(seconds{30});
  EXPECT_EQ(p.permit_now().left, seconds{90});
  p.advance(seconds{91});
  EXPECT_FALSE(p.permit_now().open);
  EXPECT_TRUE(p.logged("permit-ended"));
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{30});
  EXPECT_TRUE(awaits_approval(p, h));
  EXPECT_FALSE(h.key().has_value());
}

TEST(pn_gw_permit, asks_again_when_it_is_closed_and_keeps_what_was_accepted) {
  gateway_harness p{asking()};
  p.permit(60);
  auto& accepted = p.keyed_pne(1);
  EXPECT_FALSE(p.permit(0).open);
  EXPECT_TRUE(p.logged("permit-closed"));
  auto& late = p.pne(2);
  p.radio.link_up(late);
  p.advance(seconds{30});
  EXPECT_TRUE(awaits_approval(p, late));
  p.radio.link_down(accepted);
  p.advance(seconds{5});
  p.radio.link_up(accepted);
  p.advance(seconds{30});
  EXPECT_FALSE(awaits_approval(p, accepted));
  EXPECT_EQ(p.command(accepted, "update"), "");
}

TEST(pn_gw_permit, begins_its_time_again_when_it_is_opened_again) {
  gateway_harness p{asking()};
  p.permit(1);
  p.advance(seconds{50});
  EXPECT_EQ(p.permit(1).left, seconds{60});
  p.advance(seconds{50});
  EXPECT_TRUE(p.permit_now().open);
}

TEST(pn_gw_permit, does_not_outlive_a_restart) {
  gateway_harness p{asking()};
  p.permit(60);
  p.stop();
  p.start();
  p.connect_server();
  EXPECT_FALSE(p.permit_now().open);
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{30});
  EXPECT_TRUE(awaits_approval(p, h));
}

/// Peers that name one Entity ID each, and prove nothing.
class claimants {
 public:
  explicit claimants(gateway_harness& p) : p_(p) {
    p.radio.elsewhere = [this](plugins::link_id to, byte_view m) {
      const auto it = at_.find(to);
      const auto said = protocol::decode_radio(m);
      const auto* dreq = said ? std::get_if<protocol::discovery_request>(&*said) : nullptr;
      if (it == at_.end() || dreq == nullptr) return;
      p_.radio.inbox->message(
          to, encode(test::forged(*dreq, it->second, test::lie::no_key, std::nullopt, random_)));
    };
  }
  ~claimants() { p_.radio.elsewhere = nullptr; }
  claimants(const claimants&) = delete;
  claimants& operator=(const claimants&) = delete;

  plugins::link_id come(const entity_id& entity) {
    const auto link = p_.radio.new_link();
    at_.emplace(link, entity);
    p_.radio.inbox->link_up(link, 0, "tcp:10.0.0.1:" + std::to_string(link));
    p_.settle();
    return link;
  }
  void leave(plugins::link_id link) {
    at_.erase(link);
    p_.radio.inbox->link_down(link, "left");
    p_.settle();
  }

 private:
  gateway_harness& p_;
  seeded_entropy random_{9};
  std::map<plugins::link_id, entity_id> at_;
};

entity_id invented(int i) {
  return entity_id::parse("urn:dev:os:32473-" + std::to_string(500'000 + i)).value();
}

std::int64_t devices_in_memory(gateway_harness& p) {
  return boost::json::parse(p.stats()).as_object().at("devices").as_int64();
}

TEST(pn_gw_permit, keeps_nothing_of_a_flood_of_claims) {
  gateway_harness p{asking()};
  p.permit(60);
  claimants flood{p};
  std::int64_t most = 0;
  for (int i = 0; i < 3000; ++i) {
    flood.leave(flood.come(invented(i)));
    most = std::max(most, devices_in_memory(p));
  }
  EXPECT_LE(most, 8);
  p.advance(seconds{60});
  EXPECT_EQ(devices_in_memory(p), 0);
  EXPECT_TRUE(p.keys.all().value().records.empty()) << "a claim leaves no row";
}

TEST(pn_gw_permit, lets_in_no_device_after_its_end_that_was_claimed_before) {
  gateway_harness p{asking()};
  auto &gone = p.pne(1), &there = p.pne(2);
  claimants flood{p};
  p.permit(1);
  flood.leave(flood.come(gone.entity));
  (void)flood.come(there.entity);
  p.advance(seconds{61});
  ASSERT_FALSE(p.permit_now().open);
  for (auto* h : {&gone, &there}) {
    p.radio.link_up(*h);
    p.advance(seconds{60});
    EXPECT_TRUE(awaits_approval(p, *h));
    EXPECT_FALSE(h->key().has_value());
  }
}

TEST(pn_gw_permit, leaves_a_denied_device_and_a_rejected_one_refused) {
  auto c = asking();
  c.deny = {"urn:dev:os:32473-1001"};
  gateway_harness p{c};
  auto &denied = p.pne(1), &rejected = p.pne(2);
  p.radio.link_up(rejected);
  p.settle();
  EXPECT_EQ(p.command(rejected, "reject"), "");
  p.permit(60);
  for (auto* h : {&denied, &rejected}) {
    p.radio.link_up(*h);
    p.advance(seconds{30});
    EXPECT_FALSE(h->key().has_value());
    EXPECT_EQ(h->link, 0u) << "its link is closed";
  }
}

TEST(pn_gw_permit, does_not_accept_a_waiting_device_that_the_deny_list_names_meanwhile) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  ASSERT_TRUE(awaits_approval(p, h));
  auto rules = std::make_shared<actors::supervisor_rules>();
  rules->device.gw = p.gw;
  rules->device.user = p.alice.user;
  rules->device.policy = protocol::validation_policy::ask;
  rules->validation.deny = {h.entity.text()};
  caf::anon_send(p.supervisor, actors::sup_settings{std::move(rules)});
  p.settle();
  p.permit(60);
  p.advance(seconds{60});
  EXPECT_FALSE(h.key().has_value());
}

TEST(pn_gw_permit, lets_the_server_refuse_a_device_of_another_owner) {
  gateway_harness p{asking()};
  auto known = p.device(1);
  auto imported = known.imported();
  imported.owner = user_id::parse("bob@example.org").value();
  p.put(storage::table::devices, known.entity.text(), encode(imported));
  auto& h = p.radio.add(known.entity, known.temporary_key);
  p.permit(60);
  p.radio.link_up(h);
  p.advance(seconds{120});
  EXPECT_FALSE(h.key().has_value());
  const auto shown = serialize(p.show_in_full(h));
  EXPECT_NE(shown.find("belongs to another user"), std::string::npos) << shown;
}

TEST(pn_gw_permit, is_refused_under_another_policy) {
  for (const auto policy : {protocol::validation_policy::automatic, protocol::validation_policy::list}) {
    gateway_choices c;
    c.policy = policy;
    gateway_harness p{c};
    const auto refused = p.permit(5);
    EXPECT_NE(refused.refused.find("validation.policy"), std::string::npos);
    EXPECT_FALSE(refused.open);
  }
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
