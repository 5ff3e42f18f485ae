// Heartbeats of servers on one shared store.
#include "server/heartbeat.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <sstream>

#include "crypto/suite.hpp"
#include "server/older_nodes.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A store that several roles use, with a clock that a test sets.
class shared_memory final : public storage::memory_store {
 public:
  shared_memory() : memory_store(true) {}
  [[nodiscard]] result<std::optional<time_point>> clock() const override {
    return std::optional{now_wall() + clock_off.load()};
  }
  [[nodiscard]] result<bool> allows_this_program() override { return allows.load(); }
  [[nodiscard]] storage::store_health health() const override {
    return {allows, !allows, 0, allows ? "" : "install a newer release of cpns"};
  }
  std::atomic<milliseconds> clock_off{milliseconds{0}};
  std::atomic<bool> allows = true;
};

bool comes(const std::function<bool()>& met) {
  for (int i = 0; i < 1000 && !met(); ++i) ::poll(nullptr, 0, 10);
  return met();
}

struct cluster {
  test::seeded_entropy random{7};
  shared_memory memory;
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  // The heartbeats seal in threads of their own.
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(memory, *protector, crypto::system_entropy()).value();
  heartbeat_times times{milliseconds{20}, milliseconds{300}, milliseconds{400}, milliseconds{30'000},
                        std::chrono::hours{24}};
  std::atomic<bool> cut = false;  ///< writes get no answer

  heartbeat::parts parts() {
    return {sealed.get(),
            [this](storage::sealed_batch b, storage::commit_done done) {
              if (!cut) done(sealed->write(b));
            },
            now_wall,
            &crypto::system_entropy(),
            {},
            times};
  }
  static node_row row(const std::string& name) {
    node_row out;
    out.name = name;
    out.version = "1.2.3";
    out.address = name + ".example:7443";
    return out;
  }
  result<std::unique_ptr<heartbeat>> start(
      const std::string& name, std::function<void(std::vector<std::string>)> changed = [](auto) {}) {
    CPNS_TRY(auto made, heartbeat::begin(parts(), row(name)));
    made->run(
        [name] {
          return heartbeat::load{name + ".example:7443", 2, 3, node_state::running};
        },
        std::move(changed));
    return made;
  }
};

std::optional<seen_node> one(const heartbeat& at, const std::string& name) {
  for (const auto& n : at.nodes())
    if (n.row.name == name) return n;
  return std::nullopt;
}

bool is(const heartbeat& at, const std::string& name, seen_node::life life) {
  const auto n = one(at, name);
  return n && n->is == life;
}

TEST(heartbeat, shows_the_nodes_of_a_store_and_their_addresses) {
  cluster c;
  std::mutex guard;
  std::vector<std::string> addresses;
  const auto a = c.start("a", [&](std::vector<std::string> now) {
                    const std::lock_guard lock{guard};
                    addresses = std::move(now);
                  }).value();
  auto b = c.start("b").value();
  ASSERT_TRUE(
      comes([&] { return is(*a, "b", seen_node::life::alive) && is(*b, "a", seen_node::life::alive); }));
  EXPECT_TRUE(comes([&] {
    const std::lock_guard lock{guard};
    return addresses == std::vector<std::string>{"a.example:7443", "b.example:7443"};
  }));
  ASSERT_TRUE(comes([&] { return one(*a, "b")->row.connections == 2; }));
  const auto seen = one(*a, "b");
  EXPECT_FALSE(seen->self);
  EXPECT_TRUE(one(*a, "a")->self);
  EXPECT_EQ(seen->row.version, "1.2.3");
  EXPECT_TRUE(comes([&] { return a->fresh() && a->not_ready().empty(); }));
  b.reset();
  EXPECT_TRUE(comes([&] { return is(*a, "b", seen_node::life::stopped); }));
  EXPECT_TRUE(comes([&] {
    const std::lock_guard lock{guard};
    return addresses == std::vector<std::string>{"a.example:7443"};
  }));
}

TEST(heartbeat, is_not_fresh_while_the_database_acknowledges_no_write_although_it_answers_reads) {
  cluster c;
  const auto a = c.start("a").value();
  auto b = c.start("b").value();
  ASSERT_TRUE(comes([&] { return is(*a, "b", seen_node::life::alive); }));
  c.cut = true;
  EXPECT_TRUE(comes([&] { return !a->fresh() && !b->fresh(); }));
  EXPECT_THAT(a->not_ready(), ElementsAre(HasSubstr("acknowledged no heartbeat")));
  EXPECT_TRUE(comes([&] { return is(*a, "b", seen_node::life::silent); }));
}

TEST(heartbeat, refuses_the_name_of_a_server_that_lives) {
  cluster c;
  auto a = c.start("a").value();
  const auto second = c.start("a");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::state_conflict);
  EXPECT_THAT(second.error().message(), HasSubstr("a.example:7443"));
  EXPECT_TRUE(c.start("b"));
  a.reset();
  EXPECT_TRUE(c.start("a")) << "it stopped in order";
}

