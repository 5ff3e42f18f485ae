#include "storage/rocksdb_store.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>
#include <thread>

#include "base/log.hpp"
#include "storage/recent_writes.hpp"
#include "storage/rocksdb_rows.hpp"
#include "storage/row_locks.hpp"
#include "storage/store_folder.hpp"
#include "storage/version_check.hpp"

namespace cpns::storage {

namespace {

using steady = std::chrono::steady_clock;

constexpr milliseconds retry_first{500};
constexpr milliseconds retry_longest{10'000};  ///< a failed opening leaves files behind
constexpr seconds reminder{60};
constexpr double filter_bits_per_row = 10;
constexpr double filter_of_buffer = 0.02;               ///< part of the write buffer
constexpr std::int64_t released_per_second = 64 << 20;  ///< bytes of table files that are deleted
constexpr milliseconds reader_poll{2};  ///< interval of the check for the last reader of the old database

/// RocksDB's own logger ends the process when the disk is full; this one logs errors and drops the rest.
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

/// RocksDB resumes after a full disk from its memory. After a disk error only the files can be trusted, so
/// rocksdb_store reopens them instead.
class no_automatic_resume final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*why*/,
                            bool* automatic) override {
    *automatic = false;
  }
};

rocksdb::Options options_for(bool create, const rocksdb_settings& of = {}) {
  rocksdb::Options o;
  o.listeners.push_back(std::make_shared<no_automatic_resume>());
  o.info_log = std::make_shared<quiet_logger>();
  o.create_if_missing = create;
  // Sealed values do not compress.
  o.compression = rocksdb::kNoCompression;
  // The default silently drops everything after a damaged record, acknowledged rows included. This mode accepts
  // only an incomplete last record, which a power cut leaves.
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // Also the space needed to recover from a full disk: the buffer must be written to a table file first.
  o.write_buffer_size = of.write_buffer;
  o.level0_file_num_compaction_trigger = of.tables_to_compact;
  // A first assignment and an import ask for rows that are not there: without a filter, each such read searches a
  // block of every table file. With ten bits per row, one read in a hundred does so.
  rocksdb::BlockBasedTableOptions tables;
  tables.filter_policy.reset(rocksdb::NewBloomFilterPolicy(filter_bits_per_row));
  if (of.cache != 0) {
    tables.block_cache = rocksdb::NewLRUCache(of.cache);
    tables.cache_index_and_filter_blocks = true;
    tables.pin_l0_filter_and_index_blocks_in_cache = true;
  }
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(tables));
  // The same for the rows that are not in a table file yet.
  o.memtable_whole_key_filtering = true;
  o.memtable_prefix_bloom_size_ratio = filter_of_buffer;
  // Rows come in the order of their names (add_to): the place of a row is looked for from that of the one before in its
  // table on. RocksDB cannot do that for two writes at the same time, which are few.
  o.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(1));
  o.allow_concurrent_memtable_write = false;
  o.max_open_files = 256;
  o.max_background_jobs = 2;
  // A durable row must not wait for a whole table file that a compaction left to the kernel to write, or to release.
  o.bytes_per_sync = 1U << 20;
  o.strict_bytes_per_sync = true;
  o.sst_file_manager.reset(rocksdb::NewSstFileManager(o.env, nullptr, {}, released_per_second));
  // Compactions take the time that assignments leave.
  o.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW);
  // On a full disk, preallocated space would be missing for the flush that frees the log.
  o.allow_fallocate = false;
  return o;
}

error open_error(const std::filesystem::path& folder, const rocksdb::Status& opened) {
  const auto why = opened.ToString();
  if (opened.IsNoSpace())
    return {errc::store_full, "not enough space to open the store in " + folder.string() + ": " + why};
  // The marker's lock keeps other processes out, so this process has opened the folder twice.
  if (opened.IsIOError() && why.find("lock") != std::string::npos)
    return {errc::store_locked, "the folder " + folder.string() + " is already open in this process: " + why};
  if (opened.IsIOError() && !opened.IsPathNotFound() && why.find("No such file") == std::string::npos)
    return {errc::store_unavailable, "cannot open the store in " + folder.string() + ": " + why};
  return {errc::store_damaged, "the store in " + folder.string() + ": " + why + "; restore it from a backup"};
}

/// `create`: creates the database if the folder contains none. Errors as open_rocksdb_store.
result<std::shared_ptr<rocksdb::DB>> open_for_writing(const std::filesystem::path& folder, bool create,
                                                      const rocksdb_settings& of) {
  rocksdb::DB* raw = nullptr;
  const auto opened = rocksdb::DB::Open(options_for(create, of), folder.string(), &raw);
  std::shared_ptr<rocksdb::DB> db(raw);
  if (!opened.ok()) return fail(open_error(folder, opened));
  return db;
}

