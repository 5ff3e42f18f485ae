#include "actors/pne/opened_keys.hpp"

#include <algorithm>
#include <set>

#include "actors/pne/key_files.hpp"
#include "actors/pne/key_import.hpp"
#include "storage/file.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {
namespace {

namespace fs = std::filesystem;

/// The names in a folder: one look instead of one for each device.
result<std::set<std::string>> names_in(const fs::path& folder) {
  std::set<std::string> out;
  std::error_code wrong;
  for (fs::directory_iterator at{folder, wrong}, end; !wrong && at != end; at.increment(wrong))
    out.insert(at->path().filename().string());
  if (wrong)
    return fail(errc::store_unavailable,
                "cannot list the folder " + folder.string() + ": " + wrong.message());
  return out;
}

status make_folder(const fs::path& keys_dir) {
  std::error_code wrong;
  fs::create_directories(keys_dir, wrong);
  if (wrong) return fail(errc::store_unavailable, "keys_dir " + keys_dir.string() + ": " + wrong.message());
  fs::permissions(keys_dir, fs::perms::owner_all, wrong);
  return {};
}

class opening {
 public:
  opening(const config::pne_config& c, const storage::key_protector& protector,
          const std::vector<manufactured_device>& devices, entropy& random)
      : c_(c), protector_(protector), devices_(devices), random_(random) {}

  status claim(const fs::path& lock, const fs::path& what) {
    CPNS_TRY(auto held, storage::hold_lock(lock, what));
    out_.locks.push_back(std::move(held));
    return {};
  }
  /// The store of `keys_dir`, with the rows of its devices.
  status open_slots(const open_store_fn& open_store, metrics::registry& measured) {
    CPNS_CHECK(make_folder(c_.keys_dir));
    CPNS_CHECK(claim(lock_of_folder(c_.keys_dir), c_.keys_dir));
    CPNS_CHECK(data_key_is_there(c_.keys_dir));
    const auto key_file = shared_key_file(c_.keys_dir);
    out_.places.push_back(storage::data_key_file_place(key_file, shared_key_purpose));
    CPNS_TRY(const auto data_key, storage::open_data_key(key_file, shared_key_purpose, protector_, random_));
    CPNS_TRY(out_.slots, slot_store::open(c_.keys_dir, open_store, data_key, random_, measured));
    CPNS_TRY(rows_, rows_of(data_key));
    return import_key_files(*out_.slots, rows_);
  }
  status open_devices() {
    auto row = rows_.begin();
    for (const auto& d : devices_) {
      if (!d.key_file.empty()) {
        CPNS_CHECK(open_file(d));
        continue;
      }
      result<protocol::pne_record> record = fail(errc::internal);
      if (row->stored)
        record = std::move(row->stored->record).value_or(protocol::pne_record{});
      else
        record = fail(row->stored.error());
      out_.devices.push_back(
          {std::make_shared<key_row>(*out_.slots, d.entity, std::move(row->file)), std::move(record)});
      ++row;
    }
    return {};
  }
  opened_keys take() { return std::move(out_); }

 private:
  result<std::vector<device_slots>> rows_of(const secret32& data_key) {
    CPNS_TRY(const auto there, names_in(c_.keys_dir));
    std::vector<entity_id> entities;
    for (const auto& d : devices_)
      if (d.key_file.empty()) entities.push_back(d.entity);
    auto stored = out_.slots->load(entities);
    std::vector<device_slots> out;
    out.reserve(entities.size());
    for (std::size_t i = 0; i < entities.size(); ++i) {
      out.push_back({entities[i], std::move(stored[i])});
      const auto name = key_file_name(entities[i]);
      if (there.contains(name))
        out.back().file = storage::sealed_file::with_data_key(
            c_.keys_dir / name, key_file_purpose(entities[i]), data_key, random_);
    }
    return out;
  }
  status open_file(const manufactured_device& d) {
    const auto purpose = key_file_purpose(d.entity);
    CPNS_CHECK(claim(lock_of_file(d.key_file), d.key_file));
    ++out_.files;
    auto file = storage::sealed_file::open(d.key_file, purpose, protector_, random_);
    // A file that cannot be opened refuses a change of the key: it would need the old one for ever.
    out_.places.push_back(file ? file->place() : storage::sealed_file_place(d.key_file, purpose));
    if (!file) {
      out_.devices.push_back({nullptr, fail(file.error())});
      return {};
    }
    auto keys = std::make_shared<key_file>(*file);
    auto record = keys->load();
    out_.devices.push_back({std::move(keys), std::move(record),
                            c_.application_keys ? std::optional{std::move(*file)} : std::nullopt});
    return {};
  }

  const config::pne_config& c_;
  const storage::key_protector& protector_;
  const std::vector<manufactured_device>& devices_;
  entropy& random_;
  opened_keys out_;
  std::vector<device_slots> rows_;  ///< of the devices without a `key_file`
};

}  // namespace

result<opened_keys> open_keys(const config::pne_config& c, const storage::key_protector& protector,
                              const std::vector<manufactured_device>& devices,
                              const open_store_fn& open_store, entropy& random, metrics::registry& measured) {
  opening all(c, protector, devices, random);
  if (!c.keys_dir.empty()) CPNS_CHECK(all.open_slots(open_store, measured));
  CPNS_CHECK(all.open_devices());
  auto out = all.take();
  const auto readable = [](const opened_keys::one& d) { return d.record.has_value(); };
  if (!out.devices.empty() && std::none_of(out.devices.begin(), out.devices.end(), readable))
    return fail(out.devices.front().record.error());
  return out;
}

}  // namespace cpns::actors
