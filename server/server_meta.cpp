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

result<server_meta> decode_meta(byte_view in) {
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

}  // namespace

result<server_meta> load_meta(storage::sealed_store& store, entropy& random) {
  CPNS_TRY(auto kept, find_meta(store));
  if (kept) return std::move(*kept);
  server_meta m{random.draw_secret<32>(), random.draw_secret<32>(), 1};
  CPNS_CHECK(save_meta(store, m));
  return m;
}

result<std::optional<server_meta>> find_meta(const storage::sealed_store& store) {
  CPNS_TRY(const auto row, store.get(storage::table::meta, as_bytes(meta_row)));
  if (!row) return std::optional<server_meta>{};
  CPNS_TRY(auto meta, decode_meta(row->expose()));
  return std::optional{std::move(meta)};
}

status save_meta(storage::sealed_store& store, const server_meta& meta) {
  storage::sealed_batch batch;
  batch.push_back({storage::table::meta, to_bytes(as_bytes(meta_row)), encode(meta)});
  return store.write(batch);
}

}  // namespace cpns::server
