#include "crypto/crl_set.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "base/private_file.hpp"
#include "crypto/suite.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto::detail {
namespace {

using idp_ptr = handle<ISSUING_DIST_POINT, ISSUING_DIST_POINT_free>;

/// The share of its validity in which a CRL that is not renewed is reported.
constexpr int crl_late_share = 4;

tl::unexpected<error> bad_crl(const tls_files& files, std::string_view why) {
  ERR_clear_error();
  return fail(errc::crypto_certificate, "CRL file " + files.crl + " " + std::string{why});
}

byte_array<32> key_digest(const X509* certificate) {
  byte_array<32> out{};
  unsigned size = 0;
  if (X509_pubkey_digest(certificate, EVP_sha256(), out.data(), &size) != 1) out = {};
  return out;
}

std::string name_text(const X509_NAME* name) {
  std::array<char, 160> text{};
  X509_NAME_oneline(name, text.data(), static_cast<int>(text.size()));
  return printable(text.data());
}

result<std::vector<x509_crl_ptr>> parse_crls(const tls_files& files, byte_view content) {
  const auto in = reading(content);
  std::vector<x509_crl_ptr> out;
  while (in) {
    x509_crl_ptr next{PEM_read_bio_X509_CRL(in.get(), nullptr, no_password, nullptr)};
    if (!next) break;
    out.push_back(std::move(next));
  }
  // OpenSSL reports the end of the list as an error; any other error is damage.
  const unsigned long code = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (!at_end) return bad_crl(files, "holds a damaged PEM CRL");
  constexpr std::uint8_t der_sequence = 0x30;
  if (out.empty())
    return bad_crl(files, !content.empty() && content.front() == der_sequence
                              ? "is DER, not PEM; convert it with openssl crl -inform DER"
                              : "holds no PEM CRL");
  ERR_clear_error();
  return out;
}

/// An extension that changes the meaning of the list, and that this program does not know, or an empty text.
std::string foreign_extension(const X509_CRL* crl) {
  if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0) return "is a delta CRL; give the complete one";
  const idp_ptr idp{static_cast<ISSUING_DIST_POINT*>(
      X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, nullptr, nullptr))};
  if (idp && idp->indirectCRL > 0) return "is an indirect CRL; give that of the CA itself";
  for (int at = X509_CRL_get_ext_by_critical(crl, 1, -1); at >= 0;
       at = X509_CRL_get_ext_by_critical(crl, 1, at)) {
    const auto* object = X509_EXTENSION_get_object(X509_CRL_get_ext(crl, at));
    if (OBJ_obj2nid(object) != NID_issuing_distribution_point)
      return "has a critical extension that is not known";
  }
  const auto* all = X509_CRL_get_REVOKED(const_cast<X509_CRL*>(crl));
  for (int i = 0; i < sk_X509_REVOKED_num(all); ++i)
    if (X509_REVOKED_get_ext_by_critical(sk_X509_REVOKED_value(all, i), 1, -1) >= 0)
      return "has an entry with a critical extension that is not known";
  return {};
}

/// The CA that signed the list; null, with the reason in `why`, if it is not among the CAs.
X509* signer_of(X509_CRL* crl, const std::vector<X509*>& cas, std::string& why) {
  why = "comes from a CA that is neither in tls.ca nor in tls.certificate";
  for (auto* ca : cas) {
    if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) != 0) continue;
    if ((X509_get_key_usage(ca) & KU_CRL_SIGN) == 0)
      why = "is signed by a CA whose key usage does not include cRLSign";
    else if (X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
      return ca;
    else
      why = "has a signature that does not verify";
  }
  return nullptr;
}

byte_array<32> digest_of(byte_view content, const std::vector<X509*>& cas) {
  const auto& suite = openssl_suite();
  auto all = to_bytes(suite.sha256(content));
  for (const auto* ca : cas) {
    std::array<std::uint8_t, 32> one{};
    unsigned size = 0;
    if (X509_digest(ca, EVP_sha256(), one.data(), &size) != 1) one = {};
    all.insert(all.end(), one.begin(), one.end());
  }
  return suite.sha256(all);
}

using shared_crls = std::shared_ptr<const crl_set>;

void free_lists(void*, void* held, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<shared_crls*>(held);
}

int lists_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_lists);
  return index;
}

const shared_crls* held_by(const SSL_CTX* context) {
  return static_cast<const shared_crls*>(SSL_CTX_get_ex_data(context, lists_index()));
}

}  // namespace

