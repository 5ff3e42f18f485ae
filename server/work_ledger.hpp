#pragma once
// Counts pending jobs (requests and report entries) from acceptance to answer: in total, and per gateway over
// all of its connections.

#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/ids.hpp"

namespace cpns::server {

class work_ledger;

/// A number of jobs counted by the ledger; the destructor gives them back.
class work_permit {
 public:
  work_permit() = default;
  work_permit(std::shared_ptr<work_ledger> book, const gateway_id& gw, std::size_t jobs)
      : book_(std::move(book)), gw_(gw), jobs_(jobs) {}
  work_permit(work_permit&& other) noexcept
      : book_(std::move(other.book_)), gw_(other.gw_), jobs_(std::exchange(other.jobs_, 0)) {}
  work_permit& operator=(work_permit&& other) noexcept;
  work_permit(const work_permit&) = delete;
  work_permit& operator=(const work_permit&) = delete;
  ~work_permit() { give_back(); }

  /// Moves one of its jobs to a new permit; an empty permit if it has none.
  work_permit one();
  [[nodiscard]] std::size_t jobs() const { return jobs_; }

 private:
  void give_back();
  std::shared_ptr<work_ledger> book_;
  gateway_id gw_;
  std::size_t jobs_ = 0;
};

/// [thread-safe]
class work_ledger : public std::enable_shared_from_this<work_ledger> {
 public:
  enum class verdict : std::uint8_t { taken, gateway_full, server_full };
  struct bounds {
    std::size_t total = 0, per_gateway = 0;
  };

  /// Takes all of the jobs or none; if taken, `to` holds them.
  verdict take(const gateway_id& gw, std::size_t jobs, const bounds& most, work_permit& to);
  [[nodiscard]] std::size_t total() const;
  /// Jobs of one gateway.
  [[nodiscard]] std::size_t of(const gateway_id& gw) const;

 private:
  friend class work_permit;
  void give_back(const gateway_id& gw, std::size_t jobs);

  mutable std::mutex guard_;
  std::size_t total_ = 0;
  std::unordered_map<gateway_id, std::size_t> by_gateway_;
};

}  // namespace cpns::server
