#include "cli/audit_report.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "api/body.hpp"
#include "cli/role_client.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds check_longest{30};  // a client waits for an answer for 60 s
constexpr std::size_t older_files_max = 100;

bool is_older_file(const std::string& name, const fs::path& trail) {
  return name.find('/') == std::string::npos && name.starts_with(trail.filename().string() + ".");
}

std::string rule_of_older_files(const fs::path& trail) {
  return "older files of the trail are named " + trail.filename().string() + ".* and lie in " +
         trail.parent_path().string() + "; at most " + std::to_string(older_files_max) +
         " of them are checked while the role runs";
}

/// The names in "a,b".
api::checked<std::vector<fs::path>> older_files(const std::string& list, const fs::path& trail) {
  std::vector<fs::path> out;
  for (std::size_t at = 0; at < list.size();) {
    const auto end = std::min(list.find(',', at), list.size());
    const auto name = list.substr(at, end - at);
    if (!is_older_file(name, trail) || out.size() == older_files_max)
      return api::refuse(400, "out-of-range", rule_of_older_files(trail), "older");
    out.push_back(trail.parent_path() / name);
    at = end + 1;
  }
  return out;
}

api::outcome verify_now(const audit::trail& trail, std::mutex& one_at_a_time, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"older"}));
  if (trail.file().empty())
    return fail(errc::state_unknown,
                "an audit trail of this role: it keeps its store in memory, and audit.file is not set");
  CPNS_TRY(const auto older, older_files(api::text_parameter(r, "older"), trail.file()));
  const std::unique_lock only_one(one_at_a_time, std::try_to_lock);
  if (!only_one.owns_lock())
    return fail(errc::state_conflict, "another check of the trail is running; wait for its end");
  CPNS_TRY(const auto report, trail.check(older, std::chrono::steady_clock::now() + check_longest));
  return api::json_response(json_of(report));
}

std::string text_of(const boost::json::value& v) { return boost::json::value_to<std::string>(v); }

std::uint64_t count_of(const boost::json::object& o, const char* name) {
  return o.at(name).to_number<std::uint64_t>();
}

}  // namespace

boost::json::object json_of(const audit::verify_report& r) {
  boost::json::array files, faults, remarks;
  for (const auto& f : r.files)
    files.push_back(boost::json::object{{"file", f.file},
                                        {"lines", f.lines},
                                        {"first", f.first},
                                        {"last", f.last},
                                        {"since", f.since},
                                        {"until", f.until}});
  for (const auto& f : r.faults)
    faults.push_back(boost::json::object{{"file", f.file}, {"line", f.line}, {"text", f.text}});
  for (const auto& remark : r.remarks) remarks.emplace_back(remark);
  return {{"whole", r.whole()},
          {"first", r.first},
          {"last", r.last},
          {"lines", r.lines},
          {"head", r.head},
          {"files", std::move(files)},
          {"faults", std::move(faults)},
          {"faults_left_out", r.faults_left_out},
          {"notes", std::move(remarks)}};
}

result<audit::verify_report> verify_report_of(const boost::json::value& v) {
  try {
    const auto& o = v.as_object();
    audit::verify_report out;
    out.first = count_of(o, "first");
    out.last = count_of(o, "last");
    out.lines = count_of(o, "lines");
    out.head = count_of(o, "head");
    out.faults_left_out = count_of(o, "faults_left_out");
    for (const auto& entry : o.at("files").as_array()) {
      const auto& f = entry.as_object();
      out.files.push_back({text_of(f.at("file")), count_of(f, "lines"), count_of(f, "first"),
                           count_of(f, "last"), text_of(f.at("since")), text_of(f.at("until"))});
    }
    for (const auto& entry : o.at("faults").as_array()) {
      const auto& f = entry.as_object();
      out.faults.push_back({text_of(f.at("file")), count_of(f, "line"), text_of(f.at("text"))});
    }
    for (const auto& note : o.at("notes").as_array()) out.remarks.push_back(text_of(note));
    return out;
  } catch (const std::exception&) {
    return fail(errc::peer_bad_state, "the role gave an answer of another form; is it of another version?");
  }
}

api::route audit_verify_route(audit::trail& trail) {
  const auto one_at_a_time = std::make_shared<std::mutex>();
  return {.verb = api::verb::get,
          .path = "/v1/audit/verify",
          .needs = api::level::admin,
          .handle = [&trail, one_at_a_time](const api::request& r) {
            return verify_now(trail, *one_at_a_time, r);
          }};
}

tl::expected<audit::verify_report, api::problem> verify_running(api::client& role, const std::string& older) {
  const auto query = older.empty() ? std::string{} : "?older=" + api::encode_percent(older);
  CPNS_TRY(const auto answer, ask_role(role, api::verb::get, "/v1/audit/verify" + query));
  CPNS_TRY(auto out, verify_report_of(answer));
  return out;
}

tl::expected<audit::verify_report, api::problem> verify_running(const config::checked_file& file,
                                                                const std::vector<fs::path>& older) {
  const auto [settings, trail] = std::visit(
      [](const auto& c) {
        return std::pair{c.api, c.audit.file};
      },
      file.config);
  std::string names;
  for (const auto& path : older) {
    const auto name = path.filename().string();
    std::error_code ec;
    if (!is_older_file(name, trail) || name.find(',') != std::string::npos ||
        !fs::equivalent(fs::absolute(path), trail.parent_path() / name, ec))
      return fail(errc::config_usage, path.string() + ": " + rule_of_older_files(trail));
    names += (names.empty() ? "" : ",") + name;
  }
  CPNS_TRY(auto role, connect_role(settings));
  return verify_running(role, names);
}

}  // namespace cpns::cli
