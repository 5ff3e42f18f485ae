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

/// The user of a gateway, if each has its own.
inline testing_people::person user_of(int gateway) {
  return testing_people::person{"load-" + std::to_string(gateway) + "@example.org"};
}
inline std::vector<testing_people::person> users_of(int gateways) {
  std::vector<testing_people::person> all;
  for (int g = 0; g < gateways; ++g) all.push_back(user_of(g));
  return all;
}

/// Writes certificates of `gateways`, and the users and devices with all their index rows: a server that had to add those would
/// do so while it is measured. `home` is a folder of `cpns init`. Errors of certify and cli::open_server_store, and of writes.
inline status fill_store(const std::filesystem::path& home, int gateways,
                         const std::vector<testing_people::person>& users, std::uint64_t devices) {
  constexpr std::size_t ops_in_a_write = 4000;
  CPNS_CHECK(certify(home, gateways));
  CPNS_TRY(auto opened, cli::open_server_store(home / "server.yaml"));
  storage::sealed_batch batch;
  for (const auto& who : users)
    batch.push_back({storage::table::users, to_bytes(as_bytes(who.user.text())), encode(who.record)});
  batch.push_back(server::index_complete_op());
  for (std::uint64_t n = 0; n < devices; ++n) {
    const auto row = device(n).imported();
    batch.push_back({storage::table::devices, to_bytes(as_bytes(row.entity.text())), encode(row)});
    server::add_index_rows(batch, row);
    if (batch.size() < ops_in_a_write) continue;
    CPNS_CHECK(opened.sealed().write(batch));
    batch.clear();
  }
  return batch.empty() ? status{} : opened.sealed().write(batch);
}

}  // namespace cpns::bench
