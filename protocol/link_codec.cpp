#include <array>
#include <string>

#include "protocol/codec.hpp"
#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

enum link_type : std::uint8_t {
  type_user_challenge = 1,
  type_user_challenge_answer,
  type_issuer_nonce,
  type_issuer_nonce_answer,
  type_key_assignment,
  type_key_assignment_answer,
  type_epoch_report,
  type_epoch_report_answer,
  type_refusal
};

constexpr std::size_t reason_max = 200;
constexpr std::size_t indexes_in_generation = 65536;

using cbor::reader;
using cbor::writer;

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

void write_radio_bytes(writer& w, const std::optional<bytes>& v) {
  if (v)
    w.bstr(*v);
  else
    w.null();
}

/// Everything of a KeyAssignmentRequest after `proof`.
void write_after_proof(writer& w, const key_assignment_request& m) {
  w.uint(static_cast<std::uint64_t>(m.reason));
  write_or_null(w, m.known_epoch);
  write_or_null(w, m.set);
  write_radio_bytes(w, m.dreq);
  write_radio_bytes(w, m.drsp);
}

/// At most reason_max bytes, cut between characters: the peer drops a refusal with a longer reason.
std::string_view shortened(std::string_view reason) {
  if (reason.size() <= reason_max) return reason;
  std::size_t n = reason_max;
  while (n > 0 && (static_cast<std::uint8_t>(reason[n]) & 0xc0) == 0x80) --n;
  return reason.substr(0, n);
}

result<std::optional<bytes>> read_radio_bytes(reader& r, std::string_view at) {
  CPNS_TRY(const bool none, r.null_next(at));
  if (none) return std::optional<bytes>{};
  CPNS_TRY(const auto b, r.bstr(at, 1, radio_message_max));
  return std::optional<bytes>{to_bytes(b)};
}

result<key_assignment_request> read_key_assignment(reader& r) {
  key_assignment_request m;
  CPNS_TRY(m.user, read_user(r, "KeyAssignmentRequest.user_id"));
  CPNS_TRY(m.entity, read_entity(r, "KeyAssignmentRequest.entity_id"));
  CPNS_TRY(m.proof, r.bstr_of<32>("KeyAssignmentRequest.proof"));
  CPNS_TRY(const auto reason, r.uint("KeyAssignmentRequest.reason", 3));
  m.reason = static_cast<assignment_reason>(reason);
  CPNS_TRY(m.known_epoch, read_epoch_or_null(r, "KeyAssignmentRequest.known_epoch"));
  CPNS_TRY(m.set, read_id_or_null<set_id>(r, "KeyAssignmentRequest.set_id"));
  CPNS_TRY(m.dreq, read_radio_bytes(r, "KeyAssignmentRequest.DREQ"));
  CPNS_TRY(m.drsp, read_radio_bytes(r, "KeyAssignmentRequest.DRSP"));
  if (m.dreq.has_value() != m.drsp.has_value())
    return fail(errc::wire_type, "KeyAssignmentRequest: must have both DREQ and DRSP, or neither");
  if (!m.drsp && m.reason != assignment_reason::refill)
    return fail(errc::wire_type, "KeyAssignmentRequest: only a refill may omit DREQ and DRSP");
  return m;
}

result<assigned_keys> read_assigned_keys(reader& r) {
  assigned_keys m;
  CPNS_TRY(const auto code, r.uint("KeyAssignmentResponse.status", 0));
  static_cast<void>(code);
  CPNS_TRY(m.literal, r.boolean("KeyAssignmentResponse.literal"));
  CPNS_TRY(m.temporary_key, read_secret(r, "KeyAssignmentResponse.temporary_key"));
  CPNS_TRY(m.chain, read_secret_or_null(r, "KeyAssignmentResponse.chain"));
  CPNS_TRY(m.generation, read_u32(r, "KeyAssignmentResponse.generation"));
  CPNS_TRY(m.set.value, r.bstr_of<8>("KeyAssignmentResponse.set_id"));
  CPNS_TRY(const auto index, r.uint("KeyAssignmentResponse.first_index", indexes_in_generation - 1));
  m.first_index = static_cast<std::uint16_t>(index);
  CPNS_TRY(const auto n, r.array("KeyAssignmentResponse.eukeys", 1, keys_in_response_max));
  if (index + n > indexes_in_generation)
    return fail(errc::wire_range, "KeyAssignmentResponse.eukeys: " + std::to_string(n) + " keys from index " +
                                      std::to_string(index) + " exceed the generation");
  m.eukeys.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(auto key, read_secret(r, "KeyAssignmentResponse.eukeys"));
    m.eukeys.push_back(std::move(key));
  }
  CPNS_TRY(m.owner.value, r.bstr_of<16>("KeyAssignmentResponse.owner_tag"));
  CPNS_TRY(m.rekey_seconds, read_u32(r, "KeyAssignmentResponse.rekey_seconds"));
  CPNS_TRY(m.not_after, read_time(r, "KeyAssignmentResponse.not_after"));
  return m;
}

