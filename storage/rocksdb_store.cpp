#include "storage/rocksdb_store.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>
#include <thread>

#include "base/log.hpp"
#include "storage/rocksdb_files.hpp"
#include "storage/store_folder.hpp"

namespace cpns::storage {

namespace {

using steady = std::chrono::steady_clock;

constexpr milliseconds retry_first{500};
constexpr milliseconds retry_longest{10'000};  ///< openings that fail leave files behind
constexpr seconds reminder{60};
constexpr milliseconds glance{2};  ///< how soon the last reader of the old database is noticed

rocksdb::Slice slice(byte_view b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
byte_view view(const rocksdb::Slice& s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}

bytes key_of(table t, byte_view row) {
  bytes key;
  key.reserve(1 + row.size());
  key.push_back(static_cast<std::uint8_t>(t));
  key.insert(key.end(), row.begin(), row.end());
  return key;
}

std::string whole_seconds(steady::duration d) {
  return std::to_string(std::chrono::duration_cast<seconds>(d).count());
}

class rocksdb_store final : public store {
 public:
  rocksdb_store(store_folder claim, std::filesystem::path folder, std::shared_ptr<rocksdb::DB> db,
                milliseconds timeout)
      : claim_(std::move(claim)), folder_(std::move(folder)), timeout_(timeout), db_(std::move(db)),
        acknowledged_(db_->GetLatestSequenceNumber()), healer_([this] { heal_when_needed(); }) {}
  ~rocksdb_store() override;
  rocksdb_store(const rocksdb_store&) = delete;
  rocksdb_store& operator=(const rocksdb_store&) = delete;

  result<std::optional<bytes>> get(table t, byte_view row) const override;
  status write(const write_batch& batch) override;
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  [[nodiscard]] store_health health() const override;

 private:
  [[nodiscard]] tl::unexpected<error> read_failed(const rocksdb::Status& why) const;
  [[nodiscard]] std::shared_ptr<rocksdb::DB> current() const;
  error note_failure(const rocksdb::Status& why);
  void heal_when_needed();
  void heal();
  status reopen();
  [[nodiscard]] status check_room() const;
  status replace(std::shared_ptr<rocksdb::DB> with);
  void give_up(const error& why);
  /// False when the store is being destroyed.
  bool wait(milliseconds time);

  store_folder claim_;  // outlives the database: no other process may come while it closes
  const std::filesystem::path folder_;
  const milliseconds timeout_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<rocksdb::DB> db_;          ///< while it is not writable: for reading alone, or failed
  store_health health_;                      ///< but `why`
  error refusal_{errc::store_write_failed};  ///< of writes while it is not writable
  rocksdb::SequenceNumber acknowledged_;     ///< of the last write that was acknowledged
  bool stopping_ = false;
  std::thread healer_;
};

rocksdb_store::~rocksdb_store() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  healer_.join();
}

std::shared_ptr<rocksdb::DB> rocksdb_store::current() const {
  const std::lock_guard lock(mutex_);
  return db_;
}

store_health rocksdb_store::health() const {
  const std::lock_guard lock(mutex_);
  auto out = health_;
  if (!out.writable) out.why = refusal_.detail;
  return out;
}

tl::unexpected<error> rocksdb_store::read_failed(const rocksdb::Status& why) const {
  const auto code = why.IsCorruption() ? errc::store_damaged : errc::store_unavailable;
  return fail(code, "cannot read the store in " + folder_.string() + ": " + why.ToString());
}

result<std::optional<bytes>> rocksdb_store::get(table t, byte_view row) const {
  const auto db = current();
  rocksdb::PinnableSlice value;
  const auto done = db->Get({}, db->DefaultColumnFamily(), slice(key_of(t, row)), &value);
  if (done.IsNotFound()) return std::optional<bytes>{};
  if (!done.ok()) return read_failed(done);
  return std::optional<bytes>(to_bytes(view(value)));
}

status rocksdb_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  const auto db = current();
  const auto from = key_of(t, prefix);
  rocksdb::ReadOptions once;
  once.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(once));
  for (it->Seek(slice(from)); it->Valid() && it->key().starts_with(slice(from)); it->Next())
    if (!visit(view(it->key()).subspan(1), view(it->value()))) return {};
  if (!it->status().ok()) return read_failed(it->status());
  return {};
}

status rocksdb_store::write(const write_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  rocksdb::WriteBatch ops;
  for (const auto& op : batch) {
    const auto key = key_of(op.table, op.row);
    const auto added = op.value ? ops.Put(slice(key), slice(*op.value)) : ops.Delete(slice(key));
    if (!added.ok()) return fail(errc::store_write_failed, added.ToString());
  }
  std::shared_ptr<rocksdb::DB> db;
  {
    const std::lock_guard lock(mutex_);
    if (!health_.writable) return fail(refusal_);
    db = db_;
  }
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const auto done = db->Write(durable, &ops);
  if (!done.ok()) return fail(note_failure(done));
  const std::lock_guard lock(mutex_);
  acknowledged_ = std::max(acknowledged_, db->GetLatestSequenceNumber());
  return {};
}

error rocksdb_store::note_failure(const rocksdb::Status& why) {
  const auto what =
      why.IsNoSpace()
          ? error{errc::store_full, "no room for " + folder_.string() + "; make room"}
          : error{errc::store_write_failed, "cannot write to " + folder_.string() + ": " + why.ToString()};
  const std::lock_guard lock(mutex_);
  if (!health_.writable) return what;
  health_.writable = false;
  refusal_ = what;
  log::error("store", "store-write-failed",
             "the store does not take writes; the disk is tried twice a second",
             {{"folder", folder_.string()}, {"why", why.ToString()}});
  wake_.notify_all();
  return what;
}

bool rocksdb_store::wait(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void rocksdb_store::heal_when_needed() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || (!health_.writable && !health_.lost); });
      if (stopping_) return;
    }
    heal();
  }
}

