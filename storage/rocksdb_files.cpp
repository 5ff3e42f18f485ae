#include "storage/rocksdb_files.hpp"

#include <cstdarg>
#include <cstdio>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>

#include "base/log.hpp"

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

/// RocksDB's own way back from a full disk goes on from what it has in memory; after an error of the disk the
/// files are the truth, and rocksdb_store opens them again.
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

error open_error(const std::filesystem::path& folder, const rocksdb::Status& opened) {
  const auto why = opened.ToString();
  if (opened.IsNoSpace())
    return {errc::store_full, "no room to open the store in " + folder.string() + ": " + why};
  // Our own lock keeps other processes out, so this is a second opening within this one.
  if (opened.IsIOError() && why.find("lock") != std::string::npos)
    return {errc::store_locked, "the folder " + folder.string() + " is open already: " + why};
  if (opened.IsIOError() && !opened.IsPathNotFound() && why.find("No such file") == std::string::npos)
    return {errc::store_unavailable, "cannot open the store in " + folder.string() + ": " + why};
  return {errc::store_damaged, "the store in " + folder.string() + ": " + why + "; restore it from a backup"};
}

}  // namespace

result<std::shared_ptr<rocksdb::DB>> open_for_writing(const std::filesystem::path& folder, bool create) {
  rocksdb::DB* raw = nullptr;
  const auto opened = rocksdb::DB::Open(options_for(create), folder.string(), &raw);
  std::shared_ptr<rocksdb::DB> db(raw);
  if (!opened.ok()) return fail(open_error(folder, opened));
  return db;
}

result<std::shared_ptr<rocksdb::DB>> open_for_reading(const std::filesystem::path& folder) {
  rocksdb::DB* raw = nullptr;
  const auto opened = rocksdb::DB::OpenForReadOnly(options_for(false), folder.string(), &raw);
  std::shared_ptr<rocksdb::DB> db(raw);
  if (!opened.ok()) return fail(open_error(folder, opened));
  return db;
}

}  // namespace cpns::storage
