// A radio for tests: brings up links that echo frames, and misbehaves on request. Parameters: `does`, the fault;
// `once`, a file that is created when the fault happens, after which it does not happen again.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plugins/abi/transport.h"

namespace {

/// Without a sanitizer's handler, which would end the process differently.
void crash() {
  ::signal(SIGSEGV, SIG_DFL);
  ::raise(SIGSEGV);
}

constexpr int role_socket = 3;  // the host's socket to the role

void hang() {
  for (;;) ::poll(nullptr, 0, -1);
}

class radio {
 public:
  radio(const cpns_host* host, std::uint32_t role, std::string does, std::string once)
      : host_(host), role_(role), does_(std::move(does)), once_(std::move(once)) {
    table_.size = sizeof table_;
    table_.context = this;
    table_.get_limits = [](void* c, cpns_limits* l) {
      l->mtu = 200, l->max_links = 64;
      l->max_endpoints = of(c).role_ == CPNS_ROLE_PERIPHERAL ? 4 : 0;
      l->traits = CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED;
      l->duty_permille = 250;
    };
    table_.scan = [](void* c, bool on) { return of(c).scan(on); };
    table_.add_endpoint = [](void* c, std::uint64_t e, const char* n) { return of(c).add(e, n); };
    table_.remove_endpoint = [](void* c, std::uint64_t e) { of(c).remove(e); };
    table_.connect = [](void* c, const char* a) { return of(c).connect(a); };
    table_.cancel = [](void* c, const char* a) {
      if (std::strcmp(a, "slow") == 0)
        of(c).later([r = &of(c)] { r->host_->connect_failed(r->host_->context, "slow", "given up"); });
    };
    table_.send = [](void* c, std::uint64_t l, const std::uint8_t* d, std::size_t n) {
      return of(c).send(l, d, n);
    };
    table_.disconnect = [](void* c, std::uint64_t l) { of(c).later([r = &of(c), l] { r->down(l); }); };
    table_.close = [](void* c) { of(c).close(); };
    table_.get_extension = [](void*, const char*) -> const void* { return nullptr; };
    worker_ = std::thread{[this] { work(); }};
  }
  const cpns_transport* table() const { return &table_; }

