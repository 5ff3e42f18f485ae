#pragma once
// The interface of mosquitto 2.0 for its plugins, as its sources (src/plugin_public.c) have it, and a key socket behind the
// plugin: so a test has as many clients as it wants, and the broker's ticks when it wants them.

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/keys_library/fake_role.hpp"

/// A client as the broker has it. An empty ID: it has sent no CONNECT yet.
struct mosquitto {
  std::string id;
  std::string username;
  bool connected = false;
  std::string kicked_as{};  // its username when the broker begins to kick it
};

namespace cpns::tests {

/// Asks again and again, in vain after `patience_ms`.
bool comes_true(const std::function<bool()>& done);

/// One at a time, because the functions of the interface have no object.
class fake_broker {
 public:
  /// The next connection of the plugin that asks for the keys, and the header of the answer.
  static served accept_watch(fake_role& role);
  /// Starts the plugin, which follows `role`. `serve` answers its first connection.
  explicit fake_broker(fake_role& role, const std::function<void(served&)>& serve);
  fake_broker(const fake_broker&) = delete;
  fake_broker& operator=(const fake_broker&) = delete;
  ~fake_broker();

  void call(int event, void* data);
  void tick() { call(MOSQ_EVT_TICK, nullptr); }
  /// The look-up of a handshake. nullptr: no key was given. The client lives as long as this.
  ::mosquitto* handshake(const std::string& identity);
  /// The rest of the connection, as far as the plugin sees it.
  void connect(::mosquitto* client, const std::string& id) {
    client->id = id;
    by_id[id] = client;
  }
  /// A client of a listener without keys.
  ::mosquitto* other_client(const std::string& id, const std::string& username);
  bool has_logged(const std::string& text) const;
  /// comes_true() with a tick before each question.
  bool ticks_until(const std::function<bool()>& done);

  std::deque<::mosquitto> clients;
  std::map<std::string, ::mosquitto*> by_id;
  std::vector<std::string> log;
  std::size_t kicks = 0;
  std::function<bool(const ::mosquitto&)> refuses_name = [](const ::mosquitto&) { return false; };
  served link;

  static fake_broker* running;
  struct registered {
    MOSQ_FUNC_generic_callback call;
    void* user;
  };
  std::map<int, registered> callbacks;

 private:
  void* plugin_ = nullptr;
};

}  // namespace cpns::tests
