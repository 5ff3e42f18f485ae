#pragma once
// A listener whose sessions send every frame back.

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "server/listener.hpp"
#include "tests/unit/server/captured_log.hpp"
#include "tests/unit/server/gateway_end.hpp"

namespace cpns::server_tests {

using server::link_limits;
using server::link_port;
using server::peer_info;

/// Sends every frame back, at once or after release().
class echo final : public server::link_session {
 public:
  echo(peer_info p, std::shared_ptr<link_port> port) : peer(std::move(p)), port_(std::move(port)) {}
  void frames(std::vector<bytes> batch) override {
    std::lock_guard lock{guard_};
    received_ += batch.size();
    batches_max_ = std::max(batches_max_, batch.size());
    for (auto& f : batch)
      if (held_)
        waiting_.push_back(std::move(f));
      else
        port_->send(secret_bytes{std::move(f)});
    changed_.notify_all();
  }
  void closed() override {
    std::lock_guard lock{guard_};
    closed_ = true;
    port_.reset();
    changed_.notify_all();
  }
  void hold() {
    std::lock_guard lock{guard_};
    held_ = true;
  }
  void release() {
    std::lock_guard lock{guard_};
    held_ = false;
    for (auto& f : waiting_)
      if (port_) port_->send(secret_bytes{std::move(f)});
    waiting_.clear();
  }
  bool wait_received(std::size_t n) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, seconds{10}, [&] { return received_ >= n; });
  }
  bool wait_closed() {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, seconds{10}, [&] { return closed_; });
  }
  std::size_t received() {
    std::lock_guard lock{guard_};
    return received_;
  }
  const peer_info peer;

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  std::shared_ptr<link_port> port_;
  std::vector<bytes> waiting_;
  std::size_t received_ = 0, batches_max_ = 0;
  bool held_ = false, closed_ = false;
};

struct link_harness {
  captured_log log;
  crypto::tls_home home;
  std::mutex guard;
  std::condition_variable changed;
  std::vector<std::shared_ptr<echo>> sessions;
  bool hold = false;
  std::unique_ptr<server::listener> at;

  explicit link_harness(const link_limits& limits = {}, bool held = false) : hold(held) {
    at = server::listener::start(
             "127.0.0.1", 0, crypto::make_server_tls(home.server).value(), limits,
             [this](peer_info p, std::shared_ptr<link_port> port) -> std::shared_ptr<server::link_session> {
               auto e = std::make_shared<echo>(std::move(p), std::move(port));
               if (hold) e->hold();
               std::lock_guard lock{guard};
               sessions.push_back(e);
               changed.notify_all();
               return e;
             })
             .value();
  }
  std::unique_ptr<gateway_end> connect() { return connect(home.client); }
  std::unique_ptr<gateway_end> connect(const crypto::tls_files& files) {
    return std::make_unique<gateway_end>(at->port(), crypto::make_client_tls(files).value());
  }
  std::shared_ptr<echo> session(std::size_t i = 0) {
    std::unique_lock lock{guard};
    changed.wait_for(lock, seconds{10}, [&] { return sessions.size() > i; });
    return sessions.at(i);
  }
};

}  // namespace cpns::server_tests
