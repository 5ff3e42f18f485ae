#pragma once
// Files that survive a power cut: the few calls that the rest of the room is built from.

#include <filesystem>
#include <functional>
#include <sys/types.h>

#include "base/bytes.hpp"
#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::storage {

/// The error for a failed call on `path`: store_full for ENOSPC and EDQUOT, `otherwise` for the rest.
error file_error(int errno_value, errc otherwise, std::string_view what, const std::filesystem::path& path);

/// Keeps other processes away for as long as the file is open; `what` is what they are kept away from.
/// store_locked names the process that was first.
status lock_against_others(const descriptor& file, const std::filesystem::path& what);
/// The lock on a file that exists for that alone, and is made if it is not there.
result<descriptor> hold_lock(const std::filesystem::path& file, const std::filesystem::path& what);

/// The content of an open file; `too_large` if there are more than `max` bytes.
result<bytes> read_all(int fd, std::size_t max, errc too_large, const std::filesystem::path& path);
status write_all(int fd, byte_view content, const std::filesystem::path& path);
/// Makes the names in a folder durable.
status sync_folder(const std::filesystem::path& folder);

enum class if_exists : std::uint8_t { replace, refuse };

/// The moments of replace_file at which a test may stop the process.
enum class file_step : std::uint8_t { opened, half_written, written, synced, renamed, folder_synced };

/// Writes `content` to `path`.new with mode 0600, syncs, renames it to `path` and syncs the folder. With
/// if_exists::refuse: state_exists if `path` is there. After an error, `path` holds the old content (or, if
/// only the last sync failed, the new).
status replace_file(const std::filesystem::path& path, byte_view content, if_exists rule,
                    const std::function<void(file_step)>& at = {});

}  // namespace cpns::storage
