// Tests of the checker: each faulty radio fails exactly the test of its fault, with the expected reason, and a
// radio without a fault fails none.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "plugins/conformance/report.hpp"
#include "plugins/conformance/runner.hpp"

namespace cpns::conformance {
namespace {

struct fault {
  const char* plugin;
  const char* test;   ///< the one that fails
  const char* words;  ///< in its reason
  verdict is = verdict::failed;
};
std::ostream& operator<<(std::ostream& out, const fault& f) { return out << f.plugin; }

constexpr fault faults[] = {
    {"no_entry", "loads", "exports no symbol cpns_transport_entry"},
    {"two_symbols", "exports-one-symbol", "the first is small_radio_debug_level"},
    {"small_entry", "entry-is-sound", "it is 24"},
    {"preset_does_not_fit", "parameters-are-declared", "whose preset is invalid"},
    {"crash_in_open", "opens-and-closes",
     "signal 11 (Segmentation fault); the last step was open of the central", verdict::crashed},
    {"eats_memory_in_open", "opens-and-closes",
     "more than 1024 MiB of memory; the last step was open of the central"},
    {"slow_open", "opens-in-time", "two seconds to open"},
    {"hangs_in_close", "close-returns", "close must return within two seconds: it had not returned after"},
    {"takes_any_parameter", "unknown-parameters-are-refused", "open accepted it"},
    {"takes_any_value", "declared-bounds-hold", "network=''"},
    {"keeps_failure_to_itself", "connect-tells-its-end", "neither was called for 'nowhere'"},
    {"takes_any_role", "unknown-roles-are-refused", "role 0 must be refused: open accepted it"},
    {"probe_needs_the_radio", "probe-leaves-no-trace",
     "beside an open instance, open of the central returned"},
    {"link_id_twice", "link-ids-are-new", "are never reused"},
    {"link_down_twice", "link-down-once", "once more"},
    {"keeps_the_peer_in_the_dark", "links-go-down-on-both-sides",
     "after disconnect the peer's link must go down"},
    {"names_no_endpoint", "endpoints-are-named", "it named 0"},
    {"takes_frames_for_dead_links", "dead-links-take-nothing",
     "must return CPNS_NO_LINK: it returned CPNS_OK"},
    {"ignores_max_links", "max-links-is-kept", "declares at most 8 links and brought up 9"},
    {"scans_for_ever", "scan-off-finds-no-more", "another one was found"},
    {"takes_frames_over_mtu", "frames-out-of-range-are-refused", "it accepted 201"},
    {"frame_over_mtu", "frames-keep-to-the-mtu", "passed one of 201"},
    {"frames_after_down", "frames-between-up-and-down", "after link_down"},
    {"drops_frames", "reliable-is-reliable", "every accepted frame must arrive"},
    {"turns_frames_around", "ordered-is-ordered", "keep their order"},
    {"two_frames_at_once", "one-frame-at-a-time", "called it twice at once for link"},
    {"never_writable", "writable-after-would-block", "it was not called within"},
    {"keeps_every_frame", "memory-is-bounded", "KiB allocated"},
    {"locks_during_callbacks", "calls-from-callbacks", "one from frame had not returned"},
    {"waits_in_connect", "calls-return-at-once", "connect took"},
    {"throws", "nothing-throws", "an exception left send"},
    {"extension_without_function", "extensions-are-sound", "cpns.rssi/1 must have its function"},
    {"counts_backwards", "counters-only-grow", "frames_left went from"},
    {"drops_links_to_save", "links-outlive-saving", "links must stay up at every power level"},
    {"holds_time", "simulated-time-goes-on", "must release simulated time"},
    {"calls_back_before_start", "no-callback-before-start", "called link_up before"},
    {"calls_back_after_close", "no-callback-after-close", "called writable after it"},
    {"leaks_descriptor", "no-descriptor-leaks", "descriptors"},
    {"leaks_thread", "no-thread-leaks", "threads"},
    {"leaks_memory", "no-memory-leaks", "bytes of each round"},
};

subject small(const std::string& name) {
  subject s;
  s.file = CPNS_BAD_PLUGINS "/" + name + ".so";
  s.central = s.peripheral = {{"network", "{run}"}};
  s.seed = 5;
  return s;
}

/// Runs of all plugins, in parallel, because a run mostly waits.
const std::vector<outcome>& outcomes_of(std::string_view plugin) {
  static const auto all = [] {
    std::vector<std::string> names{"good", "slow_to_tell", "of_interface_1_0"};
    for (const auto& f : faults) names.emplace_back(f.plugin);
    std::vector<std::vector<outcome>> found(names.size());
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t)
      threads.emplace_back([&] {
        for (auto i = next++; i < names.size(); i = next++)
          found[i] = run_all(small(names[i]), all_tests()).value();
      });
    for (auto& t : threads) t.join();
    std::map<std::string, std::vector<outcome>, std::less<>> out;
    for (std::size_t i = 0; i < names.size(); ++i) out[names[i]] = std::move(found[i]);
    return out;
  }();
  return all.find(plugin)->second;
}

TEST(checker, passes_a_radio_without_a_fault) {
  const auto& all = outcomes_of("good");
  EXPECT_TRUE(all_well(all)) << as_text({"good", 5}, all);
  EXPECT_EQ(all.size(), all_tests().size());
}

TEST(checker, passes_a_radio_that_reports_ends_during_close) {
  const auto& all = outcomes_of("slow_to_tell");
  EXPECT_TRUE(all_well(all)) << as_text({"slow_to_tell", 5}, all);
}

TEST(checker, passes_a_radio_of_interface_1_0) {
  const auto& all = outcomes_of("of_interface_1_0");
  EXPECT_TRUE(all_well(all)) << as_text({"of_interface_1_0", 5}, all);
}

TEST(checker, warns_of_deprecated_features_and_names_the_successor) {
  const auto& all = outcomes_of("of_interface_1_0");
  const auto it =
      std::find_if(all.begin(), all.end(), [](const auto& o) { return o.test == "parameters-are-declared"; });
  ASSERT_NE(it, all.end());
  EXPECT_EQ(word_of(it->is), "warning");
  EXPECT_TRUE(it->reason.starts_with("deprecated since 1.1: ")) << it->reason;
  EXPECT_TRUE(it->reason.ends_with("its successor is cpns_transport_entry_t.parameters")) << it->reason;
}

TEST(checker, keeps_the_log_of_a_radio_that_crashed) {
  const auto& all = outcomes_of("crash_in_open");
  const auto it =
      std::find_if(all.begin(), all.end(), [](const auto& o) { return o.is == verdict::crashed; });
  ASSERT_NE(it, all.end());
  ASSERT_EQ(it->log.size(), 1u);
  EXPECT_TRUE(it->log.front().ends_with(" ms central info: this goes wrong")) << it->log.front();
}

// Only a warning, because on a busy machine a good radio may be late, too.
TEST(checker, warns_of_a_radio_that_opens_late) {
  auto tests = all_tests();
  std::erase_if(tests, [](const auto& t) { return t.name != std::string_view{"opens-in-time"}; });
  const auto all = run_all(small("late_open"), tests).value();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(word_of(all.front().is), "warning");
  EXPECT_NE(all.front().reason.find("two seconds to open: it took"), std::string::npos) << all.front().reason;
}

TEST(checker, returns_no_outcome_of_unfinished_tests_when_it_is_cancelled) {
  auto tests = all_tests();
  std::size_t begun = 0;
  const auto all = run_all(small("good"), tests,
                           {[&begun](std::size_t, std::size_t, std::string_view) { ++begun; },
                            [&begun] { return begun == 3; }})
                       .value();
  EXPECT_EQ(begun, 3u);
  EXPECT_EQ(all.size(), 2u);
}

class faulty : public testing::TestWithParam<fault> {};
INSTANTIATE_TEST_SUITE_P(radio, faulty, testing::ValuesIn(faults),
                         [](const auto& p) { return std::string{p.param.plugin}; });

TEST_P(faulty, fails_the_test_that_names_its_fault_and_no_other) {
  const auto& f = GetParam();
  const auto& all = outcomes_of(f.plugin);
  for (const auto& o : all) {
    if (o.test == f.test) {
      EXPECT_EQ(word_of(o.is), word_of(f.is)) << o.reason;
      EXPECT_NE(o.reason.find(f.words), std::string::npos) << o.reason;
    } else {
      EXPECT_TRUE(o.is != verdict::failed && o.is != verdict::crashed) << o.test << ": " << o.reason;
    }
  }
}

}  // namespace
}  // namespace cpns::conformance
