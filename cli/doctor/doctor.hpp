#pragma once
// `cpns doctor`: examines a role from outside, running or stopped, and changes nothing.
//
// Each check is a function from the subject to lines. checks_for() lists them; a check of another source, such as the
// API of a running role, is one more entry there. Checks run in parallel, each in a thread of its own that is left
// behind when it does not end: a name server or a disk that hangs must not hang the command.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/clock.hpp"
#include "cli/commands.hpp"
#include "config/loader.hpp"

namespace cpns::cli::doctor {

enum class state_t : std::uint8_t { ok, warning, error };
std::string_view name_of(state_t s);

struct line {
  state_t state = state_t::ok;
  std::string text;  ///< a sentence; a warning and an error end with the remedy
};
using lines = std::vector<line>;

/// Opens a configured radio for a moment, in a child process. The program passes actors::try_radio.
using radio_trial = std::function<status(const config::transport_config&,
                                         const std::vector<config::path>& plugin_dirs, config::role_kind)>;

/// A transport of a configuration, as its plugin describes it.
struct radio_facts {
  std::string plugin;                         ///< its name, whatever its file is called
  std::map<std::string, std::string> params;  ///< those of the configuration, and the presets of the others
};
/// The description, read in a child process; errors of plugins::describe_transport.
using radio_description = std::function<result<radio_facts>(
    const config::transport_config&, const std::vector<config::path>& plugin_dirs, config::role_kind)>;

struct tools {
  radio_check check_radio;
  radio_trial try_radio;
  radio_description describe_radio{};  ///< for a comparison alone
};

/// The role that is examined. Immutable, shared by all checks.
struct subject {
  config::checked_file file;
  tools with;
  time_point now;                ///< the wall clock
  std::optional<pid_t> process;  ///< that runs the role; 0: unknown number
  milliseconds patience{5000};   ///< for a peer
  [[nodiscard]] bool running() const { return process.has_value(); }
};

struct check {
  std::string name;  ///< one word
  std::function<lines(const subject&)> run;
};
/// All checks of this role, in the order of their lines.
std::vector<check> checks_for(const subject& s);

/// The process that runs the role of this configuration; 0: its number is unknown. nullopt: none, or the role keeps
/// neither a store nor a ready file by which it could be seen.
std::optional<pid_t> process_of(const config::checked_file& file);

struct finding {
  std::string check;
  line what;
};
std::size_t count(const std::vector<finding>& all, state_t s);

struct examination {
  std::string config;
  std::string role;              ///< empty if the configuration does not name it
  std::optional<pid_t> process;  ///< as subject::process
  std::vector<finding> findings;
  [[nodiscard]] std::size_t count(state_t s) const { return doctor::count(findings, s); }
};
/// Examines the role of a configuration file. Ends after `longest` at the latest.
examination examine(const std::string& config_file, const tools& with, milliseconds longest = seconds{20});

/// What a running role says in /v1/status. Errors of connect_role, and the problem of the role as text.
result<boost::json::object> status_of_role(const subject& s);

// The checks, by source file. All of them write nothing.

lines check_files(const subject& s);  // files.cpp: the files that the configuration names, and their modes
lines check_certificates(const subject& s);      // files.cpp
lines check_api_certificates(const subject& s);  // files.cpp: those of api.tls
lines check_user(const subject& s);              // files.cpp: whether it runs with the rights of the role
lines check_disk(const subject& s);              // machine.cpp: space
lines check_clock(const subject& s);             // machine.cpp
lines check_descriptors(const subject& s);       // machine.cpp: open files of a process
lines check_audit(const subject& s);             // audit.cpp: the file of the audit trail
lines check_store(const subject& s);             // store.cpp
lines check_ready(const subject& s);             // ready.cpp: what a running role says about itself
lines check_listening(const subject& s);         // reach.cpp: the address of a server
lines check_api_addresses(const subject& s);     // reach.cpp: the ports of the API of a stopped role
lines check_server(const subject& s, const config::address& server);  // reach.cpp: one server of a gateway
lines check_key_service(const subject& s,
                        const config::key_service_config& service);  // key_services.cpp
lines check_enrolment(const subject& s);  // enrolment.cpp: the password of a gateway's user
lines check_transport(const subject& s, const config::transport_config& radio);  // radios.cpp

}  // namespace cpns::cli::doctor
