#include "protocol/pn_gw/detector.hpp"

#include "protocol/codec.hpp"

namespace cpns::protocol {

discovery_request make_request(const gateway_id& gw, std::uint8_t lowest_suite,
                               const std::optional<nonce16>& issuer_nonce, entropy& random) {
  discovery_request m;
  m.gw = gw;
  m.gw_nonce = random.draw<16>();
  m.issuer_nonce = issuer_nonce;
  for (const auto suite : {suite_symmetric, suite_x25519})
    if (suite >= lowest_suite) m.suites.push_back(suite);
  return m;
}

detector::detector(gateway_id gw, std::uint8_t lowest_suite, milliseconds answer_timeout, int retries,
                   std::optional<nonce16> issuer_nonce, entropy& random, time_point now)
    : answer_timeout_(answer_timeout), sends_left_(1 + retries), due_(now) {
  const auto request = make_request(gw, lowest_suite, issuer_nonce, random);
  echo_ = first<4>(request.gw_nonce);
  dreq_ = encode(request);
}

std::optional<bytes> detector::poll_send(time_point now) {
  if (now < due_ || sends_left_ == 0) return std::nullopt;
  --sends_left_;
  due_ = now + answer_timeout_;
  return dreq_;
}

std::optional<detector::found> detector::handle_frame(byte_view message, std::string& why) {
  auto m = decode_radio(message);
  if (!m) {
    why = m.error().message();
    return std::nullopt;
  }
  const auto* answer = std::get_if<discovery_response>(&*m);
  if (answer == nullptr) {
    why = "not a DRSP";
    return std::nullopt;
  }
  if (answer->gw_nonce_echo != echo_) {
    why = "DRSP does not echo the nonce of the DREQ";
    return std::nullopt;
  }
  return found{answer->entity, dreq_, to_bytes(message)};
}

time_point detector::next_deadline() const { return due_; }

bool detector::exhausted(time_point now) const { return sends_left_ == 0 && now >= due_; }

}  // namespace cpns::protocol
