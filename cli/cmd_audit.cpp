// `cpns audit`: check and show the trail of a role.

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <regex>

#include "audit/trail_file.hpp"
#include "audit/verify.hpp"
#include "base/text.hpp"
#include "cli/audit_report.hpp"
#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/role_client.hpp"
#include "config/values.hpp"

namespace cpns::cli {
namespace {

struct audit_options {
  role_options role{.role = std::nullopt};
  std::vector<std::string> files;
  bool json = false;
  std::string since, object, action;
};

std::vector<std::filesystem::path> paths_of(const std::vector<std::string>& files) {
  return {files.begin(), files.end()};
}

void print_report(const audit::verify_report& r) {
  for (const auto& f : r.files) {
    std::cout << f.file << ": ";
    if (f.lines == 0)
      std::cout << "no line of this chain\n";
    else
      std::cout << f.lines << " lines, " << f.first << " to " << f.last << ", from " << f.since << " to "
                << f.until << "\n";
  }
  for (const auto& remark : r.remarks) std::cout << "note: " << remark << "\n";
  for (const auto& f : r.faults) std::cerr << f.message() << "\n";
  if (r.faults_left_out > 0) std::cerr << "... and " << r.faults_left_out << " more\n";
  if (r.whole())
    std::cout << "The chain is whole: line " << r.head << " is the last one that the store knows.\n";
  else
    std::cerr << "cpns: the trail is not as the role wrote it\n";
}

/// By this process. store_locked if the role runs, which holds the key of its trail.
result<audit::verify_report> verify_stopped(const audit_options& o) {
  CPNS_TRY(const auto role, load_chain(o.role.config));
  if (role.file.empty())
    return fail(errc::state_unknown,
                "an audit trail of this role: it keeps its store in memory, and audit.file is not set");
  if (!role.chain)
    return fail(errc::state_unknown,
                "a chain in the store of this role; it begins with the first start or change");
  return audit::verify(paths_of(o.files), role.file, *role.chain);
}

/// With commas between them. A role on another machine knows no paths of this one.
result<std::string> names_of(const std::vector<std::string>& files) {
  std::string out;
  for (const auto& name : files) {
    if (name.find_first_of("/,") != std::string::npos)
      return fail(errc::config_usage, shown(name) +
                                          ": with --url and --socket, name an older file without its folder; "
                                          "it must be in the folder of the trail");
    out += (out.empty() ? "" : ",") + name;
  }
  return out;
}

int print_verdict(const audit_options& o, const audit::verify_report& r) {
  if (o.json)
    std::cout << boost::json::serialize(json_of(r)) << "\n";
  else
    print_report(r);
  return r.whole() ? exit_done : exit_failed;
}

result<int> run_verify(const audit_options& o) {
  CPNS_CHECK(check_naming(o.role));
  if (o.role.names_running()) {
    CPNS_TRY(const auto older, names_of(o.files));
    CPNS_TRY(auto role, connect_role(o.role));
    const auto live = verify_running(role, older);
    return live ? print_verdict(o, *live) : report(live.error());
  }
  const auto stopped = verify_stopped(o);
  if (stopped) return print_verdict(o, *stopped);
  if (stopped.error() != errc::store_locked) return fail(stopped.error());
  const auto file = config::check_file(o.role.config);
  if (!file) return fail(file.error().as_error());
  const auto live = verify_running(*file, paths_of(o.files));
  return live ? print_verdict(o, *live) : report_running(stopped.error(), live.error());
}

/// For a terminal: texts may come from a hostile client.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= ' ' && c < 0x7f ? c : '?';
  return out;
}

std::string text_in(const boost::json::object& o, const char* key) {
  const auto* v = o.if_contains(key);
  if (v == nullptr || v->is_null()) return {};
  if (const auto* s = v->if_string()) return printable({s->data(), s->size()});
  return printable(boost::json::serialize(*v));
}

std::string who_text(const boost::json::object& line) {
  const auto* v = line.if_contains("who");
  const auto* who = v == nullptr ? nullptr : v->if_object();
  if (who == nullptr) return "?";
  if (const auto certificate = text_in(*who, "certificate"); !certificate.empty())
    return certificate + " at " + text_in(*who, "address");
  const auto user = text_in(*who, "user");
  auto out = (user.empty() ? std::string{} : user + " ") + "(uid " + text_in(*who, "uid");
  if (const auto login = text_in(*who, "login_uid"); !login.empty() && login != text_in(*who, "uid"))
    out += ", login " + login;
  if (const auto program = text_in(*who, "executable"); !program.empty()) out += ", " + program;
  return out + ")";
}

/// The part of a line behind time and number.
std::string sentence_of(const boost::json::object& line) {
  const auto kind = text_in(line, "kind"), reason = text_in(line, "reason");
  const auto what = text_in(line, "action") + " " + text_in(line, "object");
  const auto why = reason.empty() ? std::string{} : ": " + reason;
  if (kind == "intent") return what + " begun by " + who_text(line) + ", " + text_in(line, "via");
  if (kind == "outcome")
    return what + " " + text_in(line, "outcome") + why +
           (line.contains("recovered") ? " (found at the next start)" : "") + " [" + text_in(line, "intent") +
           "]";
  if (kind == "refused") return what + " refused to " + who_text(line) + ", " + text_in(line, "via") + why;
  if (kind == "refusals") {
    const auto peer = text_in(line, "peer");
    return text_in(line, "left_out") + " more refusals" +
           (peer.empty() ? " of several peers" : " of " + peer);
  }
  return kind + " " + text_in(line, "found");
}

class line_filter {
 public:
  explicit line_filter(const audit_options& o, std::string since)
      : since_(std::move(since)), object_(o.object), action_(o.action) {}
  [[nodiscard]] bool passes(const boost::json::object& line) const {
    const auto has = [&line](const char* key, const std::string& pattern) {
      return pattern.empty() || fits(pattern, text_in(line, key));
    };
    return text_in(line, "time") >= since_ && has("object", object_) && has("action", action_);
  }

