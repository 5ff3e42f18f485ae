// For tests only: prints the keys in the stores of a stopped role, or in a copy of its files.
//
//   e2e_keys server.yaml|gateway.yaml|pne.yaml [--reveal]
//
// One JSON line per secret: "what", "entity", "epoch", "set", "use", as far as they apply, and "sha256" of the
// secret, or with --reveal the secret itself in hexadecimal ("value"). It uses the protector in the configuration,
// so it reveals nothing that its user could not read anyway.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>

#include "actors/pn_gw/key_store.hpp"
#include "audit/anchor.hpp"
#include "cli/stores.hpp"
#include "config/loader.hpp"
#include "crypto/suite.hpp"
#include "protocol/pne/pne_record.hpp"
#include "protocol/server/records.hpp"
#include "server/device_rows.hpp"
#include "server/server_meta.hpp"
#include "server/users.hpp"
#include "storage/secret_file.hpp"

namespace cpns::test {
namespace {

class printer {
 public:
  explicit printer(bool reveal) : reveal_(reveal) {}

  using fields = std::initializer_list<std::pair<const char*, std::string>>;
  void print(const char* what, fields more, byte_view secret) const {
    std::string line = std::string{"{\"what\":\""} + what + "\"";
    for (const auto& [key, value] : more) line += std::string{",\""} + key + "\":\"" + value + "\"";
    line += reveal_ ? ",\"value\":\"" + to_hex(secret)
                    : ",\"sha256\":\"" + to_hex(crypto::openssl_suite().sha256(secret));
    std::puts((line + "\"}").c_str());
  }