/// Does not change the folder, which may already be open for writing. Shows the current content of the files.
result<std::shared_ptr<rocksdb::DB>> open_for_reading(const std::filesystem::path& folder) {
  rocksdb::DB* raw = nullptr;
  const auto opened = rocksdb::DB::OpenForReadOnly(options_for(false), folder.string(), &raw);
  std::shared_ptr<rocksdb::DB> db(raw);
  if (!opened.ok()) return fail(open_error(folder, opened));
  return db;
}

/// For open_rocksdb_store_for_reading.
class rocksdb_reader final : public store {
 public:
  rocksdb_reader(std::filesystem::path folder, std::shared_ptr<rocksdb::DB> db)
      : folder_(std::move(folder)), db_(std::move(db)) {}
  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override {
    return read_from(*db_, folder_, names);
  }
  std::vector<status> write(std::span<const write_batch> batches) override {
    return std::vector<status>(
        batches.size(),
        fail(errc::store_unavailable, folder_.string() + " was opened for a check, which writes nothing"));
  }
  status scan(table t, byte_view prefix, const row_visitor& visit) const override {
    return scan_in(*db_, folder_, t, prefix, visit);
  }
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override {
    return slice_of(*db_, folder_, t, after, limit);
  }

 private:
  const std::filesystem::path folder_;
  const std::shared_ptr<rocksdb::DB> db_;
};

std::string whole_seconds(steady::duration d) {
  return std::to_string(std::chrono::duration_cast<seconds>(d).count());
}

class rocksdb_store final : public store {
 public:
  rocksdb_store(store_folder claim, std::filesystem::path folder, std::shared_ptr<rocksdb::DB> db,
                const rocksdb_settings& s)
      : claim_(std::move(claim)), folder_(std::move(folder)), settings_(s), db_(std::move(db)),
        acknowledged_(db_->GetLatestSequenceNumber()), healer_([this] { heal_when_needed(); }) {}
  ~rocksdb_store() override;
  rocksdb_store(const rocksdb_store&) = delete;
  rocksdb_store& operator=(const rocksdb_store&) = delete;

  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override;
  std::vector<status> write(std::span<const write_batch> batches) override;
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override;
  [[nodiscard]] std::uint64_t moment() const override { return recent_.now(); }
  [[nodiscard]] store_health health() const override;

 private:
  [[nodiscard]] std::shared_ptr<rocksdb::DB> current() const;
  status write_durably(rocksdb::DB& db, rocksdb::WriteBatch& ops);
  error note_failure(const rocksdb::Status& why);
  void heal_when_needed();
  void heal();
  status reopen();
  [[nodiscard]] status check_space() const;
  status replace(std::shared_ptr<rocksdb::DB> with);
  void give_up(const error& why);
  /// False when the store is being destroyed.
  bool wait(milliseconds time);

  store_folder claim_;  // outlives the database, to lock out other processes until it is closed
  const std::filesystem::path folder_;
  const rocksdb_settings settings_;
  row_locks in_write_;
  recent_writes recent_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<rocksdb::DB> db_;          ///< while not writable: read-only, or failed
  store_health health_;                      ///< without `why`
  error refusal_{errc::store_write_failed};  ///< error of writes while not writable
  rocksdb::SequenceNumber acknowledged_;     ///< of the last acknowledged write
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

result<std::vector<std::optional<stored_value>>> rocksdb_store::read(std::span<const row_name> names) const {
  return read_from(*current(), folder_, names);
}

status rocksdb_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  const auto db = current();
  return scan_in(*db, folder_, t, prefix, visit);
}

result<std::vector<stored_row>> rocksdb_store::slice(table t, byte_view after, std::size_t limit) const {
  return slice_of(*current(), folder_, t, after, limit);
}

std::vector<status> rocksdb_store::write(std::span<const write_batch> batches) {
  std::shared_ptr<rocksdb::DB> db;
  {
    const std::lock_guard lock(mutex_);
    if (!health_.writable) return std::vector<status>(batches.size(), fail(refusal_));
    db = db_;
  }
  const auto locked = in_write_.lock(batches);
  version_check versions([&](table t, byte_view row) { return version_in(*db, folder_, t, row); },
                         [&](const write_op& op) {
                           return op.read_at != 0 &&
                                  recent_.unchanged_since(op.read_at, hash_of(op.table, op.row));
                         },
                         each_once(locked.rows()));
  std::vector<const write_op*> admitted;
  std::vector<status> out;
  out.reserve(batches.size());
  for (const auto& batch : batches) {
    const auto ops = versions.admit(batch);
    out.push_back(ops ? status{} : fail(ops.error()));
    if (ops) admitted.insert(admitted.end(), ops->begin(), ops->end());
  }
  if (std::none_of(out.begin(), out.end(), [](const status& s) { return s.has_value(); })) return out;
  rocksdb::WriteBatch ops(size_in_log(admitted));
  auto done = add_to(ops, std::move(admitted));
  const recent_writes::write running(recent_, locked.rows());
  if (done) done = write_durably(*db, ops);
  if (!done)
    for (auto& s : out)
      if (s) s = done;
  return out;
}

