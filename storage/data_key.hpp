#pragma once
// The wrapped data key of a store, which is in its table `meta`, unsealed.
//
// A store that nodes share has to open with two key-encryption keys while one replaces the other: each node has a key
// file of its own, and nobody changes all of them at one moment. So a change keeps the data key as it was wrapped before
// in a second row, until each node has the new key.

#include <optional>
#include <string>

#include "storage/key_protector.hpp"
#include "storage/rewrap.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

inline constexpr std::string_view data_key_purpose = "cpns/1 store";

/// Whether the row holds a wrapped data key, and is not sealed.
bool is_data_key_row(table t, byte_view stored_row);

/// The wrapped data key; nullopt if the store is empty. store_damaged: there are rows but no data key.
result<std::optional<stored_value>> read_data_key(const store& s);
/// Writes the first data key.
write_op first_data_key_op(const bytes& wrapped);
/// The data key that `wrapped` holds, or the row of the key before. store_key: `protector` opens none of them; of a shared
/// store the error names data_key_id(), by which the operator finds a server that has the right key.
result<secret32> unwrap_data_key(const store& s, const stored_value& wrapped, const key_protector& protector);

/// The place of the data key in a store, for storage/rewrap.hpp; `name` is for messages. Its `read` fails with
/// store_damaged if there are rows but no data key. In a shared store its `write` keeps the key before, and fails with
/// state_conflict while the one of an earlier change is kept.
key_place data_key_of(store& under, std::string name);

/// Names a data key as it is wrapped: 16 hexadecimal digits.
std::string data_key_id(const stored_value& wrapped);
/// Removes the data key as it was wrapped before, if it is the one `id` that is wrapped now. Durable on return.
status forget_key_before(store& s, const std::string& id);
/// Whether there is one.
result<bool> keeps_key_before(const store& s);

}  // namespace cpns::storage
