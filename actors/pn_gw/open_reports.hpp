#pragma once
// Which reports the server has not answered, and the row that says so after a restart.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::actors {

/// A record keeps `to_report` until it is written again, also when the server has answered the report: another write for
/// each update would only say that. So after a restart nearly all PNEs seemed to owe a report, and each got an actor. One small
/// row for the whole store tells the real ones: a report is open if its PNE was keyed at `before` or later, or at one of
/// `exceptions`. Dates are Unix ms of the confirmation, device_record::keyed_since.
struct settled_reports {
  static constexpr std::size_t exceptions_max = 64;

  std::int64_t before = 0;
  std::vector<std::int64_t> exceptions;  ///< ascending; at most exceptions_max

  [[nodiscard]] bool is_open(std::int64_t keyed_since) const;
};

/// Deterministic CBOR with a schema number. Not secret.
secret_bytes encode(const settled_reports& s);
result<settled_reports> decode_settled_reports(byte_view in);

/// The open reports, and when the row has to be written: often enough that few answered reports are repeated after a restart,
/// and together with a record whose report it would else call settled, because the clock was set back. Until begin() nothing
/// is known of the store, so the row is not moved forward. Not thread-safe.
class open_reports {
 public:
  static constexpr std::size_t answers_per_row = 256;
  using dates = std::vector<std::int64_t>;

  /// What goes with the write of a record, or is written alone.
  struct change {
    std::optional<settled_reports> row;  ///< with a record: to be written in the same batch
    std::uint64_t number = 0;            ///< of `row`
    dates replaced;                      ///< reports of the record that this one replaces
    [[nodiscard]] bool empty() const { return !row && replaced.empty(); }
  };

  /// The store was read: `stored` is its row, and found() was called for each open report.
  void begin(const settled_reports& stored);
  void found(const std::string& entity, std::int64_t keyed_since);

  /// A record is about to be written; nullopt: without a report, or erased.
  [[nodiscard]] change write(const std::string& entity, std::optional<std::int64_t> keyed_since);
  /// Its write is durable. After a failure nothing is called: either record may be in the store.
  void written(const std::string& entity, const change& done);
  /// The server has answered the report of the stored record, of which no write is pending. If a row is to be written, its end
  /// goes to written().
  [[nodiscard]] change answered(const std::string& entity);
  /// Whether the stored record's report is open. True for every PNE until begin().
  [[nodiscard]] bool is_open(const std::string& entity) const { return !known_ || of_.contains(entity); }
  [[nodiscard]] std::size_t size() const { return of_.size(); }

 private:
  void open(dates& of, std::int64_t date);
  void close(dates& of, std::int64_t date);
  [[nodiscard]] settled_reports now() const;
  [[nodiscard]] bool row_is_due() const;
  void add_row(change& to);

  std::unordered_map<std::string, dates>
      of_;  ///< never empty; more than one: until it is known which record is stored
  std::multiset<std::int64_t> all_;
  std::int64_t newest_ = 0;  ///< of all that were open, and of the row
  std::int64_t durable_at_most_ =
      INT64_MAX;                  ///< no row that may be in the store calls a later report settled
  std::int64_t last_before_ = 0;  ///< of the last row
  std::size_t answers_ = 0;       ///< since the last row
  std::uint64_t rows_ = 0;
  bool known_ = false;
};

}  // namespace cpns::actors
