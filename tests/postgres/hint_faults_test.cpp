// One fault at each message of the connection for hints: no change fails, and hints come again.

#include <atomic>
#include <memory>
#include <thread>

#include "tests/postgres/passing_faults.hpp"
#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

constexpr auto listening = "LISTEN cpns_changes";
constexpr auto telling = "SELECT pg_notify('cpns_changes', $1::text)";
constexpr auto probing = "SELECT 1";

/// Each fault where the server works, two at the messages that prepare it, and a disk that is full.
std::vector<postgres_fault> faults_at(const std::string& statement, bool with_connection) {
  std::vector<postgres_fault> out;
  const auto faults = passing();
  std::size_t turn = 0;
  for (const char type : std::string_view(with_connection ? "APBDES" : "PBDES")) {
    const bool works = std::string_view("ESA").find(type) != std::string_view::npos;
    for (std::size_t f = 0; f < (works ? faults.size() : 2); ++f) {
      out.push_back(faults[works ? f : turn++ % faults.size()]);
      out.back().at = {type, type == 'A' ? "" : statement};
    }
  }
  out.push_back(fault(postgres_fault::deed::refuse, "53100"));
  out.back().at = {'E', statement};
  return out;
}

/// One database with a node that the faults hit, through a proxy, and another node.
class hint_place {
 public:
  hint_place() : direct_(server().fresh_store()), proxy_(server().port()), other_(open(direct_)) {
    held_ = other_->listen([this] { ++heard_by_other_; });
    EXPECT_TRUE(comes_true([this] { return heard_by_other_ > 0; }));
  }

  /// The fault hits the connection of a listener.
  void listens_again(const postgres_fault& f);
  /// The fault hits a hint.
  void tells_again(const postgres_fault& f);

 private:
  std::unique_ptr<store> hit_one() {
    proxy_.arm({});
    return open(proxy_.through(direct_));
  }
  bool happened() {
    return comes_true([this] { return proxy_.left() == 0; });
  }
  /// "ok" if it changes a row that is announced.
  std::string change(store& by) {
    auto op = put("ann", version_, "v");
    op.announce = true;
    auto out = outcomes(by, {{op}});
    if (out == "ok") ++version_;
    return out;
  }

  postgres_settings direct_;
  test::postgres_proxy proxy_;
  std::atomic<int> heard_by_other_ = 0;
  std::uint64_t version_ = 0;
  std::unique_ptr<store> other_;
  std::shared_ptr<void> held_;
};

void hint_place::listens_again(const postgres_fault& f) {
  SCOPED_TRACE(fault_text(f));
  const auto hit = hit_one();
  std::atomic<int> heard = 0;
  proxy_.arm({f});
  const auto held = hit->listen([&heard] { ++heard; });
  ASSERT_TRUE(happened());
  const int then = f.at.statement == probing ? 1 : 0;
  ASSERT_TRUE(comes_true([&] { return heard > then; })) << "on a new connection";
  const int before = heard;
  ASSERT_EQ(change(*other_), "ok");
  EXPECT_TRUE(comes_true([&] { return heard > before; }));
  EXPECT_TRUE(hit->health().writable) << "hints are not the store";
}

void hint_place::tells_again(const postgres_fault& f) {
  SCOPED_TRACE(fault_text(f));
  const auto hit = hit_one();
  proxy_.arm({f});
  const int before = heard_by_other_;
  ASSERT_EQ(change(*hit), "ok") << "the change itself";
  EXPECT_TRUE(happened());
  EXPECT_TRUE(comes_true([&] { return heard_by_other_ > before; })) << "without another change";
  EXPECT_EQ(read(*other_, "ann"), std::to_string(version_) + ":v");
}

/// In as many threads as `places`: trials mostly wait.
template <class Trial>
void try_all(std::size_t places, const std::vector<postgres_fault>& faults, const Trial& trial) {
  std::vector<std::unique_ptr<hint_place>> all;
  while (all.size() < places) all.push_back(std::make_unique<hint_place>());
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (auto& p : all)
    threads.emplace_back([&, in = p.get()] {
      for (auto i = next++; i < faults.size(); i = next++) trial(*in, faults[i]);
    });
  for (auto& t : threads) t.join();
}

TEST(postgres_hint_faults, at_any_message_of_a_listener_are_followed_by_hints) {
  try_all(6, faults_at(listening, true),
          [](hint_place& in, const postgres_fault& f) { in.listens_again(f); });
}

TEST(postgres_hint_faults, at_any_message_of_a_hint_change_no_write_and_the_hint_comes) {
  try_all(6, faults_at(telling, false), [](hint_place& in, const postgres_fault& f) { in.tells_again(f); });
}

/// A probe is sent every five seconds.
TEST(postgres_hint_faults, at_a_probe_are_followed_by_hints) {
  auto faults = faults_at(probing, false);
  std::erase_if(faults, [](const postgres_fault& f) { return f.at.type != 'E'; });
  try_all(8, faults, [](hint_place& in, const postgres_fault& f) { in.listens_again(f); });
}

}  // namespace
}  // namespace cpns::storage::testing
