#pragma once
// The stored state of a PNE: two key slots and the counter of factory resets. Secret; leaves memory only sealed.

#include <optional>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::protocol {

struct stored_key {
  epoch which;
  secret32 eukey;
  owner_tag owner;
  std::uint32_t rekey_seconds = 0;
};

/// `pending` is written before KCNF; KRET or the next KDEL makes it current.
struct pne_record {
  std::optional<stored_key> current;
  std::optional<stored_key> pending;
  std::uint64_t resets = 0;

  /// The key of the highest stored epoch, which DRSP names.
  [[nodiscard]] const stored_key* highest() const {
    return pending ? &*pending : current ? &*current : nullptr;
  }
};

/// Deterministic CBOR with a schema number.
secret_bytes encode(const pne_record& r);
result<pne_record> decode_pne_record(byte_view in);

}  // namespace cpns::protocol
