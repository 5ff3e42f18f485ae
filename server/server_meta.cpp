#include "server/server_meta.hpp"

#include "base/cbor.hpp"

namespace cpns::server {
namespace {

constexpr std::string_view meta_row = "cpns server";
constexpr std::uint64_t meta_schema = 1;

secret_bytes encode(const server_meta& m) {
  cbor::writer w{128};
  w.array(4).uint(meta_schema).bstr(m.issuer_key.expose()).bstr(m.fake_salt_key.expose()).uint(m.incarnation);
  return secret_bytes{w.take()};
}

result<server_meta> meta_of(const storage::sealed_value& row) {
  CPNS_TRY(auto meta, decode_server_meta(row.value->expose()));
  meta.version = row.version;
  return meta;
}

}  // namespace

result<server_meta> decode_server_meta(byte_view in) {
  cbor::reader r{in};
  server_meta m;
  CPNS_CHECK(r.array_of("server meta", 4));
  CPNS_TRY(const auto schema, r.uint("server meta schema"));
  if (schema != meta_schema)
    return fail(errc::store_damaged, "the store was written by another version of the server");
  CPNS_TRY(const auto issuer, r.bstr("K_iss", 32, 32));
  m.issuer_key = secret32{issuer.first<32>()};
  CPNS_TRY(const auto fake, r.bstr("fake salt key", 32, 32));
  m.fake_salt_key = secret32{fake.first<32>()};
  CPNS_TRY(m.incarnation, r.uint("incarnation"));
  CPNS_CHECK(r.end("server meta"));
  return m;
}

bytes server_meta_row() { return to_bytes(as_bytes(meta_row)); }

storage::sealed_op op_of(const server_meta& meta) {
  return {storage::table::meta, server_meta_row(), encode(meta), meta.version};
}

result<server_meta> load_meta(storage::sealed_store& store, entropy& random) {
  CPNS_TRY(const auto row, store.read_one(storage::table::meta, as_bytes(meta_row)));
  if (row.value) return meta_of(row);
  server_meta m{random.draw_secret<32>(), random.draw_secret<32>(), 1, row.version};
  const auto done = save_meta(store, m);
  if (!done && !(done.error() == errc::state_conflict)) return fail(done.error());
  // Of two servers that start with a new store, the slower one takes the keys of the other.
  CPNS_TRY(auto kept, find_meta(store));
  if (!kept)
    return fail(errc::store_damaged, "the store lost the keys of the server; restore it from a backup");
  return std::move(*kept);
}

result<std::optional<server_meta>> find_meta(const storage::sealed_store& store) {
  CPNS_TRY(const auto row, store.read_one(storage::table::meta, as_bytes(meta_row)));
  if (!row.value) return std::optional<server_meta>{};
  CPNS_TRY(auto meta, meta_of(row));
  return std::optional{std::move(meta)};
}

status save_meta(storage::sealed_store& store, const server_meta& meta) {
  auto done = store.write({op_of(meta)});
  if (!done && done.error() == errc::store_conflict)
    return fail(errc::state_conflict,
                "another process changed the incarnation of the store; read it and try again");
  return done;
}

}  // namespace cpns::server
