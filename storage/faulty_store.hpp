#pragma once
// A store that fails by script: for tests and simulation.

#include <map>
#include <mutex>

#include "storage/store.hpp"

namespace cpns::storage {

enum class fault_point : std::uint8_t {
  before_durable,  ///< nothing is written
  after_durable,   ///< all is written, and the caller is told that it failed
  turns_up_later,  ///< nothing is written and the caller is told so, until repair() writes all of it
};

/// [thread-safe] Passes everything on to `under`, which must outlive it, except for what the script says.
class faulty_store final : public store {
 public:
  explicit faulty_store(store& under) : under_(under) {}

  /// The n-th write from the beginning (the first is 1) fails, once.
  void fail_write(std::uint64_t n, fault_point point, errc code = errc::store_write_failed);
  /// Every write fails from now on, as on a full disk, until repair(); health() says so.
  void fail_writes(errc code, fault_point point = fault_point::before_durable);
  /// Every write fails that holds this row.
  void fail_row(table t, bytes row, errc code = errc::store_write_failed);
  /// Every get and scan fails from now on, until repair().
  void fail_reads(errc code);
  /// Ends whatever fails, as when a store is opened again; scripts for later writes stay.
  void repair();

  /// Writes tried so far.
  [[nodiscard]] std::uint64_t writes() const;

  result<std::optional<bytes>> get(table t, byte_view row) const override;
  status write(const write_batch& batch) override;
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  [[nodiscard]] store_health health() const override;

 private:
  struct fault {
    fault_point point;
    errc code;
  };
  std::optional<fault> next_fault(const write_batch& batch);
  [[nodiscard]] std::optional<errc> read_fault() const;

  store& under_;
  mutable std::mutex mutex_;
  std::uint64_t writes_ = 0;
  std::map<std::uint64_t, fault> script_;
  std::map<std::pair<table, bytes>, errc> rows_;
  std::optional<fault> always_;
  std::optional<errc> reads_;
  std::vector<write_batch> later_;
  std::uint64_t reopened_ = 0;
};

}  // namespace cpns::storage
