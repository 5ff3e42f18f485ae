#pragma once
// What a machine at rest holds, in few bytes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "protocol/pn_gw/gw_resting.hpp"

namespace cpns::actors {

/// A gateway has a protocol::gw_resting for each of its idle PNEs, and most members have their usual values in nearly all
/// of them: no failure, nothing to wait for. This has the others in 48 bytes, and all of them where one is unusual. Not thread-safe.
class packed_rest {
 public:
  /// `same_id`: of the actor, see describe_device(). A time until which something is forbidden counts as usual
  /// if it is not after `now`.
  packed_rest(const protocol::gw_resting& r, std::string same_id, time_point now);

  /// Differs from the state that was packed at most in times that were over.
  [[nodiscard]] protocol::gw_resting unpacked() const;
  [[nodiscard]] std::optional<protocol::gw_link> link() const {
    return has_link_ ? std::optional{protocol::gw_link{transport_, link_}} : std::nullopt;
  }
  [[nodiscard]] std::string same_id() const { return unusual_ ? unusual_->same_id : std::string{}; }
  /// The place is known elsewhere.
  void forget_place();
  void set_update_due(time_point at) { update_due_ = at; }

 private:
  struct unusual {
    protocol::gw_resting machine;
    std::string same_id;
  };
  [[nodiscard]] time_point claims_not_before() const;
  [[nodiscard]] bool is_usual(const protocol::gw_resting& r) const;
  void drop_unusual();

  std::uint64_t link_ = 0;
  time_point updated_at_, update_due_;
  std::unique_ptr<unusual> unusual_;  ///< none: the other members are all
  std::uint32_t transport_ = 0;
  std::uint32_t rekey_seconds_;
  /// ms from updated_at_ to claims_not_before, which each proof sets some time after itself; 0: claims may come at any time.
  std::uint32_t claims_after_ = 0;
  bool has_link_ : 1, asleep_ : 1, let_in_ : 1, woke_ : 1, server_wanted_ : 1, recover_wanted_ : 1,
      claimed_ : 1, request_is_refill_ : 1;
  std::uint8_t resets_;
};

}  // namespace cpns::actors
