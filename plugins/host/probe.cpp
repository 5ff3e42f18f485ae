#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/host/child_process.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::plugins {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t answer_max = 512 * 1024;
constexpr const char* describe_word = "describe";

/// Ignores all events: a probed instance brings up no link.
class null_listener final : public transport_listener {
  void link_up(link_id, endpoint_id, std::string) override {}
  void link_down(link_id, std::string) override {}
  void message(link_id, bytes) override {}
  void peer_found(std::string, std::int32_t) override {}
  void connect_failed(std::string, std::string) override {}
  void woke(std::string) override {}
  void failed(error) override {}
};

/// One value per line.
std::string write_info(const transport_info& i) {
  std::string out;
  for (const auto& text : {i.name, i.version, i.description}) {
    for (char c : text) out += c == '\n' ? ' ' : c;
    out += '\n';
  }
  for (std::uint64_t n : {std::uint64_t{i.mtu}, std::uint64_t{i.max_links}, std::uint64_t{i.max_endpoints},
                          std::uint64_t{i.reliable}, std::uint64_t{i.ordered},
                          std::uint64_t{i.may_scan_while_connected}, std::uint64_t{i.duty_permille}})
    out += std::to_string(n) + "\n";
  return out;
}

std::optional<transport_info> parse_info(const std::string& text) {
  std::istringstream in{text};
  transport_info i;
  if (std::getline(in, i.name) && std::getline(in, i.version) && std::getline(in, i.description) &&
      in >> i.mtu >> i.max_links >> i.max_endpoints >> i.reliable >> i.ordered >>
          i.may_scan_while_connected >> i.duty_permille)
    return i;
  return std::nullopt;
}

struct pipe_pair {
  int read = -1, write = -1;
  pipe_pair() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    read = ends[0];
    // Above the standard streams, which the child gets first: a role may run with a closed one.
    write = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
    ::close(ends[1]);
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

error did_not_finish(milliseconds limit) {
  return {errc::plugin_hung,
          "did not finish load, open and close within " + std::to_string(limit.count()) + " ms"};
}

/// The child's output until it ends. An error if it exceeds the time or the memory limit and has to be killed.
result<std::string> read_until_end(int fd, pid_t pid, milliseconds limit) {
  using clock = std::chrono::steady_clock;
  constexpr milliseconds memory_check{50};
  const auto deadline = clock::now() + limit;
  std::string out;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - clock::now());
    if (left.count() <= 0) return fail(did_not_finish(limit));
    if (resident_bytes(pid) > child_memory_max)
      return fail(errc::plugin_misbehaved, used_too_much(child_memory_max) + " while it was probed");
    pollfd p{fd, POLLIN, 0};
    const int ready = ::poll(&p, 1, static_cast<int>(std::min(left, memory_check).count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    if (ready < 0) return fail(did_not_finish(limit));
    char buffer[512];
    const auto n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return out;
    if (out.size() < answer_max) out.append(buffer, static_cast<std::size_t>(n));
  }
}

/// The exit status of a child that closed its output; nullopt if it does not end within two seconds.
std::optional<int> wait_for(pid_t pid) {
  for (int i = 0; i < 200; ++i) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) return status;
    ::poll(nullptr, 0, 10);
  }
  return std::nullopt;
}

