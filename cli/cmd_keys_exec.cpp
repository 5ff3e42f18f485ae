// `cpns keys exec`: runs a program with the application key of one device, and again or with a signal when the key changes.

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/secret.hpp"
#include "cli/commands.hpp"
#include "cli/keys/key_place.hpp"
#include "cli/keys/key_socket.hpp"
#include "cli/keys/key_template.hpp"
#include "cli/keys/key_watch.hpp"
#include "cli/keys/waiting.hpp"

namespace cpns::cli {
namespace {

constexpr std::string_view restarting = "restart";
constexpr std::string_view one_key = "{each use}{identity} {key}\n{end}";
constexpr std::string_view place_word = "{place}";  // of the arguments
constexpr int no_descriptor = -1;
/// In which a program has to get its handler for the signal of a change, and after which a death by that signal is its own.
constexpr seconds handler_time{10};
constexpr milliseconds handler_look{20};
/// A signal that is blocked for so long is one that the program will ask for.
constexpr milliseconds blocked_time{100};

struct exec_options {
  keys::key_socket_options where{};
  std::string purpose, entity, file, form, on_change{restarting};
  int fd = no_descriptor;
  std::vector<std::string> program;
};

/// 0: the program is restarted.
result<int> signal_of_change(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, int>, 4> known{
      {{restarting, 0}, {"HUP", SIGHUP}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}}};
  const auto name = text.starts_with("SIG") ? text.substr(3) : text;
  for (const auto& [word, number] : known)
    if (name == word) return number;
  return fail(errc::config_usage, "--on-change: write restart, HUP, USR1 or USR2");
}

/// The program has the newest key, or is on its way to it.
class key_runner {
 public:
  key_runner(const exec_options& o, std::string socket, keys::key_template form,
             std::optional<keys::key_file> file, int on_change)
      : options_(o), form_(std::move(form)), file_(std::move(file)), on_change_(on_change),
        watch_({.socket = std::move(socket), .purpose = o.purpose, .only = o.entity, .acks = true},
               keys::say) {}

  done_or<int> run() {
    for (;;) {
      while (const auto got = signals_.next())
        if (!pass_on(*got)) return exit_interrupted;
      CPNS_CHECK(watch_.turn([this](const auto&, std::string_view, const auto& changes) { note(changes); }));
      if (const auto code = turn_program()) return *code;
      if (!ending_ && watch_.table().synced()) CPNS_CHECK(update());
      std::vector<pollfd> polled{{signals_.fd(), POLLIN, 0}};
      watch_.add_to(polled);
      keys::wait_for(polled, due());
    }
  }

  ~key_runner() {
    program_.reset();
    if (file_) file_->remove();
  }
  key_runner(const key_runner&) = delete;
  key_runner& operator=(const key_runner&) = delete;

 private:
  /// False: no program runs that would end.
  bool pass_on(const keys::signal_door::arrived& got) {
    if (!program_) return got.number == SIGHUP;
    if (got.number == on_change_) told_at_.reset();
    if (!got.of_terminal) program_->send(got.number);
    if (got.number != SIGHUP) ending_ = true;
    return true;
  }

  void note(const std::vector<keys::key_change>& changes) {
    for (const auto& c : changes)
      if (c.device_gone && c.reason != keys::reason_unreadable) gone_ = c.reason;
  }

  /// The exit code, if the program ended by itself or as it was told.
  std::optional<int> turn_program() {
    if (!program_) return std::nullopt;
    if (const auto code = program_->ended()) {
      const bool expected = !ending_ && (program_->stopping() || died_of_a_change());
      program_.reset();
      tell_by_.reset();
      if (!expected) return code;
    } else {
      program_->turn();
      tell();
    }
    return std::nullopt;
  }

  /// It had a handler when the signal was sent, and none any more when it arrived, as between two programs of one process.
  bool died_of_a_change() const {
    if (!told_at_ || program_->killed_by() != on_change_) return false;
    if (std::chrono::steady_clock::now() - *told_at_ > handler_time) return false;
    keys::say(options_.program.front() + " died of the signal of a change; it is started again");
    return true;
  }

  bool would_take(keys::instant now) {
    const auto is = program_->reception_of(on_change_);
    if (is != keys::program::reception::blocked) {
      blocked_since_.reset();
      return is == keys::program::reception::handled;
    }
    if (!blocked_since_) blocked_since_ = now;
    return now - *blocked_since_ >= blocked_time;
  }

