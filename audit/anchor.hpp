#pragma once
// The part of the trail that a person with access to its file cannot change: the key of the MACs, the number and the
// MAC of the last line, and the changes without an outcome. It lies sealed in the store of the role; a PNE, which has
// no store, has a sealed file.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/line.hpp"
#include "base/result.hpp"
#include "storage/sealed_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::audit {

inline constexpr std::size_t open_bytes_max =
    48 * 1024;  ///< of all changes without an outcome, so that a sealed file holds them

/// A change whose intent is in the trail and whose outcome is not.
struct open_change {
  std::uint64_t number = 0;  ///< of the intent's line
  std::string text;          ///< open_text() of the intent
  friend bool operator==(const open_change&, const open_change&) = default;
};

struct chain {
  secret32 key;
  link head;
  std::vector<open_change> open;  ///< by number
};

/// Takes in a line that follows `c.head`, or a later one. Over open_bytes_max the oldest open changes are forgotten.
void advance(chain& c, const genuine_line& line);
/// The bytes of the open changes that count against open_bytes_max.
std::size_t open_bytes(const chain& c);

secret_bytes encode(const chain& c);
/// store_damaged if it is not a chain.
result<chain> decode_chain(byte_view in);

/// Not thread-safe.
class anchor {
 public:
  virtual ~anchor() = default;
  /// nullopt if no chain was begun. Errors of the store or of the file.
  virtual result<std::optional<chain>> load() = 0;
  /// Durable on return. Errors of the store or of the file.
  virtual status save(const chain& c) = 0;
};

/// A row in the table `meta`: of `node`, if the store is shared by nodes, each of which has a trail. `store` must outlive
/// the anchor.
std::unique_ptr<anchor> store_anchor(storage::sealed_store& store, const std::string& node = {});
/// A sealed file. Its data key must lie in a file of its own (storage::open_data_key), because a change of the
/// key-encryption key must not be undone by the next save.
std::unique_ptr<anchor> file_anchor(storage::sealed_file file);
inline constexpr const char* file_anchor_purpose = "audit chain";

}  // namespace cpns::audit
