// A radio in its own process, with real processes: whatever happens to the process, the role continues and the
// radio is restarted.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "hearing.hpp"

namespace cpns::plugins::isolation {
namespace {

TEST_F(isolated, works_like_a_radio_in_the_same_process) {
  const auto t = open(unruly());
  EXPECT_EQ(t->info().name, "unruly");
  EXPECT_EQ(t->info().mtu, 200u);
  EXPECT_EQ(t->info().max_links, 64u);
  EXPECT_EQ(t->info().duty_permille, 250u);
  EXPECT_TRUE(t->info().reliable && t->info().ordered && !t->info().may_scan_while_connected);
  ASSERT_TRUE(t->scan(true));
  const auto l = hears.link_after(0);
  ASSERT_EQ(l, 1u);
  EXPECT_TRUE(hears.echoes(*t, l, bytes(1024, 'x')));
  EXPECT_EQ(t->send(l, {}).error().code, errc::wire_oversized);
  EXPECT_EQ(t->send(l, bytes(1025)).error().code, errc::wire_oversized);
  EXPECT_EQ(t->send(99, bytes(1)).error().code, errc::plugin_link);
  ASSERT_TRUE(t->connect("somebody"));
  EXPECT_TRUE(hears.wait_found("somebody"));
  EXPECT_EQ(t->add_endpoint(1, "x").error().code, errc::state_exhausted);
  t->disconnect(99);
  t->disconnect(l);
  EXPECT_EQ(hears.reason(l), "closed");
  t->close();
  EXPECT_EQ(t->send(l, bytes(1)).error().code, errc::state_stopping);
  EXPECT_EQ(t->scan(true).error().code, errc::state_stopping);
  EXPECT_EQ(isolation_counters_of(*t).ends, 1u);
  EXPECT_EQ(isolation_counters_of(*t).restarts, 0u);
}

TEST_F(isolated, presents_its_endpoints_again_after_a_restart) {
  const auto t = open(unruly({}, transport_role::peripheral));
  EXPECT_EQ(t->scan(true).error().detail, "unruly: scan: not supported in this role");
  ASSERT_TRUE(t->add_endpoint(7, "seven"));
  EXPECT_EQ(t->add_endpoint(7, "seven").error().code, errc::state_exists);
  ASSERT_TRUE(t->add_endpoint(8, "unwanted")) << "the plugin refuses it later";
  const auto first = hears.link_after(0);
  ::kill(only_child(), SIGKILL);
  EXPECT_EQ(hears.reason(first), "the radio's process was killed by signal 9 (Killed)");
  const auto second = hears.link_after(first);
  EXPECT_GT(second, first);
  hears.wait([&](auto& links) {
    EXPECT_EQ(links[second].endpoint, 7u);
    return true;
  });
  EXPECT_TRUE(hears.echoes(*t, second, bytes{1, 2, 3}));
  EXPECT_EQ(isolation_counters_of(*t).restarts, 1u);
}

struct fault {
  const char* does;
  const char* expected;
};
std::ostream& operator<<(std::ostream& o, const fault& f) { return o << f.does; }

class faulty : public isolated, public testing::WithParamInterface<fault> {};

TEST_P(faulty, is_replaced_by_a_process_that_works) {
  testing::internal::CaptureStderr();
  const auto t = open(unruly({{"does", GetParam().does}, {"once", (folder / "done").string()}}));
  ASSERT_TRUE(t->scan(true));
  // The bad process may have brought up a link, too; only the good one echoes.
  link_id l = 0;
  do l = hears.link_after(l);
  while (l != 0 && !hears.echoes(*t, l, bytes{'o', 'k'}));
  EXPECT_NE(l, 0u);
  EXPECT_EQ(isolation_counters_of(*t).restarts, 1u);
  t->close();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("radio radio-ended: the radio's process " + std::string{GetParam().expected}),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("transport=radio"), std::string::npos) << said;
}
INSTANTIATE_TEST_SUITE_P(
    radio, faulty,
    testing::Values(fault{"crash in scan", "was killed by signal 11 (Segmentation fault)"},
                    fault{"exit in scan", "ended with exit code 7"},
                    fault{"hang in scan", "did not answer for 500 ms"}, fault{"garbage", "broke a rule: "},
                    fault{"forged link", "broke a rule: a message on a link that never was up"},
                    fault{"close the socket", "closed its socket and did not end"},
                    fault{"fail", "was ended because the radio failed: unruly: the adapter was pulled out"}),
    [](const auto& p) {
      std::string name = p.param.does;
      for (auto& c : name) c = c == ' ' ? '_' : c;
      return name;
    });

TEST_F(isolated, does_not_affect_another_radio_when_a_message_crashes_or_hangs_it) {
  hearing others_hear;
  auto other = open_isolated(unruly(), quick("other"), others_hear);
  ASSERT_TRUE(other && (*other)->scan(true));
  const auto others = others_hear.link_after(0);
  const auto t = open(unruly());
  ASSERT_TRUE(t->scan(true));
  const auto first = hears.link_after(0);
  ASSERT_TRUE(t->send(first, bytes{'C'}));
  const auto second = hears.link_after(first);
  ASSERT_TRUE(t->send(second, bytes{'H'}));
  EXPECT_TRUE(hears.echoes(*t, hears.link_after(second), bytes{1}));
  EXPECT_EQ(isolation_counters_of(*t).ends, 2u);
  EXPECT_EQ(isolation_counters_of(*t).hangs, 1u);
  EXPECT_TRUE(others_hear.echoes(**other, others, bytes{2}));
  EXPECT_EQ(isolation_counters_of(**other).ends, 0u);
  (*other)->close();
  EXPECT_TRUE(others_hear.kept_rules());
}

TEST_F(isolated, delivers_a_flood_of_messages_and_still_closes) {
  const auto t = open(unruly({{"does", "flood"}}));
  ASSERT_TRUE(t->scan(true));
  ASSERT_TRUE(hears.link_after(0));
  EXPECT_TRUE(hears.wait([&](const auto& links) { return links.begin()->second.messages.size() > 50'000; }));
  const auto begun = clock::now();
  t->close();
  EXPECT_LT(clock::now() - begun, 10s);
  const auto heard = hears.heard();
  std::this_thread::yield();
  EXPECT_EQ(hears.heard(), heard);
  EXPECT_EQ(isolation_counters_of(*t).broken_rules, 0u);
}

TEST_F(isolated, drops_excess_log_lines) {
  testing::internal::CaptureStderr();
  const auto t = open(unruly({{"does", "flood of logs"}}));
  ASSERT_TRUE(t->scan(true));
  ASSERT_TRUE(hears.link_after(0)) << "it comes after the lines";
  t->close();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("warn  radio plugin-log: once more plugin=unruly transport=radio"), std::string::npos)
      << said;
  const auto lines = std::count(said.begin(), said.end(), '\n');
  EXPECT_LT(lines, 5000);
}

TEST_F(isolated, loses_no_message_when_the_role_floods_it) {
  const auto t = open(unruly());
  ASSERT_TRUE(t->scan(true));
  const auto l = hears.link_after(0);
  constexpr std::uint32_t count = 5000;
  for (std::uint32_t i = 0; i < count; ++i) {
    const bytes numbered{1, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)};
    for (;;) {
      const auto sent = t->send(l, numbered);
      if (sent) break;
      ASSERT_EQ(sent.error().code, errc::state_overloaded);
      std::this_thread::yield();
    }
  }
  ASSERT_TRUE(hears.wait([&](auto& links) { return links[l].messages.size() == count; }));
  hears.wait([&](auto& links) {
    for (std::uint32_t i = 0; i < count; ++i)
      EXPECT_EQ(links[l].messages[i],
                (bytes{1, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)}));
    return true;
  });
}

TEST_F(isolated, reports_the_error_of_the_first_start) {
  const auto refused = [this](const transport_spec& spec, isolation_settings s = quick()) {
    auto opened = open_isolated(spec, std::move(s), hears);
    EXPECT_FALSE(opened);
    return opened ? open_error{error{errc::internal}} : opened.error();
  };
  const auto bad = [](const std::string& kind) {
    return transport_spec{std::string{CPNS_BAD_PLUGINS "/"} + kind + ".so", transport_role::central, {}, {}};
  };
  const auto wrong = unruly({{"colour", "red"}});
  const auto direct = load_transport(wrong, hears);
  EXPECT_EQ(refused(wrong), direct.error().code);
  EXPECT_EQ(refused(wrong).detail, direct.error().detail);
  EXPECT_EQ(direct.error().parameter, "colour");
  EXPECT_EQ(refused(wrong).parameter, "colour");
  EXPECT_EQ(refused(bad("nowhere")).code, errc::plugin_load);
  EXPECT_EQ(refused(bad("no_reason")).code, errc::plugin_failed);
  const auto crashed = refused(bad("crash_in_open"));
  EXPECT_EQ(crashed.code, errc::plugin_crashed);
  EXPECT_EQ(crashed.detail,
            std::string{CPNS_BAD_PLUGINS} +
                "/crash_in_open.so was killed by signal 11 (Segmentation fault) while it was opened; "
                "it is not loaded");
  EXPECT_NE(refused(bad("exit_in_open")).detail.find("ended with exit code 0"), std::string::npos);
  auto hasty = quick();
  hasty.missed_while_opening = 10;
  const auto hung = refused(bad("loop_in_open"), hasty);
  EXPECT_EQ(hung.code, errc::plugin_hung);
  EXPECT_NE(hung.detail.find("did not open the plugin within 500 ms; it is not loaded"), std::string::npos)
      << hung.detail;
  auto big = unruly();
  big.params["does"] = std::string(10'000, 'x');
  EXPECT_EQ(refused(big).code, errc::wire_oversized);
}

TEST_F(isolated, retries_a_restart_until_it_succeeds) {
  for (const char* how : {"refuse later", "crash in open later"}) {
    hearing hearer;
    const auto once = folder / how;
    testing::internal::CaptureStderr();
    auto opened = open_isolated(unruly({{"does", how}, {"once", once.string()}}), quick(), hearer);
    ASSERT_TRUE(opened);
    const auto t = std::move(*opened);
    ASSERT_TRUE(t->scan(true));
    const auto before = hearer.link_after(0);
    std::ofstream{once} << "from now on";
    ::kill(only_child(), SIGKILL);
    const auto until = clock::now() + 20s;
    while (isolation_counters_of(*t).ends < 8 && clock::now() < until) std::this_thread::yield();
    EXPECT_EQ(t->send(1, bytes(1)).error().code, errc::plugin_link);
    EXPECT_EQ(t->connect("x").error().detail, "unruly: connecting to x: the radio is restarting");
    std::filesystem::remove(once);
    const auto l = hearer.link_after(before);
    EXPECT_TRUE(hearer.echoes(*t, l, bytes{1}));
    EXPECT_EQ(isolation_counters_of(*t).restarts, 1u);
    t->close();
    const auto said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("warn  radio radio-ended: "), std::string::npos) << said;
    EXPECT_NE(said.find("error radio radio-ended: "), std::string::npos) << said;
    EXPECT_NE(said.find("starts_in_vain=5"), std::string::npos) << said;
    EXPECT_NE(said.find(how == std::string{"refuse later"} ? "parameter does is out of fashion"
                                                           : "(Segmentation fault) while it was opened"),
              std::string::npos)
        << said;
  }
}

TEST_F(isolated, reports_the_end_of_each_connect) {
  const auto t = open(unruly());
  EXPECT_EQ(t->connect(std::string(201, 'x')).error().code, errc::wire_oversized);
  ASSERT_TRUE(t->connect("nobody"));
  EXPECT_NE(hears.unconnected("nobody").find("connecting to nobody"), std::string::npos);
  ASSERT_TRUE(t->connect("slow"));
  t->cancel("slow");
  EXPECT_EQ(hears.unconnected("slow"), "given up");
  t->cancel("somebody else");
  ASSERT_TRUE(t->connect("silent"));
  EXPECT_TRUE(hears.wait_found("silent"));
  ::kill(only_child(), SIGKILL);
  EXPECT_EQ(hears.unconnected("silent"), "the radio's process was killed by signal 9 (Killed)");
}

}  // namespace
}  // namespace cpns::plugins::isolation
