// `cpns keys render`: keeps a file with the application keys of a purpose, for a program that reads them from a file.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.hpp"
#include "cli/commands.hpp"
#include "cli/keys/key_place.hpp"
#include "cli/keys/key_socket.hpp"
#include "cli/keys/key_template.hpp"
#include "cli/keys/key_watch.hpp"
#include "cli/keys/waiting.hpp"

namespace cpns::cli {
namespace {

struct render_options {
  keys::key_socket_options where{};
  std::string purpose, from, output;
  std::vector<std::string> command;
  bool once = false;
};

/// A change: the file is written, then the command runs. Changes that come meanwhile wait, and are then one.
class renderer {
 public:
  renderer(const render_options& o, std::string socket, keys::key_template form, keys::key_file file)
      : options_(o), form_(std::move(form)), file_(std::move(file)),
        watch_({.socket = std::move(socket), .purpose = o.purpose, .acks = true, .patient = !o.once},
               keys::say) {}

  done_or<int> run() {
    for (;;) {
      if (const auto got = signals_.next(); got && got->number != SIGHUP) return end_command();
      CPNS_CHECK(watch_.turn());
      watch_command();
      if (!command_ && watch_.table().synced()) update();
      if (options_.once && failed_) return exit_failed;
      if (options_.once && !command_ && is_current()) return exit_done;
      std::vector<pollfd> polled{{signals_.fd(), POLLIN, 0}};
      watch_.add_to(polled);
      keys::wait_for(polled, due());
    }
  }

 private:
  static constexpr seconds command_time{60};

  /// Whether the keys that are known now are in force.
  [[nodiscard]] bool is_current() const {
    return watch_.table().synced() && done_version_ == watch_.table().version();
  }
  [[nodiscard]] keys::instant due() const {
    auto first = watch_.due();
    if (command_) return std::min({first, command_->due(), command_end_});
    if (watch_.table().synced() && !is_current()) first = std::min(first, next_attempt_);
    return first;
  }

  void update() {
    if (is_current()) return watch_.in_force(watch_.newest());
    if (std::chrono::steady_clock::now() < next_attempt_) return;
    begun_version_ = watch_.table().version();
    begun_point_ = watch_.newest();
    auto content = form_.fill(watch_.table().all(), options_.purpose);
    if (!written_ || *written_ != content) {
      command_done_ = false;
      if (const auto done = file_.write(content.expose()); !done) return failed(done.error().message());
      written_ = std::move(content);
    }
    if (command_done_ || options_.command.empty()) return in_force();
    auto started = keys::program::start({.words = options_.command, .reads_input = false});
    if (!started) return failed(started.error().detail);
    command_.emplace(std::move(*started));
    command_end_ = std::chrono::steady_clock::now() + command_time;
  }

  void watch_command() {
    if (!command_) return;
    if (const auto code = command_->ended()) {
      command_.reset();
      if (*code == 0) return in_force();
      return failed(options_.command.front() + " ended with " + keys::ending_text(*code));
    }
    if (!command_->stopping() && std::chrono::steady_clock::now() >= command_end_) {
      keys::say(options_.command.front() + " still runs after " + std::to_string(command_time.count()) +
                " s and is stopped");
      command_->stop();
      command_end_ = keys::instant::max();
    }
    command_->turn();
  }

  void in_force() {
    if (!said_.empty()) keys::say(file_.path().string() + " is up to date again");
    said_.clear();
    pause_.reset();
    next_attempt_ = {};
    command_done_ = true;
    done_version_ = begun_version_;
    watch_.in_force(begun_point_);
  }

  void failed(const std::string& why) {
    failed_ = true;
    next_attempt_ = pause_.next(std::chrono::steady_clock::now());
    if (std::exchange(said_, why) != why) keys::say(why + (options_.once ? "" : "; trying again"));
  }

  /// A command that runs at the end has its time.
  int end_command() {
    while (command_ && !command_->ended()) {
      watch_command();
      if (!command_) break;
      std::vector<pollfd> polled{{signals_.fd(), POLLIN, 0}};
      if (const auto again = signals_.next(); again && again->number != SIGHUP) command_->stop();
      keys::wait_for(polled, std::min(command_->due(), command_end_));
    }
    return exit_done;
  }

  const render_options& options_;
  const keys::key_template form_;
  const keys::key_file file_;
  keys::signal_door signals_;
  keys::key_watch watch_;
  std::optional<secret_bytes> written_;  ///< to the file
  bool command_done_ = false;            ///< for `written_`
  std::optional<keys::program> command_;
  keys::instant command_end_{}, next_attempt_{};
  keys::growing_pause pause_;
  std::uint64_t begun_version_ = 0;
  std::optional<std::uint64_t> done_version_;
  keys::key_watch::point begun_point_;
  std::string said_;
  bool failed_ = false;
};

done_or<int> render_keys(const render_options& o) {
  CPNS_TRY(auto path, keys::key_socket_of(o.where));
  CPNS_TRY(auto form, keys::key_template::read(o.from));
  CPNS_TRY(auto file, keys::key_file::at(o.output, keys::render_mode));
  if (!file.in_memory())
    keys::say(file.path().string() +
              " is not on a file system in memory (tmpfs): its keys outlive it on the disk");
  return renderer{o, std::move(path), std::move(form), std::move(file)}.run();
}

}  // namespace

void add_keys_render(CLI::App& keys, int& code) {
  auto* c =
      keys.add_subcommand("render", "Keep a file with the keys, for a program that reads them from a file");
  const auto o = std::make_shared<render_options>();
  c->add_option("PURPOSE", o->purpose, "A member of application_keys.purposes")->required();
  c->add_option("COMMAND", o->command,
                "After `--`: the program that runs after each change, with its arguments, without a shell");
  keys::add_key_socket_options(*c, o->where);
  c->add_option("--template", o->from, "The text to fill")->required();
  c->add_option("--output", o->output,
                "The file to write; a name without '/' is in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR or /run")
      ->required();
  c->add_flag("--once", o->once, "Write the keys of now, run COMMAND, and end");
  c->footer("The file is replaced at once, mode 0640; after an error the former one stays, and it tries "
            "again. The text between\n"
            "{each} and {end} is repeated for each key, after {each use} for those alone with which this "
            "side begins:\n"
            "  {each}\n  {identity}:{key}\n  {end}\n"
            "{entity} {identity} {key} (hexadecimal) {key_base64} {epoch} {state} {use} in it, {purpose} "
            "everywhere; {{ and }}\n"
            "are the characters. One COMMAND runs at a time, for 60 s at most; it runs again after a code "
            "other than 0. The\n"
            "role learns that the keys are in force when it ended with 0. SIGINT and SIGTERM end the watch; "
            "the file stays.\n"
            "Exit codes: 0 done or ended by a signal, 1 refused or (--once) failed, 2 invalid command "
            "line.\n\nExamples:\n"
            "  cpns keys render tls --template psk.in --output /run/stunnel/psk --socket "
            "/run/cpns/gateway/keys.sock \\\n"
            "    -- systemctl reload stunnel4\n"
            "  cpns keys render mqtt --once --template psk.in --output psk --config trial/gateway.yaml");
  c->callback([o, &code] {
    const auto done = render_keys(*o);
    code = done ? *done : report(done.error());
  });
}

}  // namespace cpns::cli
