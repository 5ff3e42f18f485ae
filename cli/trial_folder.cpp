#include "cli/trial_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include "audit/server_states.hpp"
#include "base/bytes.hpp"
#include "cli/audited.hpp"
#include "cli/daemon.hpp"
#include "cli/device_import.hpp"
#include "cli/issuing.hpp"
#include "cli/revoking.hpp"
#include "cli/stores.hpp"
#include "config/loader.hpp"
#include "config/values.hpp"
#include "crypto/pki.hpp"
#include "server/device_rows.hpp"
#include "storage/key_protector.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

status write_new(const fs::path& file, byte_view content, mode_t mode) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return fail(errc::config_file, file.string() + ": " + std::strerror(errno));
  status done;
  while (!content.empty()) {
    const auto n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      done = fail(errc::config_file, file.string() + ": " + std::strerror(errno));
      break;
    }
    content = content.subspan(static_cast<std::size_t>(n));
  }
  if (::close(fd) != 0 && done) done = fail(errc::config_file, file.string() + ": " + std::strerror(errno));
  return done;
}
status write_public(const fs::path& file, std::string_view text) {
  return write_new(file, as_bytes(text), 0644);
}
status write_private(const fs::path& file, byte_view content) { return write_new(file, content, 0600); }

/// Creates a folder, or takes an empty one, and removes its content again unless `keep` is called.
class new_folder {
 public:
  static result<new_folder> make(const fs::path& folder) {
    std::error_code ec;
    const bool exists = fs::exists(folder, ec);
    if (exists && !fs::is_directory(folder, ec))
      return fail(errc::config_usage, folder.string() + " exists and is not a folder");
    if (exists && !fs::is_empty(folder, ec))
      return fail(errc::config_usage,
                  folder.string() + (ec ? ": " + ec.message() : " is not empty; name a new folder"));
    if (const auto parent = folder.parent_path(); !parent.empty()) fs::create_directories(parent, ec);
    if (!exists && ::mkdir(folder.c_str(), 0700) != 0)
      return fail(errc::config_file, folder.string() + ": " + std::strerror(errno));
    return new_folder(folder, !exists);
  }
  new_folder(new_folder&& other) noexcept
      : folder_(std::move(other.folder_)), created_(other.created_), kept_(other.kept_) {
    other.kept_ = true;
  }
  new_folder& operator=(new_folder&&) = delete;
  ~new_folder() {
    if (kept_) return;
    std::error_code ec;
    if (created_) {
      fs::remove_all(folder_, ec);
      return;
    }
    for (fs::directory_iterator it(folder_, ec), end; !ec && it != end; it.increment(ec))
      fs::remove_all(it->path(), ec);
  }
  void keep() { kept_ = true; }

 private:
  new_folder(fs::path folder, bool created) : folder_(std::move(folder)), created_(created) {}
  fs::path folder_;
  bool created_;
  bool kept_ = false;
};

status make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  return fail(errc::config_file, folder.string() + ": " + std::strerror(errno));
}

status write_identity(const crypto::identity& id, const fs::path& tls, const std::string& name) {
  CPNS_CHECK(write_public(tls / (name + ".pem"), id.certificate_pem));
  return write_private(tls / (name + ".key"), id.key_pem.expose());
}

status make_certificates(const trial_options& o, const fs::path& tls) {
  const auto now = now_wall();
  CPNS_TRY(const auto ca, crypto::make_ca("cpns development CA", certificate_days + 1, now));
  CPNS_CHECK(write_identity(ca, tls, "ca"));
  CPNS_TRY(const auto crl, empty_crl(ca, now));
  CPNS_CHECK(write_public(tls / "ca.crl", crl));
  crypto::certificate_request r;
  r.not_before = now - std::chrono::hours(1);
  r.not_after = now + std::chrono::hours(24 * certificate_days);
  r.common_name = o.server_name;
  r.uris = {"urn:cpns:server:" + o.server_name};
  r.dns = {"localhost"};
  r.ips = {"127.0.0.1", "::1"};
  r.usage = crypto::certificate_usage::server;
  CPNS_TRY(const auto server, crypto::issue(ca, r));
  CPNS_CHECK(write_identity(server, tls, "server"));
  r.common_name = o.gateway_name;
  r.uris = {"urn:cpns:gw:" + o.gateway_name};
  r.dns.clear();
  r.ips.clear();
  r.usage = crypto::certificate_usage::client;
  CPNS_TRY(const auto gateway, crypto::issue(ca, r));
  return write_identity(gateway, tls, "gateway");
}

/// Devices as a manufacturer would list them: locally administered EUI-64 of one random batch, keys of 128 random
/// bits.
bytes make_device_list(unsigned count, entropy& random) {
  auto batch = random.draw<5>();
  batch[0] = 0x02;
  bytes out;
  out.reserve(64 + std::size_t{count} * 96);  // growing would leave a copy behind
  const auto put = [&](std::string_view t) { out.insert(out.end(), t.begin(), t.end()); };
  put("entity_id,temporary_key,strength\n");
  for (unsigned i = 0; i < count; ++i) {
    const byte_array<3> number{static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                               static_cast<std::uint8_t>(i)};
    const auto key = random.draw_secret<16>();
    auto key_text = to_hex(key.expose());
    put("urn:dev:mac:" + to_hex(batch) + to_hex(number) + ",");
    put(key_text);
    put(",128bit\n");
    wipe(key_text);
  }
  return out;
}

