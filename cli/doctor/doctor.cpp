#include "cli/doctor/doctor.hpp"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>
#include <utility>

#include "actors/pne/key_files.hpp"
#include "config/describe.hpp"
#include "storage/file.hpp"
#include "storage/rocksdb_store.hpp"

namespace cpns::cli::doctor {
namespace {

namespace fs = std::filesystem;

/// The results of checks that run in threads of their own. A check that does not end keeps this object alive.
class results {
 public:
  explicit results(std::size_t n) : all_(n) {}
  void put(std::size_t at, lines found) {
    const std::lock_guard lock{guard_};
    all_[at] = std::move(found);
    changed_.notify_all();
  }
  /// nullopt: the check has not ended before `until`.
  std::optional<lines> wait(std::size_t at, std::chrono::steady_clock::time_point until) {
    std::unique_lock lock{guard_};
    changed_.wait_until(lock, until, [&] { return all_[at].has_value(); });
    return all_[at];
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  std::vector<std::optional<lines>> all_;
};

lines run_safely(const check& c, const subject& s) {
  try {
    return c.run(s);
  } catch (const std::exception& e) {
    return {{state_t::error, std::string{"the check failed: "} + e.what()}};
  }
}

/// The number in the last line of a ready file, if that process exists.
std::optional<pid_t> process_in(const fs::path& ready) {
  std::ifstream in{ready};
  std::string word;
  long number = 0;
  for (std::string text; std::getline(in, text);)
    if (text.starts_with("pid ")) number = std::strtol(text.c_str() + 4, nullptr, 10);
  const auto pid = static_cast<pid_t>(number);
  if (pid <= 0 || (::kill(pid, 0) != 0 && errno != EPERM)) return std::nullopt;
  return pid;
}

std::optional<pid_t> holder(const config::store_config& store, const fs::path& ready) {
  if (store.kind != config::store_kind::memory)
    return storage::lock_holder(store.path / storage::store_marker_name);
  return ready.empty() ? std::nullopt : process_in(ready);
}

std::optional<pid_t> holder(const config::pne_config& c) {
  if (!c.keys_dir.empty())
    if (const auto pid = storage::lock_holder(actors::lock_of_folder(c.keys_dir))) return pid;
  for (const auto& d : c.devices)
    if (const auto pid = storage::lock_holder(actors::lock_of_file(d.key_file))) return pid;
  return std::nullopt;
}

}  // namespace

std::string_view name_of(state_t s) {
  switch (s) {
  case state_t::ok: return "ok";
  case state_t::warning: return "warning";
  case state_t::error: break;
  }
  return "error";
}

std::optional<pid_t> process_of(const config::checked_file& file) {
  if (const auto* server = std::get_if<config::server_config>(&file.config))
    return holder(server->store, server->ready_file);
  if (const auto* gateway = std::get_if<config::gateway_config>(&file.config))
    return holder(gateway->store, gateway->ready_file);
  return holder(std::get<config::pne_config>(file.config));
}

std::vector<check> checks_for(const subject& s) {
  std::vector<check> out{{"user", check_user},
                         {"files", check_files},
                         {"certificate", check_certificates},
                         {"store", check_store},
                         {"disk", check_disk},
                         {"clock", check_clock},
                         {"descriptors", check_descriptors}};
  const bool has_api_tls = std::visit([](const auto& c) { return c.api.tls.has_value(); }, s.file.config);
  if (has_api_tls) out.insert(out.begin() + 3, check{"api-certificate", check_api_certificates});
  out.push_back({"audit", check_audit});
  out.push_back(s.running() ? check{"ready", check_ready} : check{"api-address", check_api_addresses});
  if (s.file.role == config::role_kind::pne)
    std::erase_if(out, [](const check& c) { return c.name == "certificate"; });
  for (const auto& t : s.file.transports)
    out.push_back({"radio", [&t](const subject& on) { return check_transport(on, t); }});
  if (const auto* server = std::get_if<config::server_config>(&s.file.config)) {
    out.push_back({"listening", check_listening});
    for (const auto& service : server->temporary_keys.services)
      out.push_back(
          {"key-service", [&service](const subject& on) { return check_key_service(on, service); }});
  }
  if (const auto* gateway = std::get_if<config::gateway_config>(&s.file.config)) {
    for (const auto& server : gateway->servers)
      out.push_back({"server", [&server](const subject& on) { return check_server(on, server); }});
    out.push_back({"enrolment", check_enrolment});
  }
  return out;
}

std::size_t count(const std::vector<finding>& all, state_t s) {
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [s](const finding& f) { return f.what.state == s; }));
}

examination examine(const std::string& config_file, const tools& with, milliseconds longest) {
  const auto until = std::chrono::steady_clock::now() + longest;
  examination out{config_file, {}, {}, {}};
  auto checked = config::check_file(config_file);
  if (!checked) {
    for (auto& text : checked.error().lines())
      out.findings.push_back({"configuration", {state_t::error, std::move(text)}});
    return out;
  }
  out.role = config::word_of(checked->role);
  out.process = process_of(*checked);
  out.findings.push_back({"configuration", {state_t::ok, config_file + " has no error"}});

  const auto s = std::make_shared<const subject>(subject{std::move(*checked), with, now_wall(), out.process});
  const auto all = std::make_shared<const std::vector<check>>(checks_for(*s));
  const auto found = std::make_shared<results>(all->size());
  for (std::size_t i = 0; i < all->size(); ++i)
    std::thread{[s, all, found, i] { found->put(i, run_safely((*all)[i], *s)); }}.detach();
  for (std::size_t i = 0; i < all->size(); ++i) {
    const auto one = found->wait(i, until);
    if (!one)
      out.findings.push_back(
          {(*all)[i].name,
           {state_t::error, "the check did not end within " +
                                std::to_string(std::chrono::ceil<seconds>(longest).count()) +
                                " s: a disk or a name server does not answer"}});
    for (const auto& l : one.value_or(lines{})) out.findings.push_back({(*all)[i].name, l});
  }
  return out;
}

}  // namespace cpns::cli::doctor
