#pragma once
// File operations that survive a power cut; the rest of storage/ is built on them.

#include <filesystem>
#include <functional>
#include <optional>
#include <sys/types.h>

#include "base/bytes.hpp"
#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::storage {

/// The error for a failed call on `path`: store_full for ENOSPC and EDQUOT, `otherwise` for the rest.
error file_error(int errno_value, errc otherwise, std::string_view what, const std::filesystem::path& path);

/// Locks `file` against other processes until it is closed. `what` is the resource for messages. store_locked
/// names the process that holds the lock.
status lock_against_others(const descriptor& file, const std::filesystem::path& what);
/// The process that holds such a lock on `file`; 0 if it is not in the namespace of this process. nullopt: nobody, or
/// the file does not exist. Takes no lock. Not in the process that holds one: closing a file drops all its locks.
std::optional<pid_t> lock_holder(const std::filesystem::path& file);
/// Locks a file that serves only as a lock; it is created if missing.
result<descriptor> hold_lock(const std::filesystem::path& file, const std::filesystem::path& what);

/// The content of an open file; the error `too_large` if it is longer than `max` bytes.
result<bytes> read_all(int fd, std::size_t max, errc too_large, const std::filesystem::path& path);
status write_all(int fd, byte_view content, const std::filesystem::path& path);
/// Makes the entries of a folder durable.
status sync_folder(const std::filesystem::path& folder);

enum class if_exists : std::uint8_t { replace, refuse };

/// Steps of replace_file, at which a test may stop the process.
enum class file_step : std::uint8_t { opened, half_written, written, synced, renamed, folder_synced };

/// Writes `content` to `path`.new with `mode` (whatever the umask), syncs, renames it to `path` and syncs the folder. After an error
/// `path` holds the old content, or the new one if only the last sync failed. With if_exists::refuse: state_exists
/// if `path` exists; the temporary file is `path`.creating.
status replace_file(const std::filesystem::path& path, byte_view content, if_exists rule,
                    const std::function<void(file_step)>& at = {}, mode_t mode = 0600);

/// The same as with if_exists::replace, by another temporary file in the same folder: for a file that several processes
/// replace at the same time, each by one of its own.
status replace_file_by(const std::filesystem::path& temporary, const std::filesystem::path& path,
                       byte_view content, const std::function<void(file_step)>& at = {}, mode_t mode = 0600);

}  // namespace cpns::storage