/// Loads the configurations as the roles will: names and paths come from the caller.
status check_files(const trial_report& files) {
  for (const auto& file : {files.server_yaml, files.gateway_yaml, files.pne_yaml}) {
    const auto role = config::check_file(file);
    if (!role) return fail(role.error().as_error());
  }
  return {};
}

status fill_server_store(const trial_options& o, const trial_report& files, const secret_bytes& password) {
  CPNS_TRY(auto opened, open_audited_server(files.server_yaml));
  auto& store = opened.store.sealed();
  CPNS_TRY(const auto user, user_id::parse(o.user));
  const auto record =
      make_user(crypto::openssl_suite(), crypto::system_entropy(), user, password, now_wall());
  const auto change = change_by_command(audit::user_add, o.user, nullptr, audit::state_of(record));
  CPNS_CHECK(with_audit(*opened.trail, change, [&] { return add_user(store, record); }));
  if (o.devices == 0) return {};
  CPNS_TRY(const auto list, private_file::open(files.devices_csv));
  import_request request{.name = "development",
                         .file = list.name(),
                         .options = {.batch = "development"},
                         .source = {},
                         .stop = cancelled};
  request.source = [&list](std::span<std::uint8_t> to) { return list.read(to); };
  CPNS_TRY(const auto imports, stopped_imports(opened));
  std::string wrong;
  const auto done =
      import_devices(*imports, std::move(request), [&wrong](const std::string& row) { wrong = row; });
  if (!done && cancelled()) return fail(errc::state_stopping, "interrupted");
  if (!done) return fail(errc::internal, "the new devices cannot be imported: " + done.error().detail);
  if (done->bad > 0) return fail(errc::internal, "a new device cannot be imported: " + wrong);
  return {};
}

/// The most that the gateway's radio allows: its max_links, or for tcp the open files of its process.
std::size_t links_of_radio(const trial_options& o) {
  std::size_t most = std::numeric_limits<std::uint32_t>::max();
  if (o.plugin == "tcp") most = connections_of_process();
  if (const auto set = o.gateway_params.find("max_links"); set != o.gateway_params.end()) {
    std::size_t links = 0;
    std::from_chars(set->second.data(), set->second.data() + set->second.size(), links);
    if (links != 0) most = std::min(most, links);
  }
  return most;
}

/// Links of the gateway: 100 more than devices, because a device may connect again before its old link closes; twice
/// that, because unproven links, as all are at first, may take half of them.
std::size_t links_of(const trial_options& o) {
  return std::min(2 * (std::size_t{o.devices} + 100), links_of_radio(o));
}
bool exceeds_defaults(const trial_options& o) { return links_of(o) > config::gateway_limits{}.links; }

/// A YAML text in single quotes, where only the quote itself is special; "${" is protected from expansion.
std::string quote(std::string_view text) {
  std::string out = "'";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) out += '$';
    out += text[i];
    if (text[i] == '\'') out += '\'';
  }
  return out + "'";
}

std::string head(std::string_view role, std::string_view title) {
  return "# " + std::string{title} +
         ", made by cpns init. Every key: docs/config.md\n# Check a change with: cpns config check " +
         std::string{role} + ".yaml\nrole: " + std::string{role} + "\n";
}

std::string transports(const trial_options& o, const std::map<std::string, std::string>& params) {
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

/// The folder of the key file has a password and devices, whose first lines a client of the API must not make the key of
/// the store. So new keys have a folder of their own.
std::string protector(const std::string& role) {
  return "\nprotector:\n  kind: file\n  file: " + role + ".kek\n  new_keys: keys/" + role +
         "  # for `cpns store rewrap` of the running role\n";
}

std::string links(const trial_options& o) {
  return exceeds_defaults(o) ? "\nlimits:\n  links: " + std::to_string(links_of(o)) + "\n" : "";
}

std::string timers(const trial_options& o) {
  if (o.answer_timeout == config::gateway_timers{}.answer_timeout) return {};
  return "\ntimers:\n  answer_timeout: " + config::duration_text(o.answer_timeout) + "\n";
}

std::string application_keys(const std::string& socket, const std::string& user) {
  return "\napplication_keys:\n  socket: " + quote(socket) +
         "\n  purposes:\n    mqtt:\n      allow:\n        users: [" + quote(user) + "]\n";
}

std::string tail(const trial_options& o, const std::string& role) {
  std::string out = "\nlog:\n  format: " + std::string{o.json_logs ? "json" : "text"} + "\n";
  if (role == "server" && o.server_steps) out += "  components:\n    server: debug\n";
  // A store in memory begins another chain at each start, which would not continue the file.
  if (role != "server" || !o.memory_server) out += "\naudit:\n  file: state/" + role + ".audit.jsonl\n";
  if (o.ready_files) out += "\nready_file: state/" + role + ".ready\n";
  return out;
}

/// Parameters of the tcp plugin unless trial_options has others: loopback addresses only.
std::map<std::string, std::string> default_gateway_params() {
  return {{"listen", "127.0.0.1:7450"}, {"announce", "127.255.255.255:7451"}, {"network", "cpns-dev"}};
}
std::map<std::string, std::string> default_pne_params() {
  return {{"discover", "7451"}, {"network", "cpns-dev"}};
}

}  // namespace

