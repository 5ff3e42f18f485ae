#pragma once
// Step 1: a fresh DREQ. Not part of the room's public interface.

#include "base/entropy.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

/// Offers every suite from `lowest_suite` on.
inline discovery_request make_request(const gateway_id& gw, std::uint8_t lowest_suite,
                                      const std::optional<nonce16>& issuer_nonce, entropy& random) {
  discovery_request m;
  m.gw = gw;
  m.gw_nonce = random.draw<16>();
  m.issuer_nonce = issuer_nonce;
  for (const auto suite : {suite_symmetric, suite_x25519})
    if (suite >= lowest_suite) m.suites.push_back(suite);
  return m;
}

}  // namespace cpns::protocol
