#include "storage/rocksdb_store.hpp"

#include <atomic>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include "base/log.hpp"
#include "storage/store_folder.hpp"

namespace cpns::storage {

namespace {

/// RocksDB's own log ends the process when the disk is full; this one passes errors on and drops the rest.
class quiet_logger final : public rocksdb::Logger {
 public:
  quiet_logger() : rocksdb::Logger(rocksdb::InfoLogLevel::ERROR_LEVEL) {}
  void LogHeader(const char* /*format*/, va_list /*arguments*/) override {}
  void Logv(const char* format, va_list arguments) override {
    char text[512];
    if (std::vsnprintf(text, sizeof text, format, arguments) > 0) log::warn("store", "rocksdb-error", text);
  }
  void Logv(rocksdb::InfoLogLevel severity, const char* format, va_list arguments) override {
    if (severity >= rocksdb::InfoLogLevel::ERROR_LEVEL && severity != rocksdb::InfoLogLevel::HEADER_LEVEL)
      Logv(format, arguments);
  }
};

/// RocksDB's own way back from a full disk wakes up every five seconds and wants room for a whole write
/// buffer, and while it waits nobody else may try. rocksdb_store::resume() does it, at the next write.
class no_automatic_resume final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*why*/,
                            bool* automatic) override {
    *automatic = false;
  }
};

rocksdb::Options options_for(bool create) {
  rocksdb::Options o;
  o.listeners.push_back(std::make_shared<no_automatic_resume>());
  o.info_log = std::make_shared<quiet_logger>();
  o.create_if_missing = create;
  // Sealed values do not compress.
  o.compression = rocksdb::kNoCompression;
  // The default reads a damaged log up to the damage and drops the rest, acknowledged rows with it, without a
  // word. This one forgives an incomplete last record alone, which is what a power cut leaves.
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // Also the room that it takes to get over a full disk: the buffer must go into a table file first.
  o.write_buffer_size = 8U << 20;
  o.max_open_files = 256;
  o.max_background_jobs = 2;
  // Space reserved ahead is space that a full disk cannot give back for the flush that frees the log.
  o.allow_fallocate = false;
  return o;
}

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

class rocksdb_store final : public store {
 public:
  rocksdb_store(store_folder claim, std::filesystem::path folder, std::unique_ptr<rocksdb::DB> db)
      : claim_(std::move(claim)), folder_(std::move(folder)), db_(std::move(db)) {}

  result<std::optional<bytes>> get(table t, byte_view row) const override;
  status write(const write_batch& batch) override;
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;

 private:
  [[nodiscard]] tl::unexpected<error> read_failed(const rocksdb::Status& why) const;
  status resume();

  store_folder claim_;  // outlives the database: no other process may come while it closes
  std::filesystem::path folder_;
  std::unique_ptr<rocksdb::DB> db_;
  std::atomic<bool> failed_ = false;
  std::mutex resuming_;
  std::chrono::steady_clock::time_point next_try_{};  // with resuming_ held
  error last_refusal_{errc::store_write_failed};      // with resuming_ held
};

tl::unexpected<error> rocksdb_store::read_failed(const rocksdb::Status& why) const {
  const auto code = why.IsCorruption() ? errc::store_damaged : errc::store_unavailable;
  return fail(code, "cannot read the store in " + folder_.string() + ": " + why.ToString());
}

result<std::optional<bytes>> rocksdb_store::get(table t, byte_view row) const {
  rocksdb::PinnableSlice value;
  const auto done = db_->Get({}, db_->DefaultColumnFamily(), slice(key_of(t, row)), &value);
  if (done.IsNotFound()) return std::optional<bytes>{};
  if (!done.ok()) return read_failed(done);
  return std::optional<bytes>(to_bytes(view(value)));
}

/// After a failed write RocksDB takes no more until it is told that the cause is gone.
status rocksdb_store::resume() {
  const std::lock_guard lock(resuming_);
  if (!failed_) return {};
  // Asking for room is cheap while the disk is full; trying to resume is not, and is not done for every
  // write.
  std::uint64_t room_needed = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &room_needed);
  room_needed += 1U << 20;
  constexpr auto pause = std::chrono::milliseconds(500);
  struct statvfs disk {};
  if (::statvfs(folder_.c_str(), &disk) == 0 &&
      static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < room_needed)
    return fail(errc::store_full, "less than " + std::to_string((room_needed >> 20) + 1) +
                                      " MiB are left for " + folder_.string() + "; make room");
  const auto now = std::chrono::steady_clock::now();
  if (now < next_try_) return fail(last_refusal_);
  const auto done = db_->Resume();
  if (!done.ok()) {
    next_try_ = now + pause;
    last_refusal_ = {done.IsNoSpace() ? errc::store_full : errc::store_write_failed,
                     "the store in " + folder_.string() + " takes no writes yet: " + done.ToString()};
    return fail(last_refusal_);
  }
  failed_ = false;
  log::info("store", "store-resumed", "the store takes writes again", {{"folder", folder_.string()}});
  return {};
}

status rocksdb_store::write(const write_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  if (failed_) CPNS_CHECK(resume());
  rocksdb::WriteBatch ops;
  for (const auto& op : batch) {
    const auto key = key_of(op.table, op.row);
    const auto added = op.value ? ops.Put(slice(key), slice(*op.value)) : ops.Delete(slice(key));
    if (!added.ok()) return fail(errc::store_write_failed, added.ToString());
  }
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const auto done = db_->Write(durable, &ops);
  if (done.ok()) return {};
  if (!failed_.exchange(true))
    log::error("store", "store-write-failed", "the store does not take writes",
               {{"folder", folder_.string()}, {"why", done.ToString()}});
  if (done.IsNoSpace()) return fail(errc::store_full, "no room for " + folder_.string() + "; make room");
  return fail(errc::store_write_failed, "cannot write to " + folder_.string() + ": " + done.ToString());
}

status rocksdb_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  const auto from = key_of(t, prefix);
  rocksdb::ReadOptions once;
  once.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(once));
  for (it->Seek(slice(from)); it->Valid() && it->key().starts_with(slice(from)); it->Next())
    if (!visit(view(it->key()).subspan(1), view(it->value()))) return {};
  if (!it->status().ok()) return read_failed(it->status());
  return {};
}

}  // namespace

result<std::unique_ptr<store>> open_rocksdb_store(const std::filesystem::path& folder) {
  CPNS_TRY(auto claim, store_folder::claim(folder));
  rocksdb::DB* raw = nullptr;
  const auto opened = rocksdb::DB::Open(options_for(!claim.complete()), folder.string(), &raw);
  std::unique_ptr<rocksdb::DB> db(raw);
  if (!opened.ok()) {
    const auto why = opened.ToString();
    if (opened.IsNoSpace())
      return fail(errc::store_full, "no room to open the store in " + folder.string() + ": " + why);
    // Our own lock keeps other processes out, so this is a second opening within this one.
    if (opened.IsIOError() && why.find("lock") != std::string::npos)
      return fail(errc::store_locked, "the folder " + folder.string() + " is open already: " + why);
    if (opened.IsIOError() && !opened.IsPathNotFound() && why.find("No such file") == std::string::npos)
      return fail(errc::store_unavailable, "cannot open the store in " + folder.string() + ": " + why);
    return fail(errc::store_damaged,
                "the store in " + folder.string() + ": " + why + "; restore it from a backup");
  }
  if (!claim.complete()) CPNS_CHECK(claim.mark_complete());
  return std::make_unique<rocksdb_store>(std::move(claim), folder, std::move(db));
}

}  // namespace cpns::storage
