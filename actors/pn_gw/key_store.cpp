#include "actors/pn_gw/key_store.hpp"

#include <algorithm>

#include "base/cbor.hpp"

namespace cpns::actors {
namespace {

constexpr std::uint64_t schema = 1;

secret_bytes encode(const user_credentials& c) {
  cbor::writer w;
  w.array(6).uint(schema).tstr(c.user.text()).bstr(c.salt).uint(c.iterations).bstr(c.client_key.expose());
  w.uint(static_cast<std::uint64_t>(c.password_time));
  return secret_bytes{w.take()};
}

result<user_credentials> decode_credentials(byte_view in) {
  cbor::reader r{in};
  CPNS_CHECK(r.array_of("credentials", 6));
  CPNS_CHECK(r.uint("schema", schema));
  user_credentials c;
  CPNS_TRY(const auto name, r.tstr("user", 1, user_id::max_size));
  CPNS_TRY(c.user, user_id::parse(name));
  CPNS_TRY(c.salt, r.bstr_of<16>("salt"));
  CPNS_TRY(const auto iterations, r.uint("iterations", UINT32_MAX));
  c.iterations = static_cast<std::uint32_t>(iterations);
  CPNS_TRY(const auto key, r.bstr("client key", 32, 32));
  c.client_key = secret32{key.first<32>()};
  CPNS_TRY(const auto written, r.uint("password time", INT64_MAX));
  c.password_time = static_cast<std::int64_t>(written);
  CPNS_CHECK(r.end("credentials"));
  return c;
}

}  // namespace

void key_store::note_date(const protocol::device_record& r) const {
  constexpr auto longest = INT64_MAX / 1000;
  const auto over = r.not_after <= 0 || r.not_after > longest ? INT64_MAX : r.not_after * 1000;
  const auto date = std::min(r.keyed_since, over);
  for (auto known = newest_date_.load(); known < date && !newest_date_.compare_exchange_weak(known, date);) {
  }
}

result<std::optional<protocol::device_record>> key_store::load(const entity_id& entity) const {
  CPNS_TRY(const auto found, rows_.get(storage::table::peers, as_bytes(entity.text())));
  if (!found) return std::optional<protocol::device_record>{};
  CPNS_TRY(auto record, protocol::decode_device_record(found->expose()));
  note_date(record);
  return std::optional{std::move(record)};
}

void key_store::save(const protocol::device_record& record, storage::commit_done done) {
  note_date(record);
  storage::sealed_batch batch;
  batch.push_back(
      {storage::table::peers, to_bytes(as_bytes(record.entity.text())), protocol::encode(record)});
  commit_(std::move(batch), std::move(done));
}

void key_store::erase(const entity_id& entity, storage::commit_done done) {
  storage::sealed_batch batch;
  batch.push_back({storage::table::peers, to_bytes(as_bytes(entity.text())), std::nullopt});
  commit_(std::move(batch), std::move(done));
}

status key_store::visit(const record_visitor& each, const error_visitor& unreadable) const {
  return rows_.scan(
      storage::table::peers, {},
      [&](byte_view row, const secret_bytes& value) {
        auto record = protocol::decode_device_record(value.expose());
        if (record) {
          note_date(*record);
          each(std::move(*record));
        } else {
          unreadable({record.error().code, std::string{as_text(row)} + ": " + record.error().detail});
        }
        return true;
      },
      unreadable);
}

result<stored_devices> key_store::all() const {
  stored_devices out;
  CPNS_CHECK(visit([&out](protocol::device_record r) { out.records.push_back(std::move(r)); },
                   [&out](const error& e) { out.unreadable.push_back(e); }));
  return out;
}

result<std::optional<user_credentials>> key_store::credentials(const user_id& user) const {
  CPNS_TRY(const auto found, rows_.get(storage::table::credentials, as_bytes(user.text())));
  if (!found) return std::optional<user_credentials>{};
  CPNS_TRY(auto c, decode_credentials(found->expose()));
  return std::optional{std::move(c)};
}

void key_store::save(const user_credentials& c, storage::commit_done done) {
  storage::sealed_batch batch;
  batch.push_back({storage::table::credentials, to_bytes(as_bytes(c.user.text())), encode(c)});
  commit_(std::move(batch), std::move(done));
}

}  // namespace cpns::actors
