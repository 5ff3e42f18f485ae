#include "cli/password.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/private_file.hpp"

namespace cpns::cli {
namespace {

/// The terminal without echo, signals and line editing, until the end of the scope.
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

void say(int fd, std::string_view text) {
  for (std::size_t done = 0; done < text.size();) {
    const auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

result<secret_bytes> ask(int tty, std::string_view prompt) {
  const quiet_terminal quiet(tty);
  if (!quiet.ready())
    return fail(errc::config_usage, "the terminal cannot hide what is typed; use --password-file or --stdin");
  say(tty, prompt);
  bytes line;
  line.reserve(password_max + 1);
  for (;;) {
    std::uint8_t c = 0;
    const auto n = ::read(tty, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    const bool given_up = n <= 0 || c == 3 || (c == 4 && line.empty());
    if (given_up || c == '\n' || c == '\r' || c == 4) {
      say(tty, "\n");
      if (!given_up) return secret_bytes(std::move(line));
      wipe(line);
      return fail(errc::config_usage, "given up");
    }
    if (c == 0x7f || c == 8) {
      // A character of several bytes goes as a whole.
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

result<secret_bytes> ask_twice() {
  const descriptor tty{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
  if (!tty.valid())
    return fail(errc::config_usage,
                "there is no terminal to ask for a password; use --password-file or --stdin");
  CPNS_TRY(auto password, ask(tty.get(), "Password: "));
  CPNS_CHECK(check_new_password(password));
  CPNS_TRY(const auto again, ask(tty.get(), "The same again: "));
  if (!(password == again)) return fail(errc::config_usage, "the two passwords differ");
  return password;
}

}  // namespace

status check_new_password(const secret_bytes& password) {
  if (password.size() < password_min || password.size() > password_max)
    return fail(errc::config_range, "a password has " + std::to_string(password_min) + " to " +
                                        std::to_string(password_max) + " bytes");
  return {};
}

result<secret_bytes> read_new_password(const password_source& from) {
  result<secret_bytes> password =
      from.standard_input  ? read_secret_line(STDIN_FILENO, "standard input", password_max)
      : !from.file.empty() ? read_secret_line(from.file, password_max, pipes::accept)
                           : ask_twice();
  if (password) CPNS_CHECK(check_new_password(*password));
  return password;
}

}  // namespace cpns::cli
