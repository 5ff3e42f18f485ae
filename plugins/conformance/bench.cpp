#include "plugins/conformance/bench.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "plugins/host/loader.hpp"

namespace cpns::conformance {
namespace {

constexpr std::size_t log_line_max = 500;

}  // namespace

const cpns_transport_entry_t& bench::entry() {
  if (entry_ != nullptr) return *entry_;
  step("loading the file");
  if (const auto fits = plugins::check_shared_object(on.file); !fits) throw test_failed{fits.error().detail};
  void* handle = ::dlopen(on.file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    throw test_failed{why != nullptr ? why : "the file cannot be loaded"};
  }
  entry_ = static_cast<const cpns_transport_entry_t*>(::dlsym(handle, CPNS_ENTRY_SYMBOL));
  if (entry_ == nullptr) throw test_failed{"the file exports no symbol " CPNS_ENTRY_SYMBOL};
  return *entry_;
}

void bench::step(const char* what) {
  // Floods repeat the same step.
  if (step_.exchange(what) != what) write_line("step " + std::string{what});
}

void bench::write_line(std::string line) {
  if (steps_ < 0) return;
  line += '\n';
  (void)!::write(steps_, line.data(),
                 line.size());  // shorter than PIPE_BUF, so lines of several threads stay whole
}

void bench::log(cpns_role of, std::uint32_t level, std::string_view line) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun_);
  constexpr const char* words[] = {"debug", "info", "warn", "error"};
  const auto text = std::to_string(ms.count()) + " ms " + name_of(of) + " " +
                    (level < std::size(words) ? words[level] : "?") + ": " +
                    one_line(std::string{line.substr(0, log_line_max)});
  if (steps_ < 0) std::fprintf(stderr, "%s\n", text.c_str());
  write_line("log " + text);
}

void bench::note_breach(std::string_view rule, std::string words) {
  std::lock_guard lock{guard_};
  const bool known =
      std::any_of(breaches_.begin(), breaches_.end(), [&](const breach& b) { return b.rule == rule; });
  if (!known) breaches_.push_back({std::string{rule}, std::move(words)});
}

void bench::warn(std::string words) {
  std::lock_guard lock{guard_};
  if (warned_.empty()) warned_ = std::move(words);
}

std::vector<breach> bench::breaches() const {
  std::lock_guard lock{guard_};
  return breaches_;
}

std::string bench::warned() const {
  std::lock_guard lock{guard_};
  return warned_;
}

void require(bool holds, const std::string& why) {
  if (!holds) throw test_failed{why};
}

std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

std::string name_of(cpns_status s) {
  switch (s) {
  case CPNS_OK: return "CPNS_OK";
  case CPNS_ERROR: return "CPNS_ERROR";
  case CPNS_BAD_PARAMETER: return "CPNS_BAD_PARAMETER";
  case CPNS_WOULD_BLOCK: return "CPNS_WOULD_BLOCK";
  case CPNS_NO_LINK: return "CPNS_NO_LINK";
  case CPNS_LIMIT: return "CPNS_LIMIT";
  case CPNS_UNSUPPORTED: return "CPNS_UNSUPPORTED";
  case CPNS_UNAVAILABLE: return "CPNS_UNAVAILABLE";
  default: return "status " + std::to_string(static_cast<int>(s));
  }
}

std::string name_of(cpns_role r) { return r == CPNS_ROLE_CENTRAL ? "central" : "peripheral"; }

std::string_view word_of(verdict v) {
  switch (v) {
  case verdict::passed: return "passed";
  case verdict::failed: return "failed";
  case verdict::skipped: return "skipped";
  case verdict::crashed: return "crashed";
  case verdict::warning: return "warning";
  }
  return "failed";
}

bool all_well(const std::vector<outcome>& all) {
  return std::none_of(all.begin(), all.end(),
                      [](const outcome& o) { return o.is == verdict::failed || o.is == verdict::crashed; });
}

}  // namespace cpns::conformance
