#pragma once
// The gateway's and the PNE's side of one transport in one process, with listeners to wait for.

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plugins/host/loader.hpp"

namespace cpns::plugins {

using params = std::map<std::string, std::string>;

/// Records the events of one side. [thread-safe]
class listener final : public transport_listener {
 public:
  struct link {
    endpoint_id endpoint = 0;
    std::string address;
    bool up = true;
    std::string reason;  ///< why it went down
    std::vector<bytes> messages;
  };

  void link_up(link_id l, endpoint_id e, std::string address) override;
  void link_down(link_id l, std::string reason) override;
  void message(link_id l, bytes data) override;
  void peer_found(std::string, std::int32_t) override {}
  void connect_failed(std::string, std::string) override {}
  void woke(std::string) override {}
  void failed(error why) override;

  /// Waits until `holds(links)` is true; false after twenty seconds. Runs under the lock.
  template <class Holds>
  bool wait(Holds holds) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return holds(links_); });
  }
  bool wait_for_links(std::size_t up);
  /// Links that are up, in the order of their ids.
  std::vector<link_id> up();
  /// The link of that endpoint that is up; waits for it.
  std::optional<link_id> link_of(endpoint_id e);
  std::vector<bytes> messages(link_id l);
  std::string reason(link_id l);
  /// Number of callbacks so far.
  std::size_t calls();
  /// The first broken rule of transport_listener; empty: none.
  std::string broken();

 private:
  void note(bool rule, const char* words);
  std::mutex guard_;
  std::condition_variable changed_;
  std::map<link_id, link> links_;
  std::size_t calls_ = 0;
  std::string broken_;
};

/// A name that is unique among tests and processes.
std::string fresh_network();

// A kind is the name of a plugin, or "NAME_isolated": each side in its own process.
std::string plugin_of(const std::string& kind);

/// Parameters by which both sides find each other, and no other instance.
struct meeting {
  params central, peripheral;
};
meeting meeting_of(const std::string& kind, const params& both = {});

std::unique_ptr<transport> open(const std::string& kind, transport_role role, const params& p, listener& l);

/// Both sides open; the gateway scans.
class pair {
 public:
  explicit pair(const std::string& kind, const params& both = {});
  ~pair();
  void add(endpoint_id first, std::size_t count);
  /// Ids of one PNE's link on both sides. Waits until it is up and the gateway has received a message over it.
  struct ends {
    link_id gateway = 0, pne = 0;
  };
  std::optional<ends> link(endpoint_id e);

  listener gateway_hears, pne_hears;
  std::unique_ptr<transport> gateway, pne;
};

}  // namespace cpns::plugins
