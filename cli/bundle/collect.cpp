#include "cli/bundle/collect.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <map>
#include <utility>

#include "base/text.hpp"
#include "cli/bundle/fields.hpp"
#include "cli/bundle/log_lines.hpp"
#include "cli/role_client.hpp"
#include "cli/stores.hpp"
#include "config/describe.hpp"

namespace cpns::cli::bundle {
namespace {

namespace json = boost::json;

constexpr seconds count_longest{5};

json::object missing(const std::string& why) { return {{"missing", why}}; }

/// ID, VERSION_ID and PRETTY_NAME of /etc/os-release, and the kernel.
json::object operating_system() {
  json::object out;
  std::ifstream in("/etc/os-release");
  const std::map<std::string, const char*, std::less<>> wanted{
      {"ID", "id"}, {"VERSION_ID", "version"}, {"PRETTY_NAME", "name"}};
  for (std::string text; std::getline(in, text);) {
    const auto at = text.find('=');
    const auto it = wanted.find(text.substr(0, std::min(at, text.size())));
    if (it == wanted.end()) continue;
    auto value = text.substr(at + 1);
    std::erase(value, '"');
    out[it->second] = value;
  }
  utsname kernel{};
  if (::uname(&kernel) == 0) {
    out["kernel"] = kernel.release;
    out["machine"] = kernel.machine;
  }
  return out;
}

json::array findings_of(const doctor::examination& e, pseudonyms& names) {
  json::array out;
  for (const auto& f : e.findings)
    out.push_back(json::object{
        {"state", doctor::name_of(f.what.state)}, {"check", f.check}, {"text", names.in_text(f.what.text)}});
  return out;
}

/// Rows of each table of a stopped role's store; their names and contents stay sealed.
json::object count_rows(const config::store_config& c) {
  if (c.kind == config::store_kind::memory) return missing("the store is in memory");
  const auto store = open_store_for_reading(c);
  if (!store) return missing("the store cannot be opened, or does not exist yet");
  const auto until = std::chrono::steady_clock::now() + count_longest;
  json::object out;
  bool all = true;
  for (const auto t : storage::all_tables) {
    std::size_t n = 0;
    const auto done = (*store)->scan(t, {}, [&](const storage::stored_row&) {
      ++n;
      all = std::chrono::steady_clock::now() < until;
      return all;
    });
    if (!done) return missing("the store cannot be read");
    out[storage::name_of(t)] = n;
    if (!all) break;
  }
  out["complete"] = all;
  return out;
}

class role_reader {
 public:
  role_reader(const config::checked_file& file, bool running, pseudonyms& names)
      : file_(file), running_(running), names_(names) {}

  json::value answer(const char* target, std::span<const allowed> list) {
    if (!running_) return missing("the role is stopped");
    auto role = connect_role(settings());
    if (!role) return missing("the API of the role cannot be asked");
    const auto got = ask_role(*role, api::verb::get, target);
    if (!got) return missing("refused: " + got.error().code);
    return pick(*got, list, names_);
  }
  json::object counts() {
    if (running_) return missing("the role runs; see status");
    return std::visit(
        [](const auto& c) -> json::object {
          if constexpr (requires { c.store; })
            return count_rows(c.store);
          else
            return {{"devices", c.devices.size()}};
        },
        file_.config);
  }
  json::array lines() {
    if (running_) return lines_of_role(settings(), names_);
    const auto file = std::visit([](const auto& c) { return c.log.file; }, file_.config);
    return file.empty() ? json::array{} : lines_of_file(file, names_);
  }

 private:
  [[nodiscard]] config::api_config settings() const {
    return std::visit([](const auto& c) { return c.api; }, file_.config);
  }
  const config::checked_file& file_;
  bool running_;
  pseudonyms& names_;
};

}  // namespace

json::object collect(const request_for_bundle& r, pseudonyms& names) {
  json::object out{
      {"bundle", 1}, {"made", rfc3339_text(now_wall())}, {"cpns", r.version}, {"system", operating_system()}};
  const auto file = config::check_file(r.config_file);
  if (!file) {
    // The words of its errors quote the file, in which a secret may stand by mistake.
    out["configuration"] = missing("the configuration has " + std::to_string(file.error().all.size()) +
                                   " errors; `cpns config check` shows them");
    return out;
  }
  out["role"] = config::word_of(file->role);
  const auto configuration = config::effective(*file, names.filter());  // the filter learns the names
  const auto examined = doctor::examine(r.config_file, r.with);
  const bool running = examined.process.has_value();
  role_reader role(*file, running, names);
  out["running"] = running;
  out["configuration"] = configuration;
  out["status"] = role.answer("/v1/status", status_fields());
  out["counts"] = role.counts();
  out["radios"] = role.answer("/v1/radios", radio_fields());
  out["log"] = role.answer("/v1/log", log_fields());
  out["audit"] = role.answer("/v1/audit/verify", audit_fields());
  out["doctor"] = findings_of(examined, names);
  out["lines"] = role.lines();
  return out;
}

}  // namespace cpns::cli::bundle
