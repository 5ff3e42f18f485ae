// The cost of one log line for the thread that logs it.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "base/descriptor.hpp"
#include "base/log.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using namespace cpns;

void one_line() {
  log::info(
      "server", "assignment-answered", "KeyAssignmentResponse (step 8)",
      {{"entity", "urn:dev:mac:0024befffe804ff1"}, {"gw", "8f14e45fceea167a5a36dedd4bea2543"}, {"ms", "7"}});
}

struct file_of_log {
  const test::temporary_folder folder;
  log::settings s;
  file_of_log() {
    s.form = log::format::json;
    s.file = folder / "log";
    (void)log::configure(s);
  }
  ~file_of_log() {
    log::flush();
    (void)log::configure({});
  }
  file_of_log(const file_of_log&) = delete;
  file_of_log& operator=(const file_of_log&) = delete;
};

/// Lines that follow each other, as under load.
void log_line_in_a_row(benchmark::State& state) {
  const file_of_log log;
  int left = 1000;
  for (auto _ : state) {
    one_line();
    if (--left > 0) continue;
    state.PauseTiming();
    log::flush();
    left = 1000;
    state.ResumeTiming();
  }
}

/// A line after a pause, which wakes the writer.
void log_line_after_a_pause(benchmark::State& state) {
  const file_of_log log;
  for (auto _ : state) {
    log::flush();
    ::poll(nullptr, 0, 10);
    const auto begun = std::chrono::steady_clock::now();
    one_line();
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  }
}

/// Nobody reads the pipe that the log goes into, so each line is dropped.
void log_line_into_a_full_queue(benchmark::State& state) {
  file_of_log log;
  log.s.file = log.folder / "fifo";
  if (::mkfifo(log.s.file.c_str(), 0600) != 0) return state.SkipWithError("no FIFO can be made");
  const descriptor other_end{::open(log.s.file.c_str(), O_RDWR | O_CLOEXEC)};
  if (!log::configure(log.s)) return state.SkipWithError("the log cannot be opened");
  for (std::size_t i = 0; i < 2 * log::queue_lines_max; ++i) one_line();
  for (auto _ : state) one_line();
  if (!log::configure(
          {.form = log::format::text, .threshold = log::level::off, .components = {}, .file = "/dev/null"}))
    state.SkipWithError("the log cannot be opened");
}

void log_line_below_the_level(benchmark::State& state) {
  const file_of_log log;
  for (auto _ : state)
    log::debug("server", "assignment-requested", "KeyAssignmentRequest (step 4)",
               {{"entity", "urn:dev:mac:0024befffe804ff1"}});
}

BENCHMARK(log_line_in_a_row);
BENCHMARK(log_line_after_a_pause)->UseManualTime()->Iterations(100);
BENCHMARK(log_line_into_a_full_queue);
BENCHMARK(log_line_below_the_level);

}  // namespace
