#pragma once
// Who claimed to be which device, and was refused: the back-off of the claimants of a gateway, and how often
// the server is asked about an entity. It outlives links and machines. Pure: time and randomness are
// arguments.

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

/// How long a claimant waits: from `shortest`, doubled with each refusal in a row, to `longest`.
struct claimant_wait {
  milliseconds shortest{2000}, longest{300'000};
  milliseconds at_least{0};  ///< what the server asked for
};

/// `claimant` is a radio and an address on it, see claimant_of().
class claimant_book {
 public:
  virtual ~claimant_book() = default;
  /// When the server may be asked again about what `claimant` says; in the past if it was never refused.
  [[nodiscard]] virtual time_point not_before(const entity_id& entity, std::string_view claimant) const = 0;
  /// Refusals in a row.
  [[nodiscard]] virtual unsigned refusals(const entity_id& entity, std::string_view claimant) const = 0;
  virtual void refused(time_point now, const entity_id& entity, std::string_view claimant,
                       const claimant_wait& wait, entropy& random) = 0;
  virtual void accepted(const entity_id& entity, std::string_view claimant) = 0;
  /// One request of the server a second and entity: takes it, or says when the next one may leave.
  virtual bool take_request(time_point now, const entity_id& entity) = 0;
  [[nodiscard]] virtual time_point next_request(time_point now, const entity_id& entity) const = 0;
};

/// Bounded: over the bound the one that may be asked about soonest is forgotten. Not thread-safe.
class claimants final : public claimant_book {
 public:
  explicit claimants(std::size_t most = 16'384) : most_(most) {}

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
    time_point forget_at;  ///< as long again as the wait was, so that a second refusal finds the first one
  };
  void forget(std::string key);
  void forget_old(time_point now);

  std::size_t most_;
  std::map<std::string, entry, std::less<>> entries_;
  std::set<std::pair<time_point, std::string>> order_;       ///< by forget_at
  std::map<std::string, time_point, std::less<>> requests_;  ///< of the last second
  std::deque<std::pair<time_point, std::string>> in_order_;  ///< the same, oldest first
};

/// An address without its port: "tcp:10.0.0.7:4711", "10.0.0.7:4711" and "tcp:[fe80::1]:4711" lose it,
/// everything else stays, such as "ble:AA:BB:CC:DD:EE:11".
std::string_view without_port(std::string_view address);
/// One claimant a radio and address, whatever port it comes from.
std::string claimant_of(std::uint64_t transport, std::string_view address);

}  // namespace cpns::protocol
