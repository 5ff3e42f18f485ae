// `cpns doctor`.

#include <signal.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>

#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/doctor/compare.hpp"
#include "cli/doctor/doctor.hpp"

namespace cpns::cli {
namespace {

namespace dr = doctor;

colour colour_of(dr::state_t s) {
  switch (s) {
  case dr::state_t::ok: return colour::green;
  case dr::state_t::warning: return colour::yellow;
  case dr::state_t::error: break;
  }
  return colour::red;
}

void print_lines(const std::vector<dr::finding>& all) {
  constexpr std::size_t state_width = 9, check_width = 15;
  const auto padded = [](std::string_view text, std::size_t width) {
    std::string out{text};
    out.resize(std::max(width, out.size() + 1), ' ');
    return out;
  };
  for (const auto& f : all)
    std::cout << paint(colour_of(f.what.state), padded(dr::name_of(f.what.state), state_width))
              << padded(f.check, check_width) << f.what.text << "\n";
  std::cout << "\n"
            << plural(dr::count(all, dr::state_t::error), "error") << ", "
            << plural(dr::count(all, dr::state_t::warning), "warning") << "\n";
}

/// `out` with the lines and their counts.
void print_object(boost::json::object out, const std::vector<dr::finding>& all) {
  boost::json::array found;
  for (const auto& f : all)
    found.push_back(boost::json::object{
        {"state", std::string{dr::name_of(f.what.state)}}, {"check", f.check}, {"text", f.what.text}});
  out["errors"] = dr::count(all, dr::state_t::error);
  out["warnings"] = dr::count(all, dr::state_t::warning);
  out["lines"] = std::move(found);
  std::cout << boost::json::serialize(out) << "\n";
}

boost::json::object head_of(const dr::examination& e) {
  boost::json::object out{{"config", e.config}, {"role", e.role}, {"running", e.process.has_value()}};
  if (e.process && *e.process > 0) out["pid"] = *e.process;
  return out;
}
boost::json::object head_of(const dr::comparison& c) {
  return {{"config", c.config}, {"role", c.role}, {"with", c.with}, {"with_role", c.with_role}};
}

template <class Outcome>
int show(const Outcome& found, bool json) {
  if (json)
    print_object(head_of(found), found.findings);
  else
    print_lines(found.findings);
  std::cout.flush();
  return dr::count(found.findings, dr::state_t::error) > 0 ? exit_failed : exit_done;
}

}  // namespace

void add_doctor(CLI::App& app, int& code, const doctor::tools& with) {
  struct options {
    std::string config, other;
    bool json = false;
  };
  const auto o = std::make_shared<options>();
  auto* c = app.add_subcommand("doctor", "Examine a role, running or stopped, and say what to do");
  c->add_option("--config", o->config, "The configuration of a server, a gateway or PNEs")->required();
  c->add_option("--with", o->other,
                "The configuration of the other side: look only whether the two fit together")
      ->check([](const std::string& file) {
        return file.empty() ? std::string{"it is empty: name a file"} : std::string{};
      });
  c->add_flag("--json", o->json, "Print one JSON object");
  c->footer(
      R"(Checks the configuration, the files that it names and their modes, certificates and revocation lists, the
store or the key files, the audit file, disk space, the clock, the limit of open files, radios, and whether the other side
can be reached: a gateway does a TLS handshake with each of its servers, a server connects to its own
address. Each line is ok, a warning, or an error with the remedy. Nothing is changed, no secret is shown,
and the command ends within 20 seconds. Run it as the user of the role.

A role that runs keeps its store and its radios, so these are not opened a second time. It is asked instead
whether it is ready, through its API.

With --with it compares two files instead, and examines no role: those of a gateway and its PNEs, or of a gateway
and its server, in either order. It reports what both sides have to agree on and do not: radios, Entity IDs, purposes of
application keys, addresses, names and authorities of certificates, times. Only these files, the certificates and the
list of devices are read, so it runs wherever they are.

Exit codes: 0 no error (warnings alone are 0), 1 errors, 2 invalid command line.

Examples:
  cpns doctor --config trial/gateway.yaml
  cpns doctor --config trial/gateway.yaml --with trial/pne.yaml
  cpns doctor --config /etc/cpns/server.yaml --json)");
  c->callback([o, with, &code] {
    ::signal(SIGPIPE, SIG_IGN);  // a peer that closes must not end the command
    if (o->other.empty())
      code = show(dr::examine(o->config, with), o->json);
    else
      code = show(dr::compare(o->config, o->other, with), o->json);
  });
}

}  // namespace cpns::cli
