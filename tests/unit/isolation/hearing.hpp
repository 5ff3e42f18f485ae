#pragma once
// Common code of the tests of isolated radios: a listener to wait for, a radio that misbehaves on request, and the
// list of child processes.

#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "plugins/isolation/isolated_transport.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::plugins::isolation {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// Records events. [thread-safe]
class hearing final : public transport_listener {
 public:
  struct link {
    endpoint_id endpoint = 0;
    bool up = true;
    std::string reason;
    std::vector<bytes> messages;
  };
  void link_up(link_id l, endpoint_id e, std::string address) override {
    note(l > highest_ && address == "unruly:1", [&] { links_[l] = {e, true, {}, {}}, highest_ = l; });
  }
  void link_down(link_id l, std::string reason) override {
    note(is_up(l), [&] { links_[l].up = false, links_[l].reason = std::move(reason); });
  }
  void message(link_id l, bytes data) override {
    note(is_up(l), [&] { ++heard_, links_[l].messages.push_back(std::move(data)); });
  }
  void peer_found(std::string address, std::int32_t rssi) override {
    note(rssi == -40, [&] { found_ = std::move(address); });
  }
  void connect_failed(std::string address, std::string why) override {
    note(true, [&] { unconnected_[std::move(address)] = std::move(why); });
  }
  void woke(std::string address) override {
    note(true, [&] { woke_ = std::move(address); });
  }
  void failed(error) override {
    note(false, [] {});
  }

  template <class Holds>
  bool wait(Holds holds) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, 20s, [&] { return holds(links_); });
  }
  /// Waits until the newest link has an id above `after` and is up; 0 if that does not happen.
  link_id link_after(link_id after) {
    link_id found = 0;
    wait([&](const auto& links) {
      if (!links.empty() && links.rbegin()->first > after && links.rbegin()->second.up)
        found = links.rbegin()->first;
      return found != 0;
    });
    return found;
  }
  std::string reason(link_id l) {
    wait([l](auto& links) { return !links[l].up; });
    std::lock_guard lock{guard_};
    return links_[l].reason;
  }
  bool echoes(transport& t, link_id l, const bytes& what) {
    if (!t.send(l, what)) return false;
    return wait([&](auto& links) { return !links[l].messages.empty() && links[l].messages.back() == what; });
  }
  /// Waits for connect_failed of `address`; its reason.
  std::string unconnected(const std::string& address) {
    wait([&](const auto&) { return unconnected_.count(address) != 0; });
    std::lock_guard lock{guard_};
    return unconnected_[address];
  }
  bool wait_found(const std::string& address) {
    return wait([&](const auto&) { return found_ == address; });
  }
  std::size_t heard() {
    std::lock_guard lock{guard_};
    return heard_;
  }
  bool kept_rules() {
    std::lock_guard lock{guard_};
    return kept_;
  }

 private:
  bool is_up(link_id l) { return links_.count(l) != 0 && links_[l].up; }
  template <class Change>
  void note(bool kept, Change change) {
    std::lock_guard lock{guard_};
    kept_ = kept_ && kept;
    change();
    changed_.notify_all();
  }
  std::mutex guard_;
  std::condition_variable changed_;
  std::map<link_id, link> links_;
  link_id highest_ = 0;
  std::size_t heard_ = 0;
  std::map<std::string, std::string> unconnected_;
  std::string found_, woke_;
  bool kept_ = true;
};

inline isolation_settings quick(std::string name = "radio") {
  isolation_settings s;
  s.name = std::move(name);
  s.beat = 50ms;
  s.missed_max = 10;
  s.missed_while_opening = 200;  // sanitizers make processes start slowly
  s.close_limit = 500ms;
  s.pauses = {5ms, 50ms, 2s};
  return s;
}

inline transport_spec unruly(std::map<std::string, std::string> params = {},
                             transport_role role = transport_role::central) {
  return {CPNS_UNRULY, role, std::move(params), {}};
}

/// Children of a process, including zombies.
inline std::vector<pid_t> children(pid_t of = ::getpid()) {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file{entry.path() / "stat"};
    std::string line;
    std::getline(file, line);
    const auto after = line.rfind(')');
    if (after == std::string::npos) continue;
    char state = 0;
    pid_t parent = 0;
    std::istringstream{line.substr(after + 1)} >> state >> parent;
    if (parent == of) out.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return out;
}

inline pid_t only_child() {
  const auto all = children();
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? -1 : all.front();
}

class isolated : public testing::Test {
 protected:
  std::unique_ptr<transport> open(const transport_spec& spec, isolation_settings s = quick()) {
    auto opened = open_isolated(spec, std::move(s), hears);
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  void TearDown() override {
    EXPECT_TRUE(hears.kept_rules());
    EXPECT_TRUE(children().empty()) << "a process or a zombie is left";
  }
  hearing hears;
  test::temporary_folder folder;
};

}  // namespace cpns::plugins::isolation
