#include "actors/application_keys/offered_keys.hpp"

#include <algorithm>

namespace cpns::actors {
namespace {

constexpr std::string_view no_key = "the device has no key yet";

std::string why_not_served(const protocol::device_record& r) {
  using enum protocol::device_standing;
  switch (r.standing) {
  case normal: return {};
  case held_elsewhere: return "another gateway has the keys of this device";
  case quarantined: return "the device is quarantined, until a person approves it";
  case rejected: return "the device was rejected";
  case revoked: return "the device was revoked";
  }
  return {};
}

}  // namespace

bool is_unreadable(const error& e) {
  return e == errc::store_sealed || e == errc::store_damaged || e == errc::store_key ||
         fault_of(e.code) == fault::wire;
}

offered_device offer_of(const protocol::device_record& r, std::size_t next_max) {
  offered_device out{r.entity, {}, why_not_served(r)};
  if (!out.why_none.empty()) return out;
  const auto* own = r.own();
  const auto is_next = [own](const protocol::held_key& k) {
    return k.use == protocol::key_use::handed_out && (own == nullptr || own->which < k.which);
  };
  auto next = static_cast<std::size_t>(std::count_if(r.keys.begin(), r.keys.end(), is_next));
  for (const auto& k : r.keys) {
    if (&k != own && (!is_next(k) || next-- > std::max<std::size_t>(next_max, 1))) continue;
    const bool is_own = &k == own;
    out.keys.push_back({k.which, k.eukey, is_own ? "current" : "next", is_own, is_own ? r.keyed_since : 0});
  }
  if (out.keys.empty()) out.why_none = no_key;
  return out;
}

offered_device offer_of(const entity_id& entity, const protocol::pne_record& r) {
  offered_device out{entity, {}, {}};
  if (r.current) out.keys.push_back({r.current->which, r.current->eukey, "current", !r.pending, 0});
  if (r.pending) out.keys.push_back({r.pending->which, r.pending->eukey, "pending", true, 0});
  if (out.keys.empty()) out.why_none = no_key;
  return out;
}

}  // namespace cpns::actors
