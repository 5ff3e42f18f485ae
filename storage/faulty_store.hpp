#pragma once
// A store that fails on request: for tests and simulation.

#include <map>
#include <mutex>

#include "storage/forwarding_store.hpp"

namespace cpns::storage {

enum class fault_point : std::uint8_t {
  before_durable,  ///< nothing is written, an error is returned
  after_durable,   ///< the batch is written, and an error is returned
  turns_up_later,  ///< an error is returned, and repair() writes the batch
};

/// Forwards every call to `under`, which must outlive it, except the calls that are set to fail. [thread-safe]
class faulty_store final : public forwarding_store {
 public:
  explicit faulty_store(store& under) : forwarding_store(under) {}

  /// The n-th write, counted from 1, fails once.
  void fail_write(std::uint64_t n, fault_point point, errc code = errc::store_write_failed);
  /// Every write fails from now on, as on a full disk, until repair(); health() reports it.
  void fail_writes(errc code, fault_point point = fault_point::before_durable);
  /// Every batch that contains this row fails until repair().
  void fail_row(table t, bytes row, errc code = errc::store_write_failed);
  /// Every read, scan and slice fails from now on, until repair().
  void fail_reads(errc code);
  /// Ends the failures, as when a store is opened again; failures of later single writes stay planned.
  void repair();

  /// Number of writes so far, failed ones included.
  [[nodiscard]] std::uint64_t writes() const;

  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override;
  std::vector<status> write(std::span<const write_batch> batches) override;
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override;
  [[nodiscard]] store_health health() const override;

 private:
  struct fault {
    fault_point point;
    errc code;
  };
  /// The fault of the next call of write().
  std::optional<fault> next_fault();
  [[nodiscard]] std::optional<fault> fault_of(const write_batch& batch) const;
  status write_faulty(const write_batch& batch, const fault& planned);
  [[nodiscard]] std::optional<errc> read_fault() const;

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
