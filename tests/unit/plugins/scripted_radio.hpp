#pragma once
// A plugin inside the test's program: the test sets its results, and calls the host in its place.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/abi/ext/timer.h"
#include "plugins/host/checked_transport.hpp"

namespace cpns::plugins {

/// Records the events of a listener as lines.
class recorder final : public transport_listener {
 public:
  void link_up(link_id l, endpoint_id e, std::string address) override {
    note("up " + std::to_string(l) + " " + std::to_string(e) + " " + address);
  }
  void link_down(link_id l, std::string reason) override { note("down " + std::to_string(l) + " " + reason); }
  void message(link_id l, bytes data) override { note("message " + std::to_string(l) + " " + to_hex(data)); }
  void peer_found(std::string address, std::int32_t rssi) override {
    note("found " + address + " " + std::to_string(rssi));
  }
  void connect_failed(std::string address, std::string why) override {
    note("not connected " + address + " " + why);
  }
  void woke(std::string address) override { note("woke " + address); }
  void failed(error why) override { note("failed " + why.detail); }

  /// The lines since the last call.
  std::vector<std::string> heard() {
    std::lock_guard lock{guard_};
    return std::exchange(lines_, {});
  }

 private:
  void note(std::string line) {
    std::lock_guard lock{guard_};
    lines_.push_back(std::move(line));
  }
  std::mutex guard_;
  std::vector<std::string> lines_;
};

/// Only one may exist at a time, because its entry is static.
class scripted_radio {
 public:
  cpns_limits limits{sizeof(cpns_limits), 25, 4, 3, CPNS_TRAIT_RELIABLE, 0};
  cpns_status answer = CPNS_OK;
  std::atomic<std::size_t> frames_taken_at_most = 1'000'000;  ///< then CPNS_WOULD_BLOCK
  bool writable_during_send = false;  ///< calls writable before it returns CPNS_WOULD_BLOCK
  std::vector<bytes> sent;
  std::vector<std::string> calls;
  std::map<std::string, std::string> params;
  std::vector<cpns_parameter_spec> specs;                ///< empty: it declares no list
  std::function<cpns_status(const cpns_host*)> on_open;  ///< called first in open
  std::map<std::string, const void*> extensions;
  bool probed = false, closed = false;
  const cpns_host* host = nullptr;

  scripted_radio() { current_ = this; }
  ~scripted_radio() { current_ = nullptr; }

  open_result<std::unique_ptr<transport>> open(recorder& r, transport_role as = transport_role::central,
                                               std::map<std::string, std::string> given = {},
                                               bool probe = false) {
    const cpns_transport_entry_t entry{
        sizeof(cpns_transport_entry_t),
        CPNS_ABI_MAJOR,
        CPNS_ABI_MINOR,
        0,
        "scripted",
        "1",
        "For tests",
        [](const cpns_host* h, const cpns_open_args* a, const cpns_transport** out) {
          return current_->opened(h, *a, out);
        },
        specs.data(),
        static_cast<std::uint32_t>(specs.size()),
        specs.empty() ? 0 : static_cast<std::uint32_t>(sizeof(cpns_parameter_spec))};
    return open_checked(entry, as, given, probe, r);
  }

  void link_up(std::uint64_t link, std::uint64_t endpoint = 0) {
    host->link_up(host->context, link, endpoint, "somewhere");
  }
  void link_down(std::uint64_t link) { host->link_down(host->context, link, CPNS_DOWN_LOST, "out of range"); }
  void frame(std::uint64_t link, const bytes& data) {
    host->frame(host->context, link, data.data(), data.size());
  }
  void writable(std::uint64_t link) { host->writable(host->context, link); }

 private:
  cpns_status opened(const cpns_host* h, const cpns_open_args& args, const cpns_transport** out) {
    host = h;
    probed = args.probe;
    for (std::size_t i = 0; i < args.parameter_count; ++i)
      params[args.parameters[i].name] = args.parameters[i].value;
    if (on_open) {
      if (const auto status = on_open(h); status != CPNS_OK) return status;
    }
    if (answer != CPNS_OK) return answer;
    table_ = {sizeof(cpns_transport),
              0,
              this,
              [](void* c, cpns_limits* l) { *l = self(c).limits; },
              [](void* c, bool on) { return self(c).called(on ? "scan on" : "scan off"); },
              [](void* c, std::uint64_t e, const char* n) {
                return self(c).called("add " + std::to_string(e) + " " + n);
              },
              [](void* c, std::uint64_t e) { self(c).called("remove " + std::to_string(e)); },
              [](void* c, const char* a) { return self(c).called(std::string{"connect "} + a); },
              [](void* c, std::uint64_t l, const std::uint8_t* d, std::size_t n) {
                return self(c).offered(l, {d, n});
              },
              [](void* c, std::uint64_t l) { self(c).called("disconnect " + std::to_string(l)); },
              [](void* c) { self(c).closed = true; },
              [](void* c, const char* id) -> const void* {
                const auto it = self(c).extensions.find(id);
                return it == self(c).extensions.end() ? nullptr : it->second;
              },
              [](void* c, const char* a) { self(c).called(std::string{"cancel "} + a); }};
    *out = &table_;
    return CPNS_OK;
  }
  cpns_status called(std::string what) {
    calls.push_back(std::move(what));
    return answer;
  }
  cpns_status offered(std::uint64_t link, byte_view frame) {
    if (answer != CPNS_OK) return answer;
    if (sent.size() >= frames_taken_at_most) {
      if (std::exchange(writable_during_send, false)) {
        frames_taken_at_most = 1'000'000;
        writable(link);
      }
      return CPNS_WOULD_BLOCK;
    }
    sent.push_back(to_bytes(frame));
    return CPNS_OK;
  }
  static scripted_radio& self(void* c) { return *static_cast<scripted_radio*>(c); }

  static inline scripted_radio* current_ = nullptr;
  cpns_transport table_{};
};

}  // namespace cpns::plugins