result<crl_set_ptr> crl_set::read(const tls_files& files, const std::vector<x509_ptr>& roots,
                                  const std::vector<x509_ptr>& chain, const crl_set_ptr& before) {
  ERR_clear_error();
  const auto content = read_private_file(files.crl, file_size_max, readers::anybody);
  if (!content) return fail(content.error().code, "CRL file " + content.error().detail);
  std::vector<X509*> cas;
  for (const auto& root : roots) cas.push_back(root.get());
  for (std::size_t i = 1; i < chain.size(); ++i) cas.push_back(chain[i].get());
  auto out = std::make_shared<crl_set>();
  out->source_ = digest_of(content->expose(), cas);
  if (before && before->source_ == out->source_) return before;
  CPNS_TRY(auto all, parse_crls(files, content->expose()));
  for (auto& crl : all) {
    const auto issuer = name_text(X509_CRL_get_issuer(crl.get()));
    std::string why;
    const X509* ca = signer_of(crl.get(), cas, why);
    if (ca != nullptr) why = foreign_extension(crl.get());
    if (!why.empty()) return bad_crl(files, "cannot be used: the CRL of " + issuer + " " + why);
    const auto from = time_of(X509_CRL_get0_lastUpdate(crl.get()));
    const auto* end = X509_CRL_get0_nextUpdate(crl.get());
    const auto to = end == nullptr ? std::optional{time_never} : time_of(end);
    if (!from || !to)
      return bad_crl(files, "cannot be used: the dates of the CRL of " + issuer + " are damaged");
    out->lists_.push_back({std::move(crl), key_digest(ca), issuer, *from, *to});
  }
  ERR_clear_error();
  return out;
}

crl_set::verdict crl_set::judge(X509* certificate, X509* issuer) const {
  const auto key = key_digest(issuer);
  auto out = verdict::unlisted;
  for (const auto& l : lists_) {
    if (l.issuer != key) continue;
    X509_REVOKED* entry = nullptr;
    if (X509_CRL_get0_by_cert(l.crl.get(), &entry, certificate) == 1) return verdict::revoked;
    out = verdict::good;
  }
  return out;
}

bool crl_set::covers(const X509* ca) const {
  const auto key = key_digest(ca);
  return std::any_of(lists_.begin(), lists_.end(), [&key](const list& l) { return l.issuer == key; });
}

std::string crl_set::note(X509* certificate) const {
  std::string out = "serial " + serial_text(certificate);
  for (const auto& l : lists_) {
    X509_REVOKED* entry = nullptr;
    if (X509_NAME_cmp(X509_CRL_get_issuer(l.crl.get()), X509_get_issuer_name(certificate)) == 0 &&
        X509_CRL_get0_by_cert(l.crl.get(), &entry, certificate) == 1)
      return out + ", revoked on " + date_text(X509_REVOKED_get0_revocationDate(entry));
  }
  return out;
}

std::vector<certificate_end> crl_set::ends() const {
  std::vector<certificate_end> out;
  for (const auto& l : lists_) {
    const bool newest = std::none_of(lists_.begin(), lists_.end(), [&l](const list& other) {
      return other.issuer == l.issuer && (other.to > l.to || (other.to == l.to && &other < &l));
    });
    if (!newest || l.to == time_never) continue;
    const auto late = std::min<milliseconds>(ends_soon, (l.to - l.from) / crl_late_share);
    out.push_back({link_part::crl, l.to, l.ca, late, milliseconds{0}});
  }
  return out;
}

std::size_t crl_set::entries() const {
  std::size_t out = 0;
  for (const auto& l : lists_)
    out += static_cast<std::size_t>(std::max(0, sk_X509_REVOKED_num(X509_CRL_get_REVOKED(l.crl.get()))));
  return out;
}

bool attach(SSL_CTX* context, crl_set_ptr lists) {
  if (!lists) return true;
  auto held = std::make_unique<shared_crls>(std::move(lists));
  if (SSL_CTX_set_ex_data(context, lists_index(), held.get()) != 1) return false;
  (void)held.release();
  return true;
}

crl_set_ptr crls_of(const SSL_CTX* context) {
  const auto* held = held_by(context);
  return held != nullptr ? *held : nullptr;
}

int check_revocation(const SSL* ssl, X509_STORE_CTX* store) noexcept {
  const auto* lists = ssl != nullptr ? held_by(SSL_get_SSL_CTX(ssl)) : nullptr;
  if (lists == nullptr) return X509_V_OK;
  const auto* chain = X509_STORE_CTX_get0_chain(store);
  const int depth = X509_STORE_CTX_get_error_depth(store);
  if (depth < 0 || depth + 1 >= sk_X509_num(chain)) return X509_V_OK;  // the root
  switch ((*lists)->judge(sk_X509_value(chain, depth), sk_X509_value(chain, depth + 1))) {
  case crl_set::verdict::good: break;
  case crl_set::verdict::revoked: return X509_V_ERR_CERT_REVOKED;
  case crl_set::verdict::unlisted: return depth == 0 ? X509_V_ERR_UNABLE_TO_GET_CRL : X509_V_OK;
  }
  return X509_V_OK;
}

std::optional<std::string> revoked_in(const STACK_OF(X509) * chain, const crl_set& lists) {
  for (int i = 0; i + 1 < sk_X509_num(chain); ++i) {
    auto* certificate = sk_X509_value(chain, i);
    if (lists.judge(certificate, sk_X509_value(chain, i + 1)) == crl_set::verdict::revoked)
      return shown_name(certificate) + ", " + lists.note(certificate);
  }
  return std::nullopt;
}

std::string upper_hex(byte_view b) {
  auto out = to_hex(b);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c; });
  return out;
}

std::string serial_text(const X509* certificate) {
  const auto* number = X509_get0_serialNumber(certificate);
  return upper_hex({ASN1_STRING_get0_data(number), static_cast<std::size_t>(ASN1_STRING_length(number))});
}

}  // namespace cpns::crypto::detail
