#include "tests/unit/machines/honest_server.hpp"

#include <algorithm>

namespace cpns::test {

using namespace protocol;
const auto& s = crypto::openssl_suite();

honest_server::honest_server(entity_id entity, secret32 tk_prime, std::uint64_t seed)
    : entity_(std::move(entity)), tk_prime_(std::move(tk_prime)), random_(seed) {
  k_iss_ = random_.draw_secret<32>();
  owner_ = random_.draw_id<owner_tag>();
}

nonce16 honest_server::issuer_nonce(const gateway_id& gw, time_point now) const {
  return crypto::derive_issuer_nonce(s, k_iss_, gw, static_cast<std::uint64_t>(unix_seconds(now) / 60));
}

honest_server::answer_t honest_server::refuse(link_status status, std::uint32_t retry_after) const {
  return refusal{status, retry_after, "in-test server"};
}

const secret32* honest_server::key(epoch e) const {
  const auto it = sets_.find(e.generation());
  if (it == sets_.end() || e.index() >= it->second.keys.size()) return nullptr;
  return &it->second.keys[e.index()];
}

void honest_server::extend(eukeys& e, std::size_t by) {
  for (std::size_t i = 0; i < by; ++i) e.keys.push_back(random_.draw_secret<32>());
}

honest_server::answer_t honest_server::handle(const gateway_id& gw, const request_id& id,
                                              const key_assignment_request& r, time_point now) {
  ++asked;
  if (const auto it = answered_.find(id); it != answered_.end()) return it->second;
  auto a = r.reason == assignment_reason::refill ? refill(gw, r, now) : grant(gw, r, now);
  answered_.emplace(id, a);
  return a;
}

honest_server::answer_t honest_server::refill(const gateway_id& gw, const key_assignment_request& r,
                                              time_point now) {
  ++refills;
  if (holder != gw) return refuse(link_status::held_by_other, 5);
  if (!r.known_epoch || !r.set || sets_.empty()) return refuse(link_status::bad_request);
  auto& newest = sets_.rbegin()->second;
  if (newest.set != *r.set || r.known_epoch->generation() != newest.generation)
    return refuse(link_status::bad_request);
  const std::size_t first = std::size_t{r.known_epoch->index()} + 1;
  if (first + set_size > newest.keys.size()) extend(newest, first + set_size - newest.keys.size());
  return make_answer(gw, newest, first, now);
}

honest_server::answer_t honest_server::grant(const gateway_id& gw, const key_assignment_request& r,
                                             time_point now) {
  if (!r.dreq || !r.drsp) return refuse(link_status::bad_request);
  const auto sent = decode_radio(*r.dreq);
  const auto received = decode_radio(*r.drsp);
  if (!sent || !received) return refuse(link_status::bad_request);
  const auto& dreq = std::get<discovery_request>(*sent);
  const auto& drsp = std::get<discovery_response>(*received);
  if (dreq.gw != gw || drsp.entity != entity_ || r.entity != entity_ || !dreq.issuer_nonce || !drsp.presence)
    return refuse(link_status::bad_request);
  bool fresh = false;
  for (int slot = -2; slot <= 1; ++slot)
    fresh = fresh || *dreq.issuer_nonce == issuer_nonce(gw, now + slot * seconds{60});
  if (!fresh) return refuse(link_status::stale_nonce);
  const auto th1 = crypto::transcript1(s, *r.dreq, encode_first_eight(drsp));
  const auto k_pres = crypto::derive_presence_key(s, tk_prime_);
  if (crypto::presence_tag(s, k_pres, th1, drsp.possession) != *drsp.presence) {
    ++presence_failed;
    return refuse(link_status::presence_failed);
  }
  if (!used_.insert(th1).second) return refuse(link_status::stale_nonce);
  if (last_report_ && drsp.highest && *drsp.highest < *last_report_) {
    ++stale;
    return refuse(link_status::stale_epoch);
  }
  if (holder && *holder != gw) return refuse(link_status::held_by_other, 5);
  holder = gw;

  const bool unreported =
      !sets_.empty() && (!last_report_ || last_report_->generation() < sets_.rbegin()->first);
  std::uint32_t generation = 0;
  std::size_t first = 0;
  if (unreported) {
    // After the gateway's last key of the set, or after the whole set.
    generation = sets_.rbegin()->first;
    auto& set = sets_[generation];
    const bool holds = r.known_epoch && r.known_epoch->generation() == generation;
    first = holds ? std::size_t{r.known_epoch->index()} + 1 : set.keys.size();
    if (first + set_size > set.keys.size()) extend(set, first + set_size - set.keys.size());
  } else {
    generation = sets_.empty() ? 0 : sets_.rbegin()->first;
    if (drsp.highest) generation = std::max(generation, drsp.highest->generation());
    if (r.known_epoch) generation = std::max(generation, r.known_epoch->generation());
    ++generation;
    auto& set = sets_[generation];
    set.generation = generation;
    set.set = random_.draw_id<set_id>();
    extend(set, set_size);
  }
  const auto& set = sets_[generation];
  auto a = make_answer(gw, set, std::max(first, set.keys.size() > 256 ? set.keys.size() - 256 : 0), now);
  const auto* held = drsp.highest ? key(*drsp.highest) : nullptr;
  if (held != nullptr && crypto::possession_tag(s, *held, th1) == drsp.possession)
    a.chain = crypto::derive_chain(s, *held, gw, generation);
  return a;
}

assigned_keys honest_server::make_answer(const gateway_id& gw, const eukeys& from, std::size_t first,
                                         time_point now) const {
  assigned_keys a;
  a.literal = literal;
  a.temporary_key =
      literal ? tk_prime_ : crypto::derive_gateway_temporary_key(s, tk_prime_, gw, from.generation);
  a.generation = from.generation;
  a.set = from.set;
  a.first_index = static_cast<std::uint16_t>(first);
  a.eukeys.assign(from.keys.begin() + static_cast<std::ptrdiff_t>(first), from.keys.end());
  a.owner = owner_;
  a.rekey_seconds = static_cast<std::uint32_t>(rekey.count());
  a.not_after = unix_seconds(now) + 86400 * 365;
  return a;
}

report_outcome honest_server::handle_report(const gateway_id& gw, epoch e) {
  if (holder != gw) return report_outcome::not_holder;
  if (!last_report_ || e > *last_report_) last_report_ = e;
  return report_outcome::ok;
}

}  // namespace cpns::test
