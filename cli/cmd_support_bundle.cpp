// `cpns support-bundle`.

#include <signal.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <iostream>

#include "base/text.hpp"
#include "cli/bundle/collect.hpp"
#include "cli/commands.hpp"
#include "cli/json_text.hpp"
#include "crypto/suite.hpp"
#include "storage/file.hpp"

namespace cpns::cli {
namespace {

struct bundle_options {
  std::string config, output;
  bool with_ids = false;
  bool yes = false;
};

status check_new(const std::filesystem::path& file) {
  std::error_code ec;
  if (!std::filesystem::exists(std::filesystem::symlink_status(file, ec))) return {};
  return fail(errc::state_exists, file.string() + "; name another file (--output), or remove this one");
}

/// Only a clear yes counts.
bool agreed(const std::string& file) {
  std::cerr << "Write this to " << file << "? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (::isatty(STDIN_FILENO) == 0) std::cerr << "\n";
  return answer == "y" || answer == "yes";
}

std::string default_name() {
  auto when = rfc3339_text(now_wall()).substr(0, 19);
  std::erase(when, ':');
  std::erase(when, '-');
  return "cpns-support-" + when + "Z.json";
}

int run_bundle(const bundle_options& o, const bundle::request_for_bundle& wanted) {
  const auto file = o.output.empty() ? default_name() : o.output;
  if (const auto fresh = check_new(file); !fresh) return report(fresh.error());
  bundle::pseudonyms names(crypto::system_entropy(), o.with_ids);
  const auto text = indented(bundle::collect(wanted, names));
  std::cout << text << std::flush;
  if (!o.yes && !agreed(file)) {
    std::cerr << "cpns: nothing was written; --yes writes it without the question\n";
    return exit_failed;
  }
  if (const auto done = storage::replace_file(file, as_bytes(text), storage::if_exists::refuse); !done)
    return report(done.error());
  std::cerr << "Written to " << file << ", mode 0600.\n";
  return exit_done;
}

}  // namespace

void add_support_bundle(CLI::App& app, int& code, const doctor::tools& with, const std::string& version) {
  const auto o = std::make_shared<bundle_options>();
  auto* c = app.add_subcommand("support-bundle",
                               "Collect what others need to help with a role, without secrets and names");
  c->add_option("--config", o->config, "The configuration of a server, a gateway or PNEs")->required();
  c->add_option("--output", o->output,
                "The file to write, which must not exist; by default cpns-support-TIME.json in this folder");
  c->add_flag("--with-ids", o->with_ids,
              "Do not replace User IDs, Entity IDs, groups, addresses, URIs and certificate subjects");
  c->add_flag("--yes", o->yes, "Write the file without a question");
  c->footer(
      R"(One JSON document: version, operating system, the configuration with all defaults, status, counts, radios
and their counters, log levels, the check of the audit trail, the lines of `cpns doctor`, and the last log
lines by their event, without their sentences. It is made from a list of allowed fields, never from a copy
of a file. The role may run or be stopped. Run it as the user of the role.

User IDs, Entity IDs, groups, addresses, URIs and subjects of certificates are replaced by pseudonyms, the
same ones in the whole bundle, and others in the next one. Names that you gave to roles, radios, files and folders stay.

It is printed first, and written after you agreed, with mode 0600. Nothing is sent anywhere.

Exit codes: 0 written, 1 not written, 2 invalid command line.

Examples:
  cpns support-bundle --config trial/gateway.yaml
  cpns support-bundle --config /etc/cpns/server.yaml --output server.json --yes)");
  c->callback([o, with, version, &code] {
    ::signal(SIGPIPE, SIG_IGN);  // a peer that closes must not end the command
    code = run_bundle(*o, {o->config, version, with});
  });
}

}  // namespace cpns::cli
