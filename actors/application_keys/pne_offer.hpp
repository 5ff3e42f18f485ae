#pragma once
// The keys that a process of PNEs offers to programs: those of its key files and of its store.

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "actors/pne/device_keys.hpp"
#include "actors/pne/slot_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

class pne_offer final : public offered_keys {
 public:
  struct place {
    entity_id entity;
    std::optional<storage::sealed_file> file;  ///< nullopt: a row of the store
    bool unreadable = false;                   ///< its key file could not be opened at the start
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

/// The keys of a device. `to` learns of each save when its outcome is known: after an error the disk may hold the old record
/// or the new one, and a program reads the one that is durable.
class announced_keys final : public device_keys {
 public:
  /// `to` outlives it.
  announced_keys(std::shared_ptr<device_keys> keys, entity_id device, key_changes& to)
      : keys_(std::move(keys)), device_(std::move(device)), to_(to) {}
  [[nodiscard]] result<protocol::pne_record> load() override { return keys_->load(); }
  void save(const protocol::pne_record& record, storage::commit_done done) override {
    keys_->save(record, [&to = to_, device = device_, done = std::move(done)](const status& s) {
      to.changed(device);
      done(s);
    });
  }
  void after_saves(std::function<void()> then) override { keys_->after_saves(std::move(then)); }

 private:
  const std::shared_ptr<device_keys> keys_;
  const entity_id device_;
  key_changes& to_;
};

}  // namespace cpns::actors
