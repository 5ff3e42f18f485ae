#include "cli/terminal.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "base/log.hpp"
#include "base/private_file.hpp"

namespace cpns::cli {
namespace {

/// Switches off echo, signals and line editing of a terminal for its scope.
class quiet_terminal {
 public:
  explicit quiet_terminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0) return;
    auto raw = before_;
    raw.c_lflag &= static_cast<tcflag_t>(~(ECHO | ISIG | ICANON));
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    ready_ = ::tcsetattr(fd_, TCSAFLUSH, &raw) == 0;
  }
  ~quiet_terminal() {
    if (ready_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  quiet_terminal(const quiet_terminal&) = delete;
  quiet_terminal& operator=(const quiet_terminal&) = delete;
  [[nodiscard]] bool ready() const { return ready_; }

 private:
  int fd_;
  termios before_{};
  bool ready_ = false;
};

void print(int fd, std::string_view text) {
  for (std::size_t done = 0; done < text.size();) {
    const auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

result<secret_bytes> ask(int tty, std::string_view prompt) {
  const quiet_terminal quiet(tty);
  if (!quiet.ready())
    return fail(errc::config_usage, "the terminal cannot hide a password; use --password-file or --stdin");
  print(tty, prompt);
  bytes line;
  line.reserve(password_max + 1);
  for (;;) {
    std::uint8_t c = 0;
    const auto n = ::read(tty, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    const bool aborted = n <= 0 || c == 3 || (c == 4 && line.empty());
    if (aborted || c == '\n' || c == '\r' || c == 4) {
      print(tty, "\n");
      if (!aborted) return secret_bytes(std::move(line));
      wipe(line);
      return fail(errc::config_usage, "no password was entered");
    }
    if (c == 0x7f || c == 8) {
      // A UTF-8 character is erased as a whole.
      while (!line.empty() && (line.back() & 0xc0) == 0x80) line.pop_back();
      if (!line.empty()) line.pop_back();
    } else if (c == 21) {
      wipe(line);
      line.reserve(password_max + 1);
    } else if (line.size() < password_max) {
      line.push_back(c);
    }
  }
}

status check_new_password(const secret_bytes& password) {
  if (password.size() < password_min || password.size() > password_max)
    return fail(errc::config_range, "the password must have " + std::to_string(password_min) + " to " +
                                        std::to_string(password_max) + " bytes");
  return {};
}

result<secret_bytes> ask_twice() {
  const descriptor tty{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
  if (!tty.valid())
    return fail(errc::config_usage,
                "cannot ask for the password without a terminal; use --password-file or --stdin");
  CPNS_TRY(auto password, ask(tty.get(), "Password: "));
  CPNS_CHECK(check_new_password(password));
  CPNS_TRY(const auto again, ask(tty.get(), "Repeat the password: "));
  if (!(password == again)) return fail(errc::config_usage, "the two passwords differ");
  return password;
}

}  // namespace

bool says_all(const error& e) {
  return (fault_of(e.code) == fault::config || e == errc::peer_closed) && !e.detail.empty();
}

int report(const error& e) {
  log::flush();
  std::cerr << log::journal_priority(log::level::error) << "cpns: " << (says_all(e) ? e.detail : e.message())
            << "\n";
  return e.code == errc::config_usage ? exit_usage : exit_failed;
}

int report_diagnostics(const std::vector<std::string>& lines) {
  log::flush();
  for (const auto& line : lines) std::cerr << log::journal_priority(log::level::error) << line << "\n";
  return exit_failed;
}

int interrupted(const std::string& outcome) {
  log::flush();
  std::cerr << "cpns: interrupted, " << outcome << "\n";
  return exit_interrupted;
}

std::string paint(colour c, std::string_view text) {
  static const bool on = on_terminal() && std::getenv("NO_COLOR") == nullptr;
  constexpr std::array<std::string_view, 7> codes{"0", "1", "2", "32", "33", "31", "34"};
  if (!on || c == colour::plain) return std::string{text};
  return "\033[" + std::string{codes[static_cast<std::size_t>(c)]} + "m" + std::string{text} + "\033[0m";
}

std::string table::for_people() const {
  std::vector<std::size_t> widths;
  for (const auto& head : heads_) widths.push_back(head.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  const auto line = [&widths](const std::vector<std::string>& row) {
    std::string out;
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 2, ' ');
    }
    return out;
  };
  auto out = paint(colour::bold, line(heads_)) + "\n";
  for (const auto& row : rows_) out += line(row) + "\n";
  return out;
}

std::string table::for_scripts() const {
  std::string out;
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) out += row[i] + (i + 1 < row.size() ? "\t" : "\n");
  return out;
}

void table::print() const { std::cout << (on_terminal() ? for_people() : for_scripts()); }

std::string bar(std::uint64_t done, std::uint64_t all, int width) {
  // What is counted may turn out to be more than was expected.
  const auto filled =
      all == 0 ? 0 : static_cast<int>(std::min(done, all) * static_cast<std::uint64_t>(width) / all);
  return "[" + std::string(static_cast<std::size_t>(filled), '#') +
         std::string(static_cast<std::size_t>(width - filled), '-') + "]";
}

bool on_terminal() {
  static const bool yes = ::isatty(STDOUT_FILENO) == 1;
  return yes;
}

void show_status(std::string_view line) {
  if (!on_terminal()) return;
  std::fprintf(stdout, "\r\033[K%.*s", static_cast<int>(line.size()), line.data());
  std::fflush(stdout);
}

void clear_status() { show_status(""); }

result<secret_bytes> read_new_password(const password_source& from) {
  result<secret_bytes> password =
      from.standard_input  ? read_secret_line(STDIN_FILENO, "standard input", password_max)
      : !from.file.empty() ? read_secret_line(from.file, password_max, pipes::accept)
                           : ask_twice();
  if (password) CPNS_CHECK(check_new_password(*password));
  return password;
}

}  // namespace cpns::cli
