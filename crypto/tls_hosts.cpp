#include "crypto/tls_hosts.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>

#include <array>

#include "base/text.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

using names_ptr = detail::handle<GENERAL_NAMES, GENERAL_NAMES_free>;

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> out{};
  return ::inet_pton(AF_INET, host.c_str(), out.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), out.data()) == 1;
}

/// Empty if it is not an address, or a name that stands for many.
std::string host_text(int type, const ASN1_STRING* value) {
  const auto* data = ASN1_STRING_get0_data(value);
  const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
  if (type == GEN_DNS) {
    std::string name{reinterpret_cast<const char*>(data), size};
    return name.find('*') == std::string::npos ? name : std::string{};
  }
  std::array<char, INET6_ADDRSTRLEN> out{};
  const int family = size == sizeof(in_addr) ? AF_INET : AF_INET6;
  if (size != sizeof(in_addr) && size != sizeof(in6_addr)) return {};
  return ::inet_ntop(family, data, out.data(), out.size()) != nullptr ? std::string{out.data()}
                                                                      : std::string{};
}

}  // namespace

status name_host(ssl_st* ssl, const std::string& host) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(rules,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const bool known = !host.empty() &&
                     (is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1
                                       : X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size()) == 1 &&
                                             SSL_set_tlsext_host_name(ssl, host.c_str()) == 1);
  ERR_clear_error();
  return known ? status{} : fail(errc::config_range, shown(host) + " is not a host name or an IP address");
}

std::vector<std::string> own_hosts(const ssl_st* ssl) {
  std::vector<std::string> out;
  const X509* own = SSL_get_certificate(ssl);
  if (own == nullptr) return out;
  const names_ptr names{
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(own, NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const auto* value = static_cast<const ASN1_STRING*>(
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type));
    if (type != GEN_DNS && type != GEN_IPADD) continue;
    if (auto host = host_text(type, value); !host.empty()) out.push_back(std::move(host));
  }
  return out;
}

}  // namespace cpns::crypto
