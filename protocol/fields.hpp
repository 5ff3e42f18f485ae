#pragma once
// CBOR of single fields, the same in messages and in records. Errors name the element, `at`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/cbor.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"

namespace cpns::protocol {

/// Reads the schema number at the beginning of a record; store_damaged if it is not `known`.
inline status read_schema(cbor::reader& r, std::string_view record, std::uint64_t known) {
  CPNS_TRY(const auto v, r.uint(std::string{record} + ".schema"));
  if (v != known)
    return fail(errc::store_damaged, std::string{record} + " has schema " + std::to_string(v) +
                                         ", this program reads " + std::to_string(known));
  return {};
}

/// A text that may be empty.
inline result<std::string> read_text(cbor::reader& r, std::string_view at, std::size_t max) {
  CPNS_TRY(const auto text, r.tstr(at, 0, max));
  return std::string{text};
}

/// At most `max` bytes that are valid UTF-8 whatever the text was: a reader refuses others, and with them the record.
inline std::string cut_text(std::string_view text, std::size_t max) {
  std::string out;
  while (!text.empty()) {
    const auto n = utf8_length(as_bytes(text));
    const auto piece = n == 0 ? std::string_view{"?"} : text.substr(0, n);
    if (out.size() + piece.size() > max) break;
    out.append(piece);
    text.remove_prefix(piece.size());
  }
  return out;
}

inline result<entity_id> read_entity(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto text, r.tstr(at, 1, entity_id::max_size));
  return entity_id::parse(text);
}

inline result<user_id> read_user(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto text, r.tstr(at, 1, user_id::max_size));
  return user_id::parse(text);
}

inline result<std::optional<user_id>> read_user_or_null(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const bool none, r.null_next(at));
  if (none) return std::optional<user_id>{};
  CPNS_TRY(auto u, read_user(r, at));
  return std::optional<user_id>{std::move(u)};
}

inline result<epoch> read_epoch(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto v, r.uint(at, epoch::max_value));
  return epoch::from_value(v);
}

inline result<std::optional<epoch>> read_epoch_or_null(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto v, r.uint_or_null(at, epoch::max_value));
  return v ? std::optional<epoch>{epoch::from_value(*v)} : std::nullopt;
}

inline result<std::uint32_t> read_u32(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto v, r.uint(at, UINT32_MAX));
  return static_cast<std::uint32_t>(v);
}

/// Unix seconds.
inline result<std::int64_t> read_time(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto v, r.uint(at, INT64_MAX));
  return static_cast<std::int64_t>(v);
}

inline result<secret32> read_secret(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto b, r.bstr(at, 32, 32));
  return secret32{b.first<32>()};
}

inline result<std::optional<secret32>> read_secret_or_null(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const bool none, r.null_next(at));
  if (none) return std::optional<secret32>{};
  CPNS_TRY(auto s, read_secret(r, at));
  return std::optional<secret32>{std::move(s)};
}

/// A byte_id.
template <class Id>
result<Id> read_id(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto b, r.bstr_of<Id::size>(at));
  return Id{b};
}

template <class Id>
result<std::optional<Id>> read_id_or_null(cbor::reader& r, std::string_view at) {
  CPNS_TRY(const auto b, r.bstr_or_null<Id::size>(at));
  return b ? std::optional<Id>{Id{*b}} : std::nullopt;
}

/// Unix seconds for CBOR; a time before 1970 becomes 0.
inline std::uint64_t time_field(std::int64_t unix_seconds) {
  return unix_seconds < 0 ? 0 : static_cast<std::uint64_t>(unix_seconds);
}

inline void write_or_null(cbor::writer& w, const std::optional<user_id>& u) {
  if (u)
    w.tstr(u->text());
  else
    w.null();
}

inline void write_or_null(cbor::writer& w, const std::optional<epoch>& e) {
  if (e)
    w.uint(e->value());
  else
    w.null();
}

inline void write_or_null(cbor::writer& w, const std::optional<secret32>& s) {
  if (s)
    w.bstr(s->expose());
  else
    w.null();
}

template <std::size_t N>
void write_or_null(cbor::writer& w, const std::optional<byte_array<N>>& b) {
  if (b)
    w.bstr(*b);
  else
    w.null();
}

template <class Tag, std::size_t N>
void write_or_null(cbor::writer& w, const std::optional<byte_id<Tag, N>>& id) {
  if (id)
    w.bstr(id->value);
  else
    w.null();
}

}  // namespace cpns::protocol
