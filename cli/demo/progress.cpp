#include "cli/demo/progress.hpp"

#include <iostream>
#include <utility>

#include "cli/terminal.hpp"

namespace cpns::cli {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds look_interval{200};
constexpr std::chrono::seconds growth_over{2};

}  // namespace

void progress::begin() { next_ = steady::now() + first; }

void progress::show(const std::string& text) {
  if (!quiet_ && on_terminal()) return show_status(text);
  const auto now = steady::now();
  if (now < next_) return;
  next_ = now + interval;
  (quiet_ ? std::cerr : std::cout) << "  ... " << text << std::endl;
}

void progress::clear() const {
  if (!quiet_) clear_status();
}

std::uint64_t growth::per_second(std::uint64_t now) {
  const auto at = steady::now();
  const std::chrono::duration<double> span = at - since_;
  if (rate_ == 0 ? span >= std::chrono::seconds{1} : span >= growth_over) {
    rate_ = static_cast<std::uint64_t>(static_cast<double>(now - before_) / span.count());
    before_ = now;
    since_ = at;
  }
  return rate_;
}

step_clock::step_clock(progress& to) : to_(to), since_(steady::now()), thread_([this] { run(); }) {}

step_clock::~step_clock() {
  {
    std::lock_guard lock{guard_};
    ended_ = true;
  }
  over_.notify_all();
  thread_.join();
  to_.clear();
}

void step_clock::now(std::string part) {
  std::lock_guard lock{guard_};
  part_ = std::move(part);
  since_ = steady::now();
}

void step_clock::run() {
  std::unique_lock lock{guard_};
  while (!over_.wait_for(lock, look_interval, [this] { return ended_; })) {
    if (part_.empty()) continue;
    const auto length = std::chrono::duration_cast<std::chrono::seconds>(steady::now() - since_);
    to_.show(part_ + ", " + std::to_string(length.count()) + " s");
  }
}

}  // namespace cpns::cli
