#include "base/log_writer.hpp"

#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log_text.hpp"

namespace cpns::log::detail {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t piece_bytes = 64U << 10;
constexpr std::chrono::milliseconds gathering{5};  // lines of one exchange come within it
constexpr std::chrono::seconds retry_pause{1};
constexpr std::chrono::seconds dropped_pause{1};

/// Where the line that contains byte `at` begins.
std::size_t line_begin(std::string_view lines, std::size_t at) {
  const auto end = at == 0 ? std::string_view::npos : lines.rfind('\n', at - 1);
  return end == std::string_view::npos ? 0 : end + 1;
}

}  // namespace

writer& writer::instance() {
  static auto& one = *new writer;
  return one;
}

status writer::start() {
  std::lock_guard lock{guard_};
  if (running_ || forked_) return {};
  // A signal that a role serves must not end the process because this thread does not block it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::string refused;
  try {
    std::thread{[this] { run(); }}.detach();
  } catch (const std::system_error& why) {
    refused = why.what();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!refused.empty()) return fail(errc::internal, "the system provides no thread for the log: " + refused);
  running_ = true;
  std::atexit([] { instance().flush(flush_limit); });
  return {};
}

void writer::use(std::shared_ptr<output> to, format form) {
  {
    std::lock_guard lock{guard_};
    std::swap(newest_, to);
    form_ = form;
  }
  more_.notify_all();
}

bool writer::is_crowded() const { return lines_ >= queue_lines_max / 2 || bytes_ >= queue_bytes_max / 2; }

void writer::append(const std::shared_ptr<output>& to, std::string_view line) {
  if (queue_.empty() || queue_.back().to != to || queue_.back().bytes.size() + line.size() > piece_bytes)
    queue_.push_back({to, std::exchange(spare_, {}), 0});
  auto& last = queue_.back();
  last.bytes += line;
  ++last.lines;
  ++lines_;
  bytes_ += line.size();
  ++accepted_;
}

void writer::put(const std::shared_ptr<output>& to, std::string_view line, bool is_error) {
  std::unique_lock lock{guard_};
  if (!running_) {
    ++accepted_;
    ++counts_.written;
    lock.unlock();
    return to->write_now(line);
  }
  const auto lines_max = queue_lines_max + (is_error ? error_lines_reserve : 0);
  const auto bytes_max = queue_bytes_max + (is_error ? error_bytes_reserve : 0);
  if (lines_ >= lines_max || bytes_ + line.size() > bytes_max) {
    ++counts_.dropped;
    return;
  }
  append(to, line);
  const bool wakes = std::exchange(idle_, false);
  const bool hurries = urgency_ == urgency::calm && (is_error || is_crowded());
  if (hurries) urgency_ = urgency::soon;
  lock.unlock();
  if (wakes || hurries) more_.notify_one();
}

void writer::append_own(std::string_view event, std::string_view text, std::initializer_list<field> fields) {
  line_buffer line;
  if (newest_->is_journal()) line.append(priority_of(level::warn));
  append_line(line, form_, level::warn, "log", event, text, fields);
  append(newest_, {line.data(), line.size()});
}

void writer::say_dropped(bool at_once) {
  const auto now = steady::now();
  const auto count = counts_.dropped - said_dropped_;
  if (count == 0 || (!at_once && now < said_at_ + dropped_pause)) return;
  said_dropped_ = counts_.dropped;
  said_at_ = now;
  append_own("log-lines-dropped",
             "the log was written too slowly; lines that its queue had no room for were dropped",
             {{"count", std::to_string(count)}});
}

void writer::say_working_again() {
  if (!failing_) return;
  const auto was = *std::exchange(failing_, std::nullopt);
  const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(steady::now() - was.since);
  append_own("log-written-again", "the log could not be written for a time",
             {{"cause", std::strerror(was.error)},
              {"seconds", std::to_string(lasted.count())},
              {"attempts", std::to_string(was.attempts)}});
}

bool writer::flush(std::chrono::milliseconds limit) {
  std::unique_lock lock{guard_};
  if (!running_) return true;
  say_dropped(true);
  if (lines_ == 0) return true;
  const auto last = accepted_;
  const auto errors = counts_.write_errors;
  urgency_ = urgency::now;
  more_.notify_one();
  written_out_.wait_for(lock, limit,
                        [&] { return counts_.written >= last || counts_.write_errors != errors; });
  return counts_.written >= last;
}

counters writer::counts() {
  std::lock_guard lock{guard_};
  auto out = counts_;
  out.queued = lines_;
  out.queued_bytes = bytes_;
  return out;
}

void writer::run() {
  pthread_setname_np(pthread_self(), "cpns-log");
  std::unique_lock lock{guard_};
  for (;;) {
    wait_for_lines(lock);
    urgency_ = urgency::calm;
    // Lines that come meanwhile share a write with those of the next 5 ms.
    for (auto left = queue_.size(); left > 0; --left) {
      auto p = std::move(queue_.front());
      queue_.pop_front();
      write_out(lock, p);
      say_working_again();
      say_dropped(false);
      if (p.bytes.capacity() > spare_.capacity() && p.bytes.capacity() <= 2 * piece_bytes) {
        p.bytes.clear();
        spare_ = std::move(p.bytes);
      }
      written_out_.notify_all();
    }
    more_.wait_for(lock, gathering, [this] { return urgency_ != urgency::calm; });
  }
}

void writer::wait_for_lines(std::unique_lock<std::mutex>& lock) {
  while (queue_.empty()) {
    idle_ = true;
    const auto there = [this] { return !queue_.empty(); };
    if (counts_.dropped == said_dropped_)
      more_.wait(lock, there);
    else if (!more_.wait_until(lock, said_at_ + dropped_pause, there))
      say_dropped(false);
    idle_ = false;
  }
}

void writer::write_out(std::unique_lock<std::mutex>& lock, piece& p) {
  for (std::size_t done = 0; done < p.bytes.size();) {
    const bool is_newest = p.to == newest_;
    lock.unlock();
    const auto did = p.to->write_some(std::string_view{p.bytes}.substr(done), is_newest);
    lock.lock();
    if (const int why = p.to->take_trouble(); why != 0)
      append_own(
          "log-file-not-reopened",
          "the path of the log names another file, which cannot be opened; the lines go on into the old one",
          {{"file", p.to->path()}, {"cause", std::strerror(why)}});
    done += did.written;
    if (did.written > 0) continue;
    if (did.reopened) {
      done = line_begin(p.bytes, done);
    } else if (p.to != newest_) {
      p.to = newest_;
      done = line_begin(p.bytes, done);
    } else if (did.error != 0) {
      failed(lock, p, did.error);
    } else {
      more_.wait_for(lock, gathering, [&] { return p.to != newest_; });
    }
  }
  lines_ -= p.lines;
  bytes_ -= p.bytes.size();
  counts_.written += p.lines;
}

void writer::failed(std::unique_lock<std::mutex>& lock, const piece& p, int error) {
  ++counts_.write_errors;
  if (!failing_) failing_ = failure{steady::now(), 0, error};
  ++failing_->attempts;
  failing_->error = error;
  written_out_.notify_all();
  more_.wait_for(lock, retry_pause, [&] { return urgency_ == urgency::now || p.to != newest_; });
  urgency_ = urgency::calm;
}

void writer::before_fork() { guard_.lock(); }
void writer::after_fork_in_parent() { guard_.unlock(); }
void writer::after_fork_in_child() {
  running_ = false;
  forked_ = true;
  lines_ = bytes_ = 0;  // the parent writes the queue
  guard_.unlock();
}

}  // namespace cpns::log::detail
