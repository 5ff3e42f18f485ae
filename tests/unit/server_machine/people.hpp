#pragma once
// The other parties of an assignment, built from the key schedule alone: a user, a device, and a gateway's
// requests.

#include <map>
#include <random>

#include "crypto/key_schedule.hpp"
#include "crypto/scram.hpp"
#include "protocol/codec.hpp"
#include "protocol/server/proof_check.hpp"

namespace cpns::testing_people {

using namespace protocol;

/// Repeatable randomness for tests.
class seeded_entropy final : public entropy {
 public:
  explicit seeded_entropy(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& b : out) b = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

inline const crypto::suite& suite() { return crypto::openssl_suite(); }

struct person {
  user_id user;
  secret32 client_key;
  user_record record;

  explicit person(std::string_view name, std::string_view password = "correct horse")
      : user(user_id::parse(name).value()) {
    record.user = user;
    record.salt = first<16>(suite().sha256(as_bytes(name)));
    record.iterations = 1000;  // fast; a gateway would refuse so few
    client_key = crypto::scram_client_key(suite(), as_bytes(password), record.salt, record.iterations);
    record.stored_key = crypto::scram_stored_key(suite(), client_key);
  }
};

/// A headset: its key and its answers.
struct headset {
  entity_id entity;
  secret32 temporary_key;  ///< TK'
  std::uint64_t resets = 0;
  std::optional<epoch> highest;
  secret32 eukey;
  seeded_entropy random{7};

  explicit headset(std::string_view id) : entity(entity_id::parse(id).value()) {
    temporary_key = crypto::derive_temporary_key(suite(), entity, as_bytes("0123456789abcdef"));
  }
  [[nodiscard]] device_secret_record imported() const {
    device_secret_record d;
    d.entity = entity;
    d.temporary_key = temporary_key;
    d.batch = "test";
    return d;
  }
  void keep(epoch which, const secret32& key) {
    highest = which;
    eukey = key;
  }
  void forget() { highest.reset(); }

  struct exchange {
    bytes dreq, drsp;
  };
  exchange answer(const gateway_id& gw, const std::optional<nonce16>& issuer_nonce) {
    discovery_request q;
    q.gw = gw;
    q.gw_nonce = random.draw<16>();
    q.issuer_nonce = issuer_nonce;
    q.suites = {suite_symmetric};
    discovery_response a;
    a.gw_nonce_echo = first<4>(q.gw_nonce);
    a.entity = entity;
    a.pne_nonce = random.draw<16>();
    a.suite = suite_symmetric;
    a.highest = highest;
    a.resets = resets;
    exchange out{encode(q), {}};
    const auto th1 = crypto::transcript1(suite(), out.dreq, encode_first_eight(a));
    if (highest) a.possession = crypto::possession_tag(suite(), eukey, th1);
    if (issuer_nonce)
      a.presence = crypto::presence_tag(suite(), crypto::derive_presence_key(suite(), temporary_key), th1,
                                        a.possession);
    out.drsp = encode(a);
    return out;
  }
};

inline discovery_response read_answer(const bytes& drsp) {
  return std::get<discovery_response>(decode_radio(drsp).value());
}

inline key_assignment_request make_request(const person& who, const headset& device, assignment_reason why,
                                           const std::optional<headset::exchange>& shown) {
  key_assignment_request r;
  r.user = who.user;
  r.entity = device.entity;
  r.reason = why;
  if (shown) {
    r.dreq = shown->dreq;
    r.drsp = shown->drsp;
  }
  return r;
}
inline void prove(key_assignment_request& r, const person& who, const secret32& exporter) {
  const auto message = crypto::scram_auth_message(exporter, suite().sha256(encode_for_proof(r)));
  r.proof = crypto::scram_proof(suite(), who.client_key, message);
}

inline std::shared_ptr<const received_request> received(requester from, const request_id& id,
                                                        key_assignment_request r) {
  return std::make_shared<const received_request>(suite(), std::make_shared<const requester>(std::move(from)),
                                                  id, std::move(r));
}

inline gateway_id gateway_named(std::string_view name) {
  return crypto::derive_gateway_id(suite(), crypto::gateway_kind::x509, name);
}

}  // namespace cpns::testing_people