result<epoch_report> read_epoch_report(reader& r) {
  epoch_report m;
  CPNS_TRY(const auto n, r.array("EpochReport.entries", 1, reports_in_message_max));
  m.entries.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_CHECK(r.array_of("EpochReport.entry", 2));
    CPNS_TRY(auto entity, read_entity(r, "EpochReport.entity_id"));
    CPNS_TRY(const auto which, read_epoch(r, "EpochReport.epoch"));
    m.entries.emplace_back(std::move(entity), which);
  }
  return m;
}

result<epoch_report_answer> read_epoch_report_answer(reader& r) {
  epoch_report_answer m;
  CPNS_TRY(const auto n, r.array("EpochReport answer.entries", 1, reports_in_message_max));
  m.entries.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_CHECK(r.array_of("EpochReport answer.entry", 2));
    CPNS_TRY(auto entity, read_entity(r, "EpochReport answer.entity_id"));
    CPNS_TRY(const auto outcome, r.uint("EpochReport answer.outcome", 2));
    m.entries.emplace_back(std::move(entity), static_cast<report_outcome>(outcome));
  }
  return m;
}

result<user_challenge_answer> read_user_challenge_answer(reader& r) {
  user_challenge_answer m;
  CPNS_TRY(m.salt, r.bstr_of<16>("UserChallenge answer.salt"));
  CPNS_TRY(m.iterations, read_u32(r, "UserChallenge answer.iterations"));
  return m;
}

result<refusal> read_refusal(reader& r) {
  refusal m;
  CPNS_TRY(const auto code, r.uint("Refusal.status", static_cast<std::uint64_t>(link_status::internal)));
  if (code == 0) return fail(errc::wire_range, "Refusal.status: must be at least 1, a refusal is not ok");
  m.status = static_cast<link_status>(code);
  CPNS_TRY(m.retry_after, read_u32(r, "Refusal.retry_after"));
  CPNS_TRY(const auto reason, r.tstr("Refusal.reason", 0, reason_max));
  m.reason = std::string{reason};
  return m;
}

struct link_shape {
  std::string_view name;
  std::size_t elements;
  bool is_request;
};

/// Elements of each message, common ones included; index: type - 1.
constexpr std::array<link_shape, 9> link_shapes{{{"UserChallenge", 4, true},
                                                 {"UserChallenge answer", 6, false},
                                                 {"IssuerNonce", 3, true},
                                                 {"IssuerNonce answer", 4, false},
                                                 {"KeyAssignmentRequest", 11, true},
                                                 {"KeyAssignmentResponse", 15, false},
                                                 {"EpochReport", 4, true},
                                                 {"EpochReport answer", 5, false},
                                                 {"Refusal", 7, false}}};

struct opening {
  std::uint64_t type;
  std::string_view name;
  request_id id;
  std::uint64_t incarnation;
};

/// Reads the elements that all messages of one direction begin with.
result<opening> read_opening(reader& r, byte_view in, bool requests) {
  if (in.size() > link_message_max)
    return fail(errc::wire_oversized, std::to_string(in.size()) + " bytes on the server link, at most " +
                                          std::to_string(link_message_max));
  CPNS_TRY(const auto n, r.array("server link message", 3, 15));
  CPNS_TRY(const auto type, r.uint("server link message type"));
  if (type < 1 || type > link_shapes.size())
    return fail(errc::wire_unknown_message,
                "server link message type " + std::to_string(type) + ", expected 1 to 9");
  const auto& wanted = link_shapes[static_cast<std::size_t>(type) - 1];
  if (wanted.is_request != requests)
    return fail(errc::wire_unknown_message,
                std::string{wanted.name} + " is not " + (requests ? "a request" : "an answer"));
  if (n != wanted.elements)
    return fail(errc::wire_length, std::string{wanted.name} + " has " + std::to_string(n) +
                                       " elements, expected " + std::to_string(wanted.elements));
  opening o{type, wanted.name, {}, 0};
  CPNS_TRY(o.id.value, r.bstr_of<16>("request_id"));
  CPNS_TRY(o.incarnation, r.uint("incarnation"));
  return o;
}

writer begin(link_type type, std::size_t expected, const request_id& id, std::uint64_t incarnation) {
  writer w{expected};
  w.array(link_shapes[type - 1].elements).uint(type).bstr(id.value).uint(incarnation);
  return w;
}

}  // namespace

