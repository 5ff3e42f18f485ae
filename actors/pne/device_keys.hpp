#pragma once
// Where one device keeps its keys: a file of its own, or a row of the store of its process.

#include <functional>
#include <optional>

#include "actors/pne/slot_store.hpp"
#include "base/result.hpp"
#include "protocol/pne/pne_record.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

/// Used by the fleet and the actor of the device, of which one runs at a time.
class device_keys {
 public:
  device_keys() = default;
  virtual ~device_keys() = default;
  device_keys(const device_keys&) = delete;
  device_keys& operator=(const device_keys&) = delete;

  /// The record on the disk; an empty record if nothing was saved yet. Errors of sealed_file::load or slot_store::load;
  /// store_damaged if the content is not a record.
  [[nodiscard]] virtual result<protocol::pne_record> load() = 0;
  /// `done` is called once, when the record is durable or the write failed: from another thread, or before save()
  /// returns. It must not block. After an error the disk may hold the old record or the new one.
  virtual void save(const protocol::pne_record& record, storage::commit_done done) = 0;
  /// Calls `then` when the outcome of each earlier save() is known: from another thread, or before the call returns.
  virtual void after_saves(std::function<void()> then) = 0;
};

/// The record in a key file; nullopt: the file does not exist.
result<std::optional<protocol::pne_record>> read_key_file(const storage::sealed_file& file);

/// A file that each save replaces and flushes, before save() returns.
class key_file final : public device_keys {
 public:
  explicit key_file(storage::sealed_file file) : file_(std::move(file)) {}
  [[nodiscard]] result<protocol::pne_record> load() override;
  void save(const protocol::pne_record& record, storage::commit_done done) override;
  void after_saves(std::function<void()> then) override { then(); }

 private:
  storage::sealed_file file_;
};

class key_row final : public device_keys {
 public:
  /// `in` outlives it. `unread`: an old key file that was not taken into the store, because it or the row could not be
  /// read; load() tries both again.
  key_row(slot_store& in, entity_id device, std::optional<storage::sealed_file> unread = {})
      : in_(in), device_(std::move(device)), unread_(std::move(unread)) {}
  [[nodiscard]] result<protocol::pne_record> load() override;
  void save(const protocol::pne_record& record, storage::commit_done done) override {
    in_.save(device_, record, std::move(done));
  }
  void after_saves(std::function<void()> then) override { in_.after_saves(std::move(then)); }

 private:
  slot_store& in_;
  const entity_id device_;
  std::optional<storage::sealed_file> unread_;
};

}  // namespace cpns::actors