/// Until the store takes writes, or is lost, or is being destroyed.
void rocksdb_store::heal() {
  const auto since = steady::now();
  auto failing_since = since, said = since;  // a full disk is a matter of room, and waits for it
  auto pause = retry_first;
  do {
    const auto done = reopen();
    const auto now = steady::now();
    if (done)
      return log::info("store", "store-resumed", "the store takes writes again",
                       {{"folder", folder_.string()}, {"seconds", whole_seconds(now - since)}});
    const auto& why = done.error();
    if (why == errc::state_stopping) return;
    if (why == errc::store_full) failing_since = now;
    if (why == errc::store_damaged || now - failing_since >= timeout_) return give_up(why);
    if (why == errc::store_unavailable) pause = std::min(2 * pause, retry_longest);
    {
      const std::lock_guard lock(mutex_);
      refusal_ = why;
    }
    if (now - said >= reminder) {
      said = now;
      log::error("store", "store-takes-no-writes", why.message(), {{"seconds", whole_seconds(now - since)}});
    }
  } while (wait(pause));
}

void rocksdb_store::give_up(const error& why) {
  {
    const std::lock_guard lock(mutex_);
    health_.lost = true;
    refusal_ = why;
  }
  log::error("store", "store-lost", why.message() + "; the role cannot go on with this store",
             {{"folder", folder_.string()}});
}

/// What was open before is closed when its last reader is done; what reads on meanwhile reads `with`.
status rocksdb_store::replace(std::shared_ptr<rocksdb::DB> with) {
  {
    const std::lock_guard lock(mutex_);
    db_.swap(with);
  }
  while (with.use_count() > 1)
    if (!wait(glance)) return fail(errc::state_stopping);
  return {};
}

/// An opening needs room for what is not in a table file yet.
status rocksdb_store::check_room() const {
  std::uint64_t room_needed = 0;
  current()->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &room_needed);
  room_needed += 1U << 20;
  struct statvfs disk {};
  if (::statvfs(folder_.c_str(), &disk) == 0 &&
      static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < room_needed)
    return fail(errc::store_full, "less than " + std::to_string((room_needed >> 20) + 1) +
                                      " MiB are left for " + folder_.string() + "; make room");
  return {};
}

/// From the files, which are all that is known after an error of the disk. Nothing is closed before the disk
/// takes writes, and before the files can be read.
status rocksdb_store::reopen() {
  CPNS_CHECK(check_room());
  CPNS_CHECK(claim_.probe());
  CPNS_TRY(auto reading, open_for_reading(folder_));
  CPNS_CHECK(replace(std::move(reading)));
  CPNS_TRY(auto fresh, open_for_writing(folder_, false));
  const auto found = fresh->GetLatestSequenceNumber();
  const std::lock_guard lock(mutex_);
  if (found < acknowledged_)
    return fail(errc::store_damaged, "the disk lost writes of " + folder_.string() +
                                         " that it had acknowledged: the last one was " +
                                         std::to_string(acknowledged_) + ", it has " + std::to_string(found) +
                                         "; restore the store from a backup, on another disk");
  db_ = std::move(fresh);
  acknowledged_ = found;
  health_.writable = true;
  ++health_.reopened;
  return {};
}

}  // namespace

result<std::unique_ptr<store>> open_rocksdb_store(const std::filesystem::path& folder, milliseconds timeout) {
  CPNS_TRY(auto claim, store_folder::claim(folder));
  CPNS_TRY(auto db, open_for_writing(folder, !claim.complete()));
  if (!claim.complete()) CPNS_CHECK(claim.mark_complete());
  return std::make_unique<rocksdb_store>(std::move(claim), folder, std::move(db), timeout);
}

}  // namespace cpns::storage
