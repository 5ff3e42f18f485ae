#pragma once
// Tells the other servers of a shared store which gateways are connected to this one.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "server/context.hpp"
#include "server/presence_rows.hpp"

namespace cpns::server {

/// An operator asks any server of a cluster for a gateway, which is connected to another one. So each server writes pages
/// of its connected gateways (presence_rows.hpp): a page in which a connection came or went is written at the next look, a
/// page in which only the load changed at most once in `load_interval`, and at most `pages_at_once` in one look, so that
/// thousands of gateways that come at once delay no key by more than one write. Not thread-safe: for one thread.
class presence_writer {
 public:
  static constexpr milliseconds interval{500};  ///< between two looks that do something
  static constexpr milliseconds load_interval{10'000};
  static constexpr std::size_t pages_at_once = 32;
  static constexpr std::size_t gateways_per_page = 128;  ///< on average, at most
  using steady = std::chrono::steady_clock;

  /// `role` outlives the object; completions of its writes may come later. `start`: node_row::start.
  presence_writer(role_context& role, std::string node, byte_array<16> start,
                  std::function<steady::time_point()> now = steady::now);
  /// Submits the pages that changed; waits for nothing.
  void look();

 private:
  struct page;
  void write(std::size_t number, secret_bytes whole, bytes steady_part);
  void follow_page_0();
  /// Pages that page 0 tells of, or will tell of if its last write is durable. Those behind them are new.
  [[nodiscard]] std::size_t told() const;
  /// Whether page `number` may be written now: page 0 may tell of fewer pages than there are.
  bool in_turn(std::size_t number);
  /// The pages as they are now. Their number never falls.
  std::vector<presence_page> pages_now();

  role_context& role_;
  const std::string node_;
  const byte_array<16> start_;
  const std::function<steady::time_point()> now_;
  std::uint8_t bits_ = 0;
  std::size_t named_ = 0;   ///< pages that the durable page 0 names
  std::size_t naming_ = 0;  ///< pages that the last submitted page 0 names
  std::optional<steady::time_point> looked_;
  std::vector<std::shared_ptr<page>> pages_;
};

}  // namespace cpns::server
