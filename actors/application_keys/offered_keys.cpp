#include "actors/application_keys/offered_keys.hpp"

#include <algorithm>

namespace cpns::actors {
namespace {

std::optional<gone_reason> why_not_served(const protocol::device_record& r) {
  using enum protocol::device_standing;
  switch (r.standing) {
  case normal: return std::nullopt;
  case held_elsewhere: return gone_reason::moved;
  case quarantined: return gone_reason::quarantined;
  case rejected: return gone_reason::rejected;
  case revoked: return gone_reason::revoked;
  }
  return std::nullopt;
}

}  // namespace

bool is_unreadable(const error& e) {
  return e == errc::store_sealed || e == errc::store_damaged || e == errc::store_key ||
         fault_of(e.code) == fault::wire;
}

offered_device offer_of(const protocol::device_record& r, std::size_t next_max) {
  using protocol::key_use;
  offered_device out{r.entity, {}, {}, r.sessions_from};
  if (const auto why = why_not_served(r)) {
    out.why_none = *why;
    return out;
  }
  const auto* own = r.own();
  const bool withdrawn = r.own_is_withdrawn();
  const auto is_next = [&r, own](const protocol::held_key& k) {
    return (k.use == key_use::handed_out || k.use == key_use::unproven) &&
           (own == nullptr || own->which < k.which) && (!r.sessions_from || *r.sessions_from <= k.which);
  };
  auto next = static_cast<std::size_t>(std::count_if(r.keys.begin(), r.keys.end(), is_next));
  for (const auto& k : r.keys) {
    if (&k == own ? withdrawn : !is_next(k) || next-- > std::max<std::size_t>(next_max, 1)) continue;
    const bool is_own = &k == own;
    out.keys.push_back({k.which, k.eukey, is_own ? "current" : "next", is_own, is_own ? r.keyed_since : 0});
  }
  if (out.keys.empty() && withdrawn) out.why_none = gone_reason::reset;
  return out;
}

offered_device offer_of(const entity_id& entity, const protocol::pne_record& r) {
  offered_device out{entity, {}};
  if (r.current) out.keys.push_back({r.current->which, r.current->eukey, "current", !r.pending, 0});
  if (r.pending) out.keys.push_back({r.pending->which, r.pending->eukey, "pending", true, 0});
  if (out.keys.empty() && r.resets > 0) out.why_none = gone_reason::reset;
  return out;
}

}  // namespace cpns::actors
