#include "tests/unit/protocol/codec_samples.hpp"

namespace cpns::protocol::samples {
namespace {

template <std::size_t N>
byte_array<N> fill(std::uint8_t from) {
  byte_array<N> out;
  for (auto& b : out) b = from++;
  return out;
}

entity_id entity() { return *entity_id::parse("urn:dev:mac:0024befffe804ff1"); }
user_id user() { return *user_id::parse("ada@example.org"); }
const request_id an_id{fill<16>(0x40)};

bytes bytes_of(const link_answer& a) { return to_bytes(encode(a).expose()); }

std::size_t element_end(const bytes& in, std::size_t at, std::vector<head>& out) {
  const std::uint8_t info = in[at] & 0x1f;
  head h{at, 1, static_cast<std::uint8_t>(in[at] >> 5), info};
  if (info >= 24) {
    h.size = 1 + (std::size_t{1} << (info - 24));
    h.argument = 0;
    for (std::size_t i = 1; i < h.size; ++i) h.argument = h.argument << 8 | in[at + i];
  }
  out.push_back(h);
  at += h.size;
  if (h.major == 2 || h.major == 3) return at + static_cast<std::size_t>(h.argument);
  if (h.major == 4)
    for (std::uint64_t i = 0; i < h.argument; ++i) at = element_end(in, at, out);
  return at;
}

}  // namespace

std::vector<sample> radio() {
  discovery_request dreq;
  dreq.gw.value = fill<16>(1);
  dreq.gw_nonce = fill<16>(2);
  dreq.issuer_nonce = fill<16>(3);
  dreq.suites = {1, 2, 200};
  discovery_response unkeyed;
  unkeyed.gw_nonce_echo = fill<4>(2);
  unkeyed.entity = entity();
  unkeyed.pne_nonce = fill<16>(4);
  unkeyed.suite = suite_symmetric;
  auto keyed = unkeyed;
  keyed.suite = suite_x25519;
  keyed.pne_share = fill<32>(5);
  keyed.highest = epoch{3, 7};
  keyed.resets = 300;
  keyed.possession = tag16{fill<16>(6)};
  keyed.presence = tag16{fill<16>(7)};
  return {{"DREQ", encode(dreq)},
          {"DRSP of an unkeyed PNE", encode(unkeyed)},
          {"DRSP of a keyed PNE", encode(keyed)},
          {"KDEL", encode(key_delivery{epoch{3, 8}, true, fill<32>(8), bytes(71, 0x55)})},
          {"KCNF", encode(key_confirmation{epoch{3, 8}, tag16{fill<16>(9)}})},
          {"KRET", encode(key_retire{epoch{3, 8}, tag16{fill<16>(10)}})},
          {"NOTE", encode(pne_notice{pne_notice::kind_t::going_to_sleep})},
          {"FAIL", encode(failure{failure::reason_t::window_closed})}};
}

std::vector<sample> requests() {
  key_assignment_request first;
  first.user = user();
  first.entity = entity();
  first.proof = fill<32>(11);
  first.dreq = radio()[0].encoded;
  first.drsp = radio()[2].encoded;
  auto refill = first;
  refill.reason = assignment_reason::refill;
  refill.known_epoch = epoch{3, 31};
  refill.set = set_id{fill<8>(12)};
  refill.dreq = refill.drsp = std::nullopt;
  return {{"UserChallenge", encode(link_request{an_id, 1, user_challenge{user()}})},
          {"IssuerNonce", encode(link_request{an_id, 70000, issuer_nonce_request{}})},
          {"KeyAssignmentRequest", encode(link_request{an_id, 1, first})},
          {"KeyAssignmentRequest, refill", encode(link_request{an_id, 1, refill})},
          {"EpochReport",
           encode(link_request{an_id, 1, epoch_report{{{entity(), epoch{3, 8}}, {entity(), epoch{1, 0}}}}})}};
}

std::vector<sample> answers() {
  const auto nonce = fill<16>(13);
  assigned_keys keys;
  keys.temporary_key = secret32{fill<32>(14)};
  keys.chain = secret32{fill<32>(15)};
  keys.generation = 3;
  keys.set.value = fill<8>(16);
  keys.first_index = 300;
  keys.eukeys = {secret32{fill<32>(17)}, secret32{fill<32>(18)}};
  keys.owner.value = fill<16>(19);
  keys.rekey_seconds = 86400;
  keys.not_after = 1'800'000'000;
  return {{"UserChallenge answer", bytes_of({an_id, 1, nonce, user_challenge_answer{fill<16>(20), 310'000}})},
          {"IssuerNonce answer", bytes_of({an_id, 1, nonce, issuer_nonce_answer{}})},
          {"KeyAssignmentResponse", bytes_of({an_id, 1, nonce, keys})},
          {"EpochReport answer",
           bytes_of({an_id, 1, nonce, epoch_report_answer{{{entity(), report_outcome::resync}}}})},
          {"Refusal",
           bytes_of({an_id, 1, nonce, refusal{link_status::held_by_other, 60, "renewed by the kitchen"}})}};
}

std::vector<sample> node_requests() {
  return {{"Drain", encode(node_request{an_id, 7, drain_order{300}})},
          {"Nodes",
           encode(node_request{an_id, 7, node_list{{"node1.example.org:7443", "[2001:db8::7]:65535"}}})}};
}

std::vector<sample> node_acknowledgements() {
  return {{"Drain acknowledgement", encode(node_acknowledgement{an_id, 300, node_type::drain_acknowledged})},
          {"Nodes acknowledgement", encode(node_acknowledgement{an_id, 7, node_type::nodes_acknowledged})}};
}

std::vector<head> heads_of(const bytes& encoded) {
  std::vector<head> out;
  element_end(encoded, 0, out);
  return out;
}

std::optional<bytes> widened(const bytes& encoded, const head& h, int extra) {
  static constexpr std::size_t sizes[] = {1, 2, 3, 5, 9};
  std::size_t now = 0;
  while (sizes[now] != h.size) ++now;
  const auto then = now + static_cast<std::size_t>(extra);
  if (then > 4 || h.major == 7) return std::nullopt;
  bytes with{static_cast<std::uint8_t>(h.major << 5 | (23 + then))};
  for (std::size_t i = sizes[then] - 1; i > 0; --i)
    with.push_back(static_cast<std::uint8_t>(h.argument >> (8 * (i - 1))));
  bytes out(encoded.begin(), encoded.begin() + static_cast<std::ptrdiff_t>(h.offset));
  out.insert(out.end(), with.begin(), with.end());
  out.insert(out.end(), encoded.begin() + static_cast<std::ptrdiff_t>(h.offset + h.size), encoded.end());
  return out;
}

bytes replaced(const bytes& encoded, const head& h, byte_view with) {
  std::vector<head> inside;
  const auto end = element_end(encoded, h.offset, inside);
  bytes out(encoded.begin(), encoded.begin() + static_cast<std::ptrdiff_t>(h.offset));
  out.insert(out.end(), with.begin(), with.end());
  out.insert(out.end(), encoded.begin() + static_cast<std::ptrdiff_t>(end), encoded.end());
  return out;
}

}  // namespace cpns::protocol::samples
