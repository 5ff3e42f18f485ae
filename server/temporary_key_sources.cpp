#include "server/temporary_key_sources.hpp"

namespace cpns::server {

result<bool> temporary_key_sources::knows(const entity_id& entity) {
  // The batches are in memory, the imported devices are not.
  if (batches_.of(entity)) return true;
  return imported_.knows(entity);
}

result<std::optional<protocol::device_secret_record>> temporary_key_sources::find(const entity_id& entity) {
  CPNS_TRY(auto imported, imported_.find(entity));
  if (imported && imported->blocked) return std::optional<protocol::device_secret_record>{};
  if (imported) return imported;
  const auto batch = batches_.of(entity);
  if (!batch) return std::optional<protocol::device_secret_record>{};
  return std::optional{device_of(s_, *batch, entity)};
}

}  // namespace cpns::server
