#pragma once
// A claimant is an unverified peer that claims to be a device. Records the claimants that the server refused,
// with their back-off, and the rate of requests per entity. It outlives links and machines. Pure: time and
// randomness are arguments.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/ids.hpp"

namespace cpns::protocol {

/// The wait of a refused claimant: from `shortest`, doubled with each refusal in a row, to `longest`.
struct claimant_wait {
  milliseconds shortest{2000}, longest{300'000};
  milliseconds at_least{0};  ///< retry_after of the server
};

/// `claimant`: a radio and an address on it, see claimant_of().
class claimant_book {
 public:
  virtual ~claimant_book() = default;
  /// When the server may be asked again about an answer of `claimant`; in the past if it was never refused.
  [[nodiscard]] virtual time_point not_before(const entity_id& entity, std::string_view claimant) const = 0;
  /// Refusals in a row.
  [[nodiscard]] virtual unsigned refusals(const entity_id& entity, std::string_view claimant) const = 0;
  virtual void refused(time_point now, const entity_id& entity, std::string_view claimant,
                       const claimant_wait& wait, entropy& random) = 0;
  /// Its refusals are forgotten.
  virtual void accepted(const entity_id& entity, std::string_view claimant) = 0;
  /// One request to the server per entity and request_interval: takes it, or returns false.
  virtual bool take_request(time_point now, const entity_id& entity) = 0;
  /// When take_request() succeeds next.
  [[nodiscard]] virtual time_point next_request(time_point now, const entity_id& entity) const = 0;
};

/// Bounded: over the bound, the claimant whose wait ends first is evicted. Not thread-safe.
class claimants final : public claimant_book {
 public:
  explicit claimants(std::size_t max = 16'384) : max_(max) {}

  [[nodiscard]] time_point not_before(const entity_id& entity, std::string_view claimant) const override;
  [[nodiscard]] unsigned refusals(const entity_id& entity, std::string_view claimant) const override;
  void refused(time_point now, const entity_id& entity, std::string_view claimant, const claimant_wait& wait,
               entropy& random) override;
  void accepted(const entity_id& entity, std::string_view claimant) override;
  bool take_request(time_point now, const entity_id& entity) override;
  [[nodiscard]] time_point next_request(time_point now, const entity_id& entity) const override;

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct entry {
    unsigned refusals = 0;
    time_point until;
    time_point forget_at;  ///< a second wait after `until`, so that the next refusal doubles the wait
  };
  void forget(const std::string& key);
  void forget_old(time_point now);

  std::size_t max_;
  std::map<std::string, entry, std::less<>> entries_;
  std::set<std::pair<time_point, std::string>> order_;              ///< by forget_at
  std::map<std::string, time_point, std::less<>> requests_;         ///< of the last second
  std::deque<std::pair<time_point, std::string>> requests_by_age_;  ///< the same, oldest first
};

/// The address without its port, as in "tcp:10.0.0.7:4711", "10.0.0.7:4711" and "tcp:[fe80::1]:4711". Any other
/// address is unchanged, such as "ble:AA:BB:CC:DD:EE:11".
std::string_view without_port(std::string_view address);
/// One claimant per radio and address, for all ports.
std::string claimant_of(std::uint64_t transport, std::string_view address);

}  // namespace cpns::protocol
