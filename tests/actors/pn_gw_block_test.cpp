// A gateway that the server has blocked.
#include <algorithm>

#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

void block(gateway_harness& p, std::int64_t since) {
  p.role->known_gateways.set_blocked(p.gw, {}, since, [](const status& s) { ASSERT_TRUE(s); });
}

std::size_t lines_about(gateway_harness& p, std::string_view event) {
  const auto line = "\"component\":\"gateway\",\"event\":\"" + std::string{event} + "\"";
  const auto text = p.log.text();
  std::size_t n = 0;
  for (auto at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) ++n;
  return n;
}

TEST(pn_gw_block, is_reported_once_and_devices_ask_again_only_when_it_is_over) {
  gateway_harness p;
  auto& kept = p.keyed_pne(100);
  const auto key = kept.key();
  block(p, 1);
  const auto before = p.assignments().size();
  std::vector<headset_end*> all;
  for (int i = 0; i < 10; ++i) p.radio.link_up(*all.emplace_back(&p.pne(i)));
  p.advance(seconds{30});
  EXPECT_EQ(p.assignments().size(), before + 10) << "each device asked once, and backs off";
  EXPECT_EQ(lines_about(p, "gateway-blocked"), 1u);
  EXPECT_TRUE(p.logged("cpns gateways unblock")) << "the line says what to do";
  EXPECT_EQ(kept.key(), key);

  p.cut_server();
  p.connect_server();
  p.advance(seconds{10});
  EXPECT_EQ(p.assignments().size(), before + 10) << "a new connection of a blocked gateway changes nothing";

  block(p, 0);
  p.cut_server();  // as the server does
  p.connect_server();
  EXPECT_TRUE(p.advance_until(
      [&] { return std::all_of(all.begin(), all.end(), [](auto* h) { return h->key().has_value(); }); },
      seconds{30}));
  EXPECT_EQ(lines_about(p, "gateway-unblocked"), 1u);
}

TEST(pn_gw_block, leaves_the_keys_that_the_gateway_holds_to_its_devices) {
  gateway_choices c;
  c.rekey = seconds{60};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  const auto first = h.key();
  block(p, 1);
  EXPECT_TRUE(p.advance_until([&] { return h.key() != first; }, seconds{200}))
      << "the next key was here already";
  const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
  EXPECT_NE(protocol::decode_entity_record(row->expose()).value().last_report, h.key())
      << "and its report was refused";
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
