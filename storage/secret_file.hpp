#pragma once
// One small sealed file that is replaced atomically; a PNE stores its two key slots in one.
//
// The file is E([1, wrapped data key or null, XAES-256-GCM of the content]) with
// AAD = E(["cpns/1 file", purpose, 1]). The wrapped key is null for files that share a data
// key (open_data_key).

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "storage/key_protector.hpp"
#include "storage/rewrap.hpp"

namespace cpns::storage {

inline constexpr std::size_t max_sealed_file_size = 64 * 1024;  ///< bytes of the content

/// One object, with its copies, per path at a time. Not thread-safe, except that another thread may use place() at any
/// time. A save writes `path`.new with mode 0600, syncs, renames and
/// syncs the folder: after a power failure the file holds either the old or the new content.
class sealed_file {
 public:
  /// A file that contains its own wrapped data key. `purpose` names use and owner ("pne keys urn:dev:mac:...");
  /// a file with another purpose is refused. `random` must outlive the object. A missing file is not an error.
  /// store_key: the data key cannot be unwrapped; store_damaged: not a sealed file.
  static result<sealed_file> open(std::filesystem::path path, std::string purpose,
                                  const key_protector& protector, entropy& random);
  /// A file under a data key that many files share; only the content costs work.
  static sealed_file with_data_key(std::filesystem::path path, std::string purpose, const secret32& data_key,
                                   entropy& random);

  /// nullopt if the file does not exist. store_damaged: not a sealed file, or too large; store_sealed: changed,
  /// with another purpose, or under another key; store_unavailable: cannot be read.
  [[nodiscard]] result<std::optional<secret_bytes>> load() const;
  /// Durable on return. After store_full, store_unavailable or store_write_failed the old content is still there.
  status save(byte_view content);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The data key of this file, for storage/rewrap.hpp, while this object and its copies are in use: their later
  /// saves keep the new wrapping. If the file does not exist yet, its first save will have it. Only for a file of
  /// open(). [thread-safe]
  [[nodiscard]] key_place place() const;

 private:
  /// The wrapped data key, which all copies of an object share: a save must not bring back an old one.
  struct wrapping {
    std::mutex guard;  ///< held during a write of the file
    std::optional<bytes> wrapped;
  };
  sealed_file(std::filesystem::path path, std::string purpose, std::optional<bytes> wrapped,
              const secret32& key, entropy& random);

  std::filesystem::path path_;
  std::string purpose_;
  std::shared_ptr<wrapping> wrapping_;
  secret32 key_;
  entropy* random_;
};

/// The data key that is wrapped in the file `path`; a missing file is created. Errors as of sealed_file::open.
result<secret32> open_data_key(const std::filesystem::path& path, std::string_view purpose,
                               const key_protector& protector, entropy& random);

/// The data key in a file of open_data_key, for storage/rewrap.hpp.
key_place data_key_file_place(const std::filesystem::path& path, std::string purpose);
/// The data key in a file of sealed_file::open, for storage/rewrap.hpp. Its content stays as it is.
key_place sealed_file_place(const std::filesystem::path& path, std::string purpose);

}  // namespace cpns::storage
