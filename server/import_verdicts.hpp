#pragma once
// Which staged rows of an import cannot be imported. Private to server/.

#include <atomic>
#include <string>
#include <vector>

#include "crypto/suite.hpp"
#include "server/import_store.hpp"

namespace cpns::server {

/// Finds devices and keys that occur twice among millions of rows: it keeps 16 bytes for each Entity ID and 16 for
/// each key while it sorts them (64 MB for import_rows_max rows), then only the lines that repeat. The 12 bytes of a tag
/// are an HMAC under a key of this object, so they tell nothing of a Temporary Key. Immutable once made.
class import_verdicts {
 public:
  /// Reads all blocks. state_stopping once `stop` is set; errors of the store.
  static result<import_verdicts> make(const import_store& in, const protocol::import_record& of,
                                      const crypto::suite& s, entropy& random, const std::atomic<bool>& stop);

  /// Empty: the row may be imported. `exists`: the device is in the store already.
  [[nodiscard]] std::string why_refused(const protocol::staged_device& row, bool exists) const;
  /// Rows whose device is in an earlier line.
  [[nodiscard]] std::size_t listed_twice() const { return twice_.size(); }
  /// SHA-256 over the rows: for each in order `ENTITY TAB 128bit|stretch TAB OWNER LF`, OWNER may be empty. Keys are left
  /// out, because a weak one could be guessed from the digest. 64 digits.
  [[nodiscard]] const std::string& sha256() const { return sha256_; }

 private:
  struct tag {
    byte_array<12> mac{};
    std::uint32_t line = 0;
  };
  struct repeat {
    std::uint32_t line, other;
  };
  using repeats = std::vector<repeat>;
  struct gathered;

  import_verdicts() = default;
  static void sort(std::vector<tag>& tags);
  static repeats find_twice(std::vector<tag>& entities);
  static repeats find_shared(std::vector<tag>& keys, const repeats& without);
  static const repeat* find(const repeats& in, std::uint64_t line);

  bool allow_constant_ = false;
  repeats twice_;   ///< by line; the other is the first one of that device
  repeats shared_;  ///< by line; the other has the same key
  std::string sha256_;
};

}  // namespace cpns::server