std::string server_yaml(const trial_options& o) {
  return head("server", "A CPNS Server") + "name: " + quote(o.server_name) +
         "\nlisten: " + quote(o.listen.text()) +
         "\n\ntls:\n  certificate: tls/server.pem\n  key: tls/server.key\n  ca: tls/ca.pem\n  crl: "
         "tls/ca.crl\n\nstore:\n" +
         (o.memory_server ? "  kind: memory\n" : "  kind: rocksdb\n  path: state/server\n") +
         protector("server") + "\nkeys:\n  rekey: " + config::duration_text(o.rekey) +
         "\n\napi:\n  socket: state/server.sock\n" + tail(o, "server");
}

std::string gateway_yaml(const trial_options& o) {
  const auto params =
      o.gateway_params.empty() && o.plugin == "tcp" ? default_gateway_params() : o.gateway_params;
  return head("gateway", "A PN GW") + "name: " + quote(o.gateway_name) + "\nuser: " + quote(o.user) +
         "\nuser_password_file: password  # read once, at enrolment; remove it afterwards\n\nservers:\n  - " +
         quote(o.listen.text()) + "\nserver_uri: " + quote("urn:cpns:server:" + o.server_name) +
         "\n\ntls:\n  certificate: tls/gateway.pem\n  key: tls/gateway.key\n  ca: tls/ca.pem\n  crl: "
         "tls/ca.crl\n\nstore:\n  "
         "kind: rocksdb\n"
         "  path: state/gateway\n" +
         protector("gateway") + transports(o, params) + links(o) + timers(o) +
         "\nvalidation:\n  policy: auto\n\napi:\n  socket: state/gateway.sock\n" +
         (o.key_sockets ? application_keys(o.key_sockets->gateway, o.key_sockets->gateway_user) : "") +
         tail(o, "gateway");
}

std::string pne_yaml(const trial_options& o) {
  const auto params = o.pne_params.empty() && o.plugin == "tcp" ? default_pne_params() : o.pne_params;
  return head("pne", "A bench of PNEs in one process") + "devices_file: devices.csv\nkeys_dir: state/pne\n" +
         transports(o, params) + protector("pne") +
         (o.key_sockets ? application_keys(o.key_sockets->pne, o.key_sockets->pne_user) : "") +
         tail(o, "pne");
}

result<trial_report> make_trial_folder(const trial_options& o) {
  CPNS_CHECK(user_id::parse(o.user).map([](const user_id&) {}));
  if (o.devices > server::device_rows_max)
    return fail(errc::config_usage, "at most " + std::to_string(server::device_rows_max) + " devices");
  std::error_code ec;
  const auto folder = fs::absolute(o.folder, ec).lexically_normal();
  CPNS_TRY(auto guard, new_folder::make(folder));

  auto& random = crypto::system_entropy();
  CPNS_CHECK(make_folder(folder / "tls"));
  CPNS_CHECK(make_folder(folder / "state"));
  CPNS_CHECK(make_certificates(o, folder / "tls"));
  CPNS_CHECK(make_folder(folder / "keys"));
  for (const auto* role : {"server", "gateway", "pne"}) {
    CPNS_CHECK(make_folder(folder / "keys" / role));
    CPNS_CHECK(storage::create_key_file(folder / (std::string{role} + ".kek"), random));
  }

  trial_report files{folder / "server.yaml", folder / "gateway.yaml", folder / "pne.yaml",
                     folder / "devices.csv", folder / "user",         folder / "password"};
  auto drawn = to_hex(random.draw_secret<16>().expose());
  const auto password = secret_bytes::from_text(drawn);
  wipe(drawn);
  CPNS_CHECK(write_private(files.password_file, password.expose()));
  CPNS_CHECK(write_public(files.user_file, o.user + "\n"));
  const secret_bytes list(make_device_list(o.devices, random));
  CPNS_CHECK(write_private(files.devices_csv, list.expose()));

  CPNS_CHECK(write_public(files.server_yaml, server_yaml(o)));
  CPNS_CHECK(write_public(files.gateway_yaml, gateway_yaml(o)));
  CPNS_CHECK(write_public(files.pne_yaml, pne_yaml(o)));
  CPNS_CHECK(check_files(files));
  if (!o.memory_server) CPNS_CHECK(fill_server_store(o, files, password));
  if (cancelled()) return fail(errc::state_stopping, "interrupted");
  guard.keep();
  return files;
}

}  // namespace cpns::cli
