#pragma once
// How a gateway authenticates to the server, and the server to it (step 0): by certificates, or by a pre-shared key.

#include <map>
#include <memory>
#include <string>

#include "actors/pn_gw/uplink.hpp"
#include "base/ids.hpp"
#include "config/schema.hpp"
#include "crypto/tls_psk.hpp"
#include "crypto/tls_source.hpp"

namespace cpns::actors {

/// [thread-safe]
class authentication {
 public:
  /// Errors of crypto::tls_source::for_client or crypto::psk_source::open.
  static result<std::shared_ptr<authentication>> open(const config::gateway_config& c);

  [[nodiscard]] gateway_id gateway() const { return gateway_; }
  /// For a new connection; errors of tls_source::context and psk_source::context.
  [[nodiscard]] result<crypto::tls_context> context() { return psk_ ? psk_->context() : tls_->context(); }
  /// Sets the checks of the server. `this` may end before the uplink.
  void set(uplink_settings& to) const;
  /// Reads the files of certificates now; a key is read for each connection.
  void read_again();
  /// As tls_source::ends; empty with a pre-shared key.
  [[nodiscard]] std::map<std::string, time_point> certificate_ends() const;

 private:
  authentication() = default;
  std::string server_uri_;
  std::shared_ptr<crypto::tls_source> tls_;  ///< either this one or `psk_`
  std::shared_ptr<crypto::psk_source> psk_;
  gateway_id gateway_;
};

}  // namespace cpns::actors
