// `cpns keys watch`: follows the application keys of a purpose, for people and for scripts.

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/keys/key_socket.hpp"
#include "cli/keys/key_watch.hpp"
#include "cli/keys/waiting.hpp"

namespace cpns::cli {
namespace {

struct key_watch_options {
  keys::key_socket_options where{};
  std::string purpose, entity;
  bool with_keys = false, json = false;
};

/// Standard output keeps what it wrote in its buffer, and a command that follows keys runs for months. So it gets a buffer
/// that is wiped. One object in a process.
class wiped_output {
 public:
  wiped_output() { std::setvbuf(stdout, buffer_.data(), _IOFBF, buffer_.size()); }
  /// False: it cannot be written.
  bool flush() {
    const bool written = static_cast<bool>(std::cout.flush());
    wipe(buffer_.data(), buffer_.size());
    return written;
  }

 private:
  static inline std::array<char, std::size_t{16} * 1024> buffer_;  ///< in use until the end of the process
};

void print_change(const keys::key_change& c, bool with_keys) {
  const bool ended = c.kind == keys::key_change::what::ended;
  std::cout << (ended ? "end  " : "key  ") << c.entity << "  " << c.key.which.text() << "  "
            << (ended ? c.reason : c.key.state) << "  "
            << (ended       ? "-"
                : c.key.use ? "use"
                            : "accept")
            << "  " << c.key.identity;
  if (with_keys && !ended) {
    auto hex = to_hex(c.key.key.expose());
    std::cout << "  " << hex;
    wipe(hex);
  }
  std::cout << "\n";
}

/// `line` as a person or a script wants it.
void print_line(const key_watch_options& o, const keys::key_table& table, const keys::key_line& line,
                std::string_view raw, const std::vector<keys::key_change>& changes) {
  if (o.json) {
    if (o.entity.empty() || line.entity.empty() || line.entity == o.entity) std::cout << raw << "\n";
    return;
  }
  for (const auto& c : changes) print_change(c, o.with_keys);
  if (line.event != keys::key_line::what::synced) return;
  std::cout << "synced  " << plural(table.all().size(), "device");
  if (line.unreadable > 0) std::cout << ", and " << line.unreadable << " that cannot be read";
  std::cout << "\n";
}

done_or<int> watch_keys(const key_watch_options& o) {
  CPNS_TRY(const auto path, keys::key_socket_of(o.where));
  if (!o.entity.empty()) CPNS_CHECK(entity_id::parse(o.entity));
  wiped_output output;
  keys::signal_door signals;
  keys::key_watch watch({.socket = path, .purpose = o.purpose, .only = o.entity}, keys::say);
  for (;;) {
    if (const auto got = signals.next(); got && got->number != SIGHUP) return exit_done;
    CPNS_CHECK(watch.turn([&](const auto& line, std::string_view raw, const auto& changes) {
      print_line(o, watch.table(), line, raw, changes);
    }));
    if (!output.flush())
      return fail(command_failed{error{errc::config_file, "standard output cannot be written"}});
    std::vector<pollfd> polled{{signals.fd(), POLLIN, 0}};
    watch.add_to(polled);
    keys::wait_for(polled, watch.due());
  }
}

}  // namespace

void add_keys_watch(CLI::App& keys, int& code) {
  auto* c = keys.add_subcommand("watch", "Follow the keys: a line for each that begins, changes or ends");
  const auto o = std::make_shared<key_watch_options>();
  c->add_option("PURPOSE", o->purpose, "A member of application_keys.purposes")->required();
  c->add_option("ENTITY", o->entity, "The Entity ID of a device; without it: all devices");
  keys::add_key_socket_options(*c, o->where);
  c->add_flag("--with-keys", o->with_keys, "Print the keys, too");
  c->add_flag("--json", o->json,
              "Print the lines of the role as they come, with the keys (docs/api/keys.md)");
  c->footer("A line: `key` (begins or changes) or `end`, the device, the epoch, the state or why the key "
            "ended (retired: its\n"
            "sessions go on), whether this side begins with it, and the identity. `synced` comes when all "
            "devices were listed.\n"
            "While the role is away it connects again. SIGINT and SIGTERM end it.\n"
            "Exit codes: 0 ended by a signal, 1 refused, 2 invalid command line.\n\nExamples:\n"
            "  cpns keys watch mqtt --socket /run/cpns/gateway/keys.sock\n"
            "  cpns keys watch mqtt urn:dev:mac:0024befffe804ff1 --json --config trial/pne.yaml");
  c->callback([o, &code] {
    const auto done = watch_keys(*o);
    code = done ? *done : report(done.error());
  });
}

}  // namespace cpns::cli
