#include "storage/sealed_keys.hpp"

#include <algorithm>

#include "base/cbor.hpp"
#include "crypto/suite.hpp"
#include "crypto/xaes.hpp"

namespace cpns::storage {

namespace {

constexpr std::uint64_t schema_without_versions = 1;
constexpr std::uint64_t schema = 2;

secret32 derive(const secret32& data_key, std::string_view label) {
  secret32 out;
  crypto::openssl_suite().expand(data_key, cbor::writer().array(1).tstr(label).view(), out.expose_mutable());
  return out;
}

/// E([row, value]), in a buffer of fixed size: a reallocation would leave an unwiped copy behind.
secret_bytes encoded_row(byte_view row, const std::optional<secret_bytes>& value) {
  constexpr std::size_t heads = 1 + 5 + 5;
  cbor::writer w(heads + row.size() + (value ? value->size() : 0));
  w.array(2).bstr(row);
  if (value)
    w.bstr(value->expose());
  else
    w.null();
  return secret_bytes(w.take());
}

}  // namespace

sealed_store::keys::keys(const secret32& k)
    : seal(derive(k, "cpns/1 store seal")), rows(derive(k, "cpns/1 store rows")),
      indexes(derive(k, "cpns/1 store indexes")),
      key_id(first<key_id_size>(derive(k, "cpns/1 store key id").expose())) {}

bytes sealed_store::keys::stored_row(table t, byte_view row) const {
  const auto name = cbor::writer().array(2).uint(static_cast<std::uint64_t>(t)).bstr(row).take();
  auto own = to_bytes(crypto::openssl_suite().hmac(rows.expose(), name).expose());
  if (t != table::indexes) return own;
  const auto entry = read_index_row(row);
  if (!entry) return own;
  auto out = stored_group(entry->group);
  out.insert(out.end(), own.begin(), own.end());
  return out;
}

bytes sealed_store::keys::stored_group(const index_group& g) const {
  return to_bytes(crypto::openssl_suite().hmac(indexes.expose(), encode(g)).expose());
}

bytes sealed_store::keys::aad(table t, byte_view stored, std::uint64_t version) const {
  cbor::writer w;
  w.array(version == 0 ? 5 : 6)
      .tstr("cpns/1 row")
      .uint(static_cast<std::uint64_t>(t))
      .bstr(stored)
      .bstr(key_id);
  if (version == 0) return w.uint(schema_without_versions).take();
  return w.uint(schema).uint(version).take();
}

bytes sealed_store::keys::seal_value(table t, byte_view stored, std::uint64_t version, byte_view row,
                                     const std::optional<secret_bytes>& value, entropy& random) const {
  const auto sealed =
      crypto::xaes_seal(seal, random, aad(t, stored, version), encoded_row(row, value).expose());
  bytes out;
  out.reserve(key_id_size + sealed.size());
  out.insert(out.end(), key_id.begin(), key_id.end());
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

result<sealed_store::row_view> sealed_store::keys::open_value(table t, byte_view stored,
                                                              std::uint64_t version, byte_view value) const {
  const auto refuse = [&](const std::string& what) {
    return fail(errc::store_sealed, "row " + to_hex(stored.first(std::min<std::size_t>(stored.size(), 8))) +
                                        "... of table " + std::string(name_of(t)) + " " + what);
  };
  if (value.size() < key_id_size) return refuse("is too short to be sealed");
  if (!equal(value.first(key_id_size), key_id))
    return refuse("is sealed under data key " + to_hex(value.first(key_id_size)) + ", but the store has " +
                  to_hex(key_id));
  auto plain = crypto::xaes_open(seal, aad(t, stored, version), value.subspan(key_id_size));
  if (!plain) return refuse("cannot be decrypted: it was changed, or copied from another place");
  cbor::reader r(plain->expose());
  if (!r.array_of("row", 2)) return refuse("decrypts to a malformed row");
  const auto row = r.bstr("row name", 1, max_sealed_row_size);
  if (!row) return refuse("decrypts to a malformed row");
  row_view out{{}, *row, std::nullopt};
  const auto erased = r.null_next("row value");
  if (!erased || (*erased && version == 0)) return refuse("decrypts to a malformed row");
  if (!*erased) {
    const auto content = r.bstr("row value", 0, max_sealed_value_size);
    if (!content) return refuse("decrypts to a malformed row");
    out.value = *content;
  }
  if (!r.end("row")) return refuse("decrypts to a malformed row");
  if (!equal(stored_row(t, *row), stored)) return refuse("holds the content of another row");
  out.plain = *std::move(plain);  // its bytes stay where they are
  return out;
}

}  // namespace cpns::storage
