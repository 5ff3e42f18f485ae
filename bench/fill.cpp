// Fills the store of a stopped role, for measurements of stores of any size. bench/fill runs it.
//
//   bench_fill gateway HOME COUNT [FIRST]   records of COUNT keyed devices, from number FIRST (0) on
//   bench_fill server  HOME COUNT [FIRST]   a user, certificates of gateways, and COUNT devices with their entities
//   bench_fill damage  HOME COUNT           spoils COUNT entities of the server, so that nobody can decrypt them
//
// HOME is a folder of `cpns init`. Rows are written by the code of the role and its group committer, sealed, with all
// their index rows. Progress is a line per second on standard error; at the end a line of JSON is printed. A number that is in the
// store is written again. Exit codes: 0 done, 1 an error, 2 usage.

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <charconv>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <optional>

#include "actors/pn_gw/key_store.hpp"
#include "bench/filled_records.hpp"
#include "bench/program.hpp"
#include "config/loader.hpp"
#include "storage/group_commit.hpp"

namespace cpns::bench {
namespace {

/// Knows how many writes are on their way and which was the first to fail. [thread-safe]
class progress {
 public:
  explicit progress(std::uint64_t wanted) : wanted_(wanted) {}

  /// Waits until one more may be on its way. False: one failed.
  bool admit() {
    std::unique_lock lock{guard_};
    less_.wait(lock, [this] { return begun_ - ended_ < on_the_way_max || failure_; });
    if (failure_) return false;
    ++begun_;
    return true;
  }
  storage::commit_done done() {
    return [this](const status& wrote) {
      const std::lock_guard lock{guard_};
      ++ended_;
      if (!wrote && !failure_) failure_ = wrote.error();
      tell();
      less_.notify_one();
    };
  }
  /// Waits for all that began.
  status end() {
    std::unique_lock lock{guard_};
    less_.wait(lock, [this] { return begun_ == ended_; });
    if (failure_) return fail(*failure_);
    const auto took = std::chrono::duration<double>(clock::now() - began_).count();
    std::cout << boost::json::object{{"written", ended_},
                                     {"seconds", took},
                                     {"per_s", static_cast<double>(ended_) / took}}
              << std::endl;
    return {};
  }

 private:
  static constexpr std::uint64_t on_the_way_max =
      8192;  ///< each of at most 7 rows: fewer than a committer takes

  void tell() {
    const auto now = clock::now();
    if (now - told_ < seconds{1}) return;
    told_ = now;
    std::fprintf(stderr, "%llu of %llu, %.0f per second\n", static_cast<unsigned long long>(ended_),
                 static_cast<unsigned long long>(wanted_),
                 static_cast<double>(ended_) / std::chrono::duration<double>(now - began_).count());
  }

  const std::uint64_t wanted_;
  const clock::time_point began_ = clock::now();
  std::mutex guard_;
  std::condition_variable less_;
  std::uint64_t begun_ = 0, ended_ = 0;
  clock::time_point told_ = began_;
  std::optional<error> failure_;
};

status fill_gateway(const std::filesystem::path& home, std::uint64_t count, std::uint64_t first) {
  const auto c = config::load_gateway(home / "gateway.yaml");
  if (!c) return fail(c.error().as_error());
  CPNS_TRY(auto opened, cli::opened_store::open(c->store, c->protector, config::role_kind::gateway));
  CPNS_TRY(auto user, user_id::parse(c->user));
  gateway_past past{std::move(user), first + 1};
  progress so_far{count};
  storage::group_committer committer{opened.sealed()};
  actors::key_store keys{opened.sealed(), [&committer](storage::sealed_batch b, storage::commit_done done) {
                           committer.submit(std::move(b), std::move(done));
                         }};
  std::atomic<bool> damaged{false};
  CPNS_CHECK(
      keys.summaries([](const protocol::device_summary&) {}, [&damaged](const error&) { damaged = true; }));
  if (damaged) return fail(errc::store_damaged, "the store has records that cannot be read");
  for (auto n = first; n < first + count && so_far.admit(); ++n) {
    const auto one = past.device(n);
    keys.save(one.record, so_far.done());
    if (!one.owes) keys.report_answered(one.record.entity);
  }
  return so_far.end();
}

status fill_server(const std::filesystem::path& home, std::uint64_t count, std::uint64_t first) {
  const testing_people::person owner{"load@example.org"};
  CPNS_CHECK(fill_store(home, filled_gateways, {owner}, 0));
  CPNS_TRY(auto opened, cli::open_server_store(home / "server.yaml"));
  progress so_far{count};
  storage::group_committer committer{opened.sealed()};
  for (auto n = first; n < first + count && so_far.admit(); ++n) {
    const auto device = filled_device(n);
    const auto entity = filled_entity(device, n, owner.user);
    const auto row = to_bytes(as_bytes(device.entity.text()));
    storage::sealed_batch batch;
    batch.push_back({storage::table::devices, row, encode(device)});
    batch.push_back({storage::table::entities, row, encode(entity)});
    server::add_index_rows(batch, device);
    server::add_index_rows(batch, entity);
    committer.submit(std::move(batch), so_far.done());
  }
  return so_far.end();
}

/// Entities at equal distances.
status damage_server(const std::filesystem::path& home, std::uint64_t count) {
  const auto c = config::load_server(home / "server.yaml");
  if (!c) return fail(c.error().as_error());
  CPNS_TRY(const auto rows, cli::open_raw_store(c->store));
  std::uint64_t all = 0, at = 0;
  std::vector<storage::stored_row> chosen;
  CPNS_CHECK(
      rows->scan(storage::table::entities, {}, [&all](const storage::stored_row&) { return ++all > 0; }));
  const auto distance = std::max<std::uint64_t>(1, all / std::max<std::uint64_t>(1, count));
  CPNS_CHECK(rows->scan(storage::table::entities, {}, [&](const storage::stored_row& r) {
    if (at++ % distance == distance / 2) chosen.push_back(r);
    return chosen.size() < count;
  }));
  for (auto& r : chosen) {
    r.value.back() ^= 1;
    CPNS_CHECK(rows->write_one({{storage::table::entities, r.row, r.version, r.value}}));
  }
  std::cout << boost::json::object{{"damaged", chosen.size()}} << std::endl;
  return {};
}

std::optional<std::uint64_t> number_of(const std::string& word) {
  std::uint64_t out = 0;
  const auto* end = word.data() + word.size();
  const auto read = std::from_chars(word.data(), end, out);
  if (read.ec != std::errc{} || read.ptr != end || out > 1'000'000'000) return std::nullopt;
  return out;
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  using namespace cpns::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto count = args.size() >= 3 ? number_of(args[2]) : std::nullopt;
  const auto first = args.size() == 4 ? number_of(args[3]) : std::optional<std::uint64_t>{0};
  const bool sizes = (args.size() == 3 || args.size() == 4) && count && first;
  if (sizes && args[0] == "gateway") return exit_code("bench_fill", fill_gateway(args[1], *count, *first));
  if (sizes && args[0] == "server") return exit_code("bench_fill", fill_server(args[1], *count, *first));
  if (sizes && args.size() == 3 && args[0] == "damage")
    return exit_code("bench_fill", damage_server(args[1], *count));
  return usage("usage: bench_fill gateway HOME COUNT [FIRST]\n       bench_fill server HOME COUNT [FIRST]\n"
               "       bench_fill damage HOME COUNT\n");
}
