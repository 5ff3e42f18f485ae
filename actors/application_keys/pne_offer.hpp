#pragma once
// The keys that a process of PNEs offers to programs: those of its key files and of its store.

#include <optional>
#include <vector>

#include "actors/application_keys/offered_keys.hpp"
#include "actors/pne/slot_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

class pne_offer final : public offered_keys {
 public:
  struct place {
    entity_id entity;
    std::optional<storage::sealed_file> file;  ///< nullopt: a row of the store
  };
  /// `rows` outlives it, and may be nullptr if each device has a file.
  pne_offer(std::vector<place> devices, const slot_store* rows);
  [[nodiscard]] result<std::optional<offered_device>> find(const entity_id& entity) const override;
  [[nodiscard]] result<page> read_page(const std::string& after, const visitor& each) const override;

 private:
  [[nodiscard]] result<protocol::pne_record> read(const place& p) const;

  std::vector<place> devices_;  ///< ascending by entity
  const slot_store* rows_;
};

}  // namespace cpns::actors
