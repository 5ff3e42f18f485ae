#include <algorithm>

#include "crypto/key_schedule.hpp"
#include "protocol/codec.hpp"
#include "protocol/server/assignment_rules.hpp"

namespace cpns::protocol::detail {
namespace {

template <class Message>
result<Message> read_as(byte_view in, std::string_view what) {
  auto any = decode_radio(in);
  if (!any) return fail(any.error().code, std::string{what} + ": " + any.error().message());
  auto* m = std::get_if<Message>(&*any);
  if (m == nullptr) return fail(errc::wire_unknown_message, std::string{what} + " is another message");
  return std::move(*m);
}

}  // namespace

result<std::optional<evidence>> read_evidence(const crypto::suite& s, const key_assignment_request& r) {
  if (r.dreq.has_value() != r.drsp.has_value())
    return fail(errc::peer_bad_state, "the request must have both DREQ and DRSP, or neither");
  if (!r.dreq) {
    if (r.reason == assignment_reason::refill) return std::optional<evidence>{};
    return fail(errc::peer_bad_state, "only a refill may omit DREQ and DRSP");
  }
  evidence e;
  CPNS_TRY(e.dreq, read_as<discovery_request>(*r.dreq, "DREQ"));
  CPNS_TRY(e.drsp, read_as<discovery_response>(*r.drsp, "DRSP"));
  if (e.drsp.entity != r.entity)
    return fail(errc::peer_bad_state, "DRSP and request name different entities");
  if (!equal(e.drsp.gw_nonce_echo, byte_view{e.dreq.gw_nonce}.first<4>()))
    return fail(errc::peer_bad_state, "the DRSP belongs to another DREQ");
  if (std::find(e.dreq.suites.begin(), e.dreq.suites.end(), e.drsp.suite) == e.dreq.suites.end())
    return fail(errc::peer_bad_state, "the DRSP names a suite that was not offered");
  e.th1 = crypto::transcript1(s, *r.dreq, encode_first_eight(e.drsp));
  return std::optional<evidence>{std::move(e)};
}

std::optional<std::uint64_t> find_slot(const crypto::suite& s, const secret32& k_iss, const gateway_id& gw,
                                       time_point now, const nonce16& nonce) {
  const std::uint64_t current = slot_of(now);
  // The current slot first: it is by far the most likely.
  for (const int off : {0, -1, 1, -2}) {
    static_assert(issuer_slots_back == 2 && issuer_slots_ahead == 1);
    if (off < 0 && current < static_cast<std::uint64_t>(-off)) continue;
    const std::uint64_t slot = current + static_cast<std::uint64_t>(off);
    if (equal_constant_time(crypto::derive_issuer_nonce(s, k_iss, gw, slot), nonce)) return slot;
  }
  return std::nullopt;
}

const eukey_set* find_set(const entity_record& r, std::uint32_t generation) {
  for (const auto& s : r.sets)
    if (s.generation == generation) return &s;
  return nullptr;
}

const secret32* find_key(const entity_record& r, epoch e) {
  const eukey_set* s = find_set(r, e.generation());
  if (s == nullptr || e.index() < s->first_index || e.index() >= s->next_index) return nullptr;
  return &s->eukeys[e.index() - s->first_index];
}

refused refuse(link_status status, std::uint32_t retry_after, std::string reason, std::string_view event,
               std::string why) {
  return {{status, retry_after, std::move(reason)}, event, std::move(why)};
}

}  // namespace cpns::protocol::detail
