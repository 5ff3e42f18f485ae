#include "tests/vectors/message_fields.hpp"

#include "base/bytes.hpp"

namespace cpns::vectors {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;
using namespace protocol;

template <std::size_t N>
value hex(const byte_array<N>& b) {
  return value(to_hex(b));
}
template <class Tag, std::size_t N>
value hex(const byte_id<Tag, N>& id) {
  return value(id.hex());
}
value hex(const bytes& b) { return value(to_hex(b)); }
value hex(const secret32& s) { return value(to_hex(s.expose())); }
template <class T>
value hex(const std::optional<T>& v) {
  return v ? hex(*v) : value(nullptr);
}
value number(const std::optional<epoch>& e) { return e ? value(e->value()) : value(nullptr); }

struct radio_fields {
  named_fields operator()(const discovery_request& m) const {
    array suites;
    for (const auto s : m.suites) suites.emplace_back(std::uint64_t{s});
    return {"DREQ", object{{"version", m.version},
                           {"gw_id", hex(m.gw)},
                           {"gw_nonce", hex(m.gw_nonce)},
                           {"issuer_nonce", hex(m.issuer_nonce)},
                           {"suites", suites}}};
  }
  named_fields operator()(const discovery_response& m) const {
    return {"DRSP", object{{"gw_nonce_echo", hex(m.gw_nonce_echo)},
                           {"entity_id", m.entity.text()},
                           {"pne_nonce", hex(m.pne_nonce)},
                           {"suite", m.suite},
                           {"pne_share", hex(m.pne_share)},
                           {"epoch", number(m.highest)},
                           {"resets", m.resets},
                           {"possession", hex(m.possession)},
                           {"presence", hex(m.presence)}}};
  }
  named_fields operator()(const key_delivery& m) const {
    return {"KDEL", object{{"epoch", m.which.value()},
                           {"chained", m.chained},
                           {"gw_share", hex(m.gw_share)},
                           {"sealed", hex(m.sealed)}}};
  }
  named_fields operator()(const key_confirmation& m) const {
    return {"KCNF", object{{"epoch", m.which.value()}, {"confirm", hex(m.confirm)}}};
  }
  named_fields operator()(const key_retire& m) const {
    return {"KRET", object{{"epoch", m.which.value()}, {"retire", hex(m.retire)}}};
  }
  named_fields operator()(const pne_notice& m) const {
    return {"NOTE", object{{"kind", static_cast<int>(m.kind)}}};
  }
  named_fields operator()(const failure& m) const {
    return {"FAIL", object{{"reason", static_cast<int>(m.reason)}}};
  }
};

struct request_fields {
  object head;

  named_fields operator()(const user_challenge& m) {
    head["user_id"] = m.user.text();
    return {"UserChallenge", head};
  }
  named_fields operator()(const issuer_nonce_request&) { return {"IssuerNonce", head}; }
  named_fields operator()(const key_assignment_request& m) {
    head["user_id"] = m.user.text();
    head["entity_id"] = m.entity.text();
    head["proof"] = hex(m.proof);
    head["reason"] = static_cast<int>(m.reason);
    head["known_epoch"] = number(m.known_epoch);
    head["set_id"] = hex(m.set);
    head["dreq"] = hex(m.dreq);
    head["drsp"] = hex(m.drsp);
    return {"KeyAssignmentRequest", head};
  }
  named_fields operator()(const epoch_report& m) {
    array entries;
    for (const auto& e : m.entries) entries.push_back(array{e.first.text(), e.second.value()});
    head["entries"] = entries;
    return {"EpochReport", head};
  }
};

struct answer_fields {
  object head;

  named_fields operator()(const user_challenge_answer& m) {
    head["salt"] = hex(m.salt);
    head["iterations"] = m.iterations;
    return {"UserChallengeAnswer", head};
  }
  named_fields operator()(const issuer_nonce_answer&) { return {"IssuerNonceAnswer", head}; }
  named_fields operator()(const assigned_keys& m) {
    array keys;
    for (const auto& k : m.eukeys) keys.push_back(hex(k));
    head["status"] = 0;
    head["literal"] = m.literal;
    head["temporary_key"] = hex(m.temporary_key);
    head["chain"] = hex(m.chain);
    head["generation"] = m.generation;
    head["set_id"] = hex(m.set);
    head["first_index"] = m.first_index;
    head["eukeys"] = keys;
    head["owner_tag"] = hex(m.owner);
    head["rekey_seconds"] = m.rekey_seconds;
    head["not_after"] = m.not_after;
    return {"KeyAssignmentResponse", head};
  }
  named_fields operator()(const epoch_report_answer& m) {
    array entries;
    for (const auto& e : m.entries) entries.push_back(array{e.first.text(), static_cast<int>(e.second)});
    head["entries"] = entries;
    return {"EpochReportAnswer", head};
  }
  named_fields operator()(const refusal& m) {
    head["status"] = static_cast<int>(m.status);
    head["retry_after"] = m.retry_after;
    head["reason"] = m.reason;
    return {"Refusal", head};
  }
};

}  // namespace

named_fields fields_of(const radio_message& m) { return std::visit(radio_fields{}, m); }

named_fields fields_of(const link_request& m) {
  return std::visit(request_fields{object{{"request_id", hex(m.id)}, {"incarnation", m.incarnation}}},
                    m.body);
}

named_fields fields_of(const link_answer& m) {
  const object head{
      {"request_id", hex(m.id)}, {"incarnation", m.incarnation}, {"issuer_nonce", hex(m.issuer_nonce)}};
  return std::visit(answer_fields{head}, m.body);
}

named_fields fields_of(const node_request& m) {
  object head{{"request_id", hex(m.id)}, {"incarnation", m.incarnation}};
  if (const auto* drain = std::get_if<drain_order>(&m.body)) {
    head["within_ms"] = drain->within_ms;
    return {"Drain", head};
  }
  array addresses;
  for (const auto& a : std::get<node_list>(m.body).addresses) addresses.emplace_back(a);
  head["addresses"] = addresses;
  return {"Nodes", head};
}

named_fields fields_of(const node_acknowledgement& m) {
  return {m.type == node_type::nodes_acknowledged ? "NodesAcknowledgement" : "DrainAcknowledgement",
          object{{"request_id", hex(m.id)}, {"incarnation", m.incarnation}}};
}

}  // namespace cpns::vectors
