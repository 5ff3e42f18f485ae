#include "storage/store_metrics.hpp"

#include <system_error>

namespace cpns::storage {
namespace {

/// Of the files in `folder`, in bytes. RocksDB removes files meanwhile: those count 0.
double size_of(const std::filesystem::path& folder) {
  double out = 0;
  std::error_code wrong;
  for (std::filesystem::directory_iterator at{folder, wrong}, end; !wrong && at != end; at.increment(wrong)) {
    std::error_code gone;
    const auto size = at->file_size(gone);
    if (!gone) out += static_cast<double>(size);
  }
  return out;
}

void add_disk(metrics::sheet& s, const std::filesystem::path& folder) {
  s.gauge("cpns_store_size_bytes", "Size of the store's files on the disk.", size_of(folder));
  std::error_code wrong;
  const auto disk = std::filesystem::space(folder, wrong);
  if (wrong) return;
  s.gauge("cpns_store_disk_free_bytes", "Space that the role may use on the disk of the store.",
          static_cast<double>(disk.available));
  s.gauge("cpns_store_disk_size_bytes", "Size of the disk of the store.", static_cast<double>(disk.capacity));
}

void add_commits(metrics::sheet& s, const commit_statistics& n) {
  s.counter("cpns_store_writes_total", "Durable writes, each of one or more batches, failed ones included.",
            static_cast<double>(n.writes));
  const auto batch = [&s](const char* outcome, std::uint64_t count) {
    s.counter(
        "cpns_store_batches_total",
        "Batches of rows by outcome: written, lost (another writer was faster), failed (the store), refused "
        "(the queue was full).",
        static_cast<double>(count), {{"outcome", outcome}});
  };
  batch("written", n.batches);
  batch("lost", n.lost);
  batch("failed", n.failed);
  batch("refused", n.refused);
  s.gauge("cpns_store_queued_rows", "Rows that wait for a write.", static_cast<double>(n.queued_rows));
}

void add_hints(metrics::sheet& s, const hint_statistics& n) {
  s.gauge("cpns_store_hints_listening", "1: the role hears at once that other servers changed something.",
          n.state == hint_state::on ? 1 : 0);
  s.counter("cpns_store_hints_sent_total", "Hints to other servers that this one changed something.",
            static_cast<double>(n.sent));
  s.counter("cpns_store_hints_heard_total", "Hints of other servers.", static_cast<double>(n.heard));
}

}  // namespace

commit_metrics make_commit_metrics(metrics::registry& in) {
  return {in.make_histogram("cpns_store_write_rows", "Rows of a durable write.",
                            {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}),
          in.make_histogram("cpns_store_write_seconds", "Time of a durable write, with its sync.",
                            metrics::seconds_buckets)};
}

void collect_store(metrics::registry& to, const sealed_store& store, const group_committer& commits,
                   std::filesystem::path folder) {
  to.collect([&store, &commits, folder = std::move(folder)](metrics::sheet& s) {
    const auto health = store.health();
    s.gauge("cpns_store_writable", "1: the store accepts writes.", health.writable ? 1 : 0);
    s.counter("cpns_store_reopened_total", "How often the store was opened again after a failed write.",
              static_cast<double>(health.reopened));
    add_commits(s, commits.statistics());
    if (const auto hints = store.hints()) add_hints(s, *hints);
    if (!folder.empty()) add_disk(s, folder);
  });
}

}  // namespace cpns::storage
