#pragma once
// The keys of a sealed store, and the form of its rows. Only for the files of the sealed store.

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "storage/index_name.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::storage {

inline constexpr std::size_t key_id_size = 8;

struct sealed_store::plain_row {
  bytes row;                          ///< plain name
  std::optional<secret_bytes> value;  ///< nullopt: erased
};

/// A row without copies: `row` and `value` are views into `plain`.
struct sealed_store::row_view {
  secret_bytes plain;
  byte_view row;                   ///< plain name
  std::optional<byte_view> value;  ///< nullopt: erased
};

struct sealed_store::keys {
  secret32 seal;                   ///< X(data key, ["cpns/1 store seal"])
  secret32 rows;                   ///< X(data key, ["cpns/1 store rows"])
  secret32 indexes;                ///< X(data key, ["cpns/1 store indexes"])
  byte_array<key_id_size> key_id;  ///< X(data key, ["cpns/1 store key id"])[..8]

  explicit keys(const secret32& data_key);

  /// HMAC(row key, E([table, row])); in the table `indexes` behind stored_group() of the row's group.
  [[nodiscard]] bytes stored_row(table t, byte_view row) const;
  /// HMAC(index key, E([index, group]))
  [[nodiscard]] bytes stored_group(const index_group& g) const;
  /// nullopt: an erased row. `version` is the one that the row gets, at least 1.
  [[nodiscard]] bytes seal_value(table t, byte_view stored, std::uint64_t version, byte_view row,
                                 const std::optional<secret_bytes>& value, entropy& random) const;
  /// Version 0: a row of schema 1. store_sealed.
  [[nodiscard]] result<row_view> open_value(table t, byte_view stored, std::uint64_t version,
                                            byte_view value) const;

 private:
  [[nodiscard]] bytes aad(table t, byte_view stored, std::uint64_t version) const;
};

}  // namespace cpns::storage
