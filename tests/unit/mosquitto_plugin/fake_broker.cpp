#include "tests/unit/mosquitto_plugin/fake_broker.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include "consumers/mosquitto/broker_conf.h"

namespace {
using cpns::tests::fake_broker;

void disconnect(mosquitto* client) {
  if (!client->connected) return;
  client->kicked_as = client->username;
  mosquitto_evt_disconnect ended{};
  ended.client = client;
  fake_broker::running->call(MOSQ_EVT_DISCONNECT, &ended);
  client->connected = false;
  fake_broker::running->by_id.erase(client->id);
}
}  // namespace

// This test has no configuration file.
void broker_conf_read_own(broker_conf* out) {
  std::memset(out, 0, sizeof *out);
  out->acl_file = true;
}

extern "C" {

void mosquitto_log_printf(int, const char* format, ...) {
  std::array<char, 1024> text{};
  va_list args;
  va_start(args, format);
  (void)std::vsnprintf(text.data(), text.size(), format, args);
  va_end(args);
  if (fake_broker::running->log.size() < 1'000) fake_broker::running->log.emplace_back(text.data());
}

int mosquitto_callback_register(mosquitto_plugin_id_t*, int event, MOSQ_FUNC_generic_callback call,
                                const void*, void* user) {
  fake_broker::running->callbacks[event] = {call, user};
  return MOSQ_ERR_SUCCESS;
}

int mosquitto_callback_unregister(mosquitto_plugin_id_t*, int event, MOSQ_FUNC_generic_callback,
                                  const void*) {
  fake_broker::running->callbacks.erase(event);
  return MOSQ_ERR_SUCCESS;
}

const char* mosquitto_client_username(const mosquitto* client) {
  return client->username.empty() ? nullptr : client->username.c_str();
}

const char* mosquitto_client_id(const mosquitto* client) {
  return client->id.empty() ? nullptr : client->id.c_str();
}

int mosquitto_set_username(mosquitto* client, const char* username) {
  if (fake_broker::running->refuses_name(*client)) return MOSQ_ERR_NOMEM;
  client->username = username;
  return MOSQ_ERR_SUCCESS;
}

int mosquitto_kick_client_by_clientid(const char* clientid, bool) {
  auto& broker = *fake_broker::running;
  ++broker.kicks;
  EXPECT_NE(clientid, nullptr) << "the broker would kick all clients";
  if (clientid == nullptr) return MOSQ_ERR_INVAL;
  const auto found = broker.by_id.find(clientid);
  if (found == broker.by_id.end()) return MOSQ_ERR_NOT_FOUND;
  disconnect(found->second);
  return MOSQ_ERR_SUCCESS;
}

int mosquitto_kick_client_by_username(const char* username, bool) {
  auto& broker = *fake_broker::running;
  ++broker.kicks;
  EXPECT_NE(username, nullptr) << "the broker would kick all clients without a name";
  if (username == nullptr) return MOSQ_ERR_INVAL;
  for (auto& client : broker.clients)
    if (client.connected && client.username == username) disconnect(&client);
  return MOSQ_ERR_SUCCESS;
}

}  // extern "C"

namespace cpns::tests {

fake_broker* fake_broker::running = nullptr;

served fake_broker::accept_watch(fake_role& role) {
  for (;;) {
    auto link = role.accept();
    if (link.request().rfind("GET ", 0) != 0) continue;  // an acknowledgement: it is sent again
    link.begin();
    return link;
  }
}

fake_broker::fake_broker(fake_role& role, const std::function<void(served&)>& serve) : link{-1} {
  running = this;
  std::thread server([&] {
    link = accept_watch(role);
    serve(link);
  });
  std::string socket = role.path(), name = "socket";
  std::array<mosquitto_opt, 1> options{{{name.data(), socket.data()}}};
  EXPECT_EQ(mosquitto_plugin_init(nullptr, &plugin_, options.data(), 1), MOSQ_ERR_SUCCESS);
  server.join();
}

fake_broker::~fake_broker() {
  for (auto& client : clients) disconnect(&client);
  mosquitto_plugin_cleanup(plugin_, nullptr, 0);
  running = nullptr;
}

void fake_broker::call(int event, void* data) {
  const auto& to = callbacks.at(event);
  (void)to.call(event, data, to.user);
}

::mosquitto* fake_broker::handshake(const std::string& identity) {
  auto& client = clients.emplace_back();
  std::array<char, 257> key{};
  mosquitto_evt_psk_key asked{};
  asked.client = &client;
  asked.identity = identity.c_str();
  asked.key = key.data();
  asked.max_key_len = static_cast<int>(key.size()) - 1;
  const auto& to = callbacks.at(MOSQ_EVT_PSK_KEY);
  if (to.call(MOSQ_EVT_PSK_KEY, &asked, to.user) != MOSQ_ERR_SUCCESS) {
    clients.pop_back();
    return nullptr;
  }
  client.username = identity;
  client.connected = true;
  return &client;
}

::mosquitto* fake_broker::other_client(const std::string& id, const std::string& username) {
  auto& client = clients.emplace_back(::mosquitto{id, username, true, {}});
  by_id[id] = &client;
  return &client;
}

bool fake_broker::has_logged(const std::string& text) const {
  return std::any_of(log.begin(), log.end(),
                     [&](const auto& line) { return line.find(text) != std::string::npos; });
}

bool comes_true(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{patience_ms};
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    (void)::poll(nullptr, 0, 1);
  }
  return true;
}

bool fake_broker::ticks_until(const std::function<bool()>& done) {
  return comes_true([&] {
    tick();
    return done();
  });
}

}  // namespace cpns::tests
