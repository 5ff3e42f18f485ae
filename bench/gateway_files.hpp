#pragma once
// Certificates of simulated gateways in a folder of `cpns init`.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/clock.hpp"
#include "crypto/pki.hpp"
#include "crypto/tls.hpp"

namespace cpns::bench {

inline std::string uri_of(int gateway) { return "urn:cpns:gw:many-" + std::to_string(gateway); }

inline std::filesystem::path file_of(const std::filesystem::path& home, int gateway, const char* suffix) {
  return home / "tls" / ("many-" + std::to_string(gateway) + suffix);
}

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// Issues a certificate per gateway from the CA of the folder. Errors of crypto::issue.
inline status certify(const std::filesystem::path& home, int gateways) {
  namespace fs = std::filesystem;
  const crypto::identity ca{text_of(home / "tls/ca.pem"),
                            secret_bytes::from_text(text_of(home / "tls/ca.key"))};
  for (int g = 0; g < gateways; ++g) {
    crypto::certificate_request r;
    r.common_name = "many-" + std::to_string(g);
    r.uris = {uri_of(g)};
    r.not_before = now_wall() - std::chrono::hours{1};
    r.not_after = now_wall() + std::chrono::days{90};  // one that ends soon is logged
    CPNS_TRY(const auto made, crypto::issue(ca, r));
    std::ofstream{file_of(home, g, ".pem")} << made.certificate_pem;
    const auto key = file_of(home, g, ".key");
    std::ofstream{key} << as_text(made.key_pem.expose());
    fs::permissions(key, fs::perms::owner_read | fs::perms::owner_write);
  }
  return {};
}

/// The TLS context of a gateway that certify() made.
inline result<crypto::tls_context> client_of(const std::filesystem::path& home, int gateway) {
  return crypto::make_client_tls({(home / "tls/ca.pem").string(), file_of(home, gateway, ".pem").string(),
                                  file_of(home, gateway, ".key").string()});
}

}  // namespace cpns::bench