bytes encode(const link_request& r) {
  return std::visit(overloaded{[&](const user_challenge& m) {
                                 auto w = begin(type_user_challenge, 128, r.id, r.incarnation);
                                 return w.tstr(m.user.text()).take();
                               },
                               [&](const issuer_nonce_request&) {
                                 return begin(type_issuer_nonce, 32, r.id, r.incarnation).take();
                               },
                               [&](const key_assignment_request& m) {
                                 auto w = begin(type_key_assignment, 512, r.id, r.incarnation);
                                 w.tstr(m.user.text()).tstr(m.entity.text()).bstr(m.proof);
                                 write_after_proof(w, m);
                                 return w.take();
                               },
                               [&](const epoch_report& m) {
                                 auto w = begin(type_epoch_report, 32 + 80 * m.entries.size(), r.id,
                                                r.incarnation);
                                 w.array(m.entries.size());
                                 for (const auto& e : m.entries)
                                   w.array(2).tstr(e.first.text()).uint(e.second.value());
                                 return w.take();
                               }},
                    r.body);
}

bytes encode_for_proof(const key_assignment_request& r) {
  writer w{512};
  w.array(9).uint(type_key_assignment).tstr(r.user.text()).tstr(r.entity.text()).null();
  write_after_proof(w, r);
  return w.take();
}

result<link_request> decode_link_request(byte_view in) {
  reader r{in};
  CPNS_TRY(const auto o, read_opening(r, in, true));
  link_request out{o.id, o.incarnation, issuer_nonce_request{}};
  switch (o.type) {
  case type_user_challenge: {
    CPNS_TRY(auto user, read_user(r, "UserChallenge.user_id"));
    out.body = user_challenge{std::move(user)};
    break;
  }
  case type_key_assignment: {
    CPNS_TRY(out.body, read_key_assignment(r));
    break;
  }
  case type_epoch_report: {
    CPNS_TRY(out.body, read_epoch_report(r));
    break;
  }
  default: break;
  }
  CPNS_CHECK(r.end(o.name));
  return out;
}

secret_bytes encode(const link_answer& a) {
  const auto open = [&](link_type type, std::size_t expected) {
    auto w = begin(type, 64 + expected, a.id, a.incarnation);
    w.bstr(a.issuer_nonce);
    return w;
  };
  return secret_bytes{std::visit(
      overloaded{[&](const user_challenge_answer& m) {
                   return open(type_user_challenge_answer, 32).bstr(m.salt).uint(m.iterations).take();
                 },
                 [&](const issuer_nonce_answer&) { return open(type_issuer_nonce_answer, 0).take(); },
                 [&](const assigned_keys& m) {
                   auto w = open(type_key_assignment_answer, 160 + 34 * m.eukeys.size());
                   w.uint(0).boolean(m.literal).bstr(m.temporary_key.expose());
                   write_or_null(w, m.chain);
                   w.uint(m.generation).bstr(m.set.value).uint(m.first_index).array(m.eukeys.size());
                   for (const auto& k : m.eukeys) w.bstr(k.expose());
                   w.bstr(m.owner.value).uint(m.rekey_seconds).uint(static_cast<std::uint64_t>(m.not_after));
                   return w.take();
                 },
                 [&](const epoch_report_answer& m) {
                   auto w = open(type_epoch_report_answer, 80 * m.entries.size());
                   w.array(m.entries.size());
                   for (const auto& e : m.entries)
                     w.array(2).tstr(e.first.text()).uint(static_cast<std::uint64_t>(e.second));
                   return w.take();
                 },
                 [&](const refusal& m) {
                   return open(type_refusal, 16 + m.reason.size())
                       .uint(static_cast<std::uint64_t>(m.status))
                       .uint(m.retry_after)
                       .tstr(shortened(m.reason))
                       .take();
                 }},
      a.body)};
}

result<link_answer> decode_link_answer(byte_view in) {
  reader r{in};
  CPNS_TRY(const auto o, read_opening(r, in, false));
  link_answer out{o.id, o.incarnation, {}, issuer_nonce_answer{}};
  CPNS_TRY(out.issuer_nonce, r.bstr_of<16>("issuer_nonce"));
  switch (o.type) {
  case type_user_challenge_answer: {
    CPNS_TRY(out.body, read_user_challenge_answer(r));
    break;
  }
  case type_key_assignment_answer: {
    CPNS_TRY(out.body, read_assigned_keys(r));
    break;
  }
  case type_epoch_report_answer: {
    CPNS_TRY(out.body, read_epoch_report_answer(r));
    break;
  }
  case type_refusal: {
    CPNS_TRY(out.body, read_refusal(r));
    break;
  }
  default: break;
  }
  CPNS_CHECK(r.end(o.name));
  return out;
}

std::optional<request_id> peek_request_id(byte_view in) {
  reader r{in};
  if (!r.array("server link message", 3, UINT32_MAX) || !r.uint("type")) return std::nullopt;
  const auto id = r.bstr_of<16>("request_id");
  return id ? std::optional<request_id>{request_id{*id}} : std::nullopt;
}

std::optional<request_id> peek_assignment_request(byte_view in) {
  reader r{in};
  if (!r.array("server link message", 3, UINT32_MAX)) return std::nullopt;
  if (const auto type = r.uint("type"); !type || *type != type_key_assignment) return std::nullopt;
  return peek_request_id(in);
}

}  // namespace cpns::protocol
