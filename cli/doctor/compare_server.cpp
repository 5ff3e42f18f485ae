// Whether a gateway reaches its server, both accept each other, and the keys last as long as they are used.

#include <algorithm>
#include <string>

#include "base/text.hpp"
#include "cli/doctor/compare.hpp"
#include "config/values.hpp"
#include "crypto/tls.hpp"

namespace cpns::cli::doctor {
namespace {

/// The address at which gateways reach the server, by its file.
struct door {
  std::string key;
  config::address at;
};
door door_of(const config::server_config& c) {
  if (c.cluster.advertise) return {"cluster.advertise", *c.cluster.advertise};
  return {"listen", c.listen};
}

/// A certificate of one side, and the authorities of the other one.
struct certificate_check {
  const std::string certificate,
      certificate_file;  ///< the side and key that shows it, "FILE:LINE:COLUMN: 'KEY'"
  const std::string authorities, authorities_file;  ///< of the other side
  crypto::tls_role shown_by;
};
line compare_authority(const certificate_check& c) {
  const auto issued = crypto::check_issuer(c.certificate_file, c.authorities_file, c.shown_by);
  if (issued) return {state_t::ok, c.certificate + " is from an authority of " + c.authorities};
  if (issued.error().code == errc::config_file)
    return {state_t::ok,
            c.certificate + " and " + c.authorities + " are not compared: " + issued.error().detail};
  return {state_t::error, c.certificate + " is not from an authority of " + c.authorities + ": " +
                              issued.error().detail +
                              "; issue the certificate by one of them, or add its CA "
                              "there"};
}

/// The certificate is not here, or has no URI that can be compared.
line without_uri(const std::string& certificate, const std::string& names, const error& why) {
  if (why.code == errc::peer_identity)
    return {state_t::error, certificate + ", " + names + ": " + why.detail +
                                ", so the other side refuses it; issue it with one SAN URI"};
  return {state_t::ok, certificate + " and " + names + " are not compared: " + why.detail};
}

line compare_server_uri(const gateway_side& g, const server_side& s) {
  const auto uri = crypto::uri_of_certificate(s.config.tls.certificate.string());
  const auto shown = s.named("tls.certificate");
  if (!uri) return without_uri(shown, g.named("server_uri"), uri.error());
  if (*uri != g.config.server_uri)
    return {state_t::error, g.named("server_uri") + " is " + g.config.server_uri + ", but " + shown +
                                " is of " + *uri +
                                ": the gateway does not accept it; write that URI, or issue another "
                                "certificate"};
  return {state_t::ok, g.named("server_uri") + " is that of " + shown + ", " + *uri};
}

line compare_gateway_uri(const gateway_side& g, const server_side& s) {
  const auto uri = crypto::uri_of_certificate(g.config.tls->certificate.string());
  const auto shown = g.named("tls.certificate");
  if (!uri) return without_uri(shown, s.named("gateway_uris"), uri.error());
  const auto& let_in = s.config.gateway_uris;
  if (std::none_of(let_in.begin(), let_in.end(), [&uri](const auto& p) { return fits(p, *uri); }))
    return {state_t::error, shown + " is of " + *uri + ", but " + s.named("gateway_uris") +
                                " has no entry for it: the server refuses the gateway; add it there"};
  return {state_t::ok, shown + " is of " + *uri + ", which " + s.named("gateway_uris") + " has"};
}

}  // namespace

lines compare_addresses(const gateway_side& g, const server_side& s) {
  const auto own = door_of(s.config);
  if (own.at.port == 0)
    return {{state_t::ok, g.named("servers") + " is not compared: at " + s.named(own.key) +
                              " the system chooses the port"}};
  const auto& all = g.config.servers;
  const auto found =
      std::find_if(all.begin(), all.end(), [&own](const auto& a) { return arrives(a, own.at); });
  if (found != all.end()) {
    const auto key = "servers[" + std::to_string(found - all.begin()) + "]";
    return {{state_t::ok, g.named(key) + " (" + found->text() + ") can be " + s.named(own.key) + " (" +
                              own.at.text() + ")"}};
  }
  return {{state_t::warning, g.named("servers") + " has no address that leads to " + s.named(own.key) + " (" +
                                 own.at.text() +
                                 "), unless a machine between them forwards it; write the "
                                 "address of the server there, and set 'cluster.advertise' if it is not "
                                 "that of 'listen'"}};
}

lines compare_identities(const gateway_side& g, const server_side& s) {
  if (g.config.psk)
    return {{state_t::ok, g.named("psk.identity") + " is " + g.config.psk->identity +
                              "; `cpns gateways list` shows whether the server of " + s.place("") +
                              " has it"}};
  const auto& mine = *g.config.tls;
  const auto& theirs = s.config.tls;
  return {compare_server_uri(g, s), compare_gateway_uri(g, s),
          compare_authority({s.named("tls.certificate"), theirs.certificate.string(), g.named("tls.ca"),
                             mine.ca.string(), crypto::tls_role::server}),
          compare_authority({g.named("tls.certificate"), mine.certificate.string(), s.named("tls.ca"),
                             theirs.ca.string(), crypto::tls_role::client})};
}

lines compare_renewal(const gateway_side& g, const server_side& s) {
  lines out;
  const auto& keys = s.config.keys;
  const bool own = g.config.rekey.interval.has_value();
  const auto interval = g.config.rekey.interval.value_or(keys.rekey);
  const auto of_interval = (own ? g.named("rekey.interval") : s.named("keys.rekey")) + " (" +
                           config::duration_text(interval) + ")";
  if (interval > keys.lifetime)
    out.push_back(
        {state_t::warning, of_interval + " is longer than " + s.named("keys.lifetime") + " (" +
                               config::duration_text(keys.lifetime) +
                               "): each update finds an expired set and has to ask the server; make "
                               "the interval shorter"});
  if (g.config.application_keys && g.config.application_keys->consumer_wait >= interval)
    out.push_back({state_t::warning, g.named("application_keys.consumer_wait") + " (" +
                                         config::duration_text(g.config.application_keys->consumer_wait) +
                                         ") is not shorter than " + of_interval +
                                         ": a program that is late holds up an update until the next one is "
                                         "due; make it shorter"});
  if (out.empty())
    out.push_back({state_t::ok, of_interval + " is not longer than " + s.named("keys.lifetime") + " (" +
                                    config::duration_text(keys.lifetime) + ")"});
  return out;
}

}  // namespace cpns::cli::doctor
