#pragma once
// The keys of a sealed store, and the form of its rows. Only for the files of the sealed store.

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/cbor.hpp"
#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "crypto/hmac_key.hpp"
#include "crypto/xaes.hpp"
#include "storage/index_name.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::storage {

inline constexpr std::size_t key_id_size = 8;

struct sealed_store::plain_row {
  bytes row;                          ///< plain name
  std::optional<secret_bytes> value;  ///< nullopt: erased
};

/// Names, seals and opens rows. A row needs up to three keys; to give them to OpenSSL for each row costs more than the row.
/// So this keeps the keys where OpenSSL wants them, and the buffers, for all rows of a call of the store. Not
/// thread-safe.
class sealed_store::sealer {
 public:
  explicit sealer(const keys& k);

  /// HMAC(row key, E([table, row])); in the table `indexes` behind stored_group() of the row's group.
  [[nodiscard]] bytes stored_row(table t, byte_view row);
  /// HMAC(index key, E([index, group]))
  [[nodiscard]] bytes stored_group(const index_group& g);
  /// nullopt: an erased row. `version` is the one that the row gets, at least 1.
  [[nodiscard]] bytes seal_value(table t, byte_view stored, std::uint64_t version, byte_view row,
                                 const std::optional<secret_bytes>& value, entropy& random);
  /// Version 0: a row of schema 1. store_sealed.
  [[nodiscard]] result<plain_row> open_value(table t, byte_view stored, std::uint64_t version,
                                             byte_view value);
  /// The value of the row `name`, whose stored name is `stored`; nullopt: erased. As open_value.
  [[nodiscard]] result<std::optional<secret_bytes>> open_value_of(const row_name& name, byte_view stored,
                                                                  std::uint64_t version, byte_view value);
  /// Calls `visit` with the name and the value, which are valid during the call only, unless the row is erased. As open_value.
  [[nodiscard]] status show_value(table t, byte_view stored, std::uint64_t version, byte_view value,
                                  const shared_row_visitor& visit);
  /// Between two calls of the store: the keys and the names of some groups stay, and nothing of a row.
  void rest() noexcept;

 private:
  /// The name and the value of a row; views of plain_.
  struct content {
    byte_view row;
    std::optional<byte_view> value;
  };
  struct known_group {
    bytes group;  ///< the encoded elements of E([index, group])
    byte_array<32> stored{};
  };
  /// The owner and the holder of one entity are those of many.
  static constexpr std::size_t groups_kept = 64;

  const byte_array<32>& stored_group_of(byte_view encoded);
  byte_view aad(table t, byte_view stored, std::uint64_t version);
  /// Until the next call, or the end of `plain_`.
  result<content> decrypted(table t, byte_view stored, std::uint64_t version, byte_view value);

  const byte_array<key_id_size> key_id_;
  crypto::xaes_key seal_;
  crypto::hmac_key rows_, indexes_;
  cbor::writer message_;  ///< of an HMAC, or the additional data of a seal
  bytes plain_;
  std::array<known_group, groups_kept> groups_;
};

/// [thread-safe]
struct sealed_store::keys {
  const secret32 seal;                   ///< X(data key, ["cpns/1 store seal"])
  const secret32 rows;                   ///< X(data key, ["cpns/1 store rows"])
  const secret32 indexes;                ///< X(data key, ["cpns/1 store indexes"])
  const byte_array<key_id_size> key_id;  ///< X(data key, ["cpns/1 store key id"])[..8]

  explicit keys(const secret32& data_key);
  ~keys();

  /// Gives a sealer back.
  struct returned {
    const keys* to;
    void operator()(sealer* s) const;
  };
  /// One for the caller alone, until the result goes, before the keys go.
  [[nodiscard]] std::unique_ptr<sealer, returned> take_sealer() const;

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<sealer>>
      idle_;  ///< at most as many as calls were made at the same time
};

}  // namespace cpns::storage