 private:
  std::string since_, object_, action_;
};

/// A date or time as the lines have it, from such a text or from a duration before now.
result<std::string> read_since(const std::string& text) {
  if (text.empty()) return std::string{};
  if (const auto ago = config::parse_duration(text)) return rfc3339_text(now_wall() - *ago);
  static const std::regex form(R"(\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,3})?)?)?Z?)?)?)?)");
  if (!std::regex_match(text, form))
    return fail(errc::config_usage,
                "--since: " + shown(text) +
                    " is neither a duration such as 2h or 7d, nor a time in UTC such as 2026-11-28 or "
                    "2026-11-28T10:00");
  auto out = text;
  std::replace(out.begin(), out.end(), ' ', 'T');
  if (out.ends_with('Z')) out.pop_back();
  return out;
}

result<std::filesystem::path> trail_of(const std::string& config_file) {
  const auto checked = config::check_file(config_file);
  if (!checked) return fail(checked.error().as_error());
  return std::visit([](const auto& c) { return c.audit.file; }, checked->config);
}

status show_file(const std::filesystem::path& file, const line_filter& filter, bool json) {
  CPNS_TRY(const auto fd, audit::open_to_read(file));
  CPNS_TRY(const auto size, audit::size_of(fd.get(), file));
  audit::line_source source(fd.get(), size, file);
  for (std::uint64_t n = 1;; ++n) {
    CPNS_TRY(const auto p, source.next());
    if (!p) return {};
    boost::system::error_code ec;
    const auto line = p->whole ? p->line() : p->bytes;
    const auto parsed = boost::json::parse({line.data(), line.size()}, ec);
    const auto* o = ec ? nullptr : parsed.if_object();
    if (o == nullptr) {
      std::cerr << file.string() << ":" << n
                << ": not a line of an audit trail; `cpns audit verify` judges the file\n";
      continue;
    }
    if (!filter.passes(*o)) continue;
    if (json)
      std::cout << line << "\n";
    else
      std::cout << text_in(*o, "time") << "  " << text_in(*o, "number") << "  " << sentence_of(*o) << "\n";
  }
}

result<int> run_show(const audit_options& o) {
  CPNS_TRY(auto since, read_since(o.since));
  const line_filter filter(o, std::move(since));
  CPNS_TRY(const auto newest, trail_of(o.role.config));
  if (newest.empty())
    return fail(errc::state_unknown,
                "an audit trail of this role: it keeps its store in memory, and audit.file is not set");
  for (const auto& file : o.files) CPNS_CHECK(show_file(file, filter, o.json));
  CPNS_CHECK(show_file(newest, filter, o.json));
  return exit_done;
}

CLI::App* audit_command(CLI::App& parent, const std::shared_ptr<audit_options>& o, int& code,
                        const char* name, const char* help, result<int> (*run)(const audit_options&)) {
  auto* c = parent.add_subcommand(name, help);
  c->add_flag("--json", o->json, "Print JSON");
  c->callback([o, run, &code] {
    const auto done = run(*o);
    code = done ? *done : report(done.error());
  });
  return c;
}

}  // namespace

