#include "plugins/host/probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

extern char** environ;

namespace cpns::plugins {
namespace {

constexpr std::string_view child_word = "--cpns-probe-child";

/// Hears nothing: a probed instance brings up no link.
class deaf_listener final : public transport_listener {
  void link_up(link_id, endpoint_id, std::string) override {}
  void link_down(link_id, std::string) override {}
  void message(link_id, bytes) override {}
  void peer_found(std::string, std::int32_t) override {}
  void failed(error) override {}
};

std::vector<std::string> child_words(const transport_spec& spec, const std::string& file) {
  std::vector<std::string> words{"cpns", std::string{child_word}, file, std::to_string(static_cast<int>(spec.role))};
  for (const auto& [k, v] : spec.params) words.push_back(k + "=" + v);
  return words;
}

struct pipe_pair {
  int read = -1, write = -1;
  pipe_pair() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) read = ends[0], write = ends[1];
  }
  ~pipe_pair() {
    if (read >= 0) ::close(read);
    close_write();
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  void close_write() {
    if (write >= 0) ::close(write);
    write = -1;
  }
};

/// What the child writes until it ends; nullopt when the time is over.
std::optional<std::string> read_until_end(int fd) {
  using clock = std::chrono::steady_clock;
  const auto deadline = clock::now() + probe_time;
  std::string out;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd p{fd, POLLIN, 0};
    const int ready = ::poll(&p, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    char buffer[512];
    const auto n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return out;
    if (out.size() < 4096) out.append(buffer, static_cast<std::size_t>(n));
  }
}

/// The child's exit status within what is left of the time; nullopt when it has to be killed.
std::optional<int> wait_for(pid_t pid) {
  for (int i = 0; i < 200; ++i) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) return status;
    ::poll(nullptr, 0, 10);
  }
  return std::nullopt;
}

}  // namespace

status probe_transport(const transport_spec& spec) {
  CPNS_TRY(const auto file, find_plugin(spec));
  auto words = child_words(spec, file.string());
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);

  pipe_pair answer;
  if (answer.read < 0) return fail(errc::plugin_load, std::string{"probing needs a pipe: "} + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, answer.write, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int spawned = ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) return fail(errc::plugin_load, std::string{"probing needs a child process: "} + std::strerror(spawned));
  answer.close_write();

  const auto said = read_until_end(answer.read);
  const auto ended = said ? wait_for(pid) : std::nullopt;
  if (!ended) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(errc::plugin_hung, file.string() + " did not finish load, open and close within 2 s; it is not loaded");
  }
  if (WIFSIGNALED(*ended))
    return fail(errc::plugin_crashed, file.string() + " was ended by signal " + std::to_string(WTERMSIG(*ended)) + " (" +
                                          ::strsignal(WTERMSIG(*ended)) + ") while it was probed; it is not loaded");
  if (WEXITSTATUS(*ended) == 0 && *said == "ok") return {};
  const auto space = said->find(' ');
  int code = 0;
  if (space != std::string::npos) code = std::atoi(said->substr(0, space).c_str());
  if (code == 0)
    return fail(errc::plugin_crashed, file.string() + " ended its process with exit code " + std::to_string(WEXITSTATUS(*ended)) +
                                          " while it was probed; it is not loaded");
  return fail(static_cast<errc>(code), said->substr(space + 1));
}

std::optional<int> probe_child(int argc, char** argv) {
  if (argc < 4 || argv[1] != child_word) return std::nullopt;
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::alarm(5);  // should the parent be gone
  transport_spec spec;
  spec.plugin = argv[2];
  spec.role = argv[3][0] == '2' ? role::peripheral : role::central;
  for (int i = 4; i < argc; ++i) {
    const std::string word = argv[i];
    const auto equals = word.find('=');
    spec.params.emplace(word.substr(0, equals), equals == std::string::npos ? "" : word.substr(equals + 1));
  }
  deaf_listener listener;
  auto opened = load_unprobed(spec, true, listener);
  std::string answer = "ok";
  if (opened)
    (*opened)->close();
  else
    answer = std::to_string(static_cast<int>(opened.error().code)) + " " + opened.error().detail;
  const auto wrote = ::write(1, answer.data(), answer.size());
  ::_exit(opened && wrote > 0 ? 0 : 1);
}

}  // namespace cpns::plugins
