// Messages between role and radio process are read as they were written, and all other bytes are refused.

#include <gtest/gtest.h>

#include "plugins/isolation/wire.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::plugins::isolation {
namespace {

template <class Record>
bytes packet_of(const std::vector<Record>& records) {
  packets p;
  for (const auto& r : records) EXPECT_TRUE(p.add(r));
  EXPECT_EQ(p.bytes_held() > 0, !records.empty());
  auto out = p.take();
  EXPECT_TRUE(p.empty());
  EXPECT_EQ(p.bytes_held(), 0u);
  return out;
}

const bytes hello{'h', 'e', 'l', 'l', 'o'};

std::vector<report> all_reports() {
  return {opened_report{{"tcp", "1.2", "words", 1026, 8192, 100, true, false, true, 10}},
          refused_report{errc::config_range, "parameter x", "x"},
          up_report{1, 2, "tcp:127.0.0.1:1"},
          down_report{~0ull, "lost"},
          message_report{7, hello},
          found_report{"a", -70},
          connect_failed_report{"a", "nobody is there"},
          failed_report{"gone"},
          taken_report{7, 3},
          call_failed_report{4, "no"},
          log_report{log::level::warn, "plugin-log", "line"},
          pong_report{99},
          woke_report{"b"},
          quality_report{7, {-60, link_security::encrypted}},
          counters_report{{{"frames_sent", ~0ull}, {"radio_scans", 2}}}};
}

TEST(wire, reads_commands_as_they_were_written) {
  const auto packet = packet_of<command>(
      {open_command{transport_role::peripheral, log::level::debug, "/x/y.so", {{"a", "1"}, {"b", ""}}},
       scan_command{true}, connect_command{"addr"}, cancel_command{"rdda"}, add_command{5, "name"},
       remove_command{5}, send_command{9, hello}, disconnect_command{9}, ping_command{3, log::level::off},
       close_command{}, power_command{power_level::saving}, forget_command{"addr"}});
  const auto read = read_commands(packet);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->size(), std::variant_size_v<command>);
  const auto& open = std::get<open_command>((*read)[0]);
  EXPECT_EQ(open.role, transport_role::peripheral);
  EXPECT_EQ(open.level, log::level::debug);
  EXPECT_EQ(open.plugin, "/x/y.so");
  EXPECT_EQ(open.params, (std::map<std::string, std::string>{{"a", "1"}, {"b", ""}}));
  EXPECT_TRUE(std::get<scan_command>((*read)[1]).on);
  EXPECT_EQ(std::get<connect_command>((*read)[2]).address, "addr");
  EXPECT_EQ(std::get<cancel_command>((*read)[3]).address, "rdda");
  EXPECT_EQ(std::get<add_command>((*read)[4]).endpoint, 5u);
  EXPECT_EQ(std::get<add_command>((*read)[4]).name, "name");
  EXPECT_EQ(std::get<remove_command>((*read)[5]).endpoint, 5u);
  EXPECT_EQ(std::get<send_command>((*read)[6]).link, 9u);
  EXPECT_TRUE(equal(std::get<send_command>((*read)[6]).message, hello));
  EXPECT_EQ(std::get<disconnect_command>((*read)[7]).link, 9u);
  EXPECT_EQ(std::get<ping_command>((*read)[8]).number, 3u);
  EXPECT_EQ(std::get<ping_command>((*read)[8]).level, log::level::off);
  EXPECT_TRUE(std::holds_alternative<close_command>((*read)[9]));
  EXPECT_EQ(std::get<power_command>((*read)[10]).power, power_level::saving);
  EXPECT_EQ(std::get<forget_command>((*read)[11]).address, "addr");
}