void add_audit(CLI::App& app, int& code) {
  auto* audit = app.add_subcommand("audit", "Check or show the audit trail of a role: who changed what");
  audit->require_subcommand(1);
  audit->footer("Examples:\n  cpns audit verify --config trial/server.yaml\n  cpns audit show --config "
                "trial/server.yaml --since 7d");
  const auto o = std::make_shared<audit_options>();

  auto* verify =
      audit_command(*audit, o, code, "verify",
                    "Check that the lines are those that the role wrote, all of them, in order", run_verify);
  add_role_options(*verify, o->role, "the file of the trail, the store and the API socket");
  verify->add_option("FILES", o->files,
                     "Older files of the trail after a rotation, in any order, not compressed");
  verify->footer(
      std::string{
          R"(Each line has a MAC over itself and the line before, under a key that lies sealed in the store, and the
store knows the last line. So a changed line, a gap, a cut end and a chain under another key show. A person
with the key of the store can write a chain that passes; so can one who restores file and store together.

A running role makes the check itself, asked over its API (level admin), for at most 30 seconds; older files
must then be in the folder of the trail, and with --socket or --url their names are given without it. Of a
stopped role the command opens the store: run it as its user.

Exit codes: 0 the chain is whole, 1 it is not, or another error, 2 invalid command line.

Examples:
  cpns audit verify --config trial/server.yaml
  cpns audit verify --config trial/server.yaml trial/state/server.audit.jsonl.*
  cpns audit verify --config trial/gateway.yaml --json
)"} + url_example("audit verify"));

  auto* show = audit_command(*audit, o, code, "show", "Show the lines, also while the role runs", run_show);
  show->add_option("--config", o->role.config, "The role's configuration, which names the file")->required();
  show->add_option("--since", o->since,
                   "Only lines from this time on: 2h, 7d, 2026-11-28 or 2026-11-28T10:00 (UTC)");
  show->add_option("--object", o->object,
                   "Only lines about this User ID, Entity ID or gateway; * at the end for any rest");
  show->add_option("--action", o->action, "Only lines of this action, for example user-add, or device-*");
  show->add_option("FILES", o->files, "Older files of the trail, shown first, in this order");
  show->footer(
      R"(Times are in UTC. The number in brackets is that of the line with the intent. --json prints the lines as
they are in the file. The command does not check them: `cpns audit verify` does.

Exit codes: 0 shown, 1 a file cannot be read, or another error, 2 invalid command line.

Examples:
  cpns audit show --config trial/server.yaml
  cpns audit show --config trial/server.yaml --since 7d --action 'device-*'
  cpns audit show --config trial/server.yaml --object alice@example.org --json)");
}

}  // namespace cpns::cli