  /// Sends the signal of a change as soon as the program has a handler for it: before, it would die of it.
  void tell() {
    if (!tell_by_ || program_->stopping()) return;
    const auto now = std::chrono::steady_clock::now();
    if (would_take(now)) {
      program_->send(on_change_);
      told_at_ = now;
      tell_by_.reset();
    } else if (now >= *tell_by_) {
      keys::say(options_.program.front() + " has no handler for the signal " + options_.on_change +
                "; it is started again with the new key");
      program_->stop();
      tell_by_.reset();
    } else {
      next_look_ = now + handler_look;
    }
  }

  done_or<void> update() {
    const auto& listed = watch_.table().of(options_.entity);
    const bool usable = std::any_of(listed.begin(), listed.end(), [](const auto& k) { return k.use; });
    if (!std::exchange(gone_, {}).empty()) end_key();
    bool in_place = !usable;
    if (usable) {
      const auto content = form_.fill(options_.entity, listed, options_.purpose);
      if (!written_ || content != given_) give(content);
      in_place = written_ && content == given_;
      if (!program_ && in_place) CPNS_CHECK(start());
    }
    retries_ = !in_place;
    if (in_place && !tell_by_ && !(program_ && program_->stopping())) watch_.in_force(watch_.newest());
    return {};
  }

  /// The device has no key any more.
  void end_key() {
    if (program_ && !program_->stopping()) {
      keys::say(options_.entity + " has no key any more; " + options_.program.front() + " is stopped");
      program_->stop();
      tell_by_.reset();
    }
    if (file_) file_->remove();
    given_.clear();
    written_ = false;
  }

  void give(const secret_bytes& content) {
    if (std::chrono::steady_clock::now() < next_attempt_) return;
    if (file_)
      if (const auto done = file_->write(content.expose()); !done) {
        next_attempt_ = pause_.next(std::chrono::steady_clock::now());
        const auto why = done.error().message();
        if (std::exchange(said_, why) != why) keys::say(why + "; trying again");
        return;
      }
    if (!std::exchange(said_, {}).empty()) keys::say(file_->path().string() + " is up to date again");
    pause_.reset();
    given_ = content;
    written_ = true;
    if (!program_ || program_->stopping()) return;
    if (on_change_ == 0) return program_->stop();
    if (!tell_by_) {
      tell_by_ = std::chrono::steady_clock::now() + handler_time;
      blocked_since_.reset();
    }
    tell();
  }

  done_or<void> start() {
    keys::program::start_options with;
    descriptor memory;
    if (file_) {
      with.variable = "CPNS_KEY_FILE";
      with.value = file_->path().string();
    } else {
      CPNS_TRY(memory, keys::readable_once(given_.expose()));
      with.variable = "CPNS_KEY_FD";
      with.value = std::to_string(options_.fd);
      with.fd = memory.get();
      with.as_fd = options_.fd;
    }
    for (auto word : options_.program) {
      for (auto at = word.find(place_word); at != std::string::npos;
           at = word.find(place_word, at + with.value.size()))
        word.replace(at, place_word.size(), with.value);
      with.words.push_back(std::move(word));
    }
    CPNS_TRY(auto started, keys::program::start(with));
    program_.emplace(std::move(started));
    told_at_.reset();
    blocked_since_.reset();
    return {};
  }

  [[nodiscard]] keys::instant due() const {
    auto first = watch_.due();
    if (program_) first = std::min(first, program_->due());
    if (tell_by_) first = std::min(first, next_look_);
    if (retries_ && !ending_ && watch_.table().synced()) first = std::min(first, next_attempt_);
    return first;
  }

