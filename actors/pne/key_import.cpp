#include "actors/pne/key_import.hpp"

#include <cerrno>
#include <unistd.h>

#include "actors/pne/actors.hpp"
#include "actors/pne/device_keys.hpp"
#include "base/log.hpp"
#include "storage/file.hpp"

namespace cpns::actors {
namespace {

/// One durable write, and one flush of the folder, for so many devices.
constexpr std::size_t rows_per_group = 256;

bool same(const protocol::pne_record& a, const protocol::pne_record& b) {
  return equal(encode(a).expose(), encode(b).expose());
}

class key_import {
 public:
  key_import(slot_store& store, const std::function<void(import_step)>& at) : store_(store), at_(at) {}

  status look_at(device_slots& d) {
    // While the row cannot be read, nobody knows whether it exists: the file may be the only one with the key.
    if (!d.file || !d.stored) return {};
    auto in_file = read_key_file(*d.file);
    if (in_file && !*in_file) return d.file.reset(), status{};  // it is gone
    if (d.stored->record) {
      // After a crash the row holds the record of the file. It is written again: it may not be durable yet.
      if (in_file && same(**in_file, *d.stored->record)) return add(d, std::move(**in_file));
      return leave(d);
    }
    if (in_file) return add(d, std::move(**in_file));
    d.stored = fail(std::move(in_file).error());
    return {};
  }
  status finish() {
    CPNS_CHECK(take_group());
    if (taken_ > 0)
      log::info(pne_component, "key-files-imported",
                "the keys of " + std::to_string(taken_) + " devices were moved from their key files to " +
                    store_.folder().string());
    if (left_ > 0)
      log::warn(pne_component, "key-files-ignored",
                std::to_string(left_) + " key files are not used, such as " + a_left_one_.string() +
                    ": the keys of their devices are in " + store_.folder().string() +
                    ", and a file that is still there is older; remove it");
    return {};
  }

 private:
  status add(device_slots& d, protocol::pne_record record) {
    group_.push_back({d.device, d.stored->version, std::move(record)});
    of_group_.push_back(&d);
    return group_.size() < rows_per_group ? status{} : take_group();
  }
  status leave(device_slots& d) {
    if (left_++ == 0) a_left_one_ = d.file->path();
    d.file.reset();
    return {};
  }
  status take_group() {
    if (group_.empty()) return {};
    CPNS_CHECK(store_.take(group_));
    reached(import_step::rows_durable);
    const auto folder = of_group_.front()->file->path().parent_path();
    for (auto* d : of_group_) CPNS_CHECK(remove(*d));
    CPNS_CHECK(storage::sync_folder(folder));
    reached(import_step::folder_synced);
    for (std::size_t i = 0; i < group_.size(); ++i) {
      of_group_[i]->file.reset();
      of_group_[i]->stored = stored_slots{group_[i].version + 1, std::move(group_[i].record)};
    }
    taken_ += group_.size();
    group_.clear();
    of_group_.clear();
    return {};
  }
  status remove(const device_slots& d) {
    // A replacement that a power cut interrupted holds keys, too.
    auto unfinished = d.file->path();
    unfinished += ".new";
    for (const auto& path : {unfinished, d.file->path()})
      if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return fail(storage::file_error(errno, errc::store_unavailable,
                                        "the keys of " + d.device.text() +
                                            " are in the store, but their old file cannot be removed",
                                        path));
    reached(import_step::file_removed);
    return {};
  }
  void reached(import_step s) const {
    if (at_) at_(s);
  }

  slot_store& store_;
  const std::function<void(import_step)>& at_;
  std::vector<slot_store::taken> group_;
  std::vector<device_slots*> of_group_;
  std::size_t taken_ = 0, left_ = 0;
  std::filesystem::path a_left_one_;
};

}  // namespace

status import_key_files(slot_store& store, std::span<device_slots> devices,
                        const std::function<void(import_step)>& at) {
  key_import work(store, at);
  for (auto& d : devices) CPNS_CHECK(work.look_at(d));
  return work.finish();
}

}  // namespace cpns::actors
