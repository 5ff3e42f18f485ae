#pragma once
// The rows of a store in one file that does not depend on an engine: `cpns store export` and `cpns store import`.
//
// The files of a store and the tables of a database cannot be copied into each other, and a copy of either that was cut or
// patched is noticed late. The file begins with "cpns export\n", then has frames: the length in 4 bytes, big endian, and
// the content. The first frame is the header E([1, file id, Unix seconds, wrapped key]). The key is drawn for this file and
// wrapped as a data key with the purpose "cpns/1 export". Each other frame is XAES-256-GCM under it, with AAD =
// E(["cpns/1 export", SHA-256 of the header, number of the frame from 1 on]), of E([1, [[table, row, value], ...]]), or at
// the end of E([2, [[table, count], ...]]). So frames cannot be left out, added, reordered or taken from another file.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/entropy.hpp"
#include "base/private_file.hpp"
#include "base/secret.hpp"
#include "storage/file.hpp"
#include "storage/key_protector.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

inline constexpr std::uint64_t export_format_version = 1;
inline constexpr std::size_t export_chunk_rows = 500;
/// Bytes of names and values after which a chunk ends; it has at least one row.
inline constexpr std::size_t export_chunk_bytes = 512 * 1024;

struct exported_row {
  storage::table table{};
  bytes row;  ///< plain name
  secret_bytes value;
};

/// Of the header; the file id is random.
struct export_header {
  byte_array<16> id{};
  time_point made;
  bytes wrapped_key;
};

using row_counts = std::map<table, std::uint64_t>;

/// The name of a file until it is finished.
std::filesystem::path export_part(std::filesystem::path file);

/// Not thread-safe. Keeps one chunk in memory.
class export_writer {
 public:
  /// Begins `file`.creating with mode 0600, which finish() renames; a living process has it locked, and the one that a
  /// killed process left is replaced. state_exists:
  /// there is `file`, and `rule` does not replace it; store_locked; config_file: it cannot be written, or the disk is full,
  /// here and in the calls below. `random` outlives it.
  static result<std::unique_ptr<export_writer>> begin(std::filesystem::path file, if_exists rule,
                                                      const key_protector& protector, time_point now,
                                                      entropy& random);
  /// Removes the file, unless it is finished.
  ~export_writer();
  export_writer(const export_writer&) = delete;
  export_writer& operator=(const export_writer&) = delete;

  status add(exported_row row);
  /// Writes the end and gives the file its name; durable on return. Nothing may be called afterwards.
  status finish();

  [[nodiscard]] const export_header& header() const { return header_; }
  [[nodiscard]] const row_counts& counts() const { return counts_; }

 private:
  export_writer(std::filesystem::path file, if_exists rule, const secret32& key, entropy& random);
  status write_frame(byte_view content);
  status write_sealed(byte_view plain);
  status write_chunk();

  const std::filesystem::path file_, temporary_;
  const if_exists rule_;
  const secret32 key_;
  entropy& random_;
  descriptor open_;
  export_header header_;
  bytes header_digest_;
  std::uint64_t frames_ = 0;
  std::vector<exported_row> chunk_;
  std::size_t chunk_bytes_ = 0;
  row_counts counts_;
  bool finished_ = false;
};

/// Not thread-safe. Every fault of the file is config_file, and the detail begins with its name.
class export_reader {
 public:
  /// store_key: `protector` does not open it. config_file, also for a file of a later format.
  static result<std::unique_ptr<export_reader>> open(const std::filesystem::path& file,
                                                     const key_protector& protector);
  /// The header of a file, or of the part that is not finished, without its key: it is not known to be genuine. config_file.
  static result<export_header> header_of(const std::filesystem::path& file);

  /// The rows of the next chunk, which are genuine; nullopt at the end, and then the file is whole.
  result<std::optional<std::vector<exported_row>>> next();
  /// Begins again with the first chunk.
  status rewind();

  [[nodiscard]] const export_header& header() const { return header_; }
  /// Of the chunk that next() returned last, from 1 on.
  [[nodiscard]] std::uint64_t chunk() const { return frames_; }
  /// Bytes read, and of the file.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  explicit export_reader(private_file open) : open_(std::move(open)) {}
  [[nodiscard]] tl::unexpected<error> wrong(const std::string& what) const;
  status read_exactly(std::span<std::uint8_t> to);
  result<bytes> read_frame(std::size_t max);
  static result<std::unique_ptr<export_reader>> open_with_header(const std::filesystem::path& file);
  status read_header();
  status open_key(const key_protector& protector);
  result<std::vector<exported_row>> rows_of(byte_view plain);
  status check_end(byte_view plain);

  private_file open_;
  export_header header_;
  bytes header_digest_;
  secret32 key_;
  std::uint64_t first_chunk_ = 0, position_ = 0, size_ = 0, frames_ = 0;
  row_counts counts_;
};

}  // namespace cpns::storage
