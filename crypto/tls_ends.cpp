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

/// The own certificate, the intermediates that issued it, and the CA if it is in the CA file. Views into the
/// context, which outlives it.
struct own_path {
  explicit own_path(SSL_CTX* context) : roots(X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(context))) {
    X509* certificate = SSL_CTX_get0_certificate(context);
    certificates.push_back(certificate);
    STACK_OF(X509)* chain = nullptr;
    SSL_CTX_get0_chain_certs(context, &chain);
    for (int steps = sk_X509_num(chain); steps >= -1; --steps) {
      if (X509* root = issuer_in(roots.get(), certificate)) {
        certificates.push_back(root);
        has_root = true;
        break;
      }
      certificate = issuer_in(chain, certificate);
      if (certificate == nullptr) break;
      certificates.push_back(certificate);
    }
    ERR_clear_error();
  }

  const std::unique_ptr<STACK_OF(X509), stack_free> roots;
  std::vector<X509*> certificates;
  bool has_root = false;
};

std::string in_days(milliseconds left) {
  const auto days = std::chrono::floor<std::chrono::days>(left).count();
  return days == 0 ? "in less than a day" : days == 1 ? "in 1 day" : "in " + std::to_string(days) + " days";
}

}  // namespace

std::vector<certificate_end> ends_of(SSL_CTX* context) {
  std::vector<certificate_end> out;
  const own_path path{context};
  for (std::size_t i = 0; i < path.certificates.size(); ++i)
    out.push_back({i == 0                                               ? link_part::own
                   : path.has_root && i + 1 == path.certificates.size() ? link_part::ca
                                                                        : link_part::intermediate,
                   end_of(path.certificates[i])});
  if (const auto lists = crls_of(context))
    for (auto& end : lists->ends()) out.push_back(std::move(end));
  return out;
}

std::optional<std::string> own_revocation(SSL_CTX* context, const tls_files& files) {
  const auto lists = crls_of(context);
  if (!lists) return std::nullopt;
  const own_path path{context};
  for (std::size_t i = 0; i + 1 < path.certificates.size(); ++i)
    if (lists->judge(path.certificates[i], path.certificates[i + 1]) == crl_set::verdict::revoked)
      return "certificate file " + files.certificate + ": " +
             (i == 0 ? "the certificate " : "the intermediate ") + shown_name(path.certificates[i]) +
             " is in the CRL (" + lists->note(path.certificates[i]) +
             "), so the other side may refuse it; issue a new one";
  return std::nullopt;
}

std::string tls_files::*file_of(link_part part) {
  return part == link_part::ca    ? &tls_files::ca
         : part == link_part::crl ? &tls_files::crl
                                  : &tls_files::certificate;
}

std::string end_text(const certificate_end& end, const tls_files& files, time_point now) {
  const auto date = date_text(end.at);
  const bool over = end.at <= now;
  const auto when = over ? "ended on " + date : "ends on " + date + ", " + in_days(end.at - now);
  switch (end.part) {
  case link_part::own: return "certificate file " + files.certificate + " " + when + "; issue a new one";
  case link_part::intermediate:
    return "certificate file " + files.certificate + ": an intermediate certificate " + when +
           "; replace it and the certificates that it issued";
  case link_part::ca: break;
  case link_part::crl:
    return "CRL file " + files.crl + ": the CRL of " + end.ca + " " + when +
           (over ? "; it stays in use, but a certificate that was revoked since is accepted" : "") +
           "; get a newer one from the CA";
  }
  return "CA file " + files.ca + ": the CA that issued the own certificate " + when +
         "; add a new CA to this file on both sides, then issue new certificates";
}

}  // namespace detail

using namespace detail;

namespace {

/// What is neither an end nor a date: CAs without a CRL, and an own certificate that was revoked.
std::vector<certificate_note> revocation_notes(SSL_CTX* context, const tls_files& files) {
  std::vector<certificate_note> out;
  const auto lists = crls_of(context);
  if (!lists) return out;
  const std::unique_ptr<STACK_OF(X509), stack_free> roots{
      X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(context))};
  for (int i = 0; i < sk_X509_num(roots.get()); ++i)
    if (auto* root = sk_X509_value(roots.get(), i); !lists->covers(root))
      out.push_back(
          {&tls_files::crl, urgency::soon,
           "CRL file " + files.crl + " has no CRL of " + shown_name(root) +
               ", which is in tls.ca: certificates that it issued itself are refused; add its CRL"});
  if (auto revoked = own_revocation(context, files))
    out.push_back({&tls_files::certificate, urgency::now, std::move(*revoked)});
  return out;
}

std::string good_text(const certificate_end& end, SSL_CTX* context, time_point now) {
  const auto when = " ends on " + date_text(end.at) + ", " + in_days(end.at - now);
  switch (end.part) {
  case link_part::own: {
    auto* own = SSL_CTX_get0_certificate(context);
    return "the certificate of " + shown_name(own) + " (serial " + serial_text(own) + ")" + when;
  }
  case link_part::intermediate: return "its intermediate certificate" + when;
  case link_part::ca: break;
  case link_part::crl: {
    const auto lists = crls_of(context);
    return "the CRL of " + end.ca + when +
           "; revoked certificates in all CRLs: " + std::to_string(lists ? lists->entries() : 0);
  }
  }
  return "the CA that issued it" + when;
}

urgency urgency_of(const certificate_end& end, time_point now) {
  const auto left = end.at - now;
  return left < end.very_soon || left <= milliseconds{0} ? urgency::now
         : left <= end.soon                              ? urgency::soon
                                                         : urgency::none;
}

}  // namespace

std::vector<certificate_note> certificate_notes(const tls_files& files, tls_role role, time_point now) {
  std::vector<certificate_note> out;
  const auto context = make_context(files, role);
  if (!context) return out;
  for (const auto& end : ends_of(context->get())) {
    const auto when = urgency_of(end, now);
    out.push_back({file_of(end.part), when,
                   when == urgency::none ? good_text(end, context->get(), now) : end_text(end, files, now)});
  }
  auto* own = SSL_CTX_get0_certificate(context->get());
  // The own certificate is the first one; its end is fine if it is not valid yet.
  if (const auto valid = check_time(own, files.certificate, now); !valid && out.front().when != urgency::now)
    out.front() = {&tls_files::certificate, urgency::now, valid.error().detail};
  for (auto& note : revocation_notes(context->get(), files)) out.push_back(std::move(note));
  return out;
}

std::vector<tls_file_fault> ending_certificates(const tls_files& files, tls_role role, time_point now) {
  std::vector<tls_file_fault> out;
  const auto context = make_context(files, role);
  if (!context) return out;
  for (const auto& end : ends_of(context->get()))
    if (end.at - now <= end.soon)
      out.push_back({file_of(end.part), {errc::crypto_certificate, end_text(end, files, now)}});
  for (auto& note : revocation_notes(context->get(), files))
    out.push_back({note.file, {errc::crypto_certificate, std::move(note.text)}});
  return out;
}

}  // namespace cpns::crypto
