#include "actors/pn_gw/packed_rest.hpp"

#include <chrono>
#include <limits>
#include <utility>

namespace cpns::actors {

using protocol::gw_resting;

static_assert(sizeof(void*) != 8 || (sizeof(packed_rest) == 48 && sizeof(gw_resting) == 96),
              "a new member: see packed_rest");

packed_rest::packed_rest(const gw_resting& r, std::string same_id, time_point now)
    : updated_at_(r.updated_at), update_due_(r.update_due), rekey_seconds_(r.rekey_seconds),
      has_link_(r.link.has_value()), asleep_(r.asleep), let_in_(r.let_in), woke_(r.woke),
      server_wanted_(r.server_wanted), recover_wanted_(r.recover_wanted), claimed_(r.claimed),
      request_is_refill_(r.request_is_refill), resets_(static_cast<std::uint8_t>(r.resets)) {
  if (r.link) {
    link_ = r.link->link;
    transport_ = static_cast<std::uint32_t>(r.link->transport);  // the index of a radio
  }
  unusual_ = std::make_unique<unusual>(unusual{r, std::move(same_id)});
  auto& m = unusual_->machine;
  // The clock of the timers never steps back, so a time that is over forbids nothing any more.
  for (auto* not_before : {&m.claims_not_before, &m.notice_not_before, &m.same_id_not_before})
    if (*not_before <= now) *not_before = time_zero;
  const auto after = std::chrono::duration_cast<milliseconds>(m.claims_not_before - updated_at_).count();
  if (after > 0 && after <= std::numeric_limits<std::uint32_t>::max())
    claims_after_ = static_cast<std::uint32_t>(after);
  drop_unusual();
}

gw_resting packed_rest::unpacked() const {
  auto out = unusual_ ? unusual_->machine : gw_resting{};
  out.link = link();
  out.updated_at = updated_at_;
  out.update_due = update_due_;
  if (!unusual_) {
    out.claims_not_before = claims_not_before();
    out.resets = resets_;
  }
  out.rekey_seconds = rekey_seconds_;
  out.asleep = asleep_;
  out.let_in = let_in_;
  out.woke = woke_;
  out.server_wanted = server_wanted_;
  out.recover_wanted = recover_wanted_;
  out.claimed = claimed_;
  out.request_is_refill = request_is_refill_;
  return out;
}

void packed_rest::forget_place() {
  if (!unusual_) return;
  unusual_->machine.place.reset();
  drop_unusual();
}

time_point packed_rest::claims_not_before() const {
  return claims_after_ == 0 ? time_zero : updated_at_ + milliseconds{claims_after_};
}

bool packed_rest::is_usual(const gw_resting& r) const {
  return r.claims_not_before == claims_not_before() && r.notice_not_before == time_zero &&
         r.same_id_not_before == time_zero && r.resets <= std::numeric_limits<std::uint8_t>::max() &&
         r.attempts == 0 && r.bad_possessions == 0 && !r.place;
}

void packed_rest::drop_unusual() {
  if (is_usual(unusual_->machine) && unusual_->same_id.empty()) unusual_.reset();
}

}  // namespace cpns::actors
