// For tests only: prints the keys in the stores of a stopped role, or in a copy of its files.
//
//   e2e_keys server.yaml|gateway.yaml|pne.yaml [--reveal]
//
// One JSON line per secret: "what", "entity", "epoch", "set", "use", as far as they apply, and "sha256" of the
// secret, or with --reveal the secret itself in hexadecimal ("value"). It uses the protector in the configuration,
// so it reveals nothing that its user could not read anyway.
// With --to-key-files it turns the store of a PNE process into the key files of an earlier version; with --damage it
// spoils the row of one device.

#include <cstdio>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>

#include "actors/pn_gw/key_store.hpp"
#include "actors/pne/device_keys.hpp"
#include "actors/pne/key_files.hpp"
#include "actors/pne/slot_store.hpp"
#include "audit/anchor.hpp"
#include "cli/stores.hpp"
#include "config/loader.hpp"
#include "crypto/suite.hpp"
#include "protocol/pne/pne_record.hpp"
#include "protocol/server/records.hpp"
#include "server/device_rows.hpp"
#include "server/server_meta.hpp"
#include "server/users.hpp"
#include "storage/rocksdb_store.hpp"
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
  case protocol::key_use::unproven: return "unproven";
  case protocol::key_use::lapsed: return "lapsed";
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

/// The data key of `keys_dir`; nullopt: the role never ran.
result<std::optional<secret32>> data_key_of(const config::pne_config& c) {
  const auto file = actors::shared_key_file(c.keys_dir);
  if (!std::filesystem::exists(file)) return std::optional<secret32>{};
  CPNS_TRY(const auto protector, cli::open_protector(c.protector));
  CPNS_TRY(const auto key,
           storage::open_data_key(file, actors::shared_key_purpose, *protector, crypto::system_entropy()));
  return std::optional{key};
}

storage::sealed_file key_file_of(const config::pne_config& c, const entity_id& entity,
                                 const secret32& data_key) {
  return storage::sealed_file::with_data_key(c.keys_dir / actors::key_file_name(entity),
                                             actors::key_file_purpose(entity), data_key,
                                             crypto::system_entropy());
}

/// Of each device of a `devices_file` with its record, as the role would use it.
status each_pne(const config::pne_config& c, const secret32& data_key,
                const std::function<status(const entity_id&, const protocol::pne_record&)>& each) {
  CPNS_TRY(const auto listed, server::load_device_rows(c.devices_file));
  std::unique_ptr<actors::slot_store> slots;
  metrics::registry counted;
  if (std::filesystem::exists(actors::slot_store_folder(c.keys_dir))) {
    const auto open = [](const auto& folder) { return storage::open_rocksdb_store(folder); };
    CPNS_TRY(slots, actors::slot_store::open(c.keys_dir, open, data_key, crypto::system_entropy(), counted));
  }
  for (const auto& row : listed.good) {
    std::optional<protocol::pne_record> record;
    if (slots) {
      CPNS_TRY(auto stored, slots->load(row.entity));
      record = std::move(stored.record);
    }
    if (!record) {
      CPNS_TRY(record, actors::read_key_file(key_file_of(c, row.entity, data_key)));
    }
    if (record) CPNS_CHECK(each(row.entity, *record));
  }
  return {};
}

void print(const printer& out, const entity_id& entity, const protocol::pne_record& record) {
  for (const auto& [slot, key] : {std::pair{"current", &record.current}, {"pending", &record.pending}})
    if (*key)
      out.print("eukey", {{"entity", entity.text()}, {"epoch", (*key)->which.text()}, {"use", slot}},
                (*key)->eukey.expose());
}