/// Starts a child that loads `file` and returns its answer. `words` are its arguments after the file.
open_result<std::string> ask_child(const std::string& file, std::vector<std::string> words,
                                   milliseconds limit) {
  words.insert(words.begin(), {"cpns", probe_child_flag, file});
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);

  pipe_pair answer;
  if (answer.read < 0 || answer.write < 0)
    return fail(errc::plugin_load,
                std::string{"cannot create a pipe for the probe: "} + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, answer.write, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  // A descriptor of the role that lacks O_CLOEXEC would stay open in the plugin: a socket of a peer, a lock of a store.
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&how, &none);  // a thread of a role blocks signals, also that of alarm()
  posix_spawnattr_setsigdefault(&how, &all);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int spawned =
      ::posix_spawn(&pid, "/proc/self/exe", &actions, &how, argv.data(), child_environment{}.get());
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0)
    return fail(errc::plugin_load,
                std::string{"cannot start a child process for the probe: "} + std::strerror(spawned));
  answer.close_write();

  auto output = read_until_end(answer.read, pid, limit);
  const auto ended = output ? wait_for(pid) : std::nullopt;
  if (!ended) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    const auto why = output ? did_not_finish(limit) : output.error();
    return fail(why.code, file + " " + why.detail + "; it is not loaded");
  }
  const auto crashed = error{errc::plugin_crashed,
                             file + " " + how_it_ended(*ended) + " while it was probed; it is not loaded"};
  if (WIFSIGNALED(*ended)) return fail(crashed);
  if (WEXITSTATUS(*ended) == 0 && !output->empty()) return std::move(*output);
  // "CODE PARAMETER DETAIL", with "-" for no parameter.
  std::istringstream in{*output};
  int code = 0;
  std::string parameter, detail;
  if (!(in >> code >> parameter) || code == 0) return fail(crashed);
  in.get();
  detail.assign(std::istreambuf_iterator<char>{in}, {});
  return tl::unexpected{open_error{error{static_cast<errc>(code), std::move(detail)},
                                   parameter == "-" ? std::string{} : parameter}};
}

/// The child's answer cannot be parsed.
tl::unexpected<error> garbled(const std::string& file) {
  return fail(errc::plugin_crashed, file + " corrupted the output of its probe; it is not loaded");
}

struct child_answer {
  int exit_code = 1;
  std::string text;
};

child_answer refusal(const error& why, const std::string& parameter = {}) {
  return {1, std::to_string(static_cast<int>(why.code)) + " " + (parameter.empty() ? "-" : parameter) + " " +
                 why.detail};
}

child_answer describe_in_child(const std::string& file) {
  const auto d = describe_file(file);
  return d ? child_answer{0, to_lines(*d)} : refusal(d.error());
}

child_answer open_in_child(const transport_spec& spec) {
  null_listener listener;
  auto opened = open_plugin(spec, true, listener);
  if (!opened) return refusal(opened.error(), opened.error().parameter);
  child_answer out{0, write_info((*opened)->info())};
  (*opened)->close();
  return out;
}

}  // namespace

result<plugin_description> describe_transport(const transport_spec& spec, milliseconds limit) {
  CPNS_TRY(const auto file, find_plugin(spec));
  CPNS_TRY(const auto answer, ask_child(file, {describe_word}, limit));
  if (auto d = from_lines(answer)) return std::move(*d);
  return garbled(file);
}

open_result<transport_info> probe_transport(const transport_spec& spec, milliseconds limit) {
  CPNS_TRY(const auto file, find_plugin(spec));
  std::vector<std::string> words{spec.role == transport_role::central ? "central" : "peripheral"};
  for (const auto& [k, v] : spec.params) words.push_back(k + "=" + v);
  const auto answer = ask_child(file, std::move(words), limit);
  if (!answer) return tl::unexpected{answer.error()};
  if (auto info = parse_info(*answer)) return std::move(*info);
  return garbled(file);
}

int probe_child_main(int argc, char** argv) {
  if (argc < 4) return 2;
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::alarm(10);  // in case the parent is gone
  // Keeps the plugin's prints out of the outcome.
  const int outcome = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (outcome < 0 || nowhere < 0 || ::dup2(nowhere, STDOUT_FILENO) < 0) return 2;
  ::close(nowhere);
  child_answer answer;
  if (std::strcmp(argv[3], describe_word) == 0) {
    answer = describe_in_child(argv[2]);
  } else {
    transport_spec spec;
    spec.plugin = argv[2];
    spec.role =
        std::strcmp(argv[3], "peripheral") == 0 ? transport_role::peripheral : transport_role::central;
    for (int i = 4; i < argc; ++i) {
      const std::string word = argv[i];
      const auto equals = word.find('=');
      spec.params.emplace(word.substr(0, equals), equals == std::string::npos ? "" : word.substr(equals + 1));
    }
    answer = open_in_child(spec);
  }
  std::string_view rest{answer.text};
  while (!rest.empty()) {
    const auto n = ::write(outcome, rest.data(), rest.size());
    if (n <= 0 && errno != EINTR) ::_exit(1);
    if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
  }
  ::_exit(answer.exit_code);
}

}  // namespace cpns::plugins
