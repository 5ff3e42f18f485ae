#include "server/temporary_key_sources.hpp"

namespace cpns::server {

result<std::optional<protocol::device_secret_record>>
temporary_key_sources::find(const entity_id& entity, const result<storage::sealed_value>& row) {
  CPNS_TRY(auto imported, imported_.find(entity, row));
  if (imported && imported->blocked) return std::optional<protocol::device_secret_record>{};
  if (imported) return imported;
  const auto batch = batches_.of(entity);
  if (!batch) return std::optional<protocol::device_secret_record>{};
  return std::optional{device_of(s_, *batch, entity)};
}

key_service* temporary_key_sources::service_of(const entity_id& entity,
                                               const result<storage::sealed_value>& row) const {
  if (services_ == nullptr || !row || row->value || batches_.of(entity)) return nullptr;
  return services_->of(entity);
}

}  // namespace cpns::server
