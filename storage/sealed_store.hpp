#pragma once
// What a role keeps: values sealed with XAES-256-GCM, and rows whose names are not to be read from the files.
//
// One random data key per store, kept wrapped in table meta. From it, by HKDF-Expand: the sealing key and the
// row key. A row is stored under HMAC(row key, E([table, row]))  (32 bytes), its value is key_id(8) ||
// XAES-256-GCM of E([row, value]) with AAD = E(["cpns/1 row", table, stored row, key_id, schema]). Not
// hidden: the number and the sizes of rows. Not prevented: putting back an older version of a row.

#include <memory>

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "storage/key_protector.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

struct sealed_op {
  storage::table table{};
  bytes row;                          ///< the plain name, 1 to max_sealed_row_size bytes
  std::optional<secret_bytes> value;  ///< at most max_sealed_value_size bytes; nullopt: erase
};
using sealed_batch = std::vector<sealed_op>;

inline constexpr std::size_t max_sealed_row_size = max_row_size;
inline constexpr std::size_t max_sealed_value_size = max_value_size - 1024;  ///< leaves room for the sealing

/// Looks at one row; false ends the scan. Both arguments are valid during the call. It may call the store.
using sealed_visitor = std::function<bool(byte_view row, const secret_bytes& value)>;
/// Is told of a row that does not open, whose name is not to be had: store_sealed, as get says it.
using damage_visitor = std::function<void(const error&)>;

/// [thread-safe] if the entropy handed in is.
class sealed_store {
 public:
  /// Opens what is sealed in `under`, or begins with a new data key if `under` is empty. Both references must
  /// outlive the sealed store. store_key if the data key is not to be had with `protector`.
  static result<std::unique_ptr<sealed_store>> open(store& under, const key_protector& protector,
                                                    entropy& random);
  ~sealed_store();
  sealed_store(const sealed_store&) = delete;
  sealed_store& operator=(const sealed_store&) = delete;

  /// store_sealed if the row was changed, moved from elsewhere, or sealed under another data key.
  result<std::optional<secret_bytes>> get(table t, byte_view row) const;
  /// Whether there is such a row; whether it opens is not looked at.
  result<bool> has(table t, byte_view row) const;
  /// As store::write: all or nothing, durable on return.
  status write(const sealed_batch& batch);
  /// The rows of a table whose plain names begin with `prefix`, in no particular order. Opens every row of
  /// the table; a row that does not open is told to `damaged` and passed over, without `damaged` it is the
  /// error that ends the scan.
  status scan(table t, byte_view prefix, const sealed_visitor& visit,
              const damage_visitor& damaged = {}) const;

  /// Of the store under it.
  [[nodiscard]] store_health health() const { return under_.health(); }

  /// Rotation of the key-encryption key: wraps the data key again, for `to`. No row is touched.
  status rewrap(const key_protector& to);

 private:
  struct keys;
  sealed_store(store& under, entropy& random, std::unique_ptr<const keys> k);

  store& under_;
  entropy& random_;
  std::unique_ptr<const keys> keys_;
};

/// store_write_failed if a name is empty or too long or a value too long.
status check_batch(const sealed_batch& batch);

}  // namespace cpns::storage
