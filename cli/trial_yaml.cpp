#include "cli/trial_yaml.hpp"

#include "config/schema.hpp"
#include "config/values.hpp"

namespace cpns::cli {
namespace {

/// A bench of more PNEs than a gateway takes links by default, and the tcp radio by its own.
/// Some come before old ones are gone, and links that proved nothing, as all are at first, take half of them.
std::size_t links_of(const trial_options& o) { return 2 * (o.devices + 100); }
bool is_large(const trial_options& o) { return links_of(o) > config::gateway_limits{}.links; }

/// A YAML text in single quotes, in which nothing but the quote itself has a meaning; "${" is kept from
/// expansion.
std::string quote(std::string_view text) {
  std::string out = "'";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) out += '$';
    out += text[i];
    if (text[i] == '\'') out += '\'';
  }
  return out + "'";
}

std::string head(std::string_view role, std::string_view what) {
  return "# " + std::string{what} +
         ", made by cpns init. Every key: docs/config.md\n# Check a change with: cpns config check " +
         std::string{role} + ".yaml\nrole: " + std::string{role} + "\n";
}

std::string transports(const trial_options& o, std::map<std::string, std::string> params) {
  if (o.plugin == "tcp" && is_large(o)) params.emplace("max_links", std::to_string(links_of(o)));
  std::string out;
  if (!o.plugin_dirs.empty()) {
    out += "\nplugin_dirs:\n";
    for (const auto& d : o.plugin_dirs) out += "  - " + quote(d.string()) + "\n";
  }
  out += "\ntransports:\n  - name: radio\n    plugin: " + quote(o.plugin) + "\n";
  if (o.isolated) out += "    isolation: process\n";
  if (!params.empty()) out += "    params:\n";
  for (const auto& [key, value] : params) out += "      " + key + ": " + quote(value) + "\n";
  return out;
}

std::string links(const trial_options& o) {
  return is_large(o) ? "\nlimits:\n  links: " + std::to_string(links_of(o)) + "\n" : "";
}

std::string tail(const trial_options& o, const std::string& role) {
  std::string out = "\nlog:\n  format: " + std::string{o.json_logs ? "json" : "text"} + "\n";
  if (o.ready_files) out += "\nready_file: state/" + role + ".ready\n";
  return out;
}

}  // namespace

std::map<std::string, std::string> default_gateway_params() {
  return {{"listen", "127.0.0.1:7450"}, {"announce", "127.255.255.255:7451"}, {"network", "cpns-dev"}};
}
std::map<std::string, std::string> default_pne_params() {
  return {{"discover", "7451"}, {"network", "cpns-dev"}};
}

std::string server_yaml(const trial_options& o) {
  return head("server", "A CPNS Server") + "name: " + quote(o.server_name) +
         "\nlisten: " + quote(o.listen.text()) +
         "\n\ntls:\n  certificate: tls/server.pem\n  key: tls/server.key\n  ca: tls/ca.pem\n\nstore:\n" +
         (o.memory_server ? "  kind: memory\n" : "  kind: rocksdb\n  path: state/server\n") +
         "\nprotector:\n  kind: file\n  file: server.kek\n\nkeys:\n  rekey: " +
         config::duration_text(o.rekey) + "\n" + tail(o, "server");
}

std::string gateway_yaml(const trial_options& o) {
  const auto params =
      o.gateway_params.empty() && o.plugin == "tcp" ? default_gateway_params() : o.gateway_params;
  return head("gateway", "A PN GW") + "name: " + quote(o.gateway_name) + "\nuser: " + quote(o.user) +
         "\nuser_password_file: password  # read once, at enrolment; remove it afterwards\n\nservers:\n  - " +
         quote(o.listen.text()) + "\nserver_uri: " + quote("urn:cpns:server:" + o.server_name) +
         "\n\ntls:\n  certificate: tls/gateway.pem\n  key: tls/gateway.key\n  ca: tls/ca.pem\n\nstore:\n  "
         "kind: rocksdb\n"
         "  path: state/gateway\n\nprotector:\n  kind: file\n  file: gateway.kek\n" +
         transports(o, params) + links(o) +
         "\nvalidation:\n  policy: auto\n\ncontrol_socket: state/gateway.sock\n" + tail(o, "gateway");
}

std::string pne_yaml(const trial_options& o) {
  const auto params = o.pne_params.empty() && o.plugin == "tcp" ? default_pne_params() : o.pne_params;
  return head("pne", "A bench of PNEs in one process") + "devices_file: devices.csv\nkeys_dir: state/pne\n" +
         transports(o, params) +
         "\nprotector:\n  kind: file\n  file: pne.kek\n\ncontrol_socket: state/pne.sock\n" + tail(o, "pne");
}

}  // namespace cpns::cli
