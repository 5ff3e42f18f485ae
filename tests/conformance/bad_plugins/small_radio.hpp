#pragma once
// A small radio inside one process that keeps every rule. Each bad plugin in this folder breaks one rule by
// overriding a member; `good.cpp` overrides nothing and must pass.

#include <poll.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plugins/sdk/parameters.h"

namespace bad {

inline constexpr cpns_parameter_spec specs[] = {
    {"network", "A name; radios of one process with the same name reach each other.", CPNS_PARAMETER_TEXT,
     CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS, "small", 1, 64, nullptr},
    {"channel", "A number without an effect.", CPNS_PARAMETER_NUMBER, CPNS_PARAMETER_OF_BOTH, "7", 1, 40,
     nullptr},
    {"loud", "A switch without an effect.", CPNS_PARAMETER_BOOLEAN, CPNS_PARAMETER_OF_CENTRAL, "false", 0, 0,
     nullptr},
};
inline constexpr cpns_parameter_list known = CPNS_PARAMETER_LIST(specs);

using bytes = std::vector<std::uint8_t>;

/// Blocks for `ms` milliseconds.
inline void pause(int ms) { ::poll(nullptr, 0, ms); }

class radio;
/// State of all instances of the process. `guard` also protects all members of radio.
struct shared {
  std::mutex guard;
  std::set<radio*> radios;
};
shared& air();

class radio {
 public:
  radio(const cpns_host* host, std::uint32_t role, std::string network);
  virtual ~radio() = default;
  const cpns_transport* table() const { return &table_; }
  bool is(std::uint32_t role, const std::string& network) const {
    return role_ == role && network_ == network;
  }

  /// Called in open; anything but CPNS_OK ends it.
  static cpns_status check_parameters(const cpns_host* host, const cpns_open_args* args) {
    return cpns_parameters_check(&known, host, args);
  }
  static bool knows_role(std::uint32_t role) {
    return role == CPNS_ROLE_CENTRAL || role == CPNS_ROLE_PERIPHERAL;
  }
  /// Called in open after the checks; anything but CPNS_OK ends it.
  static cpns_status before_open(const cpns_host*, const cpns_open_args*) { return CPNS_OK; }
  /// Called last in open.
  virtual void opened() {}

 protected:
  static constexpr std::uint32_t mtu = 200, max_links = 8;
  static constexpr std::size_t lane_max = 64;

  struct link {
    radio* peer = nullptr;
    std::uint64_t peer_link = 0, endpoint = 0, presented = 0;
    std::size_t on_air = 0;  ///< frames sent by this side that have not arrived yet
    bool blocked = false, told_up = false;
  };

  virtual bool has_room() { return links_.size() < max_links; }
  virtual std::uint64_t fresh_link() { return ++last_link_; }
  virtual std::uint32_t traits() {
    return CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED;
  }
  // Called in the worker's thread, without the lock.
  virtual void tell_up(std::uint64_t l, std::uint64_t endpoint) {
    host_->link_up(host_->context, l, endpoint, "small");
  }
  virtual void tell_down(std::uint64_t l) { host_->link_down(host_->context, l, CPNS_DOWN_CLOSED, "gone"); }
  virtual void tell_writable(std::uint64_t l) { host_->writable(host_->context, l); }
  virtual void hand_up(std::uint64_t l, bytes frame) {
    host_->frame(host_->context, l, frame.data(), frame.size());
  }
  /// Called with the lock held: whether the frame is lost, or overtakes others.
  virtual bool loses_frame() { return false; }
  virtual bool overtakes() { return false; }

  virtual cpns_status scan(bool on);
  virtual cpns_status add_endpoint(std::uint64_t endpoint);
  virtual void remove_endpoint(std::uint64_t endpoint);
  virtual const void* extension(const std::string&) { return nullptr; }
  virtual cpns_status connect(const std::string&) { return CPNS_UNSUPPORTED; }
  virtual void cancel(const std::string&) {}
  virtual cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size);
  virtual void disconnect(std::uint64_t l);
  virtual void close();

  /// All below is called with the lock held.
  void post(std::function<void()> task, bool first = false);
  virtual void cut(std::uint64_t l);
  std::vector<std::uint64_t> links_of(std::uint64_t endpoint);
  static void meet();
  void join(radio& p, std::uint64_t endpoint);

  const cpns_host* host_;
  const std::uint32_t role_;
  const std::string network_;
  cpns_transport table_{};
  std::map<std::uint64_t, link> links_;
  std::uint64_t last_link_ = 0;
  bool scanning_ = false;
  std::set<std::uint64_t> endpoints_;

 private:
  void work();
  void up(std::uint64_t l, std::uint64_t endpoint);
  void arrive(std::uint64_t l, const bytes& frame);

  static radio& of(void* c) { return *static_cast<radio*>(c); }
  static void fill(cpns_transport& t);

  std::set<std::pair<radio*, std::uint64_t>> met_;
  std::deque<std::function<void()>> tasks_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread worker_;
};

template <class Radio>
cpns_status open(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out) {
  constexpr auto first_host = offsetof(cpns_host, get_extension) + sizeof host->get_extension;
  if (host->size < first_host || args->size < sizeof(cpns_open_args)) return CPNS_ERROR;
  if (!Radio::knows_role(args->role)) return CPNS_UNSUPPORTED;
  if (const auto checked = Radio::check_parameters(host, args); checked != CPNS_OK) return checked;
  const std::string network = cpns_parameter_text(&known, args, "network");
  if (const auto early = Radio::before_open(host, args); early != CPNS_OK) return early;
  auto* made = new Radio{host, args->role, args->probe ? "a probe" : network};
  made->opened();
  *out = made->table();
  return CPNS_OK;
}

}  // namespace bad

/// Defines the exported entry, with the given declarations or the default ones.
#define BAD_PLUGIN_WITH(Radio, Specs, count)                                                                 \
  extern "C" CPNS_EXPORT const cpns_transport_entry_t cpns_transport_entry = {                               \
      sizeof(cpns_transport_entry_t),                                                                        \
      CPNS_ABI_MAJOR,                                                                                        \
      CPNS_ABI_MINOR,                                                                                        \
      0,                                                                                                     \
      "small",                                                                                               \
      "1",                                                                                                   \
      "A small radio with one fault",                                                                        \
      &bad::open<Radio>,                                                                                     \
      Specs,                                                                                                 \
      count,                                                                                                 \
      sizeof(cpns_parameter_spec)}
#define BAD_PLUGIN(Radio) BAD_PLUGIN_WITH(Radio, bad::specs, bad::known.count)
