// A gateway that starts with the records of many PNEs: those that owe the server something go on, few at a time.
#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "actors/pn_gw/open_reports.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

struct starting_harness : gateway_harness {
  using gateway_harness::gateway_harness;
  /// One after the other, as their dates are.
  void key(int pnes) {
    for (int i = 1; i <= pnes; ++i) {
      keyed_pne(i);
      advance(milliseconds{1});
    }
  }
  void restart() {
    cut_server();
    stop();
    asked.clear();
    start();
  }
  [[nodiscard]] std::int64_t devices() {
    return boost::json::parse(stats()).as_object().at("devices").to_number<std::int64_t>();
  }
  /// Entities whose report was sent.
  [[nodiscard]] std::set<std::string> reported() const {
    std::set<std::string> out;
    for (const auto& r : asked)
      if (const auto* report = std::get_if<protocol::epoch_report>(&r.body))
        for (const auto& [entity, which] : report->entries) out.insert(entity.text());
    return out;
  }
  /// Records as an older version left them: each has its last report.
  void store_records(int count) {
    storage::sealed_batch batch;
    for (int i = 0; i < count; ++i) {
      protocol::device_record r;
      r.entity = entity_id::parse("urn:dev:os:32473-stored" + std::to_string(i)).value();
      r.user = alice.user;
      r.approved = true;
      r.generation = 1;
      r.keys.push_back({epoch{1, 0}, r.set, random.draw_secret<32>(), protocol::key_use::own});
      r.rekey_seconds = 86'400;
      r.to_report = epoch{1, 0};
      r.keyed_since = unix_milliseconds(now);
      batch.push_back({storage::table::peers, to_bytes(as_bytes(r.entity.text())), encode(r)});
    }
    ASSERT_TRUE(gw_sealed->write(batch));
  }
};

gateway_choices many() {
  gateway_choices c;
  c.devices_max = c.links_max = 4000;
  c.requests_max = 1000;
  return c;
}

TEST(pn_gw_start, reports_that_the_server_has_answered_are_not_sent_again) {
  constexpr int pnes = 400;
  starting_harness p{many()};
  p.key(pnes);
  p.advance(seconds{10});
  ASSERT_EQ(p.reported().size(), static_cast<std::size_t>(pnes));
  p.restart();
  p.connect_server();
  p.advance(seconds{10});
  EXPECT_LT(p.reported().size(), actors::open_reports::answers_per_row);
  EXPECT_EQ(p.devices(), 0) << "all state is in the records";
}

TEST(pn_gw_start, a_report_without_an_answer_is_sent_again_after_each_restart) {
  starting_harness p{many()};
  p.key(300);
  p.advance(seconds{10});
  p.swallows = [](const protocol::link_request& r) {
    return std::holds_alternative<protocol::epoch_report>(r.body);
  };
  auto& late = p.keyed_pne(301);
  for (int i = 0; i < 2; ++i) {
    p.restart();
    EXPECT_TRUE(p.show(late).find("\"reported\":false") != std::string::npos);
    p.connect_server();
    p.advance(seconds{10});
    EXPECT_TRUE(p.reported().contains(late.entity.text())) << i;
  }
  p.restart();
  p.swallows = {};
  p.connect_server();
  p.advance(seconds{10});
  EXPECT_TRUE(p.show(late).find("\"reported\":true") != std::string::npos);
}

TEST(pn_gw_start, few_of_those_that_owe_something_are_in_memory_at_a_time) {
  constexpr std::size_t records = 2500;
  starting_harness p{many()};
  p.cut_server();
  p.stop();
  p.store_records(records);
  p.start();
  EXPECT_TRUE(p.logged("store-loaded"));
  EXPECT_EQ(p.devices(), 1024) << "the others wait";
  std::int64_t most = 0;
  p.connect_server();
  EXPECT_TRUE(p.advance_until(
      [&] {
        most = std::max(most, p.devices());
        return p.reported().size() == records;
      },
      seconds{300}));
  EXPECT_LE(most, 1024);
  EXPECT_TRUE(p.logged("store-gone-through"));
}

TEST(pn_gw_start, a_key_without_a_proof_lapses_although_its_pne_does_not_come) {
  starting_harness p{many()};
  auto& h = p.keyed_pne(1);
  p.advance(seconds{10});
  p.radio.link_down(h);
  p.cut_server();
  p.stop();
  auto r = p.record(h);
  ASSERT_TRUE(r);
  r->to_report.reset();  // so that nothing else brings its machine back
  ASSERT_FALSE(r->request);
  ASSERT_EQ(r->keys[1].use, protocol::key_use::unused);
  r->keys[1].use = protocol::key_use::unproven;
  ASSERT_TRUE(p.gw_sealed->write(
      {{storage::table::peers, to_bytes(as_bytes(r->entity.text())), protocol::encode(*r)}}));
  p.start();
  p.advance(seconds{1});
  EXPECT_EQ(p.record(h)->keys[1].use, protocol::key_use::lapsed);
  EXPECT_EQ(p.devices(), 0) << "it left the memory";
}

TEST(pn_gw_start, one_that_waits_for_its_turn_is_served_when_it_connects) {
  starting_harness p{many()};
  auto& h = p.keyed_pne(1);
  p.advance(seconds{10});
  p.radio.link_down(h);
  p.cut_server();
  p.stop();
  p.store_records(1500);
  p.start();
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key() == epoch{1, 1}; }, seconds{60}));
  EXPECT_LE(p.devices(), 1025);
}

TEST(pn_gw_start, a_damaged_record_costs_its_own_pne_alone) {
  starting_harness p{many()};
  p.cut_server();
  p.stop();
  p.store_records(100);
  storage::sealed_batch damage;
  damage.push_back({storage::table::peers, to_bytes(as_bytes("urn:dev:os:32473-stored7")),
                    secret_bytes::from_text("no record")});
  ASSERT_TRUE(p.gw_sealed->write(damage));
  p.start();
  p.connect_server();
  EXPECT_TRUE(p.advance_until([&] { return p.reported().size() == 99; }, seconds{60}));
  EXPECT_TRUE(p.logged("record-unreadable"));
  EXPECT_FALSE(p.reported().contains("urn:dev:os:32473-stored7"));
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