  /// Whether the fault `what` is requested and must happen now.
  bool has_fault(const char* what) {
    if (does_ != what) return false;
    if (once_.empty()) return true;
    const int made = ::open(once_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (made >= 0) ::close(made);
    return made >= 0;
  }

 private:
  static radio& of(void* c) { return *static_cast<radio*>(c); }

  cpns_status scan(bool on) {
    if (role_ != CPNS_ROLE_CENTRAL) return CPNS_UNSUPPORTED;
    if (!on) return CPNS_OK;
    if (has_fault("crash in scan")) crash();
    if (has_fault("hang in scan")) hang();
    if (has_fault("exit in scan")) ::_exit(7);
    if (has_fault("fork in scan") && ::fork() == 0) hang();
    if (has_fault("fail")) later([this] { host_->failed(host_->context, "the adapter was pulled out"); });
    if (has_fault("refuse to scan")) return CPNS_ERROR;
    if (has_fault("garbage")) {
      for (int i = 0; i < 3; ++i) ::send(role_socket, "not a packet head", 17, MSG_NOSIGNAL);
      return CPNS_OK;
    }
    if (has_fault("forged link")) {
      // A message on a link that never was up, in the host's format: kind 4, link 99, 1 byte.
      const unsigned char forged[] = {'c', 'r', 1, 0, 4, 13, 0, 0, 0, 99, 0,
                                      0,   0,   0, 0, 0, 0,  1, 0, 0, 0,  'x'};
      ::send(role_socket, forged, sizeof forged, MSG_NOSIGNAL);
      return CPNS_OK;
    }
    if (has_fault("close the socket")) {
      ::shutdown(role_socket, SHUT_RDWR);
      hang();
    }
    if (has_fault("eat memory"))
      later([this] {
        up(0);
        for (std::vector<std::vector<char>> all;; ::poll(nullptr, 0, 2)) all.emplace_back(8u << 20, 'x');
      });
    if (has_fault("flood of logs"))
      later([this] {
        for (int i = 0; i < 100'000; ++i) host_->log(host_->context, CPNS_LOG_WARN, "once more");
      });
    later([this] { up(0); });
    if (has_fault("flood")) later([this] { flood(); });
    return CPNS_OK;
  }
  /// Only reports the address as found, as a sign that connect was called.
  cpns_status connect(const char* address) {
    if (std::strcmp(address, "nobody") == 0) return CPNS_UNAVAILABLE;
    host_->peer_found(host_->context, address, -40);
    return CPNS_OK;
  }
  cpns_status add(std::uint64_t endpoint, const char* name) {
    if (role_ != CPNS_ROLE_PERIPHERAL) return CPNS_UNSUPPORTED;
    if (std::strcmp(name, "unwanted") == 0) return CPNS_UNAVAILABLE;
    later([this, endpoint] { up(endpoint); });
    return CPNS_OK;
  }
  void remove(std::uint64_t) {}

  cpns_status send(std::uint64_t link, const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> frame{data, data + size};
    if (size > 2 && data[2] == 'C') crash();  // after the fragment header of two bytes
    if (size > 2 && data[2] == 'H') hang();
    std::lock_guard lock{guard_};
    if (up_.count(link) == 0) return CPNS_NO_LINK;
    if (tasks_.size() > 64) {
      blocked_.insert(link);
      return CPNS_WOULD_BLOCK;
    }
    tasks_.push_back([this, link, frame = std::move(frame)] {
      host_->frame(host_->context, link, frame.data(), frame.size());
      std::set<std::uint64_t> blocked;
      {
        std::lock_guard inner{guard_};
        blocked.swap(blocked_);
      }
      for (const auto l : blocked) host_->writable(host_->context, l);
    });
    wake_.notify_one();
    return CPNS_OK;
  }
  void up(std::uint64_t endpoint) {
    std::uint64_t link = 0;
    {
      std::lock_guard lock{guard_};
      link = ++last_link_;
      up_.insert(link);
    }
    host_->link_up(host_->context, link, endpoint, "unruly:1");
  }
  void down(std::uint64_t link) {
    {
      std::lock_guard lock{guard_};
      if (up_.erase(link) == 0) return;
    }
    host_->link_down(host_->context, link, CPNS_DOWN_CLOSED, nullptr);
  }
  /// Sends frames to the host as fast as possible until close.
  void flood() {
    const std::uint8_t whole[3] = {0, 0x80, 'f'};
    for (std::uint8_t n = 0; !ending_; ++n) {
      const std::uint8_t frame[3] = {n, whole[1], whole[2]};
      host_->frame(host_->context, 1, frame, sizeof frame);
    }
  }
  void close() {
    if (has_fault("hang in close")) hang();
    ending_ = true;
    {
      std::lock_guard lock{guard_};
      wake_.notify_one();
    }
    worker_.join();
    delete this;
  }

  void later(std::function<void()> task) {
    std::lock_guard lock{guard_};
    tasks_.push_back(std::move(task));
    wake_.notify_one();
  }
  void work() {
    std::unique_lock lock{guard_};
    while (!ending_) {
      if (tasks_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  const cpns_host* host_;
  const std::uint32_t role_;
  const std::string does_, once_;
  cpns_transport table_{};
  std::mutex guard_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::set<std::uint64_t> up_, blocked_;
  std::uint64_t last_link_ = 0;
  std::atomic<bool> ending_{false};
  std::thread worker_;
};

cpns_status open(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out) {
  std::string does, once;
  for (std::size_t i = 0; i < args->parameter_count; ++i) {
    const std::string name = args->parameters[i].name, value = args->parameters[i].value;
    if (name == "does") {
      does = value;
    } else if (name == "once") {
      once = value;
    } else {
      host->bad_parameter(host->context, name.c_str(), "not known");
      host->log(host->context, CPNS_LOG_ERROR, ("parameter " + name + " is not known").c_str());
      return CPNS_BAD_PARAMETER;
    }
  }
  // The first process opens; later ones refuse while the file exists.
  if (does == "refuse later" && ::access(once.c_str(), F_OK) == 0) {
    host->log(host->context, CPNS_LOG_ERROR, "parameter does is out of fashion");
    return CPNS_BAD_PARAMETER;
  }
  if (does == "crash in open later" && ::access(once.c_str(), F_OK) == 0) crash();
  auto* made = new radio{host, args->role, does, once};
  if (made->has_fault("print")) {
    std::fputs("a line of a plugin\n", stdout);
    std::fflush(stdout);
  }
  *out = made->table();
  return CPNS_OK;
}

}  // namespace

// Declares no parameters, so that the host does not check them.
extern "C" CPNS_EXPORT const cpns_transport_entry_t cpns_transport_entry = {sizeof(cpns_transport_entry_t),
                                                                            CPNS_ABI_MAJOR,
                                                                            CPNS_ABI_MINOR,
                                                                            0,
                                                                            "unruly",
                                                                            "1",
                                                                            "A radio for tests",
                                                                            open,
                                                                            nullptr,
                                                                            0,
                                                                            0};
