// The files that a configuration names: content, modes, certificates, owner.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/doctor/doctor.hpp"
#include "config/describe.hpp"
#include "crypto/tls.hpp"

namespace cpns::cli::doctor {
namespace {

namespace fs = std::filesystem;

state_t state_of(crypto::urgency u) {
  switch (u) {
  case crypto::urgency::none: return state_t::ok;
  case crypto::urgency::soon: return state_t::warning;
  case crypto::urgency::now: break;
  }
  return state_t::error;
}

/// The folder or file whose owner shows the user of the role.
fs::path owned_by_the_role(const config::checked_file& file) {
  if (const auto* server = std::get_if<config::server_config>(&file.config)) return server->store.path;
  if (const auto* gateway = std::get_if<config::gateway_config>(&file.config)) return gateway->store.path;
  const auto& pne = std::get<config::pne_config>(file.config);
  return pne.keys_dir.empty() ? pne.devices.front().key_file : pne.keys_dir;
}

lines lines_of(const std::string& key, const config::tls_files& c, crypto::tls_role role, time_point now) {
  const auto notes = crypto::certificate_notes(
      {c.ca.string(), c.certificate.string(), c.key.string(), c.crl.string()}, role, now);
  lines out;
  for (const auto& note : notes) out.push_back({state_of(note.when), note.text});
  if (out.empty())
    return {{state_t::error,
             "the TLS files cannot be used (" + key + "); the lines about files give the reason"}};
  if (c.crl.empty())
    out.push_back(
        {state_t::ok, key + ".crl is not set, so no certificate of the other side counts as revoked"});
  return out;
}

}  // namespace

lines check_user(const subject& s) {
  const auto place = owned_by_the_role(s.file);
  const auto me = std::to_string(::geteuid());
  struct stat about {};
  if (place.empty() || ::stat(place.c_str(), &about) != 0)
    return {{state_t::ok, "these checks have the rights of user " + me}};
  if (about.st_uid == ::geteuid())
    return {{state_t::ok, "these checks have the rights of user " + me + ", as the role"}};
  return {{state_t::warning,
           "these checks have the rights of user " + me + ", but " + place.string() + " belongs to user " +
               std::to_string(about.st_uid) +
               ", so they may read what the role cannot, or the reverse; run the command as that "
               "user (setpriv --reuid, runuser -u)"}};
}

lines check_files(const subject& s) {
  lines out;
  for (auto& text : check_named_files(s.file).lines()) {
    if (text.ends_with(std::strerror(ENOENT)))
      text += "; restore the file from a backup, or correct its name in the configuration";
    out.push_back({state_t::error, std::move(text)});
  }
  if (out.empty())
    out.push_back({state_t::ok,
                   "the files that the configuration names can be used, and no secret is open to other "
                   "users"});
  return out;
}

lines check_certificates(const subject& s) {
  const auto* server = std::get_if<config::server_config>(&s.file.config);
  if (server != nullptr) return lines_of("tls", server->tls, crypto::tls_role::server, s.now);
  const auto& gateway = std::get<config::gateway_config>(s.file.config);
  if (gateway.tls) return lines_of("tls", *gateway.tls, crypto::tls_role::client, s.now);
  return {{state_t::ok, "the gateway has a pre-shared key instead of a certificate"}};
}

lines check_api_certificates(const subject& s) {
  return std::visit(
      [&s](const auto& c) {
        return c.api.tls ? lines_of("api.tls", *c.api.tls, crypto::tls_role::api_server, s.now) : lines{};
      },
      s.file.config);
}

}  // namespace cpns::cli::doctor