/// Of a list of devices, each with a key file of its own.
status own_files(const config::pne_config& c, const printer& out) {
  CPNS_TRY(const auto protector, cli::open_protector(c.protector));
  for (const auto& d : c.devices) {
    CPNS_TRY(const auto entity, entity_id::parse(d.entity));
    CPNS_TRY(const auto file, storage::sealed_file::open(d.key_file, actors::key_file_purpose(entity),
                                                         *protector, crypto::system_entropy()));
    CPNS_TRY(const auto record, actors::read_key_file(file));
    if (record) print(out, entity, *record);
  }
  return {};
}

status pne_keys(const config::pne_config& c, const printer& out) {
  CPNS_CHECK(own_files(c, out));
  if (c.keys_dir.empty()) return {};
  CPNS_TRY(const auto data_key, data_key_of(c));
  if (!data_key) return {};
  const auto head = storage::sealed_file::with_data_key(c.keys_dir / "audit.head", audit::file_anchor_purpose,
                                                        *data_key, crypto::system_entropy());
  CPNS_CHECK(audit_key(*audit::file_anchor(head), out));
  return each_pne(c, *data_key, [&out](const entity_id& entity, const protocol::pne_record& record) {
    print(out, entity, record);
    return status{};
  });
}

/// Writes key files as an earlier version did, in place of the store.
status to_key_files(const config::pne_config& c, const printer&) {
  CPNS_TRY(const auto data_key, data_key_of(c));
  if (!data_key) return fail(errc::state_unknown, "the role never ran");
  CPNS_CHECK(each_pne(c, *data_key, [&](const entity_id& entity, const protocol::pne_record& record) {
    return key_file_of(c, entity, *data_key).save(encode(record).expose());
  }));
  std::filesystem::remove_all(actors::slot_store_folder(c.keys_dir));
  return {};
}

/// Changes the row of a device, so that nobody can decrypt it.
status damage_row(const config::pne_config& c, const std::string& entity) {
  CPNS_TRY(const auto data_key, data_key_of(c));
  if (!data_key) return fail(errc::state_unknown, "the role never ran");
  CPNS_TRY(const auto store, storage::open_rocksdb_store(actors::slot_store_folder(c.keys_dir)));
  const auto key = storage::make_key_protector(*data_key, actors::shared_key_file(c.keys_dir));
  CPNS_TRY(const auto rows, storage::sealed_store::open(*store, *key, crypto::system_entropy()));
  const auto beginning = rows->hidden_name(storage::table::peers, as_bytes(entity));
  std::optional<storage::stored_row> found;
  CPNS_CHECK(store->scan(storage::table::peers, {}, [&](const storage::stored_row& r) {
    if (beginning.starts_with(to_hex(r.row).substr(0, beginning.find('.')))) found = r;
    return !found;
  }));
  if (!found) return fail(errc::state_unknown, "no row of " + entity);
  found->value.back() ^= 1;
  return store->write_one({{storage::table::peers, found->row, found->version, found->value}});
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
  const std::string option{argc > 2 ? argv[2] : ""};
  const bool reveal = option == "--reveal", old = option == "--to-key-files", damage = option == "--damage";
  if (argc < 2 ||
      argc != (damage           ? 4
               : option.empty() ? 2
                                : 3) ||
      (!option.empty() && !reveal && !old && !damage)) {
    std::fprintf(stderr, "usage: e2e_keys server.yaml|gateway.yaml|pne.yaml [--reveal]\n"
                         "       e2e_keys pne.yaml --to-key-files|--damage ENTITY\n");
    return 2;
  }
  const std::string file{argv[1]};
  const test::printer out{reveal};
  if (file.ends_with("server.yaml")) return test::run(config::load_server(file), test::server_keys, out);
  if (file.ends_with("gateway.yaml")) return test::run(config::load_gateway(file), test::gateway_keys, out);
  const auto pne = config::load_pne(file);
  if (damage)
    return test::run(
        pne, [&](const config::pne_config& c, const auto&) { return test::damage_row(c, argv[3]); }, out);
  return test::run(pne, old ? test::to_key_files : test::pne_keys, out);
}
