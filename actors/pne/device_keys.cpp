#include "actors/pne/device_keys.hpp"

#include "actors/pne/key_import.hpp"

namespace cpns::actors {

result<std::optional<protocol::pne_record>> read_key_file(const storage::sealed_file& file) {
  CPNS_TRY(const auto kept, file.load());
  if (!kept) return std::optional<protocol::pne_record>{};
  CPNS_TRY(auto record, protocol::decode_pne_record(kept->expose()));
  return std::optional{std::move(record)};
}

result<protocol::pne_record> key_file::load() {
  CPNS_TRY(auto record, read_key_file(file_));
  return std::move(record).value_or(protocol::pne_record{});
}

void key_file::save(const protocol::pne_record& record, storage::commit_done done) {
  const auto encoded = encode(record);
  done(file_.save(encoded.expose()));
}

result<protocol::pne_record> key_row::load() {
  device_slots slots{device_, in_.load(device_), unread_};
  CPNS_CHECK(import_key_files(in_, {&slots, 1}));
  unread_ = std::move(slots.file);
  CPNS_TRY(auto stored, std::move(slots.stored));
  return std::move(stored.record).value_or(protocol::pne_record{});
}

}  // namespace cpns::actors