TEST(wire, reads_reports_as_they_were_written) {
  const auto packet = packet_of(all_reports());
  const auto read = read_reports(packet);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->size(), std::variant_size_v<report>);
  const auto& info = std::get<opened_report>((*read)[0]).info;
  EXPECT_EQ(info.name + info.version + info.description, "tcp1.2words");
  EXPECT_EQ(info.mtu, 1026u);
  EXPECT_EQ(info.max_links, 8192u);
  EXPECT_EQ(info.max_endpoints, 100u);
  EXPECT_EQ(info.duty_permille, 10u);
  EXPECT_TRUE(info.reliable && !info.ordered && info.may_scan_while_connected);
  EXPECT_EQ(std::get<refused_report>((*read)[1]).code, errc::config_range);
  EXPECT_EQ(std::get<refused_report>((*read)[1]).parameter, "x");
  EXPECT_EQ(std::get<up_report>((*read)[2]).address, "tcp:127.0.0.1:1");
  EXPECT_EQ(std::get<down_report>((*read)[3]).link, ~0ull);
  EXPECT_TRUE(equal(std::get<message_report>((*read)[4]).message, hello));
  EXPECT_EQ(std::get<found_report>((*read)[5]).rssi, -70);
  EXPECT_EQ(std::get<connect_failed_report>((*read)[6]).address, "a");
  EXPECT_EQ(std::get<connect_failed_report>((*read)[6]).why, "nobody is there");
  EXPECT_EQ(std::get<failed_report>((*read)[7]).detail, "gone");
  EXPECT_EQ(std::get<taken_report>((*read)[8]).messages, 3u);
  EXPECT_EQ(std::get<call_failed_report>((*read)[9]).endpoint, 4u);
  EXPECT_EQ(std::get<log_report>((*read)[10]).event, "plugin-log");
  EXPECT_EQ(std::get<pong_report>((*read)[11]).number, 99u);
  EXPECT_EQ(std::get<woke_report>((*read)[12]).address, "b");
  EXPECT_EQ(std::get<quality_report>((*read)[13]).quality, (link_quality{-60, link_security::encrypted}));
  EXPECT_EQ(std::get<counters_report>((*read)[14]).counters,
            (std::vector<named_counter>{{"frames_sent", ~0ull}, {"radio_scans", 2}}));
}

TEST(wire, refuses_impossible_qualities_and_invalid_counters) {
  const auto refused = [](const report& r, errc why) {
    const auto read = read_reports(packet_of<report>({r}));
    EXPECT_TRUE(!read && read.error().code == why);
  };
  refused(quality_report{1, {-128, {}}}, errc::wire_range);
  refused(quality_report{1, {21, {}}}, errc::wire_range);
  refused(quality_report{1, {{}, static_cast<link_security>(4)}}, errc::wire_range);
  for (const auto* name : {"", "UPPER", "with space", "line\nline", "e\xcc\x81"})
    refused(counters_report{{{name, 1}}}, errc::wire_grammar);
  packets p;
  EXPECT_FALSE(p.add(report{counters_report{{{std::string(65, 'a'), 1}}}}));
  EXPECT_FALSE(p.add(report{counters_report{std::vector<named_counter>(129, {"a", 1})}}));
}

TEST(wire, packs_many_records_into_few_packets_in_order) {
  packets p;
  const bytes message(message_max, 1);
  for (link_id l = 1; l <= 100; ++l) ASSERT_TRUE(p.add(command{send_command{l, message}}));
  link_id next = 1;
  int count = 0;
  for (; !p.empty(); ++count) {
    const auto packet = p.take();
    EXPECT_LE(packet.size(), packet_max);
    const auto read = read_commands(packet);
    ASSERT_TRUE(read);
    for (const auto& c : *read) EXPECT_EQ(std::get<send_command>(c).link, next++);
  }
  EXPECT_EQ(next, 101u);
  EXPECT_EQ(count, 4);
}

TEST(wire, refuses_to_write_records_that_are_too_long) {
  packets p;
  EXPECT_EQ(p.add(command{connect_command{std::string(address_max + 1, 'x')}}).error().code,
            errc::wire_oversized);
  EXPECT_TRUE(p.empty());
  EXPECT_EQ(p.bytes_held(), 0u);
  const bytes message(message_max + 1, 1);
  EXPECT_EQ(p.add(command{send_command{1, message}}).error().code, errc::wire_oversized);
  open_command big;
  for (int i = 0; i < 5; ++i) big.params.emplace(std::to_string(i), std::string(parameter_max, 'x'));
  ASSERT_TRUE(p.add(command{scan_command{true}}));
  EXPECT_EQ(p.add(command{big}).error().code, errc::wire_oversized);
  const auto packet = p.take();
  ASSERT_TRUE(read_commands(packet));
  EXPECT_TRUE(p.empty());
}