status rocksdb_store::write_durably(rocksdb::DB& db, rocksdb::WriteBatch& ops) {
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const auto done = db.Write(durable, &ops);
  if (!done.ok()) return fail(note_failure(done));
  const std::lock_guard lock(mutex_);
  acknowledged_ = std::max(acknowledged_, db.GetLatestSequenceNumber());
  return {};
}

error rocksdb_store::note_failure(const rocksdb::Status& why) {
  auto what =
      why.IsNoSpace()
          ? error{errc::store_full, "no space left for " + folder_.string() + "; free some space"}
          : error{errc::store_write_failed, "cannot write to " + folder_.string() + ": " + why.ToString()};
  const std::lock_guard lock(mutex_);
  if (!health_.writable) return what;
  health_.writable = false;
  refusal_ = what;
  log::error("store", "store-write-failed", "the store accepts no writes; probing the disk until it does",
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

/// Returns when the store accepts writes, is lost, or is being destroyed.
void rocksdb_store::heal() {
  const auto since = steady::now();
  auto failing_since = since, reported = since;  // a full disk restarts the time limit: it is waited for
  auto pause = retry_first;
  do {
    const auto done = reopen();
    const auto now = steady::now();
    if (done)
      return log::info("store", "store-resumed", "the store accepts writes again",
                       {{"folder", folder_.string()}, {"seconds", whole_seconds(now - since)}});
    const auto& why = done.error();
    if (why == errc::state_stopping) return;
    if (why == errc::store_full) failing_since = now;
    if (why == errc::store_damaged || now - failing_since >= settings_.timeout) return give_up(why);
    if (why == errc::store_unavailable) pause = std::min(2 * pause, retry_longest);
    {
      const std::lock_guard lock(mutex_);
      refusal_ = why;
    }
    if (now - reported >= reminder) {
      reported = now;
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
  log::error("store", "store-lost", why.message() + "; giving up, the role cannot run without its store",
             {{"folder", folder_.string()}});
}

/// Waits until the last reader of the old database is done, which closes it; new reads use `with`.
status rocksdb_store::replace(std::shared_ptr<rocksdb::DB> with) {
  {
    const std::lock_guard lock(mutex_);
    db_.swap(with);
  }
  while (with.use_count() > 1)
    if (!wait(reader_poll)) return fail(errc::state_stopping);
  return {};
}

/// Opening needs space for the rows that are not in a table file yet.
status rocksdb_store::check_space() const {
  std::uint64_t space_needed = 0;
  current()->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &space_needed);
  space_needed += 1U << 20;
  struct statvfs disk {};
  if (::statvfs(folder_.c_str(), &disk) == 0 &&
      static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < space_needed)
    return fail(errc::store_full, "less than " + std::to_string((space_needed >> 20) + 1) + " MiB left for " +
                                      folder_.string() + "; free some space");
  return {};
}

/// Reopens the files, the only thing to trust after a disk error. Closes the old database only when the disk
/// accepts writes and the files can be read.
status rocksdb_store::reopen() {
  CPNS_CHECK(check_space());
  CPNS_CHECK(claim_.probe());
  CPNS_TRY(auto reading, open_for_reading(folder_));
  CPNS_CHECK(replace(std::move(reading)));
  CPNS_TRY(auto fresh, open_for_writing(folder_, false, settings_));
  const auto found = fresh->GetLatestSequenceNumber();
  const std::lock_guard lock(mutex_);
  if (found < acknowledged_)
    return fail(errc::store_damaged, "the disk lost writes of " + folder_.string() +
                                         " that it had acknowledged: the last one was number " +
                                         std::to_string(acknowledged_) + ", the last one found is " +
                                         std::to_string(found) +
                                         "; restore the store from a backup, on another disk");
  recent_.forget();
  db_ = std::move(fresh);
  acknowledged_ = found;
  health_.writable = true;
  ++health_.reopened;
  return {};
}

}  // namespace

result<std::unique_ptr<store>> open_rocksdb_store(const std::filesystem::path& folder,
                                                  const rocksdb_settings& of) {
  CPNS_TRY(auto claim, store_folder::claim(folder));
  CPNS_TRY(auto db, open_for_writing(folder, !claim.complete(), of));
  if (!claim.complete()) CPNS_CHECK(claim.mark_complete());
  return std::make_unique<rocksdb_store>(std::move(claim), folder, std::move(db), of);
}

result<std::unique_ptr<store>> open_rocksdb_store_for_reading(const std::filesystem::path& folder) {
  CPNS_CHECK(store_folder::inspect(folder));
  CPNS_TRY(auto db, open_for_reading(folder));
  return std::make_unique<rocksdb_reader>(folder, std::move(db));
}

}  // namespace cpns::storage
