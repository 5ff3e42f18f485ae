#include "actors/pn_gw/key_store.hpp"

#include <algorithm>
#include <string_view>
#include <thread>
#include <utility>

#include "base/cbor.hpp"
#include "base/log.hpp"

namespace cpns::actors {
namespace {

constexpr std::uint64_t schema = 1;
/// In the table of the credentials; no CPNS User ID has a space.
constexpr std::string_view reports_row = "settled reports";
constexpr std::size_t readers_max = 8;

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

/// Erases the row of the device, unless it gets a value.
storage::sealed_op op_of(const entity_id& entity) {
  return {storage::table::peers, to_bytes(as_bytes(entity.text())), std::nullopt};
}

}  // namespace

void key_store::note_date(std::int64_t keyed_since, std::int64_t not_after) const {
  constexpr auto longest = INT64_MAX / 1000;
  const auto over = not_after <= 0 || not_after > longest ? INT64_MAX : not_after * 1000;
  const auto date = std::min(keyed_since, over);
  for (auto known = newest_date_.load(); known < date && !newest_date_.compare_exchange_weak(known, date);) {
  }
}

result<std::optional<protocol::device_record>> key_store::load(const entity_id& entity) const {
  CPNS_TRY(auto found, read(entity));
  return std::move(found.record);
}

result<stored_device> key_store::read(const entity_id& entity) const {
  CPNS_TRY(const auto found, rows_.read_one(storage::table::peers, as_bytes(entity.text())));
  const row_mark row{found.version, found.read_at};
  if (!found.value) return stored_device{std::nullopt, row};
  CPNS_TRY(auto record, protocol::decode_device_record(found.value->expose()));
  note_date(record.keyed_since, record.not_after);
  if (record.to_report) {
    const std::lock_guard lock{reports_->guard};
    if (!reports_->open.is_open(entity.text())) record.to_report.reset();
  }
  return stored_device{std::move(record), row};
}

void key_store::save(const protocol::device_record& record, storage::commit_done done, row_mark row) {
  note_date(record.keyed_since, record.not_after);
  auto op = op_of(record.entity);
  op.value = protocol::encode(record);
  op.expected = row.version;
  op.read_at = row.read_at;
  commit(record.entity, std::move(op), record.to_report ? std::optional{record.keyed_since} : std::nullopt,
         std::move(done));
}

row_mark key_store::written(const row_mark& before) const {
  if (!before.version) return {};
  return {*before.version + 1, rows_.moment()};
}

void key_store::erase(const entity_id& entity, storage::commit_done done) {
  commit(entity, op_of(entity), std::nullopt, std::move(done));
}

void key_store::commit(const entity_id& entity, storage::sealed_op record,
                       std::optional<std::int64_t> reports_since, storage::commit_done done) {
  storage::sealed_batch batch;
  batch.push_back(std::move(record));
  const std::lock_guard lock{reports_->guard};
  commit_with(reports_->open.write(entity.text(), reports_since), entity, std::move(batch), std::move(done));
}

void key_store::report_answered(const entity_id& entity) {
  const std::lock_guard lock{reports_->guard};
  auto change = reports_->open.answered(entity.text());
  if (!change.empty()) commit_with(std::move(change), entity, {}, [](const status&) {});
}

void key_store::commit_with(open_reports::change change, const entity_id& entity, storage::sealed_batch batch,
                            storage::commit_done done) {
  if (change.empty()) return commit_(std::move(batch), std::move(done));
  if (change.row)
    batch.push_back({storage::table::credentials, to_bytes(as_bytes(reports_row)), encode(*change.row)});
  commit_(std::move(batch), [reports = reports_, name = entity.text(), change = std::move(change),
                             done = std::move(done)](const status& s) {
    if (s) {
      const std::lock_guard held{reports->guard};
      reports->open.written(name, change);
    }
    done(s);
  });
}

/// Without a row, or if it is damaged, each report is open: the server answers one that it has had before, too.
result<settled_reports> key_store::stored_reports() const {
  const auto row = rows_.get(storage::table::credentials, as_bytes(reports_row));
  if (!row && row.error() != errc::store_sealed) return fail(row.error());
  if (row && !*row) return settled_reports{};
  auto read = row ? decode_settled_reports((*row)->expose()) : fail(row.error());
  if (read) return read;
  log::warn("gateway", "reports-unreadable",
            "it is not known which reports the server has answered, so all are sent again: " +
                read.error().message());
  return settled_reports{};
}

status key_store::summaries(const summary_visitor& each, const error_visitor& unreadable) {
  CPNS_TRY(const auto settled_before, stored_reports());
  const auto threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, readers_max);
  CPNS_CHECK(rows_.scan_with(
      threads, storage::table::peers,
      [&](byte_view row, byte_view value) {
        auto s = protocol::decode_device_summary(value);
        if (!s) return unreadable({s.error().code, std::string{as_text(row)} + ": " + s.error().detail});
        note_date(s->keyed_since, s->not_after);
        if (s->to_report && !settled_before.is_open(s->keyed_since)) s->to_report.reset();
        if (s->to_report) {
          const std::lock_guard lock{reports_->guard};
          reports_->open.found(s->entity.text(), s->keyed_since);
        }
        each(*std::move(s));
      },
      unreadable));
  const std::lock_guard lock{reports_->guard};
  reports_->open.begin(settled_before);
  return {};
}

result<stored_devices> key_store::all() const {
  stored_devices out;
  const auto unreadable = [&out](const error& e) { out.unreadable.push_back(e); };
  CPNS_CHECK(rows_.scan(
      storage::table::peers, {},
      [&](byte_view row, const secret_bytes& value) {
        auto record = protocol::decode_device_record(value.expose());
        if (record) {
          note_date(record->keyed_since, record->not_after);
          out.records.push_back(std::move(*record));
        } else {
          unreadable({record.error().code, std::string{as_text(row)} + ": " + record.error().detail});
        }
        return true;
      },
      unreadable));
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
