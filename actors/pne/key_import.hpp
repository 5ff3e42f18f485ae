#pragma once
// Moves the key files of an earlier version into the store of slots.
//
// The row of a device is the authority as soon as it exists: its file is never used again, also if a backup puts an old
// one back. So a crash between the write of the rows and the removal of the files leaves files whose record is that of
// their row; the next call removes them.

#include <functional>
#include <optional>
#include <span>

#include "actors/pne/slot_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

/// A device, with its row and the key file that an earlier version wrote.
struct device_slots {
  entity_id device;
  result<stored_slots> stored;
  std::optional<storage::sealed_file> file{};
};

/// At which a test may stop the process.
enum class import_step : std::uint8_t { rows_durable, file_removed, folder_synced };

/// Takes the records of the files whose devices have no row into `store`, in groups: durable rows first, then the files
/// are removed, durably. After it `file` is set only of a device whose row or file cannot be read; `stored` is its error. A
/// row that cannot be read may not exist, so its file is neither used nor forgotten. A file whose device has a row with
/// another record stays where it is and is not used, which a warning says. Other errors, of the store or of a removal: the
/// rest is as before, and the call can be repeated.
status import_key_files(slot_store& store, std::span<device_slots> devices,
                        const std::function<void(import_step)>& at = {});

}  // namespace cpns::actors
