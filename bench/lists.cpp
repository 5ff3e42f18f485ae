// The time of one page of a list, over a table of many devices and entities, and what the index rows of a device cost.
//
//   bench_lists rocksdb|postgresql ROWS [PAGES]
//
// Fills a store in TMPDIR with ROWS devices and ROWS entities: 1,000 owners, 1,000 gateways, batches of 10,000 devices. Then
// reads PAGES (1,000) pages of 100 rows per list, at random owners, gateways and places, and prints the median and the
// 99th percentile. `postgresql` starts a server of its own. Exit codes: 0 done, 1 an error, 2 usage.

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include "bench/program.hpp"
#include "server/admin_pages.hpp"
#include "server/index_build.hpp"
#include "server/store_admin.hpp"
#include "storage/postgres/postgres_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::bench {
namespace {

using steady = std::chrono::steady_clock;
using storage::table;

constexpr std::uint64_t owners = 1000, gateways = 1000, devices_per_batch = 10'000;
constexpr std::size_t rows_per_write = 200;  ///< as an import writes them
constexpr std::size_t rows_per_page = 100;

user_id owner(std::uint64_t n) { return user_id::parse("user" + std::to_string(n % owners)).value(); }
gateway_id gateway(std::uint64_t n) {
  return testing_people::gateway_named("urn:cpns:gw:" + std::to_string(n % gateways));
}
std::string batch(std::uint64_t n) { return "lot " + std::to_string(n / devices_per_batch); }
entity_id device(std::uint64_t n) {
  return entity_id::parse("urn:dev:os:32473-" + std::to_string(n)).value();
}

double seconds_since(steady::time_point begun) {
  return std::chrono::duration<double>(steady::now() - begun).count();
}

/// A row as it is after the first assignment: a set of 32 keys.
protocol::entity_record entity_row(std::uint64_t n) {
  protocol::entity_record r;
  r.entity = device(n);
  r.owner = owner(n * 7);
  r.holder = gateway(n * 11);
  r.holder_uri = "urn:cpns:gw:" + std::to_string(n * 11 % gateways);
  r.sets.emplace_back();
  r.sets.back().next_index = 32;
  r.sets.back().eukeys.resize(32);
  return r;
}

protocol::device_secret_record device_row(std::uint64_t n) {
  protocol::device_secret_record d;
  d.entity = device(n);
  d.owner = owner(n * 7);
  d.batch = batch(n);
  return d;
}

template <class Record>
void put(storage::sealed_batch& to, table t, const Record& r, bool listed) {
  to.push_back({t, to_bytes(as_bytes(r.entity.text())), encode(r)});
  if (listed) server::add_index_rows(to, r);
}

/// Writes rows in parts. Returns the rows per second.
result<double> fill(storage::sealed_store& store, std::uint64_t from, std::uint64_t to,
                    const std::function<void(storage::sealed_batch&, std::uint64_t)>& add) {
  const auto begun = steady::now();
  storage::sealed_batch rows;
  for (auto n = from; n < to; ++n) {
    add(rows, n);
    if ((n - from + 1) % rows_per_write != 0 && n + 1 < to) continue;
    CPNS_CHECK(store.write(rows));
    rows.clear();
  }
  return static_cast<double>(to - from) / seconds_since(begun);
}

using read_list = std::function<result<boost::json::object>(std::uint64_t chosen, const std::string& after)>;

status measure(const char* name, std::size_t pages, const read_list& read) {
  test::seeded_entropy random(9);
  std::vector<double> times;
  std::uint64_t rows = 0, chosen = 0;
  std::string after;
  while (times.size() < pages) {
    if (after.empty() || random.below(8) == 0) {
      chosen = random.below(gateways);
      after.clear();
    }
    const auto begun = steady::now();
    CPNS_TRY(const auto page, read(chosen, after));
    times.push_back(seconds_since(begun) * 1000);
    if (page.at("unreadable").to_number<std::uint64_t>() > 0)
      return fail(errc::internal, "a page has rows that cannot be read");
    rows += page.begin()->value().as_array().size();
    after = page.at("next").is_null() ? "" : std::string{page.at("next").as_string().c_str()};
  }
  std::sort(times.begin(), times.end());
  std::printf("%-34s p50 %8.2f ms  p99 %8.2f ms  longest %8.2f ms  %5.1f rows per page\n", name,
              times[times.size() / 2], times[times.size() * 99 / 100], times.back(),
              static_cast<double>(rows) / static_cast<double>(times.size()));
  std::fflush(stdout);
  return {};
}

status measure_lists(const storage::sealed_store& store, std::size_t pages) {
  const auto entities = [&](const server::entity_filter& filter, const std::string& after) {
    return server::entities_page(store, {rows_per_page, after}, filter);
  };
  const auto devices = [&](const server::device_filter& filter, const std::string& after) {
    return server::devices_page(store, {rows_per_page, after}, filter);
  };
  CPNS_CHECK(measure("entities", pages, [&](auto, const auto& after) { return entities({}, after); }));
  CPNS_CHECK(measure("entities of an owner", pages,
                     [&](auto n, const auto& after) { return entities({.owner = owner(n)}, after); }));
  CPNS_CHECK(measure("entities of a gateway", pages,
                     [&](auto n, const auto& after) { return entities({.holder = gateway(n)}, after); }));
  CPNS_CHECK(measure("entities that a gateway holds", pages,
                     [&](auto, const auto& after) { return entities({.held = true}, after); }));
  CPNS_CHECK(measure("devices of an owner", pages,
                     [&](auto n, const auto& after) { return devices({.owner = owner(n)}, after); }));
  return measure("devices of a batch", pages,
                 [&](auto n, const auto& after) { return devices({.batch = batch(n * 1000)}, after); });
}

status run(storage::store& under, std::uint64_t rows, std::size_t pages) {
  auto& random = crypto::system_entropy();
  const auto protector = test::key_file_protector(random);
  CPNS_TRY(const auto store, storage::sealed_store::open(under, *protector, random));
  const auto half = rows / 2;
  CPNS_TRY(const auto alone,
           fill(*store, 0, half, [](auto& to, auto n) { put(to, table::devices, device_row(n), false); }));
  CPNS_TRY(const auto listed,
           fill(*store, half, rows, [](auto& to, auto n) { put(to, table::devices, device_row(n), true); }));
  std::printf("devices per second: %.0f alone, %.0f with their index rows\n", alone, listed);
  CPNS_TRY(const auto entities, fill(*store, 0, rows, [&](auto& to, auto n) {
             put(to, table::entities, entity_row(n), n >= half);
           }));
  std::printf("entities per second: %.0f, half of them with their index rows\n", entities);
  std::fflush(stdout);
  CPNS_CHECK(measure("entities of an owner, by a scan", std::min<std::size_t>(pages, 200),
                     [&](auto n, const auto& after) {
                       return server::entities_page(*store, {rows_per_page, after}, {.owner = owner(n)});
                     }));
  const auto begun = steady::now();
  server::index_build{*store, server::write_to(*store)}.wait();
  std::printf("index rows of %llu rows of an older server: %.0f s\n", static_cast<unsigned long long>(rows),
              seconds_since(begun));
  return measure_lists(*store, pages);
}

result<std::unique_ptr<storage::store>> open_engine(const std::string& kind,
                                                    const std::filesystem::path& folder) {
  if (kind == "rocksdb") return storage::open_rocksdb_store(folder);
  return storage::open_postgres_store(test::postgres_server::instance().fresh_store());
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  const std::string kind = argc > 1 ? argv[1] : "";
  if ((kind != "rocksdb" && kind != "postgresql") || argc < 3)
    return cpns::bench::usage("usage: bench_lists rocksdb|postgresql ROWS [PAGES]\n");
  const cpns::test::temporary_folder folder;
  auto opened = cpns::bench::open_engine(kind, folder / "store");
  return cpns::bench::exit_code("bench_lists", opened
                                                   ? cpns::bench::run(**opened, std::stoull(argv[2]),
                                                                      argc > 3 ? std::stoull(argv[3]) : 1000)
                                                   : cpns::status{cpns::fail(opened.error())});
}