 private:
  bool reveal_;
};

std::string name_of(protocol::key_use use) {
  switch (use) {
  case protocol::key_use::unused: return "unused";
  case protocol::key_use::handed_out: return "handed_out";
  case protocol::key_use::own: return "own";
  }
  return "?";
}

/// Calls `each` with every decoded row of a table.
template <class Decode, class Each>
status rows_of(storage::sealed_store& store, storage::table table, Decode decode, Each each) {
  status broken;
  CPNS_CHECK(store.scan(table, {}, [&](byte_view, const secret_bytes& value) {
    auto record = decode(value.expose());
    if (record)
      each(*record);
    else
      broken = fail(std::move(record).error());
    return bool{broken};
  }));
  return broken;
}

/// The key of the MACs in the audit trail.
status audit_key(audit::anchor& anchor, const printer& out) {
  CPNS_TRY(const auto chain, anchor.load());
  if (chain) out.print("audit_key", {}, chain->key.expose());
  return {};
}

status server_keys(const config::server_config& c, const printer& out) {
  CPNS_TRY(auto opened, cli::opened_store::open(c.store, c.protector));
  auto& rows = opened.sealed();
  CPNS_CHECK(audit_key(*audit::store_anchor(rows), out));
  CPNS_TRY(const auto meta, server::load_meta(rows, crypto::system_entropy()));
  out.print("issuer_key", {}, meta.issuer_key.expose());
  CPNS_CHECK(rows_of(rows, storage::table::users, protocol::decode_user_record, [&](const auto& u) {
    out.print("stored_key",
              {{"user", std::string{u.user.text()}},
               {"salt", to_hex(u.salt)},
               {"iterations", std::to_string(u.iterations)}},
              u.stored_key);
  }));
  CPNS_CHECK(
      rows_of(rows, storage::table::devices, protocol::decode_device_secret_record, [&](const auto& d) {
        out.print("temporary_key", {{"entity", std::string{d.entity.text()}}}, d.temporary_key.expose());
      }));
  return rows_of(rows, storage::table::entities, protocol::decode_entity_record, [&](const auto& e) {
    for (const auto& set : e.sets)
      for (std::size_t i = 0; i < set.eukeys.size(); ++i) {
        const epoch which{set.generation, static_cast<std::uint16_t>(set.first_index + i)};
        out.print("eukey",
                  {{"entity", std::string{e.entity.text()}}, {"set", set.set.hex()}, {"epoch", which.text()}},
                  set.eukeys[i].expose());
      }
  });
}

status gateway_keys(const config::gateway_config& c, const printer& out) {
  CPNS_TRY(auto opened, cli::opened_store::open(c.store, c.protector));
  CPNS_CHECK(audit_key(*audit::store_anchor(opened.sealed()), out));
  const actors::key_store keys{opened.sealed(), {}};
  CPNS_TRY(const auto user, user_id::parse(c.user));
  CPNS_TRY(const auto credentials, keys.credentials(user));
  if (credentials) out.print("client_key", {{"user", c.user}}, credentials->client_key.expose());
  CPNS_TRY(const auto stored, keys.all());
  if (!stored.unreadable.empty()) return fail(stored.unreadable.front());
  for (const auto& d : stored.records) {
    const std::string entity{d.entity.text()};
    if (d.gateway_temporary_key)
      out.print("gateway_temporary_key", {{"entity", entity}}, d.gateway_temporary_key->expose());
    if (d.chain) out.print("chain", {{"entity", entity}}, d.chain->value.expose());
    for (const auto& k : d.keys)
      out.print(
          "eukey",
          {{"entity", entity}, {"set", k.set.hex()}, {"epoch", k.which.text()}, {"use", name_of(k.use)}},
          k.eukey.expose());
  }
  return {};
}

/// Only for a `devices_file`, whose devices share the data key of their folder.
status pne_keys(const config::pne_config& c, const printer& out) {
  auto& random = crypto::system_entropy();
  CPNS_TRY(const auto protector, cli::open_protector(c.protector));
  CPNS_TRY(const auto listed, server::load_device_rows(c.devices_file));
  if (!std::filesystem::exists(c.keys_dir / "data.key")) return {};  // the role never ran
  CPNS_TRY(const auto data_key,
           storage::open_data_key(c.keys_dir / "data.key", "pne keys", *protector, random));
  const auto head = storage::sealed_file::with_data_key(c.keys_dir / "audit.head", audit::file_anchor_purpose,
                                                        data_key, random);
  CPNS_CHECK(audit_key(*audit::file_anchor(head), out));
  for (const auto& row : listed.good) {
    const std::string entity{row.entity.text()};
    auto name = entity + ".key";
    std::replace(name.begin(), name.end(), ':', '_');
    const auto file =
        storage::sealed_file::with_data_key(c.keys_dir / name, "pne keys " + entity, data_key, random);
    CPNS_TRY(const auto kept, file.load());
    if (!kept) continue;
    CPNS_TRY(const auto record, protocol::decode_pne_record(kept->expose()));
    for (const auto& [slot, key] : {std::pair{"current", &record.current}, {"pending", &record.pending}})
      if (*key)
        out.print("eukey", {{"entity", entity}, {"epoch", (*key)->which.text()}, {"use", slot}},
                  (*key)->eukey.expose());
  }
  return {};
}

template <class Config, class Read>
int run(const Config& config, Read read, const printer& out) {
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().lines().front().c_str());
    return 1;
  }
  if (const auto done = read(*config, out); !done) {
    std::fprintf(stderr, "%s\n", done.error().message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace cpns::test

int main(int argc, char** argv) {
  using namespace cpns;
  const bool reveal = argc == 3 && std::strcmp(argv[2], "--reveal") == 0;
  if (argc != 2 && !reveal) {
    std::fprintf(stderr, "usage: e2e_keys server.yaml|gateway.yaml|pne.yaml [--reveal]\n");
    return 2;
  }
  const std::string file{argv[1]};
  const test::printer out{reveal};
  if (file.ends_with("server.yaml")) return test::run(config::load_server(file), test::server_keys, out);
  if (file.ends_with("gateway.yaml")) return test::run(config::load_gateway(file), test::gateway_keys, out);
  return test::run(config::load_pne(file), test::pne_keys, out);
}
