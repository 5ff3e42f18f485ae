#pragma once
// The rows that a load of key assignments needs in the store of a server: its users and devices.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/gateway_files.hpp"
#include "bench/link_frames.hpp"
#include "cli/stores.hpp"
#include "server/index_rows.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::bench {

/// The device with this number, from 0.
inline testing_people::headset device(std::uint64_t number) {
  return testing_people::headset{device_name("a" + std::to_string(number))};
}

/// An entity that the store has before a load begins, by its number, from 0. Its gateway was given the set `known_set`, and its
/// device reported the last key of it.
inline entity_id known_name(std::uint64_t number) {
  return entity_id::parse(device_name("k" + std::to_string(number))).value();
}
inline constexpr set_id known_set{{1, 2, 3, 4, 5, 6, 7, 8}};
constexpr epoch known_epoch(std::uint16_t set_size) {
  return epoch{1, static_cast<std::uint16_t>(set_size - 1)};
}

/// The user of a gateway, if each has its own.
inline testing_people::person user_of(int gateway) {
  return testing_people::person{"load-" + std::to_string(gateway) + "@example.org"};
}
inline std::vector<testing_people::person> users_of(int gateways) {
  std::vector<testing_people::person> all;
  for (int g = 0; g < gateways; ++g) all.push_back(user_of(g));
  return all;
}

/// An entity with this number, from 0, as a server keeps it: a set of which its gateway reported the last key.
inline protocol::entity_record known_entity(std::uint64_t number, const user_id& owner,
                                            const gateway_id& holder, std::uint16_t set_size) {
  auto& random = crypto::system_entropy();
  const auto now = unix_seconds(now_wall());
  protocol::entity_record r;
  r.entity = known_name(number);
  r.owner = owner;
  r.tag = random.draw_id<owner_tag>();
  r.claimed = r.holder_since = r.holder_seen = now;
  r.holder = holder;
  r.last_report = known_epoch(set_size);
  protocol::eukey_set s;
  s.generation = r.last_report->generation();
  s.set = known_set;
  s.incarnation = 1;
  s.issued_to = holder;
  s.next_index = set_size;
  s.first_index = r.last_report->index();
  s.not_after = now + std::chrono::seconds{std::chrono::days{90}}.count();
  s.eukeys.push_back(random.draw_secret<32>());
  r.sets.push_back(std::move(s));
  return r;
}

/// Writes rows in batches. Errors of writes.
class row_writer {
 public:
  explicit row_writer(storage::sealed_store& to) : to_(to) {}
  template <class Record>
  status add(storage::table t, const std::string& name, const Record& row) {
    batch.push_back({t, to_bytes(as_bytes(name)), encode(row)});
    server::add_index_rows(batch, row);
    return batch.size() < ops_in_a_write ? status{} : finish();
  }
  status finish() {
    if (batch.empty()) return {};
    CPNS_CHECK(to_.write(batch));
    batch.clear();
    return {};
  }
  storage::sealed_batch batch;

 private:
  static constexpr std::size_t ops_in_a_write = 4000;
  storage::sealed_store& to_;
};

/// Writes the devices `first` to `first + count - 1` with all their index rows: a server that had to add those would do so while
/// it is measured. `home` is a folder of `cpns init`. Errors of cli::open_server_store, and of writes.
inline status add_devices(storage::sealed_store& store, std::uint64_t first, std::uint64_t count) {
  row_writer rows{store};
  for (auto n = first; n < first + count; ++n) {
    const auto row = device(n).imported();
    CPNS_CHECK(rows.add(storage::table::devices, row.entity.text(), row));
  }
  return rows.finish();
}

/// Writes known_entity() 0 to `count - 1` with their devices and all index rows. The gateways hold them in turn.
inline status add_entities(storage::sealed_store& store, std::uint64_t count, const user_id& owner,
                           int gateways, std::uint16_t set_size) {
  std::vector<gateway_id> holders;
  for (int g = 0; g < gateways; ++g) holders.push_back(testing_people::gateway_named(uri_of(g)));
  row_writer rows{store};
  for (std::uint64_t n = 0; n < count; ++n) {
    const auto row = known_entity(n, owner, holders[n % holders.size()], set_size);
    const auto made = testing_people::headset{row.entity.text()}.imported();
    CPNS_CHECK(rows.add(storage::table::devices, made.entity.text(), made));
    CPNS_CHECK(rows.add(storage::table::entities, row.entity.text(), row));
  }
  return rows.finish();
}

/// Writes certificates of `gateways`, the users and the devices. `home` is a folder of `cpns init`. Errors of certify and
/// cli::open_server_store, and of writes.
inline status fill_store(const std::filesystem::path& home, int gateways,
                         const std::vector<testing_people::person>& users, std::uint64_t devices) {
  CPNS_CHECK(certify(home, gateways));
  CPNS_TRY(auto opened, cli::open_server_store(home / "server.yaml"));
  storage::sealed_batch batch;
  for (const auto& who : users)
    batch.push_back({storage::table::users, to_bytes(as_bytes(who.user.text())), encode(who.record)});
  batch.push_back(server::index_complete_op());
  CPNS_CHECK(opened.sealed().write(batch));
  return add_devices(opened.sealed(), 0, devices);
}

}  // namespace cpns::bench
