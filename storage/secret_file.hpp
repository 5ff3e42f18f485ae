#pragma once
// One small sealed file, replaced as a whole: what a PNE keeps its two key slots in.
//
// The file is E([1, wrapped data key or null, XAES-256-GCM of the content]) with
// AAD = E(["cpns/1 file", purpose, 1]). It is null for files that share a data key (open_data_key).

#include <filesystem>
#include <optional>
#include <string>

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "storage/key_protector.hpp"

namespace cpns::storage {

inline constexpr std::size_t max_sealed_file_size = 64 * 1024;  ///< bytes of the content

/// Not thread-safe; one object per path at a time. A file is written with mode 0600 under the name
/// `path`.new, synced, renamed, and its folder synced: whenever the power fails, the old or the new content
/// is there.
class sealed_file {
 public:
  /// A file with a data key of its own, wrapped inside. `purpose` names what the file is for and for whom
  /// ("pne keys urn:dev:mac:..."); a file of another purpose does not open. `random` must outlive the object.
  /// A file that is not there yet is no error; store_key if its data key cannot be had, store_damaged if it
  /// is no file of ours.
  static result<sealed_file> open(std::filesystem::path path, std::string purpose,
                                  const key_protector& protector, entropy& random);
  /// A file under a data key that many files share: no work per file beyond its content.
  static sealed_file with_data_key(std::filesystem::path path, std::string purpose, const secret32& data_key,
                                   entropy& random);

  /// nullopt if the file does not exist. store_damaged: not a file of ours or too large; store_sealed:
  /// changed, of another purpose, or under another key; store_unavailable: cannot be read.
  [[nodiscard]] result<std::optional<secret_bytes>> load() const;
  /// Durable on return. store_full, store_unavailable or store_write_failed: the old content is still there.
  status save(byte_view content);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  sealed_file(std::filesystem::path path, std::string purpose, std::optional<bytes> wrapped,
              const secret32& key, entropy& random);

  std::filesystem::path path_;
  std::string purpose_;
  std::optional<bytes> wrapped_;
  secret32 key_;
  entropy* random_;
};

/// The data key kept wrapped in the file `path`, which is made if it is not there. Errors as for sealed_file.
result<secret32> open_data_key(const std::filesystem::path& path, std::string_view purpose,
                               const key_protector& protector, entropy& random);
/// Rotation of the key-encryption key: wraps the data key in `path` again, for `to`.
status rewrap_data_key(const std::filesystem::path& path, std::string_view purpose, const key_protector& from,
                       const key_protector& to, entropy& random);

}  // namespace cpns::storage
