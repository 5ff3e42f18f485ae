#include "plugins/host/event_loop.hpp"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

namespace cpns::plugins {
namespace {

namespace asio = boost::asio;
using descriptor = asio::posix::stream_descriptor;

// steady_clock would overflow with much longer waits.
constexpr std::uint64_t timer_ms_max = std::uint64_t{1000} * 60 * 60 * 24 * 365 * 100;

}  // namespace

class event_loop::impl {
 public:
  impl(std::function<void()> threw, simulated_clock* simulated)
      : threw_(std::move(threw)), simulated_(simulated) {}

  std::uint64_t start(std::uint64_t after_ms, void (*due)(void*), void* user) {
    std::lock_guard lock{guard_};
    if (ended_) return 0;
    const auto id = ++last_;
    auto& t = items_[id] = std::make_shared<item>();
    const auto over = [this, id, due, user] {
      call(id, [=] { due(user); });
      std::lock_guard inner{guard_};
      items_.erase(id);
    };
    if (simulated_ != nullptr) {
      t->simulated = simulated_->add(after_ms, [this, over](simulated_clock::hold until) {
        asio::post(io_, [over, until = std::move(until)] { over(); });
      });
    } else {
      t->timer.emplace(io_, std::chrono::milliseconds{std::min(after_ms, timer_ms_max)});
      t->timer->async_wait([over](boost::system::error_code) { over(); });
    }
    run();
    return id;
  }

  std::uint64_t watch(int fd, std::uint32_t events, void (*ready)(void*, std::uint32_t), void* user) {
    std::lock_guard lock{guard_};
    if (ended_) return 0;
    auto w = std::make_shared<item>();
    boost::system::error_code wrong;
    w->fd.emplace(io_);
    w->fd->assign(fd, wrong);
    if (wrong) return 0;
    w->events = events;
    w->ready = ready;
    w->user = user;
    const auto id = ++last_;
    items_[id] = w;
    arm(id, *w);
    run();
    return id;
  }

  void change(std::uint64_t id, std::uint32_t events) {
    std::lock_guard lock{guard_};
    const auto it = items_.find(id);
    if (it == items_.end() || !it->second->fd) return;
    it->second->events = events;
    arm(id, *it->second);
  }

  void stop(std::uint64_t id) {
    if (id == 0) return;  // start or watch failed
    std::unique_lock lock{guard_};
    forget(id);
    if (std::this_thread::get_id() == thread_.get_id()) return;
    finished_.wait(lock, [this, id] { return running_ != id; });
  }

  void end() {
    {
      std::lock_guard lock{guard_};
      ended_ = true;
      while (!items_.empty()) forget(items_.begin()->first);
    }
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct item {
    std::optional<asio::steady_timer> timer;
    std::uint64_t simulated = 0;   ///< the clock's timer
    std::optional<descriptor> fd;  ///< owned by the plugin: released, never closed here
    std::uint32_t events = 0;
    bool reading = false, writing = false;
    void (*ready)(void*, std::uint32_t) = nullptr;
    void* user = nullptr;
    ~item() {
      if (fd && fd->is_open()) fd->release();
    }
  };

  // All below except call() and on_ready() is called with the lock held.

  void run() {
    if (thread_.joinable()) return;
    thread_ = std::thread{[this] { io_.run(); }};
  }

  void forget(std::uint64_t id) {
    const auto it = items_.find(id);
    if (it == items_.end()) return;
    if (it->second->timer) it->second->timer->cancel();
    if (it->second->simulated != 0) simulated_->remove(it->second->simulated);
    items_.erase(it);
  }

  void arm(std::uint64_t id, item& w) {
    const auto wait = [&](std::uint32_t event, descriptor::wait_type what, bool& waiting) {
      if ((w.events & event) == 0 || waiting) return;
      waiting = true;
      w.fd->async_wait(what, [this, id, event](boost::system::error_code wrong) {
        if (wrong != asio::error::operation_aborted) on_ready(id, event);
      });
    };
    wait(CPNS_FD_READABLE, descriptor::wait_read, w.reading);
    wait(CPNS_FD_WRITABLE, descriptor::wait_write, w.writing);
  }

  void on_ready(std::uint64_t id, std::uint32_t event) {
    void (*ready)(void*, std::uint32_t) = nullptr;
    void* user = nullptr;
    {
      std::lock_guard lock{guard_};
      const auto it = items_.find(id);
      if (it == items_.end()) return;
      (event == CPNS_FD_READABLE ? it->second->reading : it->second->writing) = false;
      if ((it->second->events & event) == 0) return;
      ready = it->second->ready;
      user = it->second->user;
    }
    call(id, [=] { ready(user, event); });
    std::lock_guard lock{guard_};
    if (const auto it = items_.find(id); it != items_.end()) arm(id, *it->second);
  }

  template <class Function>
  void call(std::uint64_t id, Function function) {
    {
      std::lock_guard lock{guard_};
      if (items_.find(id) == items_.end()) return;
      running_ = id;
    }
    {
      const auto held = simulated_ != nullptr ? simulated_->held() : nullptr;
      try {
        function();
      } catch (...) {
        threw_();
      }
    }
    {
      std::lock_guard lock{guard_};
      running_ = 0;
    }
    finished_.notify_all();
  }

  const std::function<void()> threw_;
  simulated_clock* const simulated_;
  std::mutex guard_;
  std::condition_variable finished_;
  asio::io_context io_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{io_.get_executor()};
  std::unordered_map<std::uint64_t, std::shared_ptr<item>> items_;
  std::uint64_t last_ = 0, running_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

event_loop::event_loop(std::function<void()> threw, simulated_clock* simulated)
    : threw_(std::move(threw)), simulated_(simulated) {}
event_loop::~event_loop() { end(); }

std::shared_ptr<event_loop::impl> event_loop::made(bool make) {
  std::lock_guard lock{guard_};
  if (!impl_ && make && !ended_) impl_ = std::make_shared<impl>(threw_, simulated_);
  return impl_;
}

std::uint64_t event_loop::now_ms() const {
  if (simulated_ != nullptr) return simulated_->now_ms();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}
void event_loop::hold() {
  std::lock_guard lock{guard_};
  if (simulated_ != nullptr && !ended_) held_.push_back(simulated_->held());
}
void event_loop::release() {
  std::lock_guard lock{guard_};
  if (!held_.empty()) held_.pop_back();
}
std::uint64_t event_loop::start(std::uint64_t after_ms, void (*due)(void*), void* user) {
  const auto loop = made(true);
  return loop ? loop->start(after_ms, due, user) : 0;
}
std::uint64_t event_loop::watch(int fd, std::uint32_t events, void (*ready)(void*, std::uint32_t),
                                void* user) {
  const auto loop = made(true);
  return loop ? loop->watch(fd, events, ready, user) : 0;
}
void event_loop::change(std::uint64_t watch, std::uint32_t events) {
  if (const auto loop = made(false)) loop->change(watch, events);
}
void event_loop::stop(std::uint64_t id) {
  if (const auto loop = made(false)) loop->stop(id);
}
void event_loop::end() {
  std::shared_ptr<impl> loop;
  {
    std::lock_guard lock{guard_};
    ended_ = true;
    loop = std::exchange(impl_, nullptr);
    held_.clear();
  }
  if (loop) loop->end();
}

}  // namespace cpns::plugins