TEST(heartbeat, takes_the_name_of_a_server_that_is_silent_and_that_one_learns_it) {
  cluster c;
  const auto frozen = heartbeat::begin(c.parts(), cluster::row("a")).value();
  const auto second = c.start("a").value();
  EXPECT_TRUE(comes([&] { return second->fresh(); }));
  frozen->run([] { return heartbeat::load{"x:1", 0, 0, node_state::running}; }, [](auto) {});  // it wakes up
  EXPECT_TRUE(comes([&] {
    const auto why = frozen->not_ready();
    return !why.empty() && why.front().find("has the name 'a'") != std::string::npos;
  }));
  EXPECT_TRUE(comes([&] { return !frozen->fresh(); }));
  EXPECT_TRUE(comes([&] { return is(*second, "a", seen_node::life::alive); }));
  EXPECT_TRUE(comes([&] { return second->not_ready().empty(); }));
}

TEST(heartbeat, says_that_the_clock_differs_from_that_of_the_database) {
  cluster c;
  const auto a = c.start("a").value();
  c.memory.clock_off = milliseconds{45'000};
  EXPECT_TRUE(comes([&] { return !a->not_ready().empty(); }));
  EXPECT_THAT(a->not_ready().front(), HasSubstr("apart; set both by NTP"));
  c.memory.clock_off = milliseconds{20'000};
  EXPECT_TRUE(comes([&] { return a->not_ready().empty(); }));
}

TEST(heartbeat, replaces_a_row_that_it_cannot_read) {
  cluster c;
  storage::sealed_batch bad;
  bad.push_back({storage::table::nodes, name_of_node("a"), secret_bytes::from_text("no row")});
  bad.push_back({storage::table::nodes, name_of_node("z"), secret_bytes::from_text("no row")});
  ASSERT_TRUE(c.sealed->write(bad));
  const auto a = c.start("a").value();
  EXPECT_TRUE(comes([&] { return is(*a, "a", seen_node::life::alive); }));
  EXPECT_FALSE(one(*a, "z"));
}

TEST(node_row, is_read_as_it_was_written_and_nothing_else_is_a_row) {
  auto row = cluster::row("node1");
  row.start.fill(9);
  row.folder = "f";
  row.started = 1;
  row.beat = 2;
  row.connections = 3;
  row.jobs = 4;
  row.key = "k";
  row.state = node_state::draining;
  const auto encoded = encode(row);
  const auto back = decode_node_row(encoded.expose()).value();
  EXPECT_EQ(to_bytes(encode(back).expose()), to_bytes(encoded.expose()));
  const auto whole = to_bytes(encoded.expose());
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(decode_node_row(byte_view{whole}.first(n)).error().code, errc::store_damaged) << n;
  auto state = whole;
  state[state.size() - 2] = 9;
  EXPECT_FALSE(decode_node_row(state));
}

TEST(node_row, is_read_with_what_a_later_release_appends_and_without_the_schema_of_an_earlier_one) {
  auto row = cluster::row("node1");
  row.schema = 7;
  auto later = to_bytes(encode(row).expose());
  ASSERT_EQ(later.front(), 0x8d);
  auto earlier = later;
  later.front() = 0x8e;
  later.push_back(0x01);
  EXPECT_EQ(decode_node_row(later).value().schema, 7U);
  earlier.front() = 0x8c;
  earlier.pop_back();
  EXPECT_EQ(decode_node_row(earlier).value().schema, 1U);
}

TEST(heartbeat, is_not_fresh_when_the_store_refuses_this_program_and_does_not_begin_then) {
  cluster c;
  const auto a = c.start("a").value();
  ASSERT_TRUE(comes([&] { return a->fresh(); }));
  c.memory.allows = false;
  EXPECT_TRUE(comes([&] { return !a->fresh(); }));
  const auto b = c.start("b");
  ASSERT_FALSE(b);
  EXPECT_THAT(b.error().message(), HasSubstr("install a newer release"));
}

TEST(older_nodes, are_named_while_they_live_and_not_when_they_are_silent_or_stopped) {
  cluster c;
  const milliseconds silent{200};
  EXPECT_TRUE(check_no_older_node(*c.sealed, 2, silent)) << "no node";
  auto a = c.start("a").value();
  EXPECT_TRUE(check_no_older_node(*c.sealed, 1, silent)) << "it knows 1";
  const auto refused = check_no_older_node(*c.sealed, 2, silent);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::state_conflict);
  EXPECT_THAT(refused.error().message(), HasSubstr("the server 'a' (version 1.2.3, at a.example:7443) runs"));
  c.cut = true;
  EXPECT_TRUE(comes([&] { return !a->fresh(); }));
  EXPECT_TRUE(check_no_older_node(*c.sealed, 2, silent)) << "silent";
  c.cut = false;
  a.reset();
  EXPECT_TRUE(check_no_older_node(*c.sealed, 2, silent)) << "stopped";
  storage::sealed_batch bad;
  bad.push_back({storage::table::nodes, name_of_node("z"), secret_bytes::from_text("no row")});
  ASSERT_TRUE(c.sealed->write(bad));
  EXPECT_EQ(check_no_older_node(*c.sealed, 2, silent).error().code, errc::store_damaged);
}

TEST(heartbeat, warns_once_of_each_server_whose_clock_differs_from_that_of_the_database) {
  const server_tests::captured_log log;
  cluster c;
  c.times.silent = seconds{30};  // a server that is silent on a busy machine would be warned of again
  const auto begin = [&c](const std::string& name, milliseconds off) {
    auto with = c.parts();
    with.now = [off] { return now_wall() + off; };
    auto made = heartbeat::begin(std::move(with), cluster::row(name)).value();
    made->run([] { return heartbeat::load{"x:1", 0, 0, node_state::running}; }, [](auto) {});
    return made;
  };
  const auto a = c.start("a").value();
  const auto near = begin("b", seconds{-20}), slow = begin("y", seconds{-45}), fast = begin("z", seconds{60});
  const auto named = [&log](const std::string& node) {
    std::istringstream lines{log.text()};
    std::ptrdiff_t count = 0;
    for (std::string line; std::getline(lines, line);)
      if (line.find("\"node-clock-apart\"") != std::string::npos && line.find(node) != std::string::npos) {
        EXPECT_THAT(line, HasSubstr(R"("level":"warn")"));
        EXPECT_THAT(line, HasSubstr("set both by NTP"));
        ++count;
      }
    return count;
  };
  const std::string of_near = R"("node":"b")", of_slow = R"("node":"y")", of_fast = R"("node":"z")";
  ASSERT_TRUE(comes([&] { return named(of_slow) >= 2 && named(of_fast) >= 2; })) << "by a and b";
  const auto all = named("");
  const auto beat = one(*a, "z")->row.beat;
  ASSERT_TRUE(comes([&] { return one(*a, "z")->row.beat > beat + 200; })) << "ten intervals later";
  EXPECT_EQ(named(""), all);
  EXPECT_EQ(named(of_near), 0);
  EXPECT_TRUE(a->not_ready().empty()) << "its own clock is right";
  EXPECT_THAT(slow->not_ready(), ElementsAre(HasSubstr("set both by NTP")));
}

}  // namespace
}  // namespace cpns::server
