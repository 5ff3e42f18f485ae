#include "plugins/conformance/runner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <optional>

#include "base/temporary_folder.hpp"
#include "plugins/host/child_process.hpp"

extern char** environ;

namespace cpns::conformance {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint64_t memory_max = 1024ull * 1024 * 1024;
constexpr std::size_t log_kept = 40;

struct channel {
  int read = -1, write = -1;
  channel() {
    int two[2];
    if (::pipe2(two, O_CLOEXEC) == 0) read = two[0], write = two[1];
  }
  ~channel() {
    if (read >= 0) ::close(read);
    if (write >= 0) ::close(write);
  }
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
};

/// The lines of a child, parsed.
struct child_output {
  std::string partial;
  std::string step = "starting";
  std::optional<outcome> ended;
  std::vector<breach> breaches;
  std::deque<std::string> log;

  void take(std::string_view data) {
    partial += data;
    for (auto end = partial.find('\n'); end != std::string::npos; end = partial.find('\n')) {
      line(partial.substr(0, end));
      partial.erase(0, end + 1);
    }
  }
  void line(const std::string& l) {
    const auto word = l.substr(0, l.find(' '));
    const auto rest = word.size() < l.size() ? l.substr(word.size() + 1) : "";
    if (word == "step") {
      step = rest;
    } else if (word == "log") {
      log.push_back(rest);
      if (log.size() > log_kept) log.pop_front();
    } else if (word == "breach") {
      const auto space = rest.find(' ');
      if (space != std::string::npos) breaches.push_back({rest.substr(0, space), rest.substr(space + 1)});
    } else {
      for (const auto v : {verdict::passed, verdict::failed, verdict::skipped, verdict::warning})
        if (word == word_of(v)) ended = outcome{{}, v, rest, 0, {}, {}};
    }
  }
};

/// Reads a child's lines until it ends. Kills it if it exceeds its time or memory, or the run is cancelled, and
/// returns the reason; empty: it ended on its own.
std::string listen(pid_t pid, int steps, int output, std::chrono::seconds limit, const onlooker& who,
                   child_output& t, std::string& printed) {
  const auto until = clock::now() + limit;
  for (bool open = true; open;) {
    pollfd both[2] = {{steps, POLLIN, 0}, {output, POLLIN, 0}};
    ::poll(both, 2, 50);
    char buffer[4096];
    if (both[1].revents != 0) {
      const auto n = ::read(output, buffer, sizeof buffer);
      if (n > 0) printed.append(buffer, static_cast<std::size_t>(n));
      if (printed.size() > 8192) printed.erase(0, printed.size() - 4096);
    }
    if (both[0].revents != 0) {
      const auto n = ::read(steps, buffer, sizeof buffer);
      if (n > 0) t.take({buffer, static_cast<std::size_t>(n)});
      open = n > 0 || (n < 0 && errno == EINTR);
    }
    std::string why;
    if (clock::now() > until)
      why = "it did not end within " + std::to_string(limit.count()) + " s; the last step was " + t.step;
    else if (plugins::resident_bytes(pid) > memory_max)
      why = "its process " + plugins::used_too_much(memory_max) + "; the last step was " + t.step;
    else if (who.cancelled && who.cancelled())
      why = "cancelled";
    if (why.empty()) continue;
    ::kill(pid, SIGKILL);
    return why;
  }
  return {};
}

/// The summary of a sanitizer, or the last line.
std::string last_line(const std::string& text) {
  if (const auto sum = text.rfind("SUMMARY: "); sum != std::string::npos)
    return text.substr(sum, std::min<std::size_t>(text.find('\n', sum) - sum, 200));
  auto end = text.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return {};
  const auto begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1, std::min<std::size_t>(end - begin, 200));
}

outcome outcome_of(const test& t, child_output heard, int status, const std::string& killed,
                   const std::string& printed) {
  outcome o;
  o.breaches = std::move(heard.breaches);
  if (!killed.empty()) {
    o.is = verdict::failed;
    o.reason = killed;
  } else if (WIFSIGNALED(status)) {
    o.is = verdict::crashed;
    o.reason = "signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) +
               "); the last step was " + heard.step;
  } else if (heard.ended) {
    o.is = heard.ended->is;
    o.reason = heard.ended->reason;
  } else {
    o.is = verdict::crashed;
    o.reason = "its process ended with exit code " + std::to_string(WEXITSTATUS(status)) +
               "; the last step was " + heard.step;
    if (const auto line = last_line(printed); !line.empty()) o.reason += ": " + one_line(line);
  }
  o.test = t.name;
  o.log.assign(heard.log.begin(), heard.log.end());
  return o;
}

outcome run_child(const subject& on, const test& t, const onlooker& who) {
  const auto begun = clock::now();
  outcome o{std::string{t.name}, verdict::failed, {}, 0, {}, {}};
  std::vector<std::string> words{"cpns", check_child_flag, std::string{t.name}};
  for (auto& w : to_words(on)) words.push_back(std::move(w));
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  channel steps, output;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, steps.write, 1);
  posix_spawn_file_actions_adddup2(&actions, output.write, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&how, &none);
  // Its own process group, so that Ctrl-C reaches only the run, which ends the test.
  posix_spawnattr_setpgroup(&how, 0);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int spawned = ::posix_spawn(&pid, "/proc/self/exe", &actions, &how, argv.data(), environ);
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    o.reason = std::string{"cannot start the test's process: "} + std::strerror(spawned);
    return o;
  }
  for (auto* c : {&steps, &output}) {
    ::close(c->write);
    c->write = -1;
  }
  child_output heard;
  std::string printed;
  const auto killed = listen(pid, steps.read, output.read, t.limit, who, heard, printed);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  o = outcome_of(t, std::move(heard), status, killed, printed);
  o.ms = std::chrono::duration_cast<milliseconds>(clock::now() - begun).count();
  return o;
}

