#include "storage/data_key.hpp"

#include "crypto/suite.hpp"

namespace cpns::storage {

namespace {

// Shorter than the name of any sealed row (32 bytes), so they cannot collide.
constexpr std::string_view data_key_row = "data key";
constexpr std::string_view key_before_row = "data key before";  // an empty value: there is none

/// True if there is a row in any table.
result<bool> holds_rows(const store& s) {
  for (const auto t : all_tables) {
    CPNS_TRY(const auto first, s.slice(t, {}, 1));
    if (!first.empty()) return true;
  }
  return false;
}

write_op key_op(std::string_view row, const bytes& wrapped, std::uint64_t expected) {
  return {table::meta, to_bytes(as_bytes(row)), expected, wrapped};
}

result<stored_value> key_before(const store& s) {
  CPNS_TRY(auto found, s.get(table::meta, as_bytes(key_before_row)));
  return found ? std::move(*found) : stored_value{};
}

/// Nodes that have the key before can be started until forget_key_before().
status write_beside_before(store& under, const bytes& wrapped) {
  CPNS_TRY(const auto now, read_data_key(under));
  CPNS_TRY(const auto before, key_before(under));
  if (!before.value.empty())
    return fail(
        errc::state_conflict,
        "the change of the key before this one is not finished: a server still has the key of before it; "
        "give each server the new key (`cpns status` shows which have it), then repeat the command");
  if (!now) return under.write_one({key_op(data_key_row, wrapped, 0)});
  return under.write_one(
      {key_op(data_key_row, wrapped, now->version), key_op(key_before_row, now->value, before.version)});
}

}  // namespace

bool is_data_key_row(table t, byte_view stored_row) {
  return t == table::meta &&
         (equal(stored_row, as_bytes(data_key_row)) || equal(stored_row, as_bytes(key_before_row)));
}

result<std::optional<stored_value>> read_data_key(const store& s) {
  CPNS_TRY(auto wrapped, s.get(table::meta, as_bytes(data_key_row)));
  if (wrapped) return wrapped;
  CPNS_TRY(const bool used, holds_rows(s));
  if (!used) return wrapped;
  // Another node may have written its first rows since.
  CPNS_TRY(wrapped, s.get(table::meta, as_bytes(data_key_row)));
  if (!wrapped)
    return fail(errc::store_damaged, "the store holds rows but not their data key; restore it from a backup");
  return wrapped;
}

write_op first_data_key_op(const bytes& wrapped) { return key_op(data_key_row, wrapped, 0); }

result<secret32> unwrap_data_key(const store& s, const stored_value& wrapped,
                                 const key_protector& protector) {
  auto key = protector.unwrap(wrapped.value, data_key_purpose);
  if (key || !(key.error() == errc::store_key)) return key;
  CPNS_TRY(const auto before, key_before(s));
  if (!before.value.empty())
    if (auto older = protector.unwrap(before.value, data_key_purpose)) return older;
  if (!s.shared()) return key;
  return fail(key.error().code, key.error().detail + "; servers that work show the id of this data key, " +
                                    data_key_id(wrapped) + ", as `key` in `cpns status`");
}

key_place data_key_of(store& under, std::string name) {
  return {std::move(name), std::string(data_key_purpose),
          [&under]() -> result<std::optional<bytes>> {
            CPNS_TRY(auto found, read_data_key(under));
            if (!found) return std::optional<bytes>{};
            return std::optional(std::move(found->value));
          },
          [&under](const bytes& wrapped) -> status {
            if (under.shared()) return write_beside_before(under, wrapped);
            CPNS_TRY(const auto found, read_data_key(under));
            return under.write_one({key_op(data_key_row, wrapped, found ? found->version : 0)});
          }};
}

std::string data_key_id(const stored_value& wrapped) {
  constexpr std::size_t id_bytes = 8;
  const auto digest = crypto::openssl_suite().sha256(wrapped.value);
  return to_hex(byte_view(digest).first(id_bytes));
}

status forget_key_before(store& s, const std::string& id) {
  CPNS_TRY(const auto now, read_data_key(s));
  CPNS_TRY(const auto before, key_before(s));
  if (before.value.empty() || !now || data_key_id(*now) != id) return {};
  // The row of the present key is written, too, so that a change of the key at the same time makes this one fail.
  return s.write_one(
      {key_op(data_key_row, now->value, now->version), key_op(key_before_row, {}, before.version)});
}

result<bool> keeps_key_before(const store& s) {
  CPNS_TRY(const auto before, key_before(s));
  return !before.value.empty();
}

}  // namespace cpns::storage
