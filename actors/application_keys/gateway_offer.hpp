#pragma once
// The keys that a gateway offers to programs: those of its store.

#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "storage/group_commit.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::actors {

class gateway_offer final : public offered_keys {
 public:
  /// `rows` outlives it. `next_max`: of offer_of().
  gateway_offer(const storage::sealed_store& rows, std::size_t next_max) : rows_(rows), next_max_(next_max) {}
  [[nodiscard]] result<std::optional<offered_device>> find(const entity_id& entity) const override;
  [[nodiscard]] result<page> read_page(const std::string& after, const visitor& each) const override;

 private:
  const storage::sealed_store& rows_;
  const std::size_t next_max_;
};

/// `done`, before which `to` learns of each device whose record `batch` writes, whatever the outcome. `to` outlives the
/// write.
storage::commit_done announcing(key_changes& to, const storage::sealed_batch& batch,
                                storage::commit_done done);

}  // namespace cpns::actors
