#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "cli/commands.hpp"
#include "cli/doctor/doctor.hpp"
#include "cli/stores.hpp"
#include "cli/terminal.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "server/store_check.hpp"
#include "storage/data_key.hpp"

namespace cpns::cli {
namespace {

namespace json = boost::json;

/// In JSON; the others are counted.
constexpr std::size_t faults_listed_max = 1000;

struct verify_options {
  std::string config;
  bool json = false;
};

/// Of a gateway's rows: the keys of its PNEs.
status decode_gateway_row(storage::table t, byte_view row, const secret_bytes& value) {
  if (t != storage::table::peers) return {};
  CPNS_TRY(const auto r, protocol::decode_device_record(value.expose()));
  if (equal(row, as_bytes(r.entity.text()))) return {};
  return fail(errc::store_damaged, "holds the record of another name");
}

/// Prints faults as they are found, or keeps them for JSON.
class fault_list {
 public:
  explicit fault_list(bool as_json) : json_(as_json) {}
  void add(const server::row_fault& f) {
    if (json_) {
      if (faults_.size() < faults_listed_max)
        faults_.push_back(json::object{{"table", std::string{name_of(f.table)}}, {"text", f.what}});
      return;
    }
    clear_status();
    std::cout << "fault: " << f.what << "\n";
  }
  json::array take() { return std::move(faults_); }

 private:
  const bool json_;
  json::array faults_;
};

json::object counts_of(const server::store_findings& found) {
  json::object tables;
  for (const auto& [t, n] : found.tables)
    tables[name_of(t)] = json::object{{"rows", n.rows}, {"faults", n.faults}};
  return {{"rows", found.rows()},
          {"faults", found.faults()},
          {"stale", found.stale},
          {"lists_complete", found.index_complete},
          {"tables", std::move(tables)}};
}

void print_counts(const server::store_findings& found, const std::string& place) {
  for (const auto& [t, n] : found.tables)
    std::cout << name_of(t) << ": " << n.rows << (n.rows == 1 ? " row" : " rows")
              << (n.faults == 0 ? "" : ", " + std::to_string(n.faults) + " at fault") << "\n";
  if (found.stale > 0)
    std::cout << found.stale
              << " rows of indexes are out of date; lists leave them out, and a running server drops them "
                 "about once a day.\n";
  if (found.faults() == 0)
    std::cout << "The store in " << place << " is good: " << found.rows() << " rows.\n";
  else
    std::cout << "The store in " << place << " has " << found.faults()
              << (found.faults() == 1 ? " fault" : " faults") << "; restore it from a backup.\n";
}

/// A RocksDB store has one process at a time; servers on a database go on.
status check_stopped(const config::checked_file& file, config::store_kind kind) {
  const std::string role{config::word_of(file.role)};
  if (kind == config::store_kind::memory)
    return fail(errc::config_usage, "the " + role + " keeps its store in memory");
  if (kind == config::store_kind::rocksdb && doctor::process_of(file))
    return fail(errc::store_locked, "the " + role + " is running; stop it, and repeat the command");
  return {};
}

result<server::store_findings> verify(const config::checked_file& file, const config::store_config& store,
                                      const config::protector_config& protector, fault_list& faults,
                                      bool progress) {
  CPNS_CHECK(check_stopped(file, store.kind));
  CPNS_TRY(const auto under, open_store_for_reading(store));
  CPNS_TRY(const auto key, open_protector(protector));
  CPNS_TRY(const auto wrapped, storage::data_key_of(*under, place_of_store(store)).read());
  if (!wrapped)
    return fail(errc::state_unknown, "a row: the store in " + place_of_store(store) + " is empty");
  CPNS_TRY(const auto sealed, storage::sealed_store::open(*under, *key, crypto::system_entropy()));
  const bool is_server = file.role == config::role_kind::server;
  auto found = server::check_rows(
      *sealed, is_server ? server::decode_server_row : decode_gateway_row,
      [&faults](const server::row_fault& f) { faults.add(f); },
      [progress](std::uint64_t rows) {
        if (progress) show_status(std::to_string(rows) + " rows checked");
      });
  if (progress) clear_status();
  return found;
}

int run_verify(const verify_options& o) {
  const auto file = config::check_file(o.config);
  if (!file) return report(file.error().as_error());
  fault_list faults(o.json);
  std::string place;
  const auto found = std::visit(
      [&](const auto& c) -> result<server::store_findings> {
        if constexpr (requires { c.store; }) {
          place = place_of_store(c.store);
          return verify(*file, c.store, c.protector, faults, !o.json);
        } else {
          return fail(errc::config_usage, "a PNE has key files and no store; `cpns doctor` opens them");
        }
      },
      file->config);
  if (!found) return report(found.error());
  if (o.json) {
    auto out = counts_of(*found);
    out["listed"] = faults.take();
    std::cout << json::serialize(out) << "\n";
  } else {
    print_counts(*found, place);
  }
  return found->faults() == 0 ? exit_done : exit_failed;
}

}  // namespace

void add_store_verify(CLI::App& store, int& code) {
  const auto o = std::make_shared<verify_options>();
  auto* c = store.add_subcommand("verify", "Check every row of a store: its seal, its record, its lists");
  c->add_option("--config", o->config, "The configuration of a server or a gateway, which names the store")
      ->required();
  c->add_flag("--json", o->json, "Print the counts and the first 1,000 faults as JSON");
  c->footer(
      R"(After a restore, after trouble with a disk, or before an upgrade. The command decrypts every row, decodes its
record, compares it with the name of the row, and looks for the index rows by which lists find an entity or a
device. It changes nothing. A row is named by the beginning of its hidden name, never by a user or a device.

Stop the role first, except for a server on a database (postgresql), which may run meanwhile. A whole old row
that was put back with its version, and a row that was removed together with its index rows, cannot be noticed.
An index row of a former owner or holder is counted, and is not a fault: lists leave it out and remove it.

Exit codes: 0 no fault, 1 faults, or the store cannot be read, 2 invalid command line.

Examples:
  cpns store verify --config trial/server.yaml
  cpns store verify --config trial/gateway.yaml --json)");
  c->callback([o, &code] { code = run_verify(*o); });
}

}  // namespace cpns::cli