  const exec_options& options_;
  const keys::key_template form_;
  const std::optional<keys::key_file> file_;  ///< nullopt: by descriptor
  const int on_change_;
  keys::signal_door signals_;
  keys::key_watch watch_;
  std::optional<keys::program> program_;
  secret_bytes given_;    ///< what the program has, or has at its next start
  bool written_ = false;  ///< `given_` is in its place
  bool ending_ = false;   ///< a signal to end was passed on
  std::string gone_;      ///< why the device has no keys, until update()
  std::string said_;
  bool retries_ = false;  ///< the newest key could not be written
  keys::growing_pause pause_;
  keys::instant next_attempt_{};
  std::optional<keys::instant> tell_by_;  ///< the program is to get the signal of a change until then
  std::optional<keys::instant> told_at_;  ///< it got one
  std::optional<keys::instant> blocked_since_;
  keys::instant next_look_{};
};

done_or<int> exec_with_key(const exec_options& o) {
  CPNS_TRY(auto path, keys::key_socket_of(o.where));
  CPNS_CHECK(entity_id::parse(o.entity));
  CPNS_TRY(const auto on_change, signal_of_change(o.on_change));
  const bool by_file = o.fd == no_descriptor;
  if (!by_file && !o.file.empty())
    return fail(command_failed{error{errc::config_usage, "give --file or --fd, not both"}});
  if (!by_file && on_change != 0)
    return fail(command_failed{
        error{errc::config_usage,
              "a running program cannot read a new key from --fd: use --file, or --on-change restart"}});
  CPNS_TRY(auto form,
           o.form.empty() ? keys::key_template::parse(one_key, "") : keys::key_template::read(o.form));
  std::optional<keys::key_file> file;
  if (by_file) {
    CPNS_TRY(auto made, o.file.empty() ? keys::key_file::in_new_folder(keys::exec_mode)
                                       : keys::key_file::at(o.file, keys::exec_mode));
    if (!made.in_memory())
      keys::say(made.path().string() +
                " is not on a file system in memory (tmpfs): its key outlives it on the disk");
    file.emplace(std::move(made));
  }
  return key_runner{o, std::move(path), std::move(form), std::move(file), on_change}.run();
}

}  // namespace

void add_keys_exec(CLI::App& keys, int& code) {
  auto* c =
      keys.add_subcommand("exec", "Run a program with the key of a device, and again when the key changes");
  const auto o = std::make_shared<exec_options>();
  c->add_option("PURPOSE", o->purpose, "A member of application_keys.purposes")->required();
  c->add_option("ENTITY", o->entity, "The Entity ID of a device")->required();
  c->add_option("PROGRAM", o->program, "After `--`: the program, with its arguments")->required();
  keys::add_key_socket_options(*c, o->where);
  c->add_option("--file", o->file,
                "Where the program finds the key; without it a file in a new folder of $RUNTIME_DIRECTORY,\n"
                "$XDG_RUNTIME_DIR or /run");
  c->add_option("--fd", o->fd,
                "The descriptor, 3 to 255, from which the program reads the key, in place of a file")
      ->check(CLI::Range(3, 255));
  c->add_option("--template", o->form, "What the program finds there (see `cpns keys render --help`)");
  c->add_option("--on-change", o->on_change, "restart, or the signal HUP, USR1 or USR2")
      ->capture_default_str();
  c->footer("It waits for the first key. The program finds the line `IDENTITY KEY` (hexadecimal) in the file "
            "whose path is in\n"
            "the variable CPNS_KEY_FILE, mode 0600, or at the descriptor whose number is in CPNS_KEY_FD; "
            "{place} in its\n"
            "arguments is replaced by that path or number. No key is in its arguments or its environment.\n"
            "A signal waits until the program has a handler for it; without one for 10 s it is restarted. "
            "A restart is SIGTERM, after 10 s SIGKILL, and a new start. When the device has no key any more "
            "(forgotten, reset,\n"
            "...) the program is stopped until the next key. SIGTERM, SIGINT and SIGHUP are passed on.\n"
            "Exit codes: that of the program, 128 and the number of the signal that ended it; before its "
            "start 1 refused or\n"
            "not executable, 2 invalid command line, 130 interrupted.\n\nExamples:\n"
            "  cpns keys exec mqtt urn:dev:mac:0024befffe804ff1 --socket /run/cpns/pne/keys.sock -- ./sensor "
            "--psk {place}\n"
            "  cpns keys exec mqtt urn:dev:mac:0024befffe804ff1 --fd 3 --config trial/pne.yaml -- ./sensor\n"
            "  cpns keys exec mqtt urn:dev:mac:0024befffe804ff1 --file sensor.key --on-change HUP --config "
            "trial/pne.yaml -- ./sensor");
  c->callback([o, &code] {
    const auto done = exec_with_key(*o);
    code = done ? *done : report(done.error());
  });
}

}  // namespace cpns::cli