const test* find(const std::vector<test>& tests, std::string_view name) {
  const auto it = std::find_if(tests.begin(), tests.end(), [&](const test& t) { return t.name == name; });
  return it == tests.end() ? nullptr : &*it;
}

/// Assigns each breach to its rule's test, so that a fault appears under one name, whichever test detected it.
void assign_breaches(std::vector<outcome>& all, const std::vector<test>& tests) {
  std::map<std::string, outcome*> by_name;
  for (auto& o : all) by_name[o.test] = &o;
  for (auto& o : all)
    for (const auto& b : o.breaches) {
      const auto own = by_name.find(b.rule);
      if (own == by_name.end() && find(tests, b.rule) != nullptr) continue;  // that test runs later
      auto& failing = own != by_name.end() ? *own->second : o;
      if (failing.is == verdict::failed || failing.is == verdict::crashed) continue;
      failing.is = verdict::failed;
      failing.reason = b.words + (failing.test == o.test ? "" : " (detected by " + o.test + ")");
      if (failing.test != o.test) failing.log = o.log;
    }
}

outcome run_in(bench& b, const test& t) {
  outcome o{std::string{t.name}, verdict::passed, {}, 0, {}, {}};
  const auto begun = clock::now();
  try {
    t.run(b);
    if (const auto warned = b.warned(); !warned.empty()) o.is = verdict::warning, o.reason = warned;
  } catch (const test_failed& f) {
    o.is = verdict::failed, o.reason = one_line(f.why);
  } catch (const test_skipped& s) {
    o.is = verdict::skipped, o.reason = one_line(s.why);
  }
  o.breaches = b.breaches();
  // A failure caused by a breach of another test's rule is not a failure of this test.
  if (o.is == verdict::failed && !o.breaches.empty()) {
    const auto own =
        std::find_if(o.breaches.begin(), o.breaches.end(), [&](const breach& x) { return x.rule == o.test; });
    if (own != o.breaches.end()) {
      o.reason = own->words;
    } else {
      o.is = verdict::skipped;
      o.reason = "the rule of " + o.breaches.front().rule + " was broken: " + o.reason;
    }
  }
  o.ms = std::chrono::duration_cast<milliseconds>(clock::now() - begun).count();
  return o;
}

}  // namespace

result<std::vector<outcome>> run_all(const subject& subject_of_run, const std::vector<test>& tests,
                                     const onlooker& who) {
  CPNS_TRY(const auto folder, temporary_folder::make("cpns-check"));
  auto on = subject_of_run;
  on.folder = folder.path();
  std::vector<outcome> out;
  const auto stopped_by = [&](const test& t) -> std::string {
    for (const auto* need = find(tests, t.needs); need != nullptr; need = find(tests, need->needs)) {
      const auto it =
          std::find_if(out.begin(), out.end(), [&](const outcome& o) { return o.test == need->name; });
      if (it != out.end() && it->is != verdict::passed && it->is != verdict::warning)
        return "needs " + it->test + ", which " + std::string{it->is == verdict::skipped ? "was " : ""} +
               std::string{word_of(it->is)};
    }
    return {};
  };
  for (const auto& t : tests) {
    if (who.begins) who.begins(out.size(), tests.size(), t.name);
    const auto why = stopped_by(t);
    auto o =
        why.empty() ? run_child(on, t, who) : outcome{std::string{t.name}, verdict::skipped, why, 0, {}, {}};
    if (who.cancelled && who.cancelled()) break;
    out.push_back(std::move(o));
    // After each test, so that a test that needs the failed one is skipped.
    assign_breaches(out, tests);
  }
  return out;
}

result<outcome> run_here(const subject& on, const test& t) {
  CPNS_TRY(const auto folder, temporary_folder::make("cpns-check"));
  auto here = on;
  here.folder = folder.path();
  // Never freed: a misbehaving plugin may call back after close().
  auto* b = new bench{std::move(here), -1};
  std::vector<outcome> one{run_in(*b, t)};
  assign_breaches(one, {t});
  return one.front();
}

int check_child_main(int argc, char** argv, const std::vector<test>& tests) {
  if (argc < 6) return 2;
  const auto* t = find(tests, argv[2]);
  if (t == nullptr) return 2;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(SIGPIPE, SIG_IGN);
  // Keeps the plugin's prints out of the outcome.
  const int steps = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (steps < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 2;
  auto on = from_words({argv + 3, argv + argc});
  ::setenv("TMPDIR", on.folder.c_str(), 1);
  auto* b = new bench{std::move(on), steps};
  const auto o = run_in(*b, *t);
  std::string text;
  for (const auto& x : o.breaches) text += "breach " + x.rule + " " + one_line(x.words) + "\n";
  text += std::string{word_of(o.is)} + " " + o.reason + "\n";
  (void)!::write(steps, text.data(), text.size());
  ::_exit(0);
}

}  // namespace cpns::conformance