TEST(wire, refuses_truncated_packets_and_trailing_bytes) {
  const auto whole = packet_of(all_reports());
  std::size_t read_well = 0;
  for (std::size_t n = 0; n < whole.size(); ++n) read_well += read_reports(byte_view{whole}.first(n)) ? 1 : 0;
  EXPECT_EQ(read_well, all_reports().size() - 1) << "only cuts at the end of a record are valid";
  auto more = whole;
  more.push_back(0);
  EXPECT_FALSE(read_reports(more));
}

bytes one_record(std::uint8_t kind, bytes body) {
  bytes out{'c', 'r', wire_version, 0, kind, static_cast<std::uint8_t>(body.size()), 0, 0, 0};
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

TEST(wire, refuses_hostile_packets) {
  const bytes link(8, 1);
  const auto with = [&](bytes rest) {
    bytes out = link;
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  };
  const std::vector<std::pair<const char*, bytes>> cases{
      {"nothing", {}},
      {"no record", {'c', 'r', wire_version, 0}},
      {"another version", {'c', 'r', wire_version + 1, 0, 11, 8, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}},
      {"a kind without a meaning for this body", one_record(12, link)},
      {"kind 255", one_record(255, {})},
      {"a size beyond the end", {'c', 'r', wire_version, 0, 11, 0xff, 0xff, 0xff, 0xff}},
      {"a text beyond the end", one_record(3, with({0xff, 0, 0, 0}))},
      {"a text of four gigabytes", one_record(3, with({0xff, 0xff, 0xff, 0xff}))},
      {"a message over its bound", one_record(4, with({1, 4, 0, 0}))},
      {"bytes after a pong", one_record(11, with({0}))},
      {"an invalid log level", one_record(10, {4, 1, 0, 0, 0, 'x', 0, 0, 0, 0})},
      {"an event that would break a line of JSON", one_record(10, {1, 2, 0, 0, 0, 'x', '"', 0, 0, 0, 0})},
      {"an event without a name", one_record(10, {1, 0, 0, 0, 0, 0, 0, 0, 0})},
      {"an unknown error code", one_record(1, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0})},
  };
  for (const auto& [what, packet] : cases) EXPECT_FALSE(read_reports(packet)) << what;
  EXPECT_TRUE(read_reports(one_record(11, link))) << "the helper of the cases makes valid packets";
  EXPECT_TRUE(read_reports(one_record(10, {1, 1, 0, 0, 0, 'x', 0, 0, 0, 0})));
  EXPECT_FALSE(read_reports(bytes(packet_max + 1, 0)));
  // Flags must be 0 or 1; numbers must be in range.
  auto opened = packet_of<report>({opened_report{{"n", "v", "d", 23, 1, 0, true, true, true, 1000}}});
  ASSERT_TRUE(read_reports(opened));
  opened[opened.size() - 5] = 2;
  EXPECT_FALSE(read_reports(opened));
  EXPECT_FALSE(
      read_reports(packet_of<report>({opened_report{{"n", "v", "d", 23, 1, 0, true, true, true, 1001}}})));
  EXPECT_FALSE(
      read_reports(packet_of<report>({opened_report{{"n", "v", "d", 22, 1, 0, true, true, true, 0}}})));
  EXPECT_FALSE(
      read_reports(packet_of<report>({opened_report{{"n", "v", "d", 23, 0, 0, true, true, true, 0}}})));
}

TEST(wire, reads_or_refuses_a_hundred_thousand_mutated_packets) {
  test::seeded_entropy random{20'11};
  const auto whole = packet_of(all_reports());
  std::size_t read_well = 0;
  for (int i = 0; i < 100'000; ++i) {
    auto changed = whole;
    for (auto n = 1 + random.below(4); n > 0; --n)
      changed[random.below(changed.size())] = static_cast<std::uint8_t>(random.next());
    if (random.chance(20)) changed.resize(random.below(changed.size()));
    const auto read = read_reports(changed);
    if (!read) continue;
    ++read_well;
    // A packet that was read is written as the same bytes.
    packets again;
    for (const auto& r : *read) ASSERT_TRUE(again.add(r));
    ASSERT_EQ(again.take(), changed);
  }
  EXPECT_GT(read_well, 1000u);
  EXPECT_LT(read_well, 99'000u);
}

}  // namespace
}  // namespace cpns::plugins::isolation
