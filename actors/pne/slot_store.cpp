#include "actors/pne/slot_store.hpp"

#include <algorithm>
#include <cstdint>
#include <future>

#include "actors/pne/key_files.hpp"
#include "storage/key_protector.hpp"
#include "storage/store_metrics.hpp"

namespace cpns::actors {
namespace {

/// Read at once.
constexpr std::size_t rows_per_read = 1024;
/// Each device has one write pending at most, so the queue needs no bound of its own.
constexpr storage::commit_limits one_row_per_device{.queued_rows = SIZE_MAX};

bytes row_of(const entity_id& device) { return to_bytes(as_bytes(device.text())); }

storage::sealed_op op_of(const entity_id& device, const protocol::pne_record& record) {
  return {storage::table::peers, row_of(device), encode(record)};
}

result<stored_slots> decoded(const storage::sealed_value& found) {
  if (!found.value) return stored_slots{found.version, std::nullopt};
  CPNS_TRY(auto record, protocol::decode_pne_record(found.value->expose()));
  return stored_slots{found.version, std::move(record)};
}

}  // namespace

slot_store::slot_store(std::filesystem::path folder, std::unique_ptr<storage::store> under,
                       std::unique_ptr<storage::sealed_store> rows, metrics::registry& measured)
    : folder_(std::move(folder)), under_(std::move(under)), rows_(std::move(rows)),
      commits_(*rows_, one_row_per_device, storage::make_commit_metrics(measured)) {
  storage::collect_store(measured, *rows_, commits_, folder_);
}

result<std::unique_ptr<slot_store>> slot_store::open(const std::filesystem::path& keys_dir,
                                                     const open_store_fn& open, const secret32& data_key,
                                                     entropy& random, metrics::registry& measured) {
  auto folder = slot_store_folder(keys_dir);
  CPNS_TRY(auto under, open(folder));
  const auto key = storage::make_key_protector(data_key, shared_key_file(keys_dir));
  auto rows = storage::sealed_store::open(*under, *key, random);
  if (!rows) return fail(rows.error().code, folder.string() + ": " + rows.error().detail);
  return std::unique_ptr<slot_store>{
      new slot_store{std::move(folder), std::move(under), std::move(*rows), measured}};
}

error slot_store::about(const entity_id& device, error e) const {
  e.detail = "the keys of " + device.text() + " in " + folder_.string() + ": " + e.detail;
  if (e == errc::store_sealed || e == errc::store_damaged)
    e.detail += "; `cpns pne reset " + device.text() +
                "` gives this device an empty row (docs/operations/troubleshooting.md)";
  return e;
}

std::vector<result<stored_slots>> slot_store::load(std::span<const entity_id> devices) const {
  std::vector<result<stored_slots>> out;
  out.reserve(devices.size());
  for (std::size_t from = 0; from < devices.size(); from += rows_per_read) {
    const auto part = devices.subspan(from, std::min(rows_per_read, devices.size() - from));
    std::vector<storage::row_name> names;
    names.reserve(part.size());
    for (const auto& d : part) names.push_back({storage::table::peers, row_of(d)});
    auto found = rows_->read(names);
    for (std::size_t i = 0; i < part.size(); ++i) {
      // One damaged block of the disk fails the read of all names.
      if (!found[i] && part.size() > 1) found[i] = rows_->read_one(names[i].table, names[i].row);
      auto slots = found[i] ? decoded(*found[i]) : fail(found[i].error());
      if (slots)
        out.push_back(std::move(slots));
      else
        out.push_back(fail(about(part[i], std::move(slots).error())));
    }
  }
  return out;
}

result<stored_slots> slot_store::load(const entity_id& device) const {
  return std::move(load(std::span{&device, 1}).front());
}

void slot_store::save(const entity_id& device, const protocol::pne_record& record,
                      storage::commit_done done) {
  storage::sealed_batch batch;
  batch.push_back(op_of(device, record));
  commits_.submit(std::move(batch), std::move(done));
}

void slot_store::after_saves(std::function<void()> then) {
  commits_.submit({}, [then = std::move(then)](const status&) { then(); });
}

void slot_store::wait_for_saves() {
  std::promise<void> known;
  after_saves([&known] { known.set_value(); });
  known.get_future().wait();
}

status slot_store::take(std::span<const taken> all) {
  storage::sealed_batch batch;
  std::vector<entity_id> devices;
  for (const auto& t : all) {
    batch.push_back(op_of(t.device, t.record));
    batch.back().expected = t.version;
    devices.push_back(t.device);
  }
  CPNS_CHECK(rows_->write(batch));
  const auto kept = load(devices);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!kept[i]) return fail(kept[i].error());
    if (!kept[i]->record || !equal(encode(*kept[i]->record).expose(), encode(all[i].record).expose()))
      return fail(about(devices[i], {errc::store_damaged, "they are not as they were written"}));
  }
  return {};
}

}  // namespace cpns::actors
