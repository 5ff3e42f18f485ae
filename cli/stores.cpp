#include "cli/stores.hpp"

#include "base/private_file.hpp"
#include "cli/password.hpp"
#include "config/loader.hpp"
#include "crypto/suite.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"

namespace cpns::cli {

result<std::unique_ptr<storage::key_protector>> open_protector(const config::protector_config& c) {
  if (c.kind == config::protector_kind::file) return storage::open_key_file(c.file);
  auto passphrase = read_secret_line(c.file, password_max);
  if (!passphrase) return fail(errc::store_key, "the passphrase file " + passphrase.error().detail);
  return storage::make_passphrase_protector(std::move(*passphrase));
}

result<std::unique_ptr<storage::store>> open_store(const config::store_config& c) {
  if (c.kind == config::store_kind::rocksdb) return storage::open_rocksdb_store(c.path, c.give_up_after);
  return std::unique_ptr<storage::store>(std::make_unique<storage::memory_store>());
}

result<opened_store> opened_store::open(const config::store_config& store,
                                        const config::protector_config& protector) {
  opened_store out;
  CPNS_TRY(const auto key, open_protector(protector));
  CPNS_TRY(out.under_, open_store(store));
  CPNS_TRY(out.sealed_, storage::sealed_store::open(*out.under_, *key, crypto::system_entropy()));
  return out;
}

result<opened_store> open_server_store(const config::server_config& c) {
  if (c.store.kind == config::store_kind::memory)
    return fail(errc::config_usage,
                "this server keeps its store in memory, where only the running server sees it; "
                "set store.kind to rocksdb");
  auto opened = opened_store::open(c.store, c.protector);
  if (!opened && opened.error().code == errc::store_locked)
    return fail(errc::store_locked,
                c.store.path.string() +
                    ": the server is running; stop it, repeat the command, start it again");
  return opened;
}

result<opened_store> open_server_store(const std::filesystem::path& config_file) {
  const auto c = config::load_server(config_file);
  if (!c) return fail(c.error().as_error());
  return open_server_store(*c);
}

}  // namespace cpns::cli
