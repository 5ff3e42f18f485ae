#pragma once
// Takes the bytes of one import and stages its rows. Private to server/.

#include <memory>
#include <optional>

#include "base/clock.hpp"
#include "server/device_parser.hpp"
#include "server/import_store.hpp"

namespace cpns::server {

inline constexpr std::uint64_t import_rows_max = 2'000'000;  ///< of one import
inline constexpr std::uint64_t import_bytes_max = 4ULL << 30;

/// A client may break off and go on at any byte, and the process may end at any moment. So each write puts rows, results
/// and the place in the list into the store at once, and a fresh object goes on from there. Holds one block of rows at
/// most. After an error of the store throw the object away: what is durable is known from the store alone. Not
/// thread-safe.
class import_intake {
 public:
  /// Goes on where the store says that the import `r` stands. `in` outlives the object.
  static result<std::unique_ptr<import_intake>> resume(const import_store& in, protocol::import_record r,
                                                       clock_fn now);

  /// Takes the bytes that follow those taken before. Errors of device_parser: fault() is set, and the list cannot be
  /// used; errors of the store.
  status take(byte_view part);
  /// The end of the list. Errors as take().
  status end();
  /// All bytes so far are durable on return.
  status flush();

  /// What is durable.
  [[nodiscard]] const protocol::import_record& record() const { return record_; }
  /// Bytes so far.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// Set after an error of the list: its line, 0 for none.
  [[nodiscard]] const std::optional<std::size_t>& fault() const { return fault_; }

 private:
  class sink final : public row_sink {
   public:
    explicit sink(import_intake& to) : to_(to) {}
    void good(device_row row) override;
    void bad(row_diagnostic row) override;

   private:
    import_intake& to_;
  };

  import_intake(const import_store& in, protocol::import_record r, clock_fn now);
  status load_open_blocks();
  status judged(const status& done);

  const import_store& store_;
  protocol::import_record record_;
  const clock_fn now_;
  device_parser parser_;
  sink sink_{*this};
  std::optional<std::size_t> fault_;
  std::uint64_t bytes_;
  bool changed_ = false;
  // Rows of the block that is not full, which is written again until it is.
  protocol::staged_block rows_;
  protocol::import_results results_;
  std::uint64_t full_blocks_ = 0, full_results_ = 0;
  std::uint64_t good_, bad_, stretched_;
};

}  // namespace cpns::server
