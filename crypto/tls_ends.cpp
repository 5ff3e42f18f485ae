// The ends of the certificates that a role depends on, for warnings before they come.

#include <openssl/err.h>

#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace detail {
namespace {

struct stack_free {
  void operator()(STACK_OF(X509) * all) const noexcept { sk_X509_pop_free(all, X509_free); }
};

bool has_issued(X509* issuer, X509* certificate) {
  return X509_check_issued(issuer, certificate) == X509_V_OK &&
         X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
}

time_point end_of(const X509* certificate) {
  return time_of(X509_get0_notAfter(certificate)).value_or(time_never);
}

/// The issuer of `certificate` that ends last: a renewed CA stands beside the old one in its file for a while.
X509* issuer_in(const STACK_OF(X509) * all, X509* certificate) {
  X509* best = nullptr;
  for (int i = 0; i < sk_X509_num(all); ++i) {
    X509* one = sk_X509_value(all, i);
    if (has_issued(one, certificate) && (best == nullptr || end_of(one) > end_of(best))) best = one;
  }
  return best;
}

std::string in_days(milliseconds left) {
  const auto days = std::chrono::floor<std::chrono::days>(left).count();
  return days == 0 ? "in less than a day" : days == 1 ? "in 1 day" : "in " + std::to_string(days) + " days";
}

}  // namespace

std::vector<certificate_end> ends_of(SSL_CTX* context) {
  X509* certificate = SSL_CTX_get0_certificate(context);
  std::vector<certificate_end> out{{link_part::own, end_of(certificate)}};
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  const std::unique_ptr<STACK_OF(X509), stack_free> roots{
      X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(context))};
  for (int steps = sk_X509_num(chain); steps >= -1; --steps) {
    if (const X509* root = issuer_in(roots.get(), certificate)) {
      out.push_back({link_part::ca, end_of(root)});
      break;
    }
    certificate = issuer_in(chain, certificate);
    if (certificate == nullptr) break;
    out.push_back({link_part::intermediate, end_of(certificate)});
  }
  ERR_clear_error();
  return out;
}

std::string end_text(const certificate_end& end, const tls_files& files, time_point now) {
  const auto date = date_text(end.at);
  const auto when = end.at > now ? "ends on " + date + ", " + in_days(end.at - now) : "ended on " + date;
  switch (end.part) {
  case link_part::own: return "certificate file " + files.certificate + " " + when + "; issue a new one";
  case link_part::intermediate:
    return "certificate file " + files.certificate + ": an intermediate certificate " + when +
           "; replace it and the certificates that it issued";
  case link_part::ca: break;
  }
  return "CA file " + files.ca + ": the CA that issued the own certificate " + when +
         "; add a new CA to this file on both sides, then issue new certificates";
}

}  // namespace detail

using namespace detail;

std::vector<tls_file_fault> ending_certificates(const tls_files& files, tls_role role, time_point now) {
  std::vector<tls_file_fault> out;
  const auto context = make_context(files, role);
  if (!context) return out;
  for (const auto& end : ends_of(context->get()))
    if (end.at - now <= ends_soon)
      out.push_back({end.part == link_part::ca ? &tls_files::ca : &tls_files::certificate,
                     {errc::crypto_certificate, end_text(end, files, now)}});
  return out;
}

}  // namespace cpns::crypto
